//! Sorted maps.

use deployd_core::ports::{KeyRange, Order, Page, Store, StoreError};
use deployd_store::limits;

use super::is_invalid;
use crate::implementations::Implementation;
use crate::samples::*;

async fn keys(store: &dyn Store, range: KeyRange, order: Order, max: usize) -> (String, bool) {
    let page = store.scan(PLACES, range, order, max).await.unwrap();
    let keys: Vec<_> =
        page.entries.iter().map(|(key, _)| String::from_utf8(key.clone()).unwrap()).collect();
    (keys.join(" "), page.more)
}

async fn filled<I: Implementation>(it: &I) {
    let names = ["a", "b", "ba", "bb", "c", "d"];
    let mut all: Vec<_> =
        names.iter().rev().map(|name| put(PLACES, name.as_bytes(), name.as_bytes())).collect();
    all.push(put(TIMES, b"b", b"other"));
    it.store().append(puts(all)).await.unwrap();
}

fn range(start: &str, end: Option<&str>) -> KeyRange {
    KeyRange { start: start.into(), end: end.map(|end| end.into()) }
}

pub(super) async fn a_key_that_is_not_there_has_no_value<I: Implementation>(it: I) {
    filled(&it).await;
    assert_eq!(it.store().get(PLACES, b"x").await.unwrap(), None);
    assert_eq!(it.store().get(PLACES, b"").await.unwrap(), None);
    assert_eq!(it.store().get(TIMES, b"a").await.unwrap(), None);
}

pub(super) async fn a_value_is_read_as_it_was_put<I: Implementation>(it: I) {
    let bytes: Vec<u8> = (0..=255).collect();
    let batch = puts(vec![put(PLACES, &bytes, &bytes), put(PLACES, b"", b"")]);
    it.store().append(batch).await.unwrap();
    assert_eq!(it.store().get(PLACES, &bytes).await.unwrap(), Some(bytes));
    assert_eq!(it.store().get(PLACES, b"").await.unwrap(), Some(Vec::new()));
}

pub(super) async fn a_later_value_replaces<I: Implementation>(it: I) {
    it.store().append(puts(vec![put(PLACES, b"k", b"1")])).await.unwrap();
    it.store().append(puts(vec![put(PLACES, b"k", b"2")])).await.unwrap();
    assert_eq!(it.store().get(PLACES, b"k").await.unwrap(), Some(b"2".to_vec()));
}

pub(super) async fn puts_happen_in_their_order<I: Implementation>(it: I) {
    let (k, l) = (b"k", b"l");
    let batch = puts(vec![
        put(PLACES, k, b"1"),
        put(PLACES, k, b"2"),
        removal(PLACES, k),
        put(PLACES, k, b"3"),
        put(PLACES, l, b"1"),
        removal(PLACES, l),
    ]);
    it.store().append(batch).await.unwrap();
    assert_eq!(it.store().get(PLACES, k).await.unwrap(), Some(b"3".to_vec()));
    assert_eq!(it.store().get(PLACES, l).await.unwrap(), None);
}

pub(super) async fn a_removal_removes_one_key_of_one_index<I: Implementation>(it: I) {
    filled(&it).await;
    it.store().append(puts(vec![removal(PLACES, b"b"), removal(PLACES, b"x")])).await.unwrap();
    assert_eq!(it.store().get(PLACES, b"b").await.unwrap(), None);
    assert_eq!(it.store().get(TIMES, b"b").await.unwrap(), Some(b"other".to_vec()));
    let (found, _) = keys(it.store(), all(), Order::Ascending, 9).await;
    assert_eq!(found, "a ba bb c d");
}

pub(super) async fn a_scan_is_sorted_either_way<I: Implementation>(it: I) {
    filled(&it).await;
    let (up, more) = keys(it.store(), all(), Order::Ascending, 9).await;
    assert_eq!((up.as_str(), more), ("a b ba bb c d", false));
    let (down, more) = keys(it.store(), all(), Order::Descending, 9).await;
    assert_eq!((down.as_str(), more), ("d c bb ba b a", false));
}

