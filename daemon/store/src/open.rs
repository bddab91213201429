//! Opening a store, or making one.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek};
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use deployd_core::Timestamp;
use redb::backends::FileBackend;
use redb::{
    Database, DatabaseError, ReadableDatabase, ReadableTable, StorageBackend, StorageError,
};

use crate::error::{Failure, OpenError};
use crate::limits::{LOG_BYTES, QUEUE_REQUESTS_MAX, RESERVE_BYTES, REST};
use crate::metered::{Meter, Metered};
use crate::sealed::{FILE_FORMAT, Findings, SealError, Sealed, is_plain};
use crate::tables::INDEXES;
use crate::wal::Wal;
use crate::{backup, migrate, values};

/// How to open a store.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Memory for pages of the file.
    pub cache_bytes: usize,
    /// The length of the file from which batches are refused as `Full`; none:
    /// no other limit than the disk's. The file grows in large steps, so that
    /// it may become longer than this.
    pub quota_bytes: Option<u64>,
    /// Free space on the disk below which batches are refused as `Full`. No
    /// meaning for other storage than files.
    pub reserve_bytes: u64,
    /// Requests that may wait; others are refused as `Busy`. At least 1.
    pub queue_requests: usize,
    /// The write-ahead log of a store that is made, in bytes; those that are there keep
    /// the one that they have.
    pub log_bytes: u64,
    /// How long nobody must have come before what the log has is committed to the rest
    /// of the file.
    pub rest: Duration,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            cache_bytes: 64 << 20,
            quota_bytes: None,
            reserve_bytes: RESERVE_BYTES,
            queue_requests: QUEUE_REQUESTS_MAX,
            log_bytes: LOG_BYTES,
            rest: REST,
        }
    }
}

/// An open database of this schema, what counts its traffic, and what was found
/// to be damaged.
pub(crate) struct Opened {
    pub(crate) database: Database,
    /// None where every commit is to the file itself, as it was before version 3.
    pub(crate) wal: Option<Wal>,
    pub(crate) meter: Meter,
    pub(crate) findings: Findings,
}

/// Opens the store in this file; makes it if there is no file.
///
/// An empty file is refused: a store that was cut to nothing must not come back
/// as a new one.
pub(crate) fn open_file(path: &Path, options: &StoreOptions) -> Result<Opened, OpenError> {
    match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => open_existing(path, file, options),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create(path, options)?;
            let file = OpenOptions::new().read(true).write(true).open(path);
            open_existing(path, file.map_err(|error| io_error(path, error))?, options)
        }
        Err(error) => Err(io_error(path, error)),
    }
}

fn open_existing(path: &Path, file: File, options: &StoreOptions) -> Result<Opened, OpenError> {
    let name = path.display().to_string();
    let file = own(path, file)?;
    let metadata = file.metadata().map_err(|error| io_error(path, error))?;
    if metadata.len() == 0 {
        return Err(OpenError::Damaged { path: name, why: "the file is empty".to_owned() });
    }
    let file = match first_bytes(&file).map_err(|error| io_error(path, error))? {
        plain if is_plain(&plain) => seal_plain(path, file, options)?,
        _ => file,
    };
    let same = file.try_clone().map_err(|error| io_error(path, error))?;
    let backend =
        FileBackend::new(file).map_err(|error| OpenError::of(&name, Failure::from(error)))?;
    open_backend(&name, backend, Some(same), options)
}

/// Locks the file before anything of it is read: another process may be in the
/// middle of writing it, or may just have put another in its place. Held as long
/// as the file is open.
fn own(path: &Path, file: File) -> Result<File, OpenError> {
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(OpenError::InUse { path: path.display().to_string() });
        }
        Err(TryLockError::Error(error)) => return Err(io_error(path, error)),
    }
    let same = file.metadata().and_then(|ours| {
        let there = std::fs::metadata(path)?;
        Ok((ours.dev(), ours.ino()) == (there.dev(), there.ino()))
    });
    match same.map_err(|error| io_error(path, error))? {
        true => Ok(file),
        false => Err(OpenError::InUse { path: path.display().to_string() }),
    }
}

