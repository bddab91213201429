//! Writing, by versions 0 and 1 of the protocol (`gitprotocol-pack`): there is no other.

use std::collections::HashMap;

use deployd_core::Fault;

use super::AGENT;
use super::fetch::check_format;
use super::side_band::separate;
use crate::fault::{self, quoted};
use crate::id::ObjectId;
use crate::packet::{Packet, Packets, push, push_flush};
use crate::path::reference;

/// What a server tells before something is pushed.
#[derive(Debug, Default)]
pub(crate) struct Advertisement {
    branches: HashMap<String, ObjectId>,
    side_band: bool,
    object_format: bool,
}

impl Advertisement {
    /// Reads it.
    pub(crate) fn read(answer: &[u8]) -> Result<Self, Fault> {
        let mut packets = Packets::new(answer);
        let mut found = Self::default();
        let mut first = true;
        let (mut report, mut delete) = (false, false);
        while let Some(packet) = packets.next()? {
            let Packet::Data(line) = packet else { continue };
            // Over HTTP, `# service=…` stands before the rest; `version 1`, where it is that.
            if line.starts_with(b"# ") || line.trim_ascii_end() == b"version 1" {
                continue;
            }
            let mut parts = line.splitn(2, |byte| *byte == 0);
            let head = parts.next().unwrap_or_default().trim_ascii_end();
            if first {
                first = false;
                for one in parts.next().unwrap_or_default().trim_ascii().split(|byte| *byte == b' ')
                {
                    match one {
                        b"report-status" => report = true,
                        b"side-band-64k" => found.side_band = true,
                        b"delete-refs" => delete = true,
                        _ => {}
                    }
                    if let Some(format) = one.strip_prefix(b"object-format=") {
                        check_format(format)?;
                        found.object_format = true;
                    }
                }
            }
            let id = head.get(..40).and_then(ObjectId::from_hex);
            let name = head.get(41..).and_then(|name| name.strip_prefix(b"refs/heads/"));
            if let (Some(id), Some(name)) = (id, name) {
                found.branches.insert(String::from_utf8_lossy(name).into_owned(), id);
            }
        }
        if first {
            return Err(fault::unreachable("the server tells nothing of the repository"));
        }
        if !report || !delete {
            return Err(fault::invalid(
                "the server does not tell what comes of a push, or can't remove branches \
                 (`report-status` and `delete-refs` of Git's protocol), which is needed",
            ));
        }
        Ok(found)
    }

    /// Where a branch is.
    pub(crate) fn branch(&self, name: &str) -> Option<ObjectId> {
        self.branches.get(name).copied().filter(|id| !id.is_zero())
    }
}

/// Asks for a branch to go from one commit to another; none stands for no branch. The pack
/// has all that is new.
pub(crate) fn push_request(
    server: &Advertisement,
    branch: &str,
    old: Option<ObjectId>,
    new: Option<ObjectId>,
    pack: &[u8],
) -> Vec<u8> {
    let (old, new) = (old.unwrap_or(ObjectId::ZERO), new.unwrap_or(ObjectId::ZERO));
    let side_band = if server.side_band { " side-band-64k" } else { "" };
    let format = if server.object_format { " object-format=sha1" } else { "" };
    let reference = reference(branch);
    let mut request = Vec::with_capacity(pack.len().saturating_add(512));
    let line = format!("{old} {new} {reference}\0 report-status{side_band}{format} agent={AGENT}");
    push(&mut request, line.as_bytes());
    push_flush(&mut request);
    request.extend_from_slice(pack);
    request
}

/// Why a server did not do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Somebody else was quicker.
    Moved(String),
    /// It must not be done.
    Forbidden(String),
    /// It can't be done now.
    Failed(String),
}

/// What came of a push.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) result: Result<(), Refusal>,
    /// What the server tells people.
    pub(crate) told: Vec<u8>,
}

/// Reads what came of a push to a branch.
pub(crate) fn read_report(
    server: &Advertisement,
    answer: &[u8],
    branch: &str,
) -> Result<Report, Fault> {
    let (status, told) = if server.side_band {
        let separated = separate(&mut Packets::new(answer))?;
        (separated.data, separated.told)
    } else {
        (answer.to_vec(), Vec::new())
    };
    let reference = reference(branch);
    let mut packets = Packets::new(&status);
    let mut result = None;
    while let Some(Packet::Data(line)) = packets.next()? {
        let line = line.trim_ascii_end();
        if let Some(unpacked) = line.strip_prefix(b"unpack ") {
            if unpacked != b"ok" {
                let reason = format!("the pack was not taken: {}", quoted(unpacked));
                result = Some(Err(Refusal::Failed(reason)));
            }
        } else if let Some(name) = line.strip_prefix(b"ok ") {
            if name == reference.as_bytes() {
                result.get_or_insert(Ok(()));
            }
        } else if let Some(rest) = line.strip_prefix(b"ng ") {
            let reason = rest.strip_prefix(reference.as_bytes()).unwrap_or(rest);
            result.get_or_insert_with(|| Err(refusal(&quoted(reason))));
        }
    }
    let result = result
        .ok_or_else(|| fault::unreachable("the server does not tell what came of the push"))?;
    Ok(Report { result, told })
}