pub(super) async fn a_range_has_its_start_and_not_its_end<I: Implementation>(it: I) {
    filled(&it).await;
    for (start, end, expected) in [
        ("b", Some("c"), "b ba bb"),
        ("b", Some("b"), ""),
        ("c", Some("b"), ""),
        ("bab", None, "bb c d"),
        ("", Some("b"), "a"),
        ("e", None, ""),
        ("", Some(""), ""),
    ] {
        for order in [Order::Ascending, Order::Descending] {
            let (found, more) = keys(it.store(), range(start, end), order, 9).await;
            let mut found: Vec<&str> = found.split(' ').collect();
            if order == Order::Descending {
                found.reverse();
            }
            assert_eq!((found.join(" ").as_str(), more), (expected, false), "{start} {end:?}");
        }
    }
}

pub(super) async fn a_prefix_has_all_that_begin_with_it<I: Implementation>(it: I) {
    filled(&it).await;
    let (found, _) = keys(it.store(), KeyRange::prefix(b"b"), Order::Ascending, 9).await;
    assert_eq!(found, "b ba bb");
    let (found, _) = keys(it.store(), KeyRange::prefix(b"b"), Order::Descending, 2).await;
    assert_eq!(found, "bb ba");
    let (found, _) = keys(it.store(), KeyRange::prefix(b""), Order::Ascending, 9).await;
    assert_eq!(found, "a b ba bb c d");
}

pub(super) async fn a_prefix_of_the_last_byte_has_its_keys<I: Implementation>(it: I) {
    let batch = [&[254, 255][..], &[255], &[255, 0], &[255, 255], &[255, 255, 255, 7]];
    let batch = batch.map(|key| put(PLACES, key, b"")).to_vec();
    it.store().append(puts(batch)).await.unwrap();
    for (prefix, expected) in
        [(&[255][..], 4), (&[255, 255], 2), (&[254], 1), (&[254, 255], 1), (&[255, 255, 255], 1)]
    {
        let found = it.store().scan(PLACES, KeyRange::prefix(prefix), Order::Descending, 9).await;
        assert_eq!(found.unwrap().entries.len(), expected, "{prefix:?}");
    }
}

pub(super) async fn a_page_says_whether_there_is_more<I: Implementation>(it: I) {
    filled(&it).await;
    for order in [Order::Ascending, Order::Descending] {
        for (max, count, more) in [(0, 0, true), (5, 5, true), (6, 6, false), (7, 6, false)] {
            let page = it.store().scan(PLACES, all(), order, max).await.unwrap();
            assert_eq!((page.entries.len(), page.more), (count, more), "{order:?} {max}");
        }
    }
    let nothing = it.store().scan(PLACES, range("x", None), Order::Ascending, 0).await.unwrap();
    assert_eq!(nothing, Page { entries: Vec::new(), more: false });
}

pub(super) async fn indexes_with_names_that_begin_alike_are_apart<I: Implementation>(it: I) {
    use deployd_core::ports::Index;
    let indexes = [Index("i"), Index("i\u{0}"), Index("ia"), Index("")];
    for index in indexes {
        it.store().append(puts(vec![put(index, b"k", index.0.as_bytes())])).await.unwrap();
    }
    for index in indexes {
        for order in [Order::Ascending, Order::Descending] {
            let page = it.store().scan(index, all(), order, 9).await.unwrap();
            let expected = vec![(b"k".to_vec(), index.0.as_bytes().to_vec())];
            assert_eq!(page, Page { entries: expected, more: false });
        }
    }
}

pub(super) async fn i13_a_key_of_an_index_over_the_limit_is_invalid<I: Implementation>(it: I) {
    let longest = vec![1; limits::KEY_BYTES_MAX];
    it.store().append(puts(vec![put(PLACES, &longest, b"")])).await.unwrap();
    assert_eq!(it.store().get(PLACES, &longest).await.unwrap(), Some(Vec::new()));
    let longer = vec![1; limits::KEY_BYTES_MAX + 1];
    let refused = it.store().append(puts(vec![put(PLACES, &longer, b"")])).await;
    assert!(matches!(refused, Err(StoreError::InvalidBatch(_))), "{refused:?}");
}

pub(super) async fn i13_a_value_over_the_limit_is_invalid<I: Implementation>(it: I) {
    let value = vec![1; limits::VALUE_BYTES_MAX + 1];
    is_invalid(it.store(), puts(vec![put(PLACES, b"k", b""), put(PLACES, b"l", &value)])).await;
}
