//! Bugs on purpose, to check the checkers: each breaks one promise, and each
//! must be caught by the test that is named beside it.
//!
//! Production code asks [`seeded`] where a bug could be. Without the cargo
//! feature `seeded-bugs` the answer is a constant `false`, and nothing of the
//! bug is left in the program. With the feature, the environment variable
//! `DEPLOYD_SEEDED_BUG` switches one of them on. `cargo xtask seeded-bugs` runs
//! each named test with its bug, when it must fail, and without, when it must
//! pass.

/// A bug, the promise that it breaks, and who notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seeded {
    /// The bug.
    pub bug: Bug,
    /// Its name, as `DEPLOYD_SEEDED_BUG` has it.
    pub name: &'static str,
    /// The promise that it breaks: `I5`.
    pub breaks: &'static str,
    /// The package whose test catches it.
    pub package: &'static str,
    /// The test's whole name within its binary: `crashes::i7_...`.
    pub caught_by: &'static str,
}

macro_rules! seeded_bugs {
    ($($(#[doc = $doc:literal])+ $bug:ident: $breaks:literal, $package:literal, $test:literal;)*) => {
        /// What is wrong, if it is switched on.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Bug {
            $($(#[doc = $doc])+ $bug,)*
        }

        /// All bugs, with the tests that catch them.
        pub const ALL: &[Seeded] = &[
            $(Seeded {
                bug: Bug::$bug,
                name: stringify!($bug),
                breaks: $breaks,
                package: $package,
                caught_by: $test,
            },)*
        ];
    };
}

seeded_bugs! {
    // The domain and the engine.

    /// A step has another key in each attempt.
    KeyChangedOnRetry: "I6", "deployd-engine", "crashes::i7_a_crash_at_any_point_is_resumed";
    /// A fault that no repetition can mend is retried.
    RetryOfPermanentFault: "I7", "deployd-core",
        "deployment::retry::tests::only_transient_faults_and_only_so_often";

    // The store.
}

/// Whether a bug is switched on: never, in a program that was not built to
/// check the checkers.
#[cfg(not(feature = "seeded-bugs"))]
#[inline(always)]
pub const fn seeded(_bug: Bug) -> bool {
    false
}

/// Whether a bug is switched on.
#[cfg(feature = "seeded-bugs")]
pub fn seeded(bug: Bug) -> bool {
    static ON: std::sync::OnceLock<Option<Bug>> = std::sync::OnceLock::new();
    let on = ON.get_or_init(|| {
        let name = std::env::var("DEPLOYD_SEEDED_BUG").ok()?;
        ALL.iter().find(|seeded| seeded.name == name).map(|seeded| seeded.bug)
    });
    *on == Some(bug)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_bugs() {
        for seeded in ALL {
            assert_eq!(seeded.name, format!("{:?}", seeded.bug));
            assert!(seeded.breaks.starts_with('I'), "{}", seeded.name);
        }
    }
}
