//! The schema's version, and the ways from older versions to this one.

use deployd_core::Timestamp;
use deployd_core::seeded::{Bug, seeded};
use redb::{Database, Durability, ReadableTable, TableHandle, WriteTransaction};

use crate::error::{Failure, OpenError};
use crate::sealed::{Findings, LogArea};
use crate::tables::{CLAIMS, META, Tables};
use crate::wal::Wal;
use crate::wal::changes::Changes;
use crate::wal::recovery::recover;

/// The version of the schema that this crate writes.
pub const SCHEMA: u32 = 3;

/// A step from one version to the next, in the transaction that opens the store.
type Migration = fn(&WriteTransaction) -> Result<(), Failure>;

/// The n-th leads from version n + 1 to version n + 2. A step that was released
/// is never changed: stores of its version are out there.
const MIGRATIONS: &[Migration] = &[crate::parts::split, packed_from_now_on];

/// From version 2 to 3: what is written is compressed, and what was written stays as
/// it is. Older programs would take it for damage.
fn packed_from_now_on(_: &WriteTransaction) -> Result<(), Failure> {
    Ok(())
}

const SCHEMA_KEY: &str = "schema";
const ID_KEY: &str = "id";
const CREATED_KEY: &str = "created";

/// Makes an empty database a store, or does again what its log has and brings an older
/// store up to this version; one transaction, so that a crash leaves the one or the
/// other.
///
/// `path` is for messages. Returns the log, where the file has one.
pub(crate) fn migrate(
    database: &Database,
    path: &str,
    created: Timestamp,
    log: Option<LogArea>,
    findings: &Findings,
) -> Result<Option<Wal>, OpenError> {
    let mut wal = None;
    migrate_with(database, path, created, MIGRATIONS, |transaction| {
        wal = log.map(|area| recover(transaction, area, findings)).transpose()?;
        Ok(())
    })?;
    Ok(wal)
}

/// Whether this is a store of a version that is known; changes nothing.
pub(crate) fn check(database: &Database, path: &str) -> Result<(), OpenError> {
    let failed = |failure: Failure| OpenError::of(path, failure);
    let transaction = database.begin_write().map_err(|e| failed(e.into()))?;
    let names = table_names(&transaction).map_err(failed)?;
    let found = version_of(&transaction, &names, path)?;
    transaction.abort().map_err(|e| failed(e.into()))?;
    if found > SCHEMA {
        return Err(OpenError::Newer { path: path.to_owned(), found, supported: SCHEMA });
    }
    Ok(())
}

fn table_names(transaction: &WriteTransaction) -> Result<Vec<String>, Failure> {
    Ok(transaction.list_tables()?.map(|table| table.name().to_owned()).collect())
}

/// The schema's version of what should be a store.
fn version_of(
    transaction: &WriteTransaction,
    names: &[String],
    path: &str,
) -> Result<u32, OpenError> {
    let not_a_store =
        |why: &str| OpenError::NotAStore { path: path.to_owned(), why: why.to_owned() };
    if !names.iter().any(|name| name == META.name()) {
        return Err(not_a_store("it is a database of something else"));
    }
    let found = schema_of(transaction).map_err(|failure| OpenError::of(path, failure))?;
    found.ok_or_else(|| not_a_store("it has no schema version"))
}

/// `recover` is done within the transaction, before all migrations: the log is of the
/// schema that the store has.
fn migrate_with(
    database: &Database,
    path: &str,
    created: Timestamp,
    migrations: &[Migration],
    recover: impl FnOnce(&WriteTransaction) -> Result<(), Failure>,
) -> Result<(), OpenError> {
    let supported = u32::try_from(migrations.len() + 1).unwrap_or(u32::MAX);
    let failed = |failure: Failure| OpenError::of(path, failure);

    let mut transaction = database.begin_write().map_err(|e| failed(e.into()))?;
    transaction.set_durability(Durability::Immediate).map_err(|e| failed(e.into()))?;
    transaction.set_quick_repair(true);
    let names = table_names(&transaction).map_err(failed)?;
    if names.is_empty() {
        initialise(&transaction, supported, created).map_err(failed)?;
        recover(&transaction).map_err(failed)?;
        return transaction.commit().map_err(|e| failed(e.into()));
    }
    let found = version_of(&transaction, &names, path)?;
    if found > supported {
        return Err(OpenError::Newer { path: path.to_owned(), found, supported });
    }
    if found < supported {
        tracing::info!(path, from = found, to = supported, "migrating the store");
    }
    recover(&transaction).map_err(failed)?;
    for migration in migrations.iter().skip(found.saturating_sub(1) as usize) {
        migration(&transaction).map_err(failed)?;
    }
    // Also when nothing is to be migrated: a store whose commits fail, because
    // redb's own records are damaged, is found here and not by its first request.
    put_schema(&transaction, supported).map_err(failed)?;
    if seeded(Bug::FenceReusedAfterRestart) {
        transaction.delete_table(CLAIMS).map_err(|e| failed(e.into()))?;
        Tables::open(&transaction, &Changes::not_kept()).map_err(failed)?;
    }
    transaction.commit().map_err(|e| failed(e.into()))
}

