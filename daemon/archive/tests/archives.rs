//! Archives, as they are written, damaged, and made up by others.

// Of clippy's exceptions for tests, code shared by several tests gets none.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use deployd_archive::{Archive, Content, WriteError, read, write};
use deployd_core::archive::{
    ArchiveIndex, ArchivedDeployment, FORMAT, FindingKind, INDEX_NAME, Made, MemberKind, SUM_NAME,
};
use deployd_core::deployment::{
    DeploymentRecord, Event, Mode, Origin, Outcome, Phase, Request, Schedule,
};
use deployd_core::journal::{EventRecord, Head, NewEvent, StreamId, Version, chain, genesis};
use deployd_core::{Actor, DeploymentId, Digest, Timestamp, digest::canonical_json};
use proptest::prelude::*;
use serde_json::{Value, json};

fn content(kind: MemberKind, bytes: Vec<u8>) -> Content {
    Content { kind, digest: Digest::of(&bytes), bytes }
}

fn json_content(kind: MemberKind, value: &impl serde::Serialize) -> Content {
    content(kind, canonical_json(value).unwrap())
}

/// A deployment that was cancelled while it waited: the smallest that there is.
fn sample() -> (ArchiveIndex, Vec<Content>) {
    let set = json_content(MemberKind::Set, &json!({"application": "shop", "workloads": {}}));
    let id = DeploymentId("01jd2k9x7h8f6v3q5w1n4m0zta".to_owned());
    let request = Request {
        set: set.digest,
        mode: Mode::Manual,
        origin: Origin::Request,
        comment: None,
        expected_plan: None,
        confirm_replace: false,
        teardown: None,
        schedule: Schedule::default(),
    };
    let environment: deployd_core::EnvironmentId = "shop/development".parse().unwrap();
    let record = DeploymentRecord {
        id: id.clone(),
        environment: environment.clone(),
        number: 3,
        actor: Actor("ada".to_owned()),
        request: request.clone(),
        queued: Timestamp(1_000),
        ended: Some(Timestamp(2_000)),
        phase: Phase::Ended,
        outcome: Some(Outcome::Cancelled),
        fault: None,
        deferred: None,
        yielded: None,
        work: None,
        imported: None,
    };
    let events = [
        Event::DeploymentQueued { deployment: id.clone(), request },
        Event::DeploymentEnded { deployment: id.clone(), outcome: Outcome::Cancelled, fault: None },
    ];
    let stream = StreamId::environment(&environment);
    let mut head = Head { version: Version(0), hash: genesis(&stream) };
    let events: Vec<EventRecord> = events
        .iter()
        .map(|event| {
            let event = NewEvent {
                at: Timestamp(1_000),
                actor: Actor("ada".to_owned()),
                kind: event.kind().to_owned(),
                body: serde_json::to_value(event).unwrap(),
                source: None,
            };
            let version = head.version.next();
            let (previous, hash) = (head.hash, chain(&stream, version, head.hash, &event).unwrap());
            head = Head { version, hash };
            EventRecord { stream: stream.clone(), version, event, previous, hash }
        })
        .collect();
    let record = json_content(MemberKind::Record, &record);
    let events = json_content(MemberKind::Events, &events);
    let index = ArchiveIndex {
        format: FORMAT,
        made: Made {
            deployd: "0.1.0".to_owned(),
            installation: Digest::of(b"here"),
            at: Timestamp(3_000),
        },
        deployments: vec![ArchivedDeployment {
            id,
            environment,
            number: 3,
            record: record.digest,
            documents: Vec::new(),
            events: Some(events.digest),
            head: Some(head),
            details: None,
        }],
        plugins: Vec::new(),
        members: Vec::new(),
        absent: Vec::new(),
    };
    (index, vec![record, set, events])
}

fn archive() -> Vec<u8> {
    let (index, contents) = sample();
    write(index, &contents).unwrap()
}

fn told(archive: &Archive) -> Vec<String> {
    archive.verified.findings.iter().map(ToString::to_string).collect()
}

