//! Names and texts.

use crate::hostname::{below, ownership, parse};
use crate::ownership::Claim;
use crate::record::{self, Kind};
use proptest::prelude::*;

fn refused(text: &str) -> String {
    let fault = parse("/inputs/name", text).unwrap_err().to_string();
    assert!(fault.starts_with("invalid; /inputs/name: "), "{fault}");
    fault
}

#[test]
fn names_are_read_within_the_limits_of_rfc_1035() {
    assert_eq!(parse("", "Web.Example.COM.").unwrap().to_string(), "web.example.com");
    let label = "a".repeat(63);
    assert!(parse("", &format!("{label}.com")).is_ok());
    assert!(refused(&format!("{label}a.com")).contains("64 characters"));
    // 255 bytes: three labels of 63, one of 61, each with its length, and the root.
    let longest = format!("{label}.{label}.{label}.{}", "a".repeat(61));
    assert_eq!(parse("", &longest).unwrap().len(), 255);
    assert!(refused(&format!("{longest}a")).contains("255 at most"));
    assert!(refused(&longest.replace("aaa.aaa", "aaaaaa")).contains("characters"));
}

#[test]
fn what_is_no_name_is_refused() {
    for text in ["", ".", "a..b", ".a", "a b.com", "-a.com", "a-.com", "a\\.b.com", "a\\046b.com"] {
        refused(text);
    }
    for text in ["a/b.com", "a@b.com", "\"a\".com", "a\0b.com", "*.com", "a.*.com", "a..", "a\n"] {
        refused(text);
    }
}

#[test]
fn letters_beyond_ascii_are_asked_for_in_their_xn_form() {
    assert!(refused("büro.example.com").contains("xn--"));
    assert!(parse("", "xn--bro-hoa.example.com").is_ok());
}

#[test]
fn a_name_is_below_its_zone() {
    let zone = parse("", "apps.example.com").unwrap();
    let below = |text: &str| below("/inputs/name", text, &zone);
    assert_eq!(below("a.b.apps.example.com").unwrap().to_string(), "a.b.apps.example.com");
    assert_eq!(below("*.apps.example.com").unwrap().to_string(), "*.apps.example.com");
    for text in ["apps.example.com", "example.com", "xapps.example.com", "a.*.apps.example.com"] {
        below(text).unwrap_err();
    }
    // What says whose a name is belongs to nobody else.
    for text in ["_deployd.web.apps.example.com", "a._DEPLOYD.apps.example.com"] {
        assert!(below(text).unwrap_err().to_string().contains("ownership records"));
    }
}

#[test]
fn a_name_leaves_room_for_its_ownership_record() {
    let label = "a".repeat(63);
    let name = parse("", &format!("{label}.{label}.{label}.{}", "a".repeat(52))).unwrap();
    assert_eq!(ownership("", &name).unwrap().len(), 255);
    let name = parse("", &format!("{label}.{label}.{label}.{}", "a".repeat(53))).unwrap();
    ownership("", &name).unwrap_err();
}

#[test]
fn long_texts_are_strings_of_255_bytes() {
    let text = "x".repeat(600);
    let data = record::strings(&text);
    assert_eq!(data.len(), 603);
    assert_eq!((data[0], data[256], data[512]), (255, 255, 90));
    assert_eq!(record::joined(&data).unwrap(), text.as_bytes());
    assert_eq!(record::strings(""), [0]);
    assert!(record::joined(&[5, b'a']).is_none());
}

#[test]
fn what_a_server_says_can_not_write_to_a_terminal() {
    let claim = Claim::read(&record::strings("deployd uid=\u{1b}[2J application=a")).unwrap();
    assert!(!claim.who().contains('\u{1b}'), "{}", claim.who());
}

proptest! {
    #[test]
    fn whatever_is_read_as_a_name_is_written_the_same(text in ".{0,300}") {
        if let Ok(name) = parse("", &text) {
            prop_assert!(name.len() <= 255);
            prop_assert_eq!(parse("", &name.to_string()).unwrap(), name);
        }
    }

    #[test]
    fn plausible_names_are_read(labels in prop::collection::vec("[a-z0-9_]([a-z0-9-]{0,20}[a-z0-9])?", 1..9)) {
        let text = labels.join(".");
        prop_assert_eq!(parse("", &text).unwrap().to_string(), text);
    }

    #[test]
    fn texts_survive(text in "\\PC{0,1024}") {
        let data = record::strings(&text);
        prop_assert_eq!(record::joined(&data).unwrap(), text.into_bytes());
    }

    #[test]
    fn claims_of_strangers_do_not_harm(data in prop::collection::vec(any::<u8>(), 0..600)) {
        if let Some(claim) = Claim::read(&data) {
            prop_assert!(claim.kinds.len() <= Kind::ALL.len());
        }
    }
}
