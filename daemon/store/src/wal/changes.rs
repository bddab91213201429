//! What a transaction changes, noted as it does, so that it can be done again.
//!
//! A change is a key of a table with its new value, or without one. Done again in their
//! order, changes lead to the same records whether or not they, or some of them, were
//! done before: the last change of each key counts.

use std::borrow::Borrow;
use std::cell::RefCell;
use std::ops::Deref;
use std::rc::Rc;

use redb::{Key, Table, Value};

use crate::error::Failure;

/// The length that stands for: no value any more. No value is as long.
const REMOVED: u32 = u32::MAX;

/// Changes, as they go into the log; clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Changes(Option<Rc<RefCell<Vec<u8>>>>);

impl Changes {
    /// Keeps what it is told.
    pub(crate) fn kept() -> Self {
        Self(Some(Rc::default()))
    }

    /// Forgets it.
    pub(crate) fn not_kept() -> Self {
        Self(None)
    }

    /// What was kept, and nothing is afterwards.
    pub(crate) fn take(&self) -> Vec<u8> {
        self.0.as_ref().map(|kept| kept.take()).unwrap_or_default()
    }

    fn note(&self, table: u8, key: &[u8], value: Option<&[u8]>) {
        let Some(kept) = &self.0 else { return };
        let kept = &mut *kept.borrow_mut();
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(REMOVED).to_le_bytes();
        kept.push(table);
        kept.extend(length(key));
        kept.extend(value.map_or(REMOVED.to_le_bytes(), length));
        kept.extend(key);
        kept.extend(value.unwrap_or_default());
    }
}

/// A change, as it was noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change<'b> {
    /// The number of the table.
    pub(crate) table: u8,
    /// The key, as redb writes it.
    pub(crate) key: &'b [u8],
    /// The value, as redb writes it; none where it was removed.
    pub(crate) value: Option<&'b [u8]>,
}

/// Reads changes in their order; ends with [`None`] where the bytes do, and with an
/// error where they are no changes.
pub(crate) struct Noting<'b>(pub(crate) &'b [u8]);

/// Bytes that are no changes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoChange;

impl<'b> Iterator for Noting<'b> {
    type Item = Result<Change<'b>, NoChange>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let read = one(self.0);
        self.0 = read.map_or(&[], |(_, rest)| rest);
        Some(read.map(|(change, _)| change).ok_or(NoChange))
    }
}

fn one(bytes: &[u8]) -> Option<(Change<'_>, &[u8])> {
    let (table, rest) = bytes.split_first()?;
    let (key, rest) = rest.split_first_chunk::<4>()?;
    let (value, rest) = rest.split_first_chunk::<4>()?;
    let (key, rest) = rest.split_at_checked(u32::from_le_bytes(*key) as usize)?;
    let (value, rest) = match u32::from_le_bytes(*value) {
        REMOVED => (None, rest),
        length => {
            rest.split_at_checked(length as usize).map(|(value, rest)| (Some(value), rest))?
        }
    };
    Some((Change { table: *table, key, value }, rest))
}

/// A table whose changes are noted. It is read as any table.
pub(crate) struct Noted<'t, K: Key + 'static, V: Value + 'static> {
    table: Table<'t, K, V>,
    number: u8,
    changes: Changes,
}

impl<'t, K: Key + 'static, V: Value + 'static> Noted<'t, K, V> {
    pub(crate) fn new(table: Table<'t, K, V>, number: u8, changes: &Changes) -> Self {
        Self { table, number, changes: changes.clone() }
    }

    /// Sets the value of a key.
    pub(crate) fn insert<'k, 'v>(
        &mut self,
        key: impl Borrow<K::SelfType<'k>>,
        value: impl Borrow<V::SelfType<'v>>,
    ) -> Result<(), Failure> {
        {
            let (key, value) = (K::as_bytes(key.borrow()), V::as_bytes(value.borrow()));
            self.changes.note(self.number, key.as_ref(), Some(value.as_ref()));
        }
        self.table.insert(key, value)?;
        Ok(())
    }

    /// Removes a key, if it is there.
    pub(crate) fn remove<'k>(&mut self, key: impl Borrow<K::SelfType<'k>>) -> Result<(), Failure> {
        self.changes.note(self.number, K::as_bytes(key.borrow()).as_ref(), None);
        self.table.remove(key)?;
        Ok(())
    }
}

impl<'t, K: Key + 'static, V: Value + 'static> Deref for Noted<'t, K, V> {
    type Target = Table<'t, K, V>;

    fn deref(&self) -> &Self::Target {
        &self.table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Vec<Result<Change<'_>, NoChange>> {
        Noting(bytes).collect()
    }

    #[test]
    fn changes_are_read_as_they_were_noted() {
        let changes = Changes::kept();
        changes.note(3, b"key", Some(b"value"));
        changes.note(4, b"", Some(b""));
        changes.note(3, b"key", None);
        let bytes = changes.take();
        let change = |table, key, value| Ok(Change { table, key, value });
        let expected = [
            change(3, &b"key"[..], Some(&b"value"[..])),
            change(4, b"", Some(b"")),
            change(3, b"key", None),
        ];
        assert_eq!(read(&bytes), expected);
        assert_eq!(changes.take(), b"");
        for cut in 1..bytes.len() {
            let whole = read(&bytes[..cut]).iter().filter(|change| change.is_ok()).count();
            assert!(whole < 3, "{cut}");
        }
    }

    #[test]
    fn what_is_not_kept_is_nowhere() {
        let changes = Changes::not_kept();
        changes.note(3, b"key", Some(b"value"));
        assert_eq!(changes.take(), b"");
    }
}
