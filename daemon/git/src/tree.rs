//! Trees, as Git writes them: what we do not change is copied bit for bit.

use std::borrow::Cow;
use std::cmp::Ordering;

use crate::id::{ID_BYTES, ObjectId};

/// The mode of the files that we make.
const PLAIN: &[u8] = b"100644";
/// The mode of the directories that we make.
const DIRECTORY: &[u8] = b"40000";

/// One entry of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    /// Octal digits.
    mode: &'a [u8],
    pub(crate) name: &'a [u8],
    pub(crate) id: ObjectId,
    /// All of it, as it stands there.
    raw: &'a [u8],
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryKind {
    /// A file that can't be executed.
    Plain,
    /// A file that can be executed.
    Executable,
    /// A link to somewhere else.
    Symlink,
    /// A commit of another repository.
    Submodule,
    /// Another tree.
    Directory,
    /// Nothing that Git knows.
    Unknown,
}

impl EntryKind {
    /// As people call it.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Plain => "a file",
            Self::Executable => "an executable file",
            Self::Symlink => "a symbolic link",
            Self::Submodule => "a submodule",
            Self::Directory => "a directory",
            Self::Unknown => "something of an unknown mode",
        }
    }
}

impl Entry<'_> {
    /// What it is. Some old programs wrote modes with a zero before them, and files that
    /// their group may write to.
    pub(crate) fn kind(&self) -> EntryKind {
        match self.mode.strip_prefix(b"0").unwrap_or(self.mode) {
            b"100644" | b"100664" => EntryKind::Plain,
            b"100755" | b"100775" => EntryKind::Executable,
            b"120000" => EntryKind::Symlink,
            b"160000" => EntryKind::Submodule,
            b"40000" => EntryKind::Directory,
            _ => EntryKind::Unknown,
        }
    }
}

/// A tree can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The entries of a tree, in their order. After one that can't be read, there are no more.
pub(crate) fn entries(tree: &[u8]) -> impl Iterator<Item = Result<Entry<'_>, Malformed>> {
    let mut rest = tree;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let read = split(rest);
        rest = read.map_or(&[][..], |(_, after)| after);
        Some(read.map(|(entry, _)| entry).ok_or(Malformed))
    })
}

/// Mode, space, name, zero, 20 bytes.
fn split(bytes: &[u8]) -> Option<(Entry<'_>, &[u8])> {
    let space = bytes.iter().take(8).position(|byte| *byte == b' ')?;
    let (mode, after) = bytes.split_at_checked(space)?;
    let after = after.get(1..)?;
    let zero = after.iter().position(|byte| *byte == 0)?;
    let (name, after) = after.split_at_checked(zero)?;
    let (id, rest) = after.get(1..)?.split_at_checked(ID_BYTES)?;
    let digits = mode.iter().all(|digit| (b'0'..=b'7').contains(digit));
    if !digits || mode.is_empty() || name.is_empty() {
        return None;
    }
    let raw = bytes.get(..bytes.len().saturating_sub(rest.len()))?;
    Some((Entry { mode, name, id: ObjectId::from_bytes(id)?, raw }, rest))
}

/// The entry of this name.
pub(crate) fn find<'a>(tree: &'a [u8], name: &[u8]) -> Result<Option<Entry<'a>>, Malformed> {
    for entry in entries(tree) {
        let entry = entry?;
        if entry.name == name {
            return Ok(Some(entry));
        }
    }
    Ok(None)
}

/// What becomes of a name in a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// A plain file with this content.
    File(ObjectId),
    /// This tree. One that was there keeps its mode.
    Directory(ObjectId),
    /// Nothing.
    Remove,
}

/// A tree with changes, by name. All other entries stay as they are, and in their order.
pub(crate) fn changed<'a>(
    tree: &[u8],
    changes: impl IntoIterator<Item = (&'a [u8], Change)>,
) -> Result<Vec<u8>, Malformed> {
    let mut new: Vec<(&[u8], Change)> = changes.into_iter().collect();
    new.sort_by(|(a, change_a), (b, change_b)| {
        order(a, is_directory(*change_a), b, is_directory(*change_b))
    });
    let mut made = Vec::with_capacity(tree.len().saturating_add(64));
    let mut written = vec![false; new.len()];
    for entry in entries(tree) {
        let entry = entry?;
        for ((name, change), written) in new.iter().zip(&mut written) {
            let directory = entry.kind() == EntryKind::Directory;
            let is_before = order(name, is_directory(*change), entry.name, directory).is_lt();
            if !*written && is_before {
                write(&mut made, None, name, *change);
                *written = true;
            }
        }
        let same = new.iter().zip(&mut written).find(|((name, _), _)| *name == entry.name);
        match same {
            None => made.extend_from_slice(entry.raw),
            Some(((name, change), written)) => {
                let directory = entry.kind() == EntryKind::Directory;
                // What changes from a file to a directory has another place.
                let in_place = is_directory(*change) == directory;
                if !*written && in_place {
                    let mode = directory.then_some(entry.mode);
                    write(&mut made, mode, name, *change);
                    *written = true;
                }
            }
        }
    }
    for ((name, change), written) in new.iter().zip(written) {
        if !written {
            write(&mut made, None, name, *change);
        }
    }
    Ok(made)
}

