//! Paging through projections, both ways.

use deployd_core::ports::{Index, KeyRange, Order, Store};

use crate::implementations::Implementation;
use crate::samples::*;

type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// All entries of a range, page by page.
async fn paged(store: &dyn Store, range: KeyRange, order: Order, size: usize) -> Entries {
    let mut entries: Entries = Vec::new();
    let mut range = range;
    loop {
        let page = store.scan(PLACES, range.clone(), order, size).await.unwrap();
        assert!(page.entries.len() <= size);
        let Some((last, _)) = page.entries.last() else { return entries };
        match order {
            Order::Ascending => range.start = [last.as_slice(), &[0]].concat(),
            Order::Descending => range.end = Some(last.clone()),
        }
        entries.extend(page.entries);
        if !page.more {
            return entries;
        }
    }
}

/// Keys that are hard to sort: with zeros, with the last byte, one within another.
fn keys() -> Vec<Vec<u8>> {
    let mut keys: Vec<Vec<u8>> = vec![vec![]];
    for first in [0, 1, 127, 128, 255] {
        keys.push(vec![first]);
        for second in [0, 1, 255] {
            keys.push(vec![first, second]);
            keys.push(vec![first, second, 0]);
        }
    }
    keys.sort();
    keys
}

async fn filled<I: Implementation>(it: &I) -> Entries {
    let entries: Entries = keys().into_iter().map(|key| (key.clone(), key)).collect();
    let batch = entries.iter().rev().map(|(key, value)| put(PLACES, key, value)).collect();
    it.store().append(puts(batch)).await.unwrap();
    // Neighbours in name.
    for index in [Index("place"), Index("places\u{0}"), Index("placet")] {
        it.store().append(puts(vec![put(index, b"", b""), put(index, &[255], b"")])).await.unwrap();
    }
    entries
}

pub(super) async fn pages_upwards_have_every_entry_once<I: Implementation>(it: I) {
    let entries = filled(&it).await;
    for size in [1, 2, 5, 36, 37, 1_000] {
        assert_eq!(paged(it.store(), all(), Order::Ascending, size).await, entries, "{size}");
    }
}

pub(super) async fn pages_downwards_have_every_entry_once<I: Implementation>(it: I) {
    let mut entries = filled(&it).await;
    entries.reverse();
    for size in [1, 2, 5, 36, 37, 1_000] {
        assert_eq!(paged(it.store(), all(), Order::Descending, size).await, entries, "{size}");
    }
}

pub(super) async fn pages_stay_within_their_range<I: Implementation>(it: I) {
    let entries = filled(&it).await;
    let range = KeyRange { start: vec![0, 255], end: Some(vec![128, 1, 0]) };
    let mut inside: Entries = entries
        .into_iter()
        .filter(|(key, _)| *key >= vec![0, 255] && *key < vec![128, 1, 0])
        .collect();
    assert_eq!(paged(it.store(), range.clone(), Order::Ascending, 4).await, inside);
    inside.reverse();
    assert_eq!(paged(it.store(), range, Order::Descending, 4).await, inside);
}

pub(super) async fn pages_are_the_same_after_a_restart<I: Implementation>(it: I) {
    let entries = filled(&it).await;
    let it = it.restart().await;
    assert_eq!(paged(it.store(), all(), Order::Ascending, 7).await, entries);
}

pub(super) async fn a_prefix_is_paged_like_any_range<I: Implementation>(it: I) {
    let entries = filled(&it).await;
    for prefix in [&[][..], &[0], &[255], &[255, 255], &[1, 0]] {
        let mut inside: Entries =
            entries.iter().filter(|(key, _)| key.starts_with(prefix)).cloned().collect();
        let range = KeyRange::prefix(prefix);
        assert_eq!(paged(it.store(), range.clone(), Order::Ascending, 2).await, inside);
        inside.reverse();
        assert_eq!(paged(it.store(), range, Order::Descending, 2).await, inside);
    }
}

pub(super) async fn an_entry_put_behind_the_cursor_is_not_seen_twice<I: Implementation>(it: I) {
    filled(&it).await;
    let first = it.store().scan(PLACES, all(), Order::Ascending, 10).await.unwrap();
    let last = first.entries.last().unwrap().0.clone();
    it.store().append(puts(vec![put(PLACES, &[0, 0, 7], b"late")])).await.unwrap();
    let start = [last.as_slice(), &[0]].concat();
    let range = KeyRange { start, end: None };
    let rest = it.store().scan(PLACES, range, Order::Ascending, 1_000).await.unwrap();
    assert!(rest.entries.iter().all(|(key, _)| *key > last));
    assert_eq!(first.entries.len() + rest.entries.len(), keys().len());
}

pub(super) async fn a_removed_entry_is_in_no_page<I: Implementation>(it: I) {
    let entries = filled(&it).await;
    let removed: Vec<_> = entries.iter().step_by(2).map(|(key, _)| removal(PLACES, key)).collect();
    it.store().append(puts(removed)).await.unwrap();
    let left: Entries = entries.into_iter().skip(1).step_by(2).collect();
    assert_eq!(paged(it.store(), all(), Order::Ascending, 3).await, left);
    for size in [left.len(), left.len() + 1] {
        let page = it.store().scan(PLACES, all(), Order::Descending, size).await.unwrap();
        assert!(!page.more, "what was removed is not more");
    }
}

pub(super) async fn an_empty_value_is_an_entry<I: Implementation>(it: I) {
    it.store().append(puts(vec![put(PLACES, b"k", b"full")])).await.unwrap();
    it.store().append(puts(vec![put(PLACES, b"k", b"")])).await.unwrap();
    let page = it.store().scan(PLACES, all(), Order::Ascending, 9).await.unwrap();
    assert_eq!(page.entries, [(b"k".to_vec(), Vec::new())]);
}

pub(super) async fn a_range_of_nothing_has_nothing<I: Implementation>(it: I) {
    filled(&it).await;
    for (start, end) in [(vec![7], vec![7]), (vec![9], vec![8]), (vec![255, 255], vec![0])] {
        for order in [Order::Ascending, Order::Descending] {
            let range = KeyRange { start: start.clone(), end: Some(end.clone()) };
            let page = it.store().scan(PLACES, range, order, 9).await.unwrap();
            assert!(page.entries.is_empty() && !page.more, "{start:?}..{end:?}");
        }
    }
}

pub(super) async fn a_refused_batch_puts_nothing<I: Implementation>(it: I) {
    it.store().append(puts(vec![put(PLACES, b"k", b"1")])).await.unwrap();
    let mut batch = events("s", 7, 1);
    batch.puts = vec![put(PLACES, b"k", b"2"), put(PLACES, b"l", b"2"), removal(PLACES, b"k")];
    assert!(it.store().append(batch).await.is_err());
    let page = it.store().scan(PLACES, all(), Order::Ascending, 9).await.unwrap();
    assert_eq!(page.entries, [(b"k".to_vec(), b"1".to_vec())]);
}