fn first_bytes(mut file: &File) -> io::Result<Vec<u8>> {
    let mut first = Vec::new();
    file.rewind()?;
    file.take(16).read_to_end(&mut first)?;
    Ok(first)
}

/// Puts a sealed copy in the place of a store from before there were checksums;
/// returns it, open. A crash leaves the one or the other.
fn seal_plain(path: &Path, file: File, options: &StoreOptions) -> Result<File, OpenError> {
    let name = path.display().to_string();
    tracing::info!(path = name, "the store gets checksums: it is copied once");
    let failed = |error| io_error(path, error);
    let sealed = beside(path, "sealing");
    remove_if_there(&sealed).map_err(failed)?;
    guarded(&name, || {
        let backend =
            FileBackend::new(file).map_err(|error| OpenError::of_database(&name, error))?;
        let plain = Database::builder()
            .set_cache_size(options.cache_bytes)
            .create_with_backend(backend)
            .map_err(|error| OpenError::of_database(&name, error))?;
        migrate::check(&plain, &name)?;
        let view = plain.begin_read().map_err(|error| OpenError::of(&name, error.into()))?;
        backup::copy(&view, &sealed).map_err(|failure| OpenError::of(&name, failure))
    })?;
    File::open(&sealed).and_then(|file| file.sync_all()).map_err(failed)?;
    std::fs::rename(&sealed, path).map_err(failed)?;
    sync_directory(path).map_err(failed)?;
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(failed)?;
    own(path, file)
}

/// Makes a store beside its place, whole and synced, then puts it there: a
/// crash in between leaves no half-made file at the path.
fn create(path: &Path, options: &StoreOptions) -> Result<(), OpenError> {
    let beside = beside(path, "new");
    let failed = |error| io_error(path, error);
    remove_if_there(&beside).map_err(failed)?;
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&beside);
    let backend = FileBackend::new(file.map_err(failed)?)
        .map_err(|error| OpenError::of(&path.display().to_string(), Failure::from(error)))?;
    drop(open_backend(&path.display().to_string(), backend, None, options)?);
    match place(&beside, path) {
        // Another process was faster; then its store is the one to open.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        placed => placed.map_err(failed),
    }
}

/// Opens a database on any storage, which may be that of a file, and brings it up to
/// this schema.
pub(crate) fn open_backend(
    name: &str,
    backend: impl StorageBackend,
    file: Option<File>,
    options: &StoreOptions,
) -> Result<Opened, OpenError> {
    let (backend, meter) = Metered::new(backend, file)
        .map_err(|source| OpenError::Io { path: name.to_owned(), source })?;
    let (backend, findings) = Sealed::open(backend, options.log_bytes)
        .map_err(|error| OpenError::of_seal(name, error))?;
    let log = backend.log();
    let mut builder = Database::builder();
    builder.set_cache_size(options.cache_bytes);
    let opened = guarded(name, || {
        let database = builder
            .create_with_backend(backend)
            .map_err(|error| OpenError::of_database(name, error))?;
        let wal = migrate::migrate(&database, name, now(), log, &findings)?;
        if wal.is_none() {
            tracing::info!(
                path = name,
                "the store was made without a write-ahead log: each commit is two syncs, and \
                 those of a store that is restored from a backup are one"
            );
        }
        Ok((database, wal))
    });
    match opened {
        Ok((database, wal)) => Ok(Opened { database, wal, meter, findings }),
        Err(error) => Err(error.because(&findings)),
    }
}

/// The database in a store's file, as it is: for tests that change records
/// behind the store's back, and for nothing else.
#[doc(hidden)]
pub fn database_of(path: &Path) -> Result<Database, OpenError> {
    let name = path.display().to_string();
    let file = OpenOptions::new().read(true).write(true).open(path);
    let file = own(path, file.map_err(|error| io_error(path, error))?)?;
    let backend = FileBackend::new(file).map_err(|error| OpenError::of_database(&name, error))?;
    let (backend, _) =
        Sealed::open(backend, 0).map_err(|error| OpenError::of_seal(&name, error))?;
    let opened = Database::builder().create_with_backend(backend);
    opened.map_err(|error| OpenError::of_database(&name, error))
}

