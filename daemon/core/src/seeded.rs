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

    /// A request is answered before it is on stable storage.
    AcknowledgedBeforeStored: "I1", "deployd-engine",
        "crashes::i4_i5_i6_i8_i10_the_canonical_deployments_keep_every_promise";
    /// The key of a request is not recorded.
    KeyForgotten: "I2", "deployd-engine",
        "requests::i2_the_same_key_gives_the_same_answer_and_does_nothing_more";
    /// Whoever came last is served first.
    LastComeFirstServed: "I4", "deployd-engine",
        "requests::i4_who_waits_is_served_in_the_order_of_coming";
    /// A deployment can begin while another is active.
    TwoActive: "I4", "deployd-core",
        "deployment::tests::i4_one_active_deployment_and_automatic_ones_supersede_each_other";
    /// A newer automatic deployment takes the place of a person's.
    ManualOneSuperseded: "I4", "deployd-engine",
        "requests::an_automatic_one_that_waits_is_superseded_and_manual_ones_are_not";
    /// An effect begins before its intent is on stable storage.
    EffectBeforeIntent: "I5", "deployd-engine",
        "crashes::i4_i5_i6_i8_i10_the_canonical_deployments_keep_every_promise";
    /// A step has another key in each attempt.
    KeyChangedOnRetry: "I6", "deployd-engine",
        "crashes::i4_i5_i6_i8_i10_the_canonical_deployments_keep_every_promise";
    /// All steps of a deployment have the same key.
    KeyWithoutTheStep: "I6", "deployd-engine",
        "crashes::i4_i5_i6_i8_i10_the_canonical_deployments_keep_every_promise";
    /// An effect that is unsafe to repeat is repeated after an unknown outcome.
    UnsafeEffectRepeated: "I7", "deployd-engine",
        "resources::an_unknown_outcome_of_an_unsafe_driver_needs_an_operator";
    /// A fault that no repetition can mend is retried.
    RetryOfPermanentFault: "I7", "deployd-core",
        "deployment::retry::tests::only_transient_faults_and_only_so_often";
    /// Steps of a cancelled deployment go on.
    CancelledGoesOn: "I7", "deployd-engine",
        "cancel::i7_a_deployment_can_be_cancelled_at_any_time";
    /// What ran before is not brought back.
    RestoreForgotten: "I8", "deployd-engine",
        "rollback::i7_a_failed_rollout_brings_back_what_ran_and_prunes_what_was_new";
    /// An undo that failed passes for done.
    FailedUndoSwallowed: "I8", "deployd-engine",
        "rollback::a_rollback_that_fails_needs_an_operator_and_the_next_version_can_mend_it";
    /// What others need is destroyed before them.
    UndoneInForwardOrder: "I8", "deployd-engine",
        "resources::i8_what_others_need_is_destroyed_after_them";
    /// What is wanted is pruned with what is not.
    WantedOnesPruned: "I8", "deployd-engine",
        "crashes::i4_i5_i6_i8_i10_the_canonical_deployments_keep_every_promise";
    /// One event does not change the projections.
    ProjectionForgotten: "I10", "deployd-engine",
        "requests::an_automatic_one_that_waits_is_superseded_and_manual_ones_are_not";
    /// One event is told to nobody.
    NoticeForgotten: "I11", "deployd-engine",
        "crashes::i4_i5_i6_i8_i10_the_canonical_deployments_keep_every_promise";
    /// Messages are stored after their events, not with them.
    OutboxApart: "I11", "deployd-engine",
        "crashes::i5_i6_i11_a_crash_before_and_after_each_kind_of_call_is_resumed";
    /// A delivery that fails is tried for ever.
    DeliveryTriedForEver: "I11", "deployd-core",
        "outbox::tests::i11_transient_faults_follow_the_schedule_and_end_dead";
    /// Another plan is executed than the one that was approved.
    PlanNotCompared: "I12", "deployd-engine", "requests::only_the_plan_that_was_seen_is_executed";
    /// The queue of an environment grows without end.
    QueueWithoutEnd: "I13", "deployd-engine", "requests::i13_a_queue_has_an_end";
    /// A step that fails is tried for ever.
    StepTriedForEver: "I13", "deployd-core",
        "deployment::retry::tests::only_transient_faults_and_only_so_often";
    /// A record that can't be read keeps everybody from starting.
    PoisonRecord: "I14", "deployd-engine",
        "resources::i14_an_environment_whose_record_is_damaged_holds_up_no_other";
    /// The clock on the wall decides who comes first.
    WallClockOrdersTheQueue: "I15", "deployd-engine",
        "time::i15_a_clock_that_is_set_back_changes_no_order";
    /// A secret's value is written to a deployment's log.
    SecretInALog: "I16", "deployd-engine",
        "secrets::i16_a_canary_is_found_in_the_cluster_s_secret_only";
    /// A worker goes on whose claim was taken over.
    LostClaimGoesOn: "I17", "deployd-engine",
        "time::i17_a_worker_whose_claim_was_taken_over_appends_nothing";

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
