//! Copies of the whole store, taken while it is in use, and putting them back.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;

use deployd_core::Digest;
use deployd_core::ports::{StoreError, VerifyReport};
use redb::backends::FileBackend;
use redb::{Database, Durability, ReadTransaction, ReadableDatabase, ReadableTable};

use crate::error::{Failure, OpenError, RestoreError};
use crate::limits::LOG_BYTES;
use crate::open::{self, StoreOptions};
use crate::sealed::{Findings, Sealed};
use crate::tables::{META, Tables};
use crate::wal::changes::Changes;
use crate::wal::recovery::LOG_KEY;
use crate::{encode, events, objects, values, verify};

/// Copies what is in this view into a new file at `to`, never over another. The
/// copy has no free pages: it is as small as a store can be.
pub(crate) fn backup(
    view: &ReadTransaction,
    to: &Path,
    findings: &Findings,
) -> Result<(), StoreError> {
    let failed = |why: String| StoreError::Backup(format!("{}: {why}", to.display()));
    if to.exists() {
        return Err(failed("it exists already".to_owned()));
    }
    // Beside its place first, so that there never is half a backup at `to`.
    let beside = open::beside(to, "partial");
    open::remove_if_there(&beside).map_err(|error| failed(error.to_string()))?;
    let copied = copy(view, &beside);
    let placed = match copied {
        Ok(()) => open::place(&beside, to).map_err(|error| failed(error.to_string())),
        Err(failure) if failure.is_damage() => Err(failed(findings.describe(&failure.to_string()))),
        Err(failure) => Err(failed(failure.to_string())),
    };
    if placed.is_err() {
        let _ = open::remove_if_there(&beside);
    }
    placed
}

/// Copies what is in this view into a new file.
pub(crate) fn copy(view: &ReadTransaction, to: &Path) -> Result<(), Failure> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(to);
    let backend = FileBackend::new(file.map_err(redb::StorageError::Io)?)?;
    let (backend, _) = Sealed::open(backend, LOG_BYTES).map_err(|error| {
        Failure::from(redb::StorageError::Io(io::Error::other(format!("{error:?}"))))
    })?;
    let database = Database::builder()
        .set_cache_size(StoreOptions::default().cache_bytes)
        .create_with_backend(backend)?;
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    transaction.set_quick_repair(true);
    {
        let mut meta = transaction.open_table(META)?;
        for entry in view.open_table(META)?.iter()? {
            let (key, value) = entry?;
            // What is in the log is in the view: the copy has an empty one.
            if key.value() != LOG_KEY {
                meta.insert(key.value(), value.value())?;
            }
        }
    }
    Tables::open(&transaction, &Changes::not_kept())?.copy_from(view)?;
    transaction.commit()?;
    Ok(())
}

/// Reads the whole store in a file that no process has open, and says what is
/// wrong with it.
///
/// Opens the file for writing: a store that was not closed recovers first.
/// Blocks; may take as long as reading the file does.
pub fn verify_file(path: &Path) -> Result<VerifyReport, OpenError> {
    if !path.exists() {
        let source = io::Error::from(io::ErrorKind::NotFound);
        return Err(OpenError::Io { path: path.display().to_string(), source });
    }
    let opened = open::open_file(path, &StoreOptions::default())?;
    let name = path.display().to_string();
    let verified = || verify::verify(&opened.database.begin_read()?, &opened.findings);
    open::guarded(&name, || verified().map_err(|failure| OpenError::of(&name, failure)))
        .map_err(|error| error.because(&opened.findings))
}

/// Everything in a store's file that no process has open, as it was given:
/// names of tables, and keys and values without compression. For tests that look
/// for what must not be there.
#[doc(hidden)]
pub fn records_of(path: &Path) -> Result<Vec<(String, Vec<u8>)>, OpenError> {
    let opened = open::open_file(path, &StoreOptions::default())?;
    let name = path.display().to_string();
    let read = || {
        let mut found = Vec::new();
        for (table, key, value) in crate::tables::records(&opened.database.begin_read()?)? {
            let value = match (table, <[u8; 32]>::try_from(key.as_slice())) {
                ("objects", Ok(digest)) => objects::unpack(Digest::from_bytes(digest), &value)?,
                ("events", _) => events::text_of(&value).unwrap_or(value),
                ("outbox", _) => encode::text_of_message(&value).unwrap_or(value),
                ("indexes", _) => values::unpack(|| "a value".to_owned(), &value)?,
                _ => value,
            };
            // Others compress what they keep, too.
            let value = zstd::decode_all(value.as_slice()).unwrap_or(value);
            found.push((table.to_owned(), [key, value].concat()));
        }
        Ok(found)
    };
    open::guarded(&name, || read().map_err(|failure| OpenError::of(&name, failure)))
}

/// Puts a backup at `to`, where no file may be, after it was verified.
///
/// The backup is not touched: what is verified is the copy that is put in its
/// place. Blocks; may take as long as copying and reading the file does.
/// Returns what was verified; fails, with nothing at `to`, when the backup
/// can't be opened or does not verify.
pub fn restore(from: &Path, to: &Path) -> Result<VerifyReport, RestoreError> {
    if to.exists() {
        return Err(RestoreError::Exists { path: to.to_owned() });
    }
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| RestoreError::Io { path, source }
    };
    let beside = open::beside(to, "restoring");
    open::remove_if_there(&beside).map_err(failed(&beside))?;
    let restored = std::fs::copy(from, &beside)
        .map_err(failed(from))
        .and_then(|_| verified(from, &beside))
        .and_then(|report| match open::place(&beside, to) {
            Ok(()) => Ok(report),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(RestoreError::Exists { path: to.to_owned() })
            }
            Err(error) => Err(failed(to)(error)),
        });
    if restored.is_err() {
        let _ = open::remove_if_there(&beside);
    }
    restored
}

/// Verifies the copy; messages name what it is a copy of.
fn verified(from: &Path, copy: &Path) -> Result<VerifyReport, RestoreError> {
    let report = verify_file(copy).map_err(|error| RestoreError::Open(error.at(from)))?;
    if report.is_sound() {
        Ok(report)
    } else {
        Err(RestoreError::Unsound { report: Box::new(report) })
    }
}
