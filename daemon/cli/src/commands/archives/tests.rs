use deployd_archive::{Content, write};
use deployd_core::archive::{
    ArchiveIndex, ArchivedDeployment, FORMAT, FindingKind, ImportedDeployment, Made, MemberKind,
    Provenance,
};
use deployd_core::deployment::Outcome;
use deployd_core::digest::canonical_json;
use deployd_core::{Actor, Digest, Timestamp};
use serde_json::json;

use super::*;
use crate::commands::tests::ran;
use crate::testing::{Answer, Daemon, ended, id, record};

fn made() -> Made {
    Made {
        deployd: "0.1.0".to_owned(),
        installation: Digest::of(b"there"),
        at: Timestamp(1_000_000),
    }
}

/// An archive whose events are absent.
fn archive() -> Vec<u8> {
    let set = canonical_json(&json!({"application": "shop", "workloads": {}})).unwrap();
    let mut record = ended(record(), Outcome::Cancelled);
    record.request.set = Digest::of(&set);
    let record = canonical_json(&record).unwrap();
    let contents = [(MemberKind::Record, record), (MemberKind::Set, set)]
        .map(|(kind, bytes)| Content { kind, digest: Digest::of(&bytes), bytes });
    let index = ArchiveIndex {
        format: FORMAT,
        made: made(),
        deployments: vec![ArchivedDeployment {
            id: id(),
            environment: "shop/development".parse().unwrap(),
            number: 3,
            record: contents[0].digest,
            documents: Vec::new(),
            events: None,
            head: None,
            details: None,
        }],
        plugins: Vec::new(),
        members: Vec::new(),
        absent: Vec::new(),
    };
    write(index, &contents).unwrap()
}

#[tokio::test]
async fn what_is_exported_is_written_once_and_verified_without_a_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.tar");
    let file = path.to_str().unwrap();
    let daemon = Daemon::new([Answer::new(200, archive()), Answer::new(200, archive())]).await;
    let line = ["export", "shop/development", "--out", file];
    let done = ran(&daemon, &line, "").await;
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(
        done.out.contains("shop/development#3") && done.out.contains("2 members"),
        "{}",
        done.out
    );
    assert_eq!(std::fs::read(&path).unwrap(), archive());
    let again = ran(&daemon, &line, "").await;
    assert_eq!(again.code, 1);
    assert!(again.err.contains("there is a file already"), "{}", again.err);
    assert_eq!(daemon.lines()[0], "GET /v1/archive?of=shop%2Fdevelopment");

    let nobody = Daemon::new([]).await;
    let verified = ran(&nobody, &["export", "verify", file], "").await;
    assert_eq!(verified.code, 0, "{}", verified.out);
    assert!(verified.out.starts_with("sound: shop/development#3"), "{}", verified.out);
    let mut damaged = archive();
    let place = damaged.len() - 1024 - 512 + 20;
    damaged[place] ^= 1;
    std::fs::write(&path, damaged).unwrap();
    let verified = ran(&nobody, &["export", "verify", file, "-o", "json"], "").await;
    let found: Verified = serde_json::from_str(&verified.out).unwrap();
    assert_eq!((verified.code, found.findings[0].kind), (1, FindingKind::Damaged));
    let verified = ran(&nobody, &["export", "verify", file], "").await;
    assert!(verified.out.contains("not sound: 1 of 2 members can be read"), "{}", verified.out);
    assert!(nobody.lines().is_empty());
}

#[tokio::test]
async fn an_archive_that_has_not_come_whole_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.tar");
    let cut = archive()[..3_000].to_vec();
    let daemon = Daemon::new([Answer::new(200, cut)]).await;
    let line = ["export", "shop/development", "--out", path.to_str().unwrap()];
    let done = ran(&daemon, &line, "").await;
    assert_eq!(done.code, 1);
    assert!(done.err.contains("has not come whole"), "{}", done.err);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn what_came_of_an_import_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.tar");
    std::fs::write(&path, archive()).unwrap();
    let view = |outcome| ImportView {
        archive: Digest::of(b"archive"),
        made: made(),
        deployments: vec![ImportedDeployment {
            id: id(),
            environment: "shop/development".parse().unwrap(),
            number: 3,
            set: Digest::of(b"set"),
            outcome,
        }],
        notes: vec!["not in the archive: the plugin rolling, left out".to_owned()],
    };
    for (outcome, expected) in [
        (ImportOutcome::Imported, "imported shop/development#3"),
        (ImportOutcome::ThereAlready, "was imported before; nothing was changed"),
        (ImportOutcome::FromHere, "is from here; nothing was changed"),
    ] {
        let daemon = Daemon::new([Answer::json(200, &view(outcome))]).await;
        let done = ran(&daemon, &["import", path.to_str().unwrap()], "").await;
        assert_eq!(done.code, 0, "{}", done.err);
        assert!(done.out.contains(expected) && done.out.contains("rolling"), "{}", done.out);
        assert_eq!(daemon.seen()[0].body, archive());
    }
    let imported = Imported {
        id: id(),
        environment: "shop/development".parse().unwrap(),
        number: 3,
        record: Digest::of(b"record"),
        from: Provenance {
            archive: Digest::of(b"archive"),
            made: made(),
            at: Timestamp(1_000_000),
            by: Actor("ada".to_owned()),
        },
    };
    let page = json!({"imports": [&imported]});
    let daemon = Daemon::new([Answer::json(200, &page)]).await;
    let listed = ran(&daemon, &["import"], "").await;
    assert!(
        listed.out.contains("shop/development#3") && listed.out.contains("1 min ago"),
        "{}",
        listed.out
    );
    // Wherever it is shown, where it is from is.
    let mut shown = ended(record(), Outcome::Cancelled);
    shown.imported = Some(imported.from);
    let daemon = Daemon::new([Answer::json(200, &shown)]).await;
    let done = ran(&daemon, &["show", &id().0], "").await;
    assert!(done.out.contains("imported  from installation"), "{}", done.out);
}
