//! Waiting for something to hold.

use std::time::Duration;

/// How long anything may take before a test gives up. Only a hang takes so long,
/// also on a machine that does other things.
pub(crate) const GUARD: Duration = Duration::from_secs(300);

/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Looks until there is something, and gives it; panics, naming it, when there
/// is nothing in [`GUARD`].
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut look: impl FnMut() -> F,
) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    match tokio::time::timeout(GUARD, looking).await {
        Ok(found) => found,
        Err(_) => panic!("waited for {GUARD:?} in vain: {what}"),
    }
}