/// What a reason means: the words are those of Git, and of forges.
fn refusal(reason: &str) -> Refusal {
    let lower = reason.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    // Hooks say what they like: what they decline is declined, whatever the words.
    let declined = has(&["hook declined", "protected", "declined", "prohibited", "not allowed"]);
    let moved = has(&[
        "fetch first",
        "non-fast-forward",
        "stale info",
        "failed to lock",
        "cannot lock",
        "failed to update ref",
        "incorrect old value",
        "reference already exists",
        "remote ref changed",
        "but expected",
    ]);
    let failed = has(&[
        "internal",
        "timeout",
        "timed out",
        "try again",
        "unavailable",
        "transaction",
        "missing necessary objects",
        "unpacker error",
        "bad pack",
        "failed to",
    ]);
    let reason = reason.to_owned();
    match (declined, moved, failed) {
        (false, true, _) => Refusal::Moved(reason),
        (false, false, true) => Refusal::Failed(reason),
        _ => Refusal::Forbidden(reason),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

    fn advertised(capabilities: &str) -> Vec<u8> {
        let mut answer = Vec::new();
        push(&mut answer, b"# service=git-receive-pack\n");
        push_flush(&mut answer);
        push(&mut answer, format!("{ID} refs/heads/main\0{capabilities}\n").as_bytes());
        push(&mut answer, format!("{ID} refs/tags/main2\n").as_bytes());
        push(&mut answer, format!("{ID} .have\n").as_bytes());
        push_flush(&mut answer);
        answer
    }

    #[test]
    fn branches_are_found() {
        let found =
            Advertisement::read(&advertised("report-status delete-refs side-band-64k")).unwrap();
        assert_eq!(found.branch("main"), ObjectId::from_hex(ID.as_bytes()));
        assert_eq!(found.branch("main2"), None);
        assert!(Advertisement::read(&advertised("quiet")).is_err());
        let other = advertised("report-status delete-refs object-format=sha256");
        assert_eq!(Advertisement::read(&other).unwrap_err().code, "git-invalid");
        let mut empty = Vec::new();
        let line = format!("{} capabilities^{{}}\0report-status delete-refs\n", "0".repeat(40));
        push(&mut empty, line.as_bytes());
        assert_eq!(Advertisement::read(&empty).unwrap().branch("main"), None);
    }

    fn reported(lines: &[&str]) -> Result<Report, Fault> {
        let server = Advertisement { side_band: true, ..Advertisement::default() };
        let mut inner = Vec::new();
        for line in lines {
            push(&mut inner, line.as_bytes());
        }
        push_flush(&mut inner);
        let mut answer = Vec::new();
        push(&mut answer, b"\x02GH006: no\n");
        push(&mut answer, &[b"\x01", inner.as_slice()].concat());
        push_flush(&mut answer);
        read_report(&server, &answer, "main")
    }

    #[test]
    fn reports_are_understood() {
        let of = |reason: &str| {
            let line = format!("ng refs/heads/main {reason}\n");
            reported(&["unpack ok\n", &line]).unwrap().result.unwrap_err()
        };
        assert!(reported(&["unpack ok\n", "ok refs/heads/main\n"]).unwrap().result.is_ok());
        for reason in
            ["failed to update ref", "fetch first", "cannot lock ref 'x': is at 1 but expected 2"]
        {
            assert!(matches!(of(reason), Refusal::Moved(_)), "{reason}");
        }
        for reason in [
            "pre-receive hook declined",
            "protected branch hook declined",
            "branch is currently checked out",
            "push declined due to repository rule violations",
            "deny updating a hidden ref",
            "something new",
        ] {
            assert!(matches!(of(reason), Refusal::Forbidden(_)), "{reason}");
        }
        assert!(matches!(of("Internal Server Error"), Refusal::Failed(_)));
        let unpack =
            reported(&["unpack index-pack abnormal exit\n", "ng refs/heads/main unpacker error\n"]);
        assert!(matches!(unpack.unwrap().result, Err(Refusal::Failed(_))));
        assert!(reported(&["unpack ok\n"]).unwrap_err().is_transient());
        assert_eq!(
            reported(&["unpack ok\n", "ok refs/heads/main\n"]).unwrap().told,
            b"GH006: no\n"
        );
    }

    proptest! {
        #[test]
        fn whatever_is_answered_is_read_or_refused(lines: Vec<Vec<u8>>, rest: Vec<u8>) {
            let mut answer = Vec::new();
            for line in &lines {
                push(&mut answer, line);
            }
            answer.extend(rest);
            let _ = Advertisement::read(&answer);
            for side_band in [false, true] {
                let server = Advertisement { side_band, ..Advertisement::default() };
                let _ = read_report(&server, &answer, "main");
            }
        }
    }
}
