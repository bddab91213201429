//! Reading, by version 2 of the protocol (`gitprotocol-v2`).

use deployd_core::Fault;

use super::AGENT;
use super::side_band::separate;
use crate::fault;
use crate::id::ObjectId;
use crate::packet::{Packet, Packets, push, push_delimiter, push_flush};
use crate::path::reference;

/// What a server can do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Capabilities {
    /// Whether it can leave objects out.
    pub(crate) filter: bool,
    /// Whether it can leave history out.
    pub(crate) shallow: bool,
    /// Whether it wants to be told how objects are named.
    format: bool,
    /// Whether it wants to know who asks.
    agent: bool,
}

impl Capabilities {
    /// Reads what a server tells of itself.
    pub(crate) fn read(answer: &[u8]) -> Result<Self, Fault> {
        let mut packets = Packets::new(answer);
        let mut found = Self::default();
        let (mut version, mut fetch) = (false, false);
        while let Some(packet) = packets.next()? {
            let Packet::Data(line) = packet else { continue };
            let line = line.trim_ascii_end();
            if line == b"version 2" {
                version = true;
            } else if let Some(format) = line.strip_prefix(b"object-format=") {
                check_format(format)?;
                found.format = true;
            } else if line.starts_with(b"agent=") {
                found.agent = true;
            } else if line == b"fetch" {
                fetch = true;
            } else if let Some(features) = line.strip_prefix(b"fetch=") {
                fetch = true;
                let mut features = features.split(|byte| *byte == b' ');
                let (filter, shallow) = features.by_ref().fold((false, false), |found, one| {
                    (found.0 || one == b"filter", found.1 || one == b"shallow")
                });
                found = Self { filter, shallow, ..found };
            }
        }
        if !version || !fetch {
            return Err(fault::invalid(
                "the server does not speak version 2 of Git's protocol, which is needed; if it is \
                 OpenSSH, let its sshd_config have `AcceptEnv GIT_PROTOCOL`, and if it is older than \
                 Git 2.26, set `protocol.version` to 2 there",
            ));
        }
        Ok(found)
    }
}

/// Objects are named by SHA-1.
pub(super) fn check_format(format: &[u8]) -> Result<(), Fault> {
    if format.trim_ascii() == b"sha1" {
        return Ok(());
    }
    let shown = fault::quoted(format);
    Err(fault::invalid(format!(
        "the repository names its objects by {shown}, expected one that names them by SHA-1 \
         (`git init --object-format=sha1`)"
    )))
}

/// A command. Old servers take nothing that they have not offered.
fn command(name: &str, server: Capabilities) -> Vec<u8> {
    let mut request = Vec::new();
    push(&mut request, format!("command={name}\n").as_bytes());
    if server.agent {
        push(&mut request, format!("agent={AGENT}\n").as_bytes());
    }
    if server.format {
        push(&mut request, b"object-format=sha1\n");
    }
    push_delimiter(&mut request);
    request
}

/// Asks where a branch is, and which branch `HEAD` is.
pub(crate) fn head_request(branch: &str, server: Capabilities) -> Vec<u8> {
    let mut request = command("ls-refs", server);
    push(&mut request, b"symrefs\n");
    push(&mut request, format!("ref-prefix {}\n", reference(branch)).as_bytes());
    push(&mut request, b"ref-prefix HEAD\n");
    push_flush(&mut request);
    request
}

/// Where the branch is, if it is there, and whether it is the one that `HEAD` is.
pub(crate) fn read_heads(answer: &[u8], branch: &str) -> Result<(Option<ObjectId>, bool), Fault> {
    let mut packets = Packets::new(answer);
    let wanted = reference(branch);
    let (mut tip, mut is_default) = (None, false);
    while let Some(packet) = packets.next()? {
        let Packet::Data(line) = packet else { continue };
        let line = line.trim_ascii_end();
        let mut parts = line.split(|byte| *byte == b' ');
        let (id, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        if name == wanted.as_bytes() {
            let id = ObjectId::from_hex(id);
            tip = Some(
                id.ok_or_else(|| fault::invalid("the server names a branch without a commit"))?,
            );
        } else if name == b"HEAD" {
            is_default = parts.any(|attribute| {
                attribute.strip_prefix(b"symref-target:") == Some(wanted.as_bytes())
            });
        }
    }
    Ok((tip, is_default))
}

/// What is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filter {
    /// Contents of files, but for those that are asked for by name.
    Blobs,
    /// Trees as well.
    Trees,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Fetch<'a> {
    pub(crate) wants: &'a [ObjectId],
    /// What is there already, with its trees, and without its history.
    pub(crate) have: Option<ObjectId>,
    /// Commits from each of what is wanted.
    pub(crate) depth: Option<u32>,
    pub(crate) filter: Filter,
}

