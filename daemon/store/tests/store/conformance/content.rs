//! Objects.

use deployd_core::ports::Object;
use deployd_store::limits;

use super::is_invalid;
use crate::implementations::Implementation;
use crate::samples::*;

pub(super) async fn content_that_is_not_there_is_none<I: Implementation>(it: I) {
    assert_eq!(it.store().object(digest(1)).await.unwrap(), None);
}

pub(super) async fn content_is_read_as_it_was_given<I: Implementation>(it: I) {
    let mut noise = Vec::new();
    let mut state = 1u64;
    for _ in 0..40_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        noise.push((state >> 56) as u8);
    }
    let all = [Vec::new(), vec![1], vec![0; 255], vec![0; 256], b"abc ".repeat(90_000), noise];
    let all: Vec<Object> = all.into_iter().map(Object::new).collect();
    it.store().append(objects(all.clone())).await.unwrap();
    let it = it.restart().await;
    for object in all {
        assert_eq!(it.store().object(object.digest).await.unwrap(), Some(object.bytes));
    }
}

pub(super) async fn the_same_content_again_stays<I: Implementation>(it: I) {
    let content = object(b"same");
    it.store().append(objects(vec![content.clone(), content.clone()])).await.unwrap();
    it.store().append(objects(vec![content.clone()])).await.unwrap();
    assert_eq!(it.store().object(content.digest).await.unwrap(), Some(content.bytes));
    assert_eq!(it.store().verify().await.unwrap().objects, 1);
}

pub(super) async fn content_with_another_digest_is_invalid<I: Implementation>(it: I) {
    let mut batch = everything(1);
    batch.objects.push(Object { digest: digest(1), bytes: b"other".to_vec() });
    is_invalid(it.store(), batch).await;
}

pub(super) async fn i13_content_over_the_limit_is_invalid<I: Implementation>(it: I) {
    let bytes = vec![0; limits::OBJECT_BYTES_MAX + 1];
    // The size is refused before the digest is computed, which takes time.
    is_invalid(it.store(), objects(vec![Object { digest: digest(1), bytes }])).await;
}