fn initialise(
    transaction: &WriteTransaction,
    schema: u32,
    created: Timestamp,
) -> Result<(), Failure> {
    put_schema(transaction, schema)?;
    let mut meta = transaction.open_table(META)?;
    meta.insert(CREATED_KEY, created.0.to_be_bytes().as_slice())?;
    meta.insert(ID_KEY, new_id()?.as_slice())?;
    // All tables are there from the start, so that no reader misses one.
    Tables::open(transaction, &Changes::not_kept())?;
    Ok(())
}

/// What tells this store from any other, for ever.
fn new_id() -> Result<[u8; 16], Failure> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| {
        let error = std::io::Error::other(format!("no random bytes: {error}"));
        Failure::from(redb::StorageError::Io(error))
    })?;
    Ok(id)
}

fn put_schema(transaction: &WriteTransaction, schema: u32) -> Result<(), Failure> {
    let mut meta = transaction.open_table(META)?;
    meta.insert(SCHEMA_KEY, schema.to_be_bytes().as_slice())?;
    Ok(())
}

fn schema_of(transaction: &WriteTransaction) -> Result<Option<u32>, Failure> {
    let meta = transaction.open_table(META)?;
    let found = meta.get(SCHEMA_KEY)?;
    Ok(found.and_then(|bytes| bytes.value().try_into().ok()).map(u32::from_be_bytes))
}

/// What tells this store from any other: 32 hex digits.
pub(crate) fn id(transaction: &redb::ReadTransaction) -> Result<String, Failure> {
    let meta = transaction.open_table(META)?;
    let id = meta.get(ID_KEY)?;
    let mut text = String::new();
    for byte in id.iter().flat_map(|bytes| bytes.value()) {
        text.push_str(&format!("{byte:02x}"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use redb::backends::InMemoryBackend;
    use redb::{ReadableDatabase, TableDefinition};

    const MARKS: TableDefinition<'_, &str, u64> = TableDefinition::new("marks");

    fn database() -> Database {
        Database::builder().create_with_backend(InMemoryBackend::new()).unwrap()
    }

    fn migrated(database: &Database, migrations: &[Migration]) -> Result<(), OpenError> {
        migrate_with(database, "x", Timestamp(1), migrations, |_| Ok(()))
    }

    fn first(transaction: &WriteTransaction) -> Result<(), Failure> {
        transaction.open_table(MARKS)?.insert("first", 1)?;
        Ok(())
    }

    fn second(transaction: &WriteTransaction) -> Result<(), Failure> {
        let mut marks = transaction.open_table(MARKS)?;
        let after = marks.get("first")?.map_or(0, |mark| mark.value());
        marks.insert("second", after + 1)?;
        Ok(())
    }

    fn failing(transaction: &WriteTransaction) -> Result<(), Failure> {
        transaction.open_table(MARKS)?.insert("failing", 1)?;
        Err(Failure::Refused(deployd_core::ports::StoreError::Damaged("no".to_owned())))
    }

    fn marks(database: &Database) -> Vec<(String, u64)> {
        let view = database.begin_read().unwrap();
        let Ok(marks) = view.open_table(MARKS) else { return Vec::new() };
        let entries = marks.iter().unwrap().map(Result::unwrap);
        entries.map(|(key, mark)| (key.value().to_owned(), mark.value())).collect()
    }

    #[test]
    fn the_schema_s_version_is_that_of_its_last_migration() {
        assert_eq!(SCHEMA as usize, MIGRATIONS.len() + 1);
    }

    #[test]
    fn a_new_store_has_the_last_version_and_needs_no_migration() {
        let database = database();
        migrated(&database, &[first]).unwrap();
        migrated(&database, &[first]).unwrap();
        assert_eq!(marks(&database), []);
    }

    #[test]
    fn migrations_run_once_in_their_order_from_where_the_store_is() {
        let database = database();
        migrated(&database, &[]).unwrap();
        let before = id(&database.begin_read().unwrap()).unwrap();
        migrated(&database, &[first, second]).unwrap();
        let expected = [("first".to_owned(), 1), ("second".to_owned(), 2)];
        assert_eq!(marks(&database), expected);
        migrated(&database, &[failing, failing]).unwrap();
        assert_eq!(marks(&database), expected);
        assert_eq!(id(&database.begin_read().unwrap()).unwrap(), before);
    }

    #[test]
    fn a_migration_that_fails_leaves_the_store_as_it_was() {
        let database = database();
        migrated(&database, &[]).unwrap();
        let failed = migrated(&database, &[first, failing]);
        assert!(matches!(failed, Err(OpenError::Damaged { .. })));
        assert_eq!(marks(&database), []);
        migrated(&database, &[]).unwrap();
    }

    #[test]
    fn a_newer_store_is_refused() {
        let database = database();
        migrated(&database, &[first, second]).unwrap();
        let refused = migrated(&database, &[first]);
        assert!(matches!(refused, Err(OpenError::Newer { found: 3, supported: 2, .. })));
    }
}