impl Fetch<'_> {
    /// The request. What the server can't do is left out of it: it sends more then.
    pub(crate) fn request(&self, server: Capabilities) -> Vec<u8> {
        let mut request = command("fetch", server);
        push(&mut request, b"ofs-delta\n");
        push(&mut request, b"no-progress\n");
        let have = self.have.filter(|_| server.shallow);
        if let Some(have) = have {
            push(&mut request, format!("shallow {have}\n").as_bytes());
        }
        if let Some(depth) = self.depth.filter(|_| server.shallow) {
            push(&mut request, format!("deepen {depth}\n").as_bytes());
        }
        match self.filter {
            Filter::Blobs if server.filter => push(&mut request, b"filter blob:none\n"),
            Filter::Trees if server.filter => push(&mut request, b"filter tree:0\n"),
            Filter::Blobs | Filter::Trees => {}
        }
        for want in self.wants {
            push(&mut request, format!("want {want}\n").as_bytes());
        }
        if let Some(have) = have {
            push(&mut request, format!("have {have}\n").as_bytes());
        }
        push(&mut request, b"done\n");
        push_flush(&mut request);
        request
    }
}

/// The pack of an answer.
pub(crate) fn read_fetched(answer: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut packets = Packets::new(answer);
    while let Some(packet) = packets.next()? {
        if let Packet::Data(line) = packet
            && line.trim_ascii_end() == b"packfile"
        {
            return Ok(separate(&mut packets)?.data);
        }
    }
    Err(fault::unreachable("the server's answer has no pack in it"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(lines: &[&str]) -> Vec<u8> {
        let mut answer = Vec::new();
        for line in lines {
            push(&mut answer, line.as_bytes());
        }
        push_flush(&mut answer);
        answer
    }

    #[test]
    fn what_a_server_can_do_is_read() {
        let answer =
            told(&["version 2\n", "ls-refs=unborn\n", "fetch=shallow wait-for-done filter\n"]);
        let found = Capabilities::read(&answer).unwrap();
        assert!(found.filter && found.shallow && !found.agent && !found.format);
        let plain = Capabilities::read(&told(&["version 2", "fetch"])).unwrap();
        assert_eq!(plain, Capabilities::default());
        let other = told(&["version 2\n", "fetch=shallow\n", "object-format=sha256\n"]);
        let fault = Capabilities::read(&other).unwrap_err();
        assert!(fault.code == "git-invalid" && fault.message.contains("sha256"), "{fault}");
        let old = told(&["4b825dc642cb6eb9a060e54bf8d69288fbee4904 HEAD\0multi_ack\n"]);
        assert!(Capabilities::read(&old).unwrap_err().message.contains("AcceptEnv"));
    }

    #[test]
    fn what_is_asked_for_is_what_the_server_can_do() {
        let want = ObjectId::from_hex(&[b'a'; 40]).unwrap();
        let fetch =
            Fetch { wants: &[want], have: Some(want), depth: Some(1), filter: Filter::Blobs };
        let text = |server| String::from_utf8(fetch.request(server)).unwrap();
        let all = text(Capabilities { filter: true, shallow: true, format: true, agent: true });
        for part in [
            "object-format=sha1",
            "agent=",
            "deepen 1\n",
            "filter blob:none\n",
            "have aaaa",
            "shallow aaaa",
            "done\n",
        ] {
            assert!(all.contains(part), "{part}: {all}");
        }
        let little = text(Capabilities::default());
        assert!(
            !["deepen", "filter", "agent", "object-format"].iter().any(|one| little.contains(one)),
            "{little}"
        );
    }

    #[test]
    fn a_branch_is_found_among_those_that_begin_like_it() {
        let (a, b) = ("a".repeat(40), "b".repeat(40));
        let answer = told(&[
            &format!("{b} HEAD symref-target:refs/heads/main\n"),
            &format!("{a} refs/heads/main-2\n"),
            &format!("{b} refs/heads/main\n"),
        ]);
        let tip = ObjectId::from_hex(b.as_bytes());
        assert_eq!(read_heads(&answer, "main").unwrap(), (tip, true));
        assert_eq!(read_heads(&answer, "mai").unwrap(), (None, false));
    }

    proptest! {
        #[test]
        fn whatever_is_answered_is_read_or_refused(lines: Vec<Vec<u8>>, rest: Vec<u8>) {
            let mut answer = told(&["packfile\n"]);
            answer.truncate(answer.len() - 4);
            for line in &lines {
                push(&mut answer, line);
            }
            answer.extend(rest);
            let _ = read_fetched(&answer);
            let _ = Capabilities::read(&answer);
            let _ = read_heads(&answer, "main");
        }
    }
}
