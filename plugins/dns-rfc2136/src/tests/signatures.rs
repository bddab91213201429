//! Signatures, as BIND's programs make them.

use super::bind::KEYS;
use crate::message;
use crate::tsig::{Key, Verdict};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use deployd_plugin_sdk::testing::FakeHost;
use serde_json::json;

/// When the exchanges were signed.
const THEN: u64 = 0x6b01_ada6;

struct Exchange {
    request: Vec<u8>,
    answer: Vec<u8>,
}

fn exchanges() -> Vec<Exchange> {
    let bytes = |line: &str, sign: &str| -> Vec<u8> {
        let digits = line.strip_prefix(sign).unwrap().trim();
        let pairs = digits.as_bytes().chunks(2);
        pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    };
    let lines: Vec<&str> =
        include_str!("exchanges.txt").lines().filter(|line| !line.starts_with('#')).collect();
    let pair =
        |lines: &[&str]| Exchange { request: bytes(lines[0], ">"), answer: bytes(lines[1], "<") };
    lines.chunks(2).map(pair).collect()
}

fn key(index: usize) -> Key {
    let (name, algorithm, secret) = KEYS[index];
    let host = FakeHost::new().grant_secret("key", secret);
    let input = json!({"name": name, "algorithm": algorithm, "secret": "key"});
    Key::open(&serde_json::from_value(input).unwrap(), &host).unwrap()
}

/// The message before it was signed, and its MAC.
fn unsigned(request: &[u8], key: &Key) -> (Vec<u8>, Vec<u8>) {
    let name = key.name.as_slice();
    let start = request.windows(name.len()).rposition(|window| window == name).unwrap();
    let mut message = request[..start].to_vec();
    message[11] -= 1;
    let mac_length = usize::from(request[start + name.len() + 10 + 13 + 9]);
    let mac_start = start + name.len() + 10 + 13 + 10;
    (message, request[mac_start..mac_start + mac_length].to_vec())
}

#[test]
fn we_sign_as_nsupdate_does() {
    for (index, exchange) in exchanges().iter().take(3).enumerate() {
        let key = key(index);
        let (mut message, mac) = unsigned(&exchange.request, &key);
        assert_eq!(key.sign(&mut message, THEN).unwrap(), mac);
        assert_eq!(message, exchange.request);
    }
}

#[test]
fn answers_of_named_are_genuine_until_a_bit_is_changed() {
    for (index, exchange) in exchanges().iter().take(3).enumerate() {
        let key = key(index);
        let (request, mac) = unsigned(&exchange.request, &key);
        assert_eq!(key.verify(&exchange.answer, &mac, THEN).unwrap(), Verdict::Genuine);
        assert!(message::read(&request, &exchange.answer).is_ok());
        for bit in 0..exchange.answer.len() * 8 {
            let mut changed = exchange.answer.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let verdict = key.verify(&changed, &mac, THEN);
            // The id is no part of what is signed (the original one is), and
            // names are the same in upper case: neither harms.
            let id = bit < 16;
            let case = changed.eq_ignore_ascii_case(&exchange.answer);
            assert!(verdict != Ok(Verdict::Genuine) || id || case, "bit {bit}");
        }
        // Of another request.
        let other = vec![0; mac.len()];
        assert_eq!(key.verify(&exchange.answer, &other, THEN).unwrap(), Verdict::Forged);
    }
}

#[test]
fn clocks_may_be_five_minutes_apart() {
    let exchange = &exchanges()[0];
    let key = key(0);
    let (_, mac) = unsigned(&exchange.request, &key);
    let at = |now| key.verify(&exchange.answer, &mac, now).unwrap();
    assert_eq!(at(THEN + 300), Verdict::Genuine);
    assert_eq!(at(THEN - 300), Verdict::Genuine);
    assert_eq!(at(THEN + 301), Verdict::OtherTime(Some(-301)));
    assert_eq!(at(THEN - 3600), Verdict::OtherTime(Some(3600)));
}

#[test]
fn a_wrong_secret_and_an_unknown_key_are_told_apart() {
    let all = exchanges();
    let verdict = |index: usize| key(0).verify(&all[index].answer, &[], THEN).unwrap();
    assert_eq!(verdict(3), Verdict::OtherSecret);
    assert_eq!(verdict(4), Verdict::UnknownKey);
}

#[test]
fn a_key_that_is_not_base64_is_refused_without_a_word_of_it() {
    for value in ["", "hunter2-hunter2!", "====", "aHVudGVyM"] {
        let host = FakeHost::new().grant_secret("key", value);
        let input = json!({"name": "deployd", "secret": "key"});
        let fault = Key::open(&serde_json::from_value(input).unwrap(), &host).err().unwrap();
        let text = fault.to_string();
        assert!(text.contains("/inputs/key/secret") && text.contains("\"key\""), "{text}");
        assert!(value.is_empty() || !text.contains(value), "{text}");
    }
    // As a file ends, and as the server's configuration has it.
    let value = format!("{}\n", STANDARD.encode("some bytes"));
    let host = FakeHost::new().grant_secret("key", &value);
    let input = json!({"name": "deployd", "secret": "key"});
    assert!(Key::open(&serde_json::from_value(input).unwrap(), &host).is_ok());
}