/// Entries, by index and key.
#[doc(hidden)]
pub type Entries = BTreeMap<(String, Vec<u8>), Vec<u8>>;

/// All entries of all indexes in a store's file that nobody has open, by index and
/// key: for tests that compare them, and for nothing else.
#[doc(hidden)]
pub fn indexes_of(path: &Path) -> Result<Entries, OpenError> {
    let database = database_of(path)?;
    let read = || -> Result<_, Failure> {
        let view = database.begin_read()?;
        let mut entries = Entries::new();
        for entry in view.open_table(INDEXES)?.iter()? {
            let (key, value) = entry?;
            let (index, key) = key.value();
            let value = values::unpack(|| index.to_owned(), value.value())?;
            entries.insert((index.to_owned(), key.to_vec()), value);
        }
        Ok(entries)
    };
    read().map_err(|failure| OpenError::of(&path.display().to_string(), failure))
}

/// Does something with a file that may be damaged: redb asserts what it reads,
/// so that damage can end in a panic, which is reported as such here.
pub(crate) fn guarded<T>(
    name: &str,
    work: impl FnOnce() -> Result<T, OpenError>,
) -> Result<T, OpenError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let why = "reading it failed in a way that only damage explains".to_owned();
        Err(OpenError::Damaged { path: name.to_owned(), why })
    })
}

/// A path in the same directory, so that it can be linked or renamed.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(suffix);
    path.with_file_name(name)
}

/// Removes what an attempt before this one may have left.
pub(crate) fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Puts a finished, closed file at its place, durably, and never over another:
/// fails with `AlreadyExists` then. The file beside is gone afterwards.
pub(crate) fn place(beside: &Path, path: &Path) -> io::Result<()> {
    let placed = File::open(beside)
        .and_then(|file| file.sync_all())
        .and_then(|()| std::fs::hard_link(beside, path));
    let removed = remove_if_there(beside);
    placed?;
    removed?;
    sync_directory(path)
}

/// Makes the name of a file durable.
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(directory)?.sync_all()
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

fn io_error(path: &Path, source: io::Error) -> OpenError {
    OpenError::Io { path: path.display().to_string(), source }
}

impl OpenError {
    /// What a failure within the database means for its opening.
    pub(crate) fn of(path: &str, failure: Failure) -> Self {
        let path = path.to_owned();
        match failure {
            Failure::Refused(error) => Self::Damaged { path, why: error.to_string() },
            Failure::Database(error) => match *error {
                redb::Error::Io(source) => Self::Io { path, source },
                error => Self::Damaged { path, why: error.to_string() },
            },
        }
    }

    fn of_seal(path: &str, error: SealError) -> Self {
        let path = path.to_owned();
        match error {
            SealError::NotSealed(why) => Self::NotAStore { path, why },
            SealError::Newer(found) => Self::Newer { path, found, supported: FILE_FORMAT },
            SealError::Damaged(why) => Self::Damaged { path, why },
            SealError::Io(source) => Self::Io { path, source },
        }
    }

    /// Damage with the places where it was met.
    pub(crate) fn because(self, findings: &Findings) -> Self {
        match self {
            Self::Damaged { path, why } => Self::Damaged { path, why: findings.describe(&why) },
            other => other,
        }
    }

    fn of_database(path: &str, error: DatabaseError) -> Self {
        let path = path.to_owned();
        match error {
            DatabaseError::DatabaseAlreadyOpen => Self::InUse { path },
            DatabaseError::UpgradeRequired(version) => Self::NotAStore {
                path,
                why: format!("its file format is version {version}, older than any store's"),
            },
            // The magic number is not there.
            DatabaseError::Storage(StorageError::Io(error))
                if error.kind() == io::ErrorKind::InvalidData =>
            {
                Self::NotAStore { path, why: error.to_string() }
            }
            // A file that ends before what its header tells of.
            DatabaseError::Storage(StorageError::Io(error))
                if error.kind() == io::ErrorKind::UnexpectedEof =>
            {
                Self::Damaged { path, why: "the file is too short".to_owned() }
            }
            DatabaseError::Storage(StorageError::Io(source)) => Self::Io { path, source },
            error => Self::Damaged { path, why: error.to_string() },
        }
    }
}