/// An archive of these files, as `tar` would write it.
fn packed(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, bytes) in files {
        let mut header = [0u8; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        for (at, field) in [(100, "0000644\0"), (108, "0000000\0"), (116, "0000000\0")] {
            header[at..at + 8].copy_from_slice(field.as_bytes());
        }
        header[124..136].copy_from_slice(format!("{:011o}\0", bytes.len()).as_bytes());
        header[136..148].copy_from_slice(b"00000000000\0");
        header[148..156].copy_from_slice(b"        ");
        header[156] = b'0';
        header[257..265].copy_from_slice(b"ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        archive.extend_from_slice(&header);
        archive.extend_from_slice(bytes);
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.resize(archive.len() + 1024, 0);
    archive
}

/// The files of an archive, to change some of them.
fn files(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let (mut files, mut at) = (Vec::new(), 0);
    while bytes[at] != 0 {
        let end = bytes[at..].iter().position(|byte| *byte == 0).unwrap();
        let name = String::from_utf8(bytes[at..at + end].to_vec()).unwrap();
        let size = std::str::from_utf8(&bytes[at + 124..at + 135]).unwrap();
        let size = usize::from_str_radix(size, 8).unwrap();
        files.push((name, bytes[at + 512..at + 512 + size].to_vec()));
        at += 512 + size.next_multiple_of(512);
    }
    files
}

fn repacked(files: &[(String, Vec<u8>)]) -> Archive {
    let files: Vec<(&str, Vec<u8>)> =
        files.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    read(&packed(&files))
}

/// The archive with another index, and the right digest of that.
fn with_index(change: impl Fn(&mut Value)) -> Archive {
    let mut files = files(&archive());
    let mut index: Value = serde_json::from_slice(&files[0].1).unwrap();
    change(&mut index);
    files[0].1 = serde_json::to_vec(&index).unwrap();
    files[1].1 = format!("{}  {INDEX_NAME}\n", Digest::of(&files[0].1).hex()).into_bytes();
    repacked(&files)
}

/// The archive of other contents, put together without a fault.
fn with_contents(change: impl Fn(&mut ArchiveIndex, &mut Vec<Content>)) -> Archive {
    let (mut index, mut contents) = sample();
    change(&mut index, &mut contents);
    read(&write(index, &contents).unwrap())
}

#[test]
fn what_is_written_is_read_again_and_is_the_same_each_time() {
    let bytes = archive();
    assert_eq!(bytes, archive());
    let found = read(&bytes);
    assert!(found.verified.is_sound(), "{:#?}", told(&found));
    let (_, contents) = sample();
    assert_eq!((found.verified.sound, found.verified.members), (3, 3));
    for content in contents {
        assert_eq!(found.contents[&content.digest], content.bytes);
    }
    assert_eq!(files(&bytes)[0].0, INDEX_NAME);
}

#[test]
fn each_bit_that_flips_is_found_and_named_or_harmless_and_the_rest_is_readable() {
    let bytes = archive();
    let whole = read(&bytes);
    let names: Vec<String> = files(&bytes).into_iter().map(|(name, _)| name).collect();
    let mut silent = 0;
    let index = 512..512 + files(&bytes)[0].1.len();
    for place in 0..bytes.len() {
        // All bits of a digest tell the same of the index, and all zeros are alike.
        let one = index.contains(&place) || bytes[place] == 0;
        let bits = if one { place % 8..place % 8 + 1 } else { 0..8 };
        for bit in bits {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1 << bit;
            let found = read(&damaged);
            if found.verified.is_sound() {
                // zstd has bits that mean nothing.
                assert_eq!(found.contents, whole.contents, "byte {place}, bit {bit}");
                silent += 1;
                continue;
            }
            assert!(found.verified.sound + 1 >= 3, "byte {place}, bit {bit}: {:#?}", told(&found));
            let named = found.verified.findings.iter().any(|finding| {
                names.contains(&finding.member)
                    || finding.member == "the end"
                    || finding.member.starts_with("byte ")
            });
            assert!(named, "byte {place}, bit {bit}: {:#?}", told(&found));
        }
    }
    assert!(silent < 8 * 3, "{silent} bits of three members are not noticed");
}

#[test]
fn wherever_it_is_cut_off_that_is_told_and_what_is_there_is_read() {
    let bytes = archive();
    for length in 0..bytes.len() {
        let found = read(&bytes[..length]);
        assert!(!found.verified.is_sound(), "{length} bytes");
    }
    // All but the last member.
    let last = files(&bytes).pop().unwrap();
    let found = read(&bytes[..bytes.len() - 1024 - last.1.len().next_multiple_of(512) + 10]);
    assert_eq!(found.verified.sound, 2);
    let told = told(&found).join("\n");
    assert!(told.contains(&format!("{}: damaged: found 10 bytes", last.0)), "{told}");
}

#[test]
fn a_damaged_index_is_told_as_such_and_members_are_verified_all_the_same() {
    let mut files = files(&archive());
    let place = files[0].1.iter().position(|byte| *byte == b'3').unwrap();
    files[0].1[place] = b'4';
    let mut found = repacked(&files);
    assert_eq!((found.index.take(), found.verified.sound), (None, 3));
    assert!(told(&found)[0].contains("one of both is damaged"), "{:#?}", told(&found));
    // And of the members one more.
    let last = files.last_mut().unwrap();
    last.1[20] ^= 1;
    let name = last.0.clone();
    let found = repacked(&files);
    assert_eq!(found.verified.sound, 2);
    assert!(found.verified.findings.iter().any(|finding| finding.member == name));
}

#[test]
fn members_that_are_missing_or_additional_are_named() {
    let all = files(&archive());
    let without: Vec<_> =
        all.iter().filter(|(name, _)| !name.starts_with("set/")).cloned().collect();
    let found = repacked(&without);
    let [finding] = found.verified.findings.as_slice() else { panic!("{:#?}", told(&found)) };
    assert_eq!(finding.kind, FindingKind::Missing);
    assert!(finding.member.starts_with("set/"), "{finding}");
    for name in ["../../etc/passwd", "/etc/passwd", "set/x", "note.txt", "archive.json/../x"] {
        let mut more = all.clone();
        more.push((name.to_owned(), b"x".to_vec()));
        let found = repacked(&more);
        let [finding] = found.verified.findings.as_slice() else { panic!("{:#?}", told(&found)) };
        assert_eq!((finding.kind, finding.member.as_str()), (FindingKind::Additional, name));
    }
    let mut twice = all.clone();
    twice.push(all[2].clone());
    assert_eq!(repacked(&twice).verified.findings[0].kind, FindingKind::Additional);
    for name in [INDEX_NAME, SUM_NAME] {
        let without: Vec<_> = all.iter().filter(|(other, _)| other != name).cloned().collect();
        let found = repacked(&without);
        assert_eq!(found.verified.sound, 3);
        let finding = &found.verified.findings[0];
        assert_eq!((finding.kind, finding.member.as_str()), (FindingKind::Missing, name));
    }
}

#[test]
fn a_bomb_is_unpacked_no_further_than_it_may_be() {
    let (_, contents) = sample();
    let mut all = files(&archive());
    let set = all.iter_mut().find(|(name, _)| name.starts_with("set/")).unwrap();
    // 100 MB of zeros in some kilobytes.
    set.1 = zstd::bulk::compress(&vec![0; 100_000_000], 3).unwrap();
    let found = repacked(&all);
    assert!(found.contents.values().all(|content| content.len() < 10_000));
    let finding = found.verified.findings.iter().find(|it| it.kind == FindingKind::TooLarge);
    let text = finding.unwrap().to_string();
    let said = format!("expected the {} bytes that the index says", contents[1].bytes.len());
    assert!(text.starts_with("set/") && text.contains(&said), "{text}");
    // Also where the index says so, or can't say anything.
    let packed = all.iter().find(|(name, _)| name.starts_with("set/")).unwrap().1.len();
    let mut index: Value = serde_json::from_slice(&all[0].1).unwrap();
    for member in index["members"].as_array_mut().unwrap() {
        if member["kind"] == "set" {
            member["bytes"] = json!(100_000_000);
            member["packed"] = json!(packed);
        }
    }
    let mut lies = all.clone();
    lies[0].1 = serde_json::to_vec(&index).unwrap();
    lies[1].1 = format!("{}  {INDEX_NAME}\n", Digest::of(&lies[0].1).hex()).into_bytes();
    for files in [lies, all[2..].to_vec()] {
        let found = repacked(&files);
        assert!(found.verified.findings.iter().any(|it| it.kind == FindingKind::TooLarge));
        assert_eq!(found.verified.sound, 2, "{:#?}", told(&found));
    }
}

#[test]
fn what_a_newer_version_has_written_is_told_from_damage() {
    let newer = with_index(|index| index["format"] = json!(2));
    let [finding] = newer.verified.findings.as_slice() else { panic!("{:#?}", told(&newer)) };
    assert_eq!((finding.kind, newer.verified.sound), (FindingKind::Newer, 3));
    // A record, and an event, with something that nobody knows yet.
    let field = with_contents(|index, contents| {
        let mut record: Value = serde_json::from_slice(&contents[0].bytes).unwrap();
        record["request"]["approvals"] = json!(["bob"]);
        contents[0] = json_content(MemberKind::Record, &record);
        index.deployments[0].record = contents[0].digest;
    });
    let text = told(&field).join("\n");
    assert!(text.contains("found the field /request/approvals"), "{text}");
    assert_eq!(field.verified.findings[0].kind, FindingKind::Newer);
    let event = with_contents(|index, contents| {
        let mut events: Vec<EventRecord> = serde_json::from_slice(&contents[2].bytes).unwrap();
        events[1].event.body = json!({"type": "deployment-blessed", "deployment": "x"});
        events[1].hash =
            chain(&events[1].stream, Version(2), events[1].previous, &events[1].event).unwrap();
        contents[2] = json_content(MemberKind::Events, &events);
        index.deployments[0].events = Some(contents[2].digest);
        index.deployments[0].head = None;
    });
    assert_eq!(event.verified.findings[0].kind, FindingKind::Newer);
    let text = told(&event).join("\n");
    assert!(text.contains("event 2 with unknown variant `deployment-blessed`"), "{text}");
}

#[test]
fn what_contradicts_itself_is_refused() {
    type Change = fn(&mut ArchiveIndex, &mut Vec<Content>);
    fn events(index: &mut ArchiveIndex, contents: &mut [Content], of: fn(&mut Vec<EventRecord>)) {
        let mut events: Vec<EventRecord> = serde_json::from_slice(&contents[2].bytes).unwrap();
        of(&mut events);
        contents[2] = json_content(MemberKind::Events, &events);
        index.deployments[0].events = Some(contents[2].digest);
    }
    let cases: [(Change, &str); 7] = [
        (
            |index, all| events(index, all, |it| it[1].event.at = Timestamp(9)),
            "does not match its hash",
        ),
        (|index, all| events(index, all, |it| drop(it.remove(0))), "another request"),
        (|index, all| events(index, all, |it| drop(it.pop())), "another end"),
        (
            |index, all| events(index, all, |it| it[0].previous = Digest::of(b"x")),
            "without its beginning",
        ),
        (|index, _| index.deployments[0].number = 4, "shop/development#4"),
        (
            |index, _| {
                index.deployments[0].head =
                    Some(Head { version: Version(1), hash: Digest::of(b"x") })
            },
            "the head, 1",
        ),
        (|_, all| drop(all.remove(1)), "no such member in the index"),
    ];
    for (change, expected) in cases {
        let found = with_contents(change);
        let text = told(&found).join("\n");
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let empty = with_contents(|index, _| index.deployments.clear());
    assert!(!empty.verified.is_sound());
    let running = with_contents(|index, all| {
        let mut record: DeploymentRecord = serde_json::from_slice(&all[0].bytes).unwrap();
        record.outcome = None;
        all[0] = json_content(MemberKind::Record, &record);
        index.deployments[0].record = all[0].digest;
    });
    assert!(told(&running).join("\n").contains("has not ended"), "{:#?}", told(&running));
}

#[test]
fn what_could_not_be_read_again_is_not_written() {
    let (index, mut contents) = sample();
    contents.push(content(MemberKind::Plugin, vec![0; (32 << 20) + 1]));
    let error = write(index, &contents).unwrap_err();
    assert!(matches!(error, WriteError::TooLarge { most, .. } if most == 32 << 20), "{error}");
}

proptest! {
    #[test]
    fn any_contents_come_back(contents in proptest::collection::vec(
        proptest::collection::vec(any::<u8>(), 0..2_000), 0..8)
    ) {
        let (index, mut all) = sample();
        for bytes in &contents {
            let one = content(MemberKind::Plugin, bytes.clone());
            if all.iter().all(|known| known.digest != one.digest) {
                all.push(one);
            }
        }
        let found = read(&write(index, &all).unwrap());
        prop_assert!(found.verified.is_sound(), "{:#?}", told(&found));
        for bytes in contents {
            prop_assert_eq!(&found.contents[&Digest::of(&bytes)], &bytes);
        }
    }

    #[test]
    fn no_bytes_break_a_reader(bytes in proptest::collection::vec(any::<u8>(), 0..4_096)) {
        prop_assert!(!read(&bytes).verified.is_sound());
    }

    #[test]
    fn no_damage_breaks_a_reader(
        places in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = archive();
        bytes.truncate(cut.index(bytes.len()) + 1);
        for (place, byte) in places {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let found = read(&bytes);
        prop_assert!(!found.verified.is_sound() || found.contents == read(&archive()).contents);
    }
}