fn is_directory(change: Change) -> bool {
    matches!(change, Change::Directory(_))
}

fn write(made: &mut Vec<u8>, mode: Option<&[u8]>, name: &[u8], change: Change) {
    let (usual, id) = match change {
        Change::File(id) => (PLAIN, id),
        Change::Directory(id) => (DIRECTORY, id),
        Change::Remove => return,
    };
    made.extend_from_slice(mode.unwrap_or(usual));
    made.push(b' ');
    made.extend_from_slice(name);
    made.push(0);
    made.extend_from_slice(id.as_bytes());
}

/// How Git sorts: by bytes, directories as if a slash stood at their end.
fn order(a: &[u8], a_directory: bool, b: &[u8], b_directory: bool) -> Ordering {
    let with_end = |name: &[u8], directory: bool| -> Cow<'static, [u8]> {
        let mut name = name.to_vec();
        if directory {
            name.push(b'/');
        }
        Cow::Owned(name)
    };
    let common = a.len().min(b.len());
    match a.get(..common).cmp(&b.get(..common)) {
        Ordering::Equal => with_end(a.get(common..).unwrap_or_default(), a_directory)
            .cmp(&with_end(b.get(common..).unwrap_or_default(), b_directory)),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::Kind;

    fn id(text: &str) -> ObjectId {
        ObjectId::of(Kind::Blob, text.as_bytes()).unwrap()
    }

    fn listed(tree: &[u8]) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        entries(tree)
            .map(|entry| entry.unwrap())
            .map(|entry| (text(entry.mode), text(entry.name)))
            .collect()
    }

    fn tree(entries: &[(&str, &str)]) -> Vec<u8> {
        let mut tree = Vec::new();
        for (mode, name) in entries {
            tree.extend_from_slice(format!("{mode} {name}\0").as_bytes());
            tree.extend_from_slice(id(name).as_bytes());
        }
        tree
    }

    #[test]
    fn only_what_is_changed_changes() {
        let before = tree(&[
            ("100755", "a"),
            ("100664", "b"),
            ("100644", "dir-x"),
            ("040000", "dir"),
            ("120000", "link"),
            ("160000", "module"),
        ]);
        let changes: [(&[u8], Change); 5] = [
            (b"dir", Change::Directory(id("new"))),
            (b"c", Change::File(id("c"))),
            (b"a", Change::Remove),
            (b"zz", Change::Directory(id("zz"))),
            (b"absent", Change::Remove),
        ];
        let after = changed(&before, changes).unwrap();
        let expected = [
            ("100664", "b"),
            ("100644", "c"),
            ("100644", "dir-x"),
            ("040000", "dir"),
            ("120000", "link"),
            ("160000", "module"),
            ("40000", "zz"),
        ];
        let expected: Vec<_> = expected.map(|(a, b)| (a.to_owned(), b.to_owned())).into();
        assert_eq!(listed(&after), expected);
        assert_eq!(find(&after, b"dir").unwrap().unwrap().id, id("new"));
    }

    #[test]
    fn a_file_that_becomes_a_directory_has_another_place() {
        let before = tree(&[("100644", "a"), ("100644", "a.b")]);
        let after = changed(&before, [(&b"a"[..], Change::Directory(id("d")))]).unwrap();
        assert_eq!(listed(&after), [("100644".into(), "a.b".into()), ("40000".into(), "a".into())]);
        let back = changed(&after, [(&b"a"[..], Change::File(id("a")))]).unwrap();
        assert_eq!(back, before);
        assert_eq!(
            changed(&before, [(&b"a"[..], Change::Remove)]).unwrap(),
            tree(&[("100644", "a.b")])
        );
    }

    proptest! {
        #[test]
        fn whatever_is_there_is_read_or_refused(bytes: Vec<u8>) {
            let count = entries(&bytes).count();
            prop_assert!(count <= bytes.len());
            let _ = changed(&bytes, [(&b"x"[..], Change::Remove)]);
        }
    }
}
