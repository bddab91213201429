//! Requests with the same idempotency key take turns: a repeat that overtakes
//! the first, which may still be at work, would find no answer recorded yet and
//! begin the same again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use deployd_core::ports::IdempotencyKey;
use tokio::sync::{Mutex as Lock, OwnedMutexGuard};

/// The keys of requests that are at work. As many as there are requests: their
/// number is bounded by that of connections.
#[derive(Debug, Clone, Default)]
pub(crate) struct Turns(Arc<Mutex<HashMap<IdempotencyKey, Arc<Lock<()>>>>>);

/// The right to work with a key, until it is dropped.
pub(crate) struct Turn {
    turns: Turns,
    key: IdempotencyKey,
    lock: Arc<Lock<()>>,
    held: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    /// Waits until nobody else works with the key.
    pub(crate) async fn of(&self, key: IdempotencyKey) -> Turn {
        let lock = {
            let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            locks.entry(key.clone()).or_default().clone()
        };
        // Made before the wait, which may be given up.
        let mut turn = Turn { turns: self.clone(), key, lock: lock.clone(), held: None };
        turn.held = Some(lock.lock_owned().await);
        turn
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.held = None;
        let mut locks = self.turns.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Ours and the map's: nobody else waits.
        if Arc::strong_count(&self.lock) == 2 {
            locks.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_is_worked_with_by_one_and_forgotten_after_the_last() {
        let turns = Turns::default();
        let key = |text: &str| IdempotencyKey(text.to_owned());
        let first = turns.of(key("a")).await;
        let other = turns.of(key("b")).await;
        let mut second = Box::pin(turns.of(key("a")));
        assert!(futures::poll!(&mut second).is_pending());
        let mut given_up = Box::pin(turns.of(key("a")));
        assert!(futures::poll!(&mut given_up).is_pending());
        drop(given_up);
        drop(first);
        let second = second.await;
        drop((second, other));
        assert!(turns.0.lock().unwrap().is_empty());
    }
}
