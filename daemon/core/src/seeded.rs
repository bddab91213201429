//! Bugs on purpose, to check the checkers: each breaks one promise, and each
//! must be caught by the test that is named beside it.
//!
//! Production code asks [`seeded`] where a bug could be. Without the cargo
//! feature `seeded-bugs` the answer is a constant `false`, and nothing of the
//! bug is left in the program. With the feature, which programs of tests have,
//! the environment variable `DEPLOYD_SEEDED_BUG` switches one of them on.
//! `cargo xtask seeded-bugs` runs each named test with its bug, when it must
//! fail, and without, when it must pass.

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
    /// An artifact that comes after a newer one of its source is deployed.
    LateArtifactDeployed: "I3", "deployd-engine",
        "sources::i3_an_artifact_that_comes_late_is_recorded_and_not_deployed";
    /// An approval of one plan counts for another.
    ApprovalOfAnotherPlan: "I12", "deployd-core",
        "deployment::tests::approvals::a_changed_plan_asks_again";
    /// Who has asked for a deployment may approve it.
    OwnApprovalCounts: "I12", "deployd-core",
        "approval::tests::who_had_a_part_in_it_is_left_out_in_anybodys_place";
    /// An approval is waited for without end.
    ApprovalNeverExpires: "I12", "deployd-core",
        "deployment::tests::approvals::what_nobody_approves_in_time_is_cancelled";
    /// Whoever came last is served first.
    LastComeFirstServed: "I4", "deployd-engine",
        "requests::i4_who_waits_is_served_in_the_order_of_coming";
    /// Who goes back waits until people have agreed to something else.
    RollbackBehindPeople: "I4", "deployd-core",
        "deployment::tests::yielding::i4_who_goes_back_comes_before_what_waits_for_people";
    /// What comes by itself begins although a person went back.
    HoldForgotten: "I4", "deployd-core",
        "deployment::tests::hold::i4_what_comes_by_itself_waits_after_a_person_went_back";
    /// A deployment can begin while another is active.
    TwoActive: "I4", "deployd-core",
        "deployment::tests::course::i4_one_active_deployment_and_automatic_ones_supersede_each_other";
    /// Jobs are undone in the order in which they ran.
    JobsUndoneInOrder: "I7", "deployd-core",
        "deployment::tests::jobs::i7_what_is_undone_is_so_in_the_reverse_order";
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
    /// An environment is forgotten as soon as it is known what has to go.
    ForgottenTooEarly: "I8", "deployd-engine",
        "teardown::i8_a_driver_that_refuses_stops_it_and_the_environment_stays";
    /// Resources are made anew although nobody has confirmed it.
    ReplacedUnconfirmed: "I12", "deployd-engine",
        "replacing::i12_what_holds_data_is_not_replaced_unless_somebody_says_so";
    /// A resource whose provisioning was begun and did not end is forgotten.
    BegunForgotten: "I8", "deployd-engine",
        "unfinished::i8_what_one_driver_has_begun_goes_although_another_has_taken_its_place";
    /// What is wanted is pruned with what is not.
    WantedOnesPruned: "I8", "deployd-engine",
        "crashes::i4_i5_i6_i8_i10_the_canonical_deployments_keep_every_promise";
    /// Traffic goes to pods before they are ready.
    TrafficBeforePods: "I8", "deployd-engine",
        "rollout_model::whatever_a_strategy_wants_it_ends_in_one_version_and_serves_meanwhile";
    /// What is left of a track stays when a rollout goes back.
    TrackForgotten: "I8", "deployd-engine",
        "rollout_model::whatever_a_strategy_wants_it_ends_in_one_version_and_serves_meanwhile";
    /// What has failed of a rollout passes for done.
    FailedActionPassesForDone: "I8", "deployd-engine",
        "rollout_model::whatever_a_strategy_wants_it_ends_in_one_version_and_serves_meanwhile";
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
    /// A message is told although one before it in its thread is still to be told.
    TurnIgnored: "I11", "deployd-engine",
        "threads::a_deployment_is_one_thread_in_order_also_where_it_begins_with_failures";
    /// A request goes out before it is recorded what it follows from.
    MemoryAfterRequest: "I11", "deployd-engine",
        "threads::i11_a_crash_anywhere_repeats_at_most_what_was_not_recorded";
    /// Whom a message tells with its own is decided anew after a crash.
    GroupUndecided: "I11", "deployd-engine",
        "together::i11_a_crash_anywhere_leaves_each_message_as_it_was";
    /// A pull request stays open although its deployment has ended.
    RequestLeftOpen: "I6", "deployd-core",
        "deployment::tests::pulled::who_is_superseded_while_it_waits_closes_its_request_first";
    /// A commit that may have been made is not looked for before it is made again.
    CommitMadeTwice: "I6", "deployd-engine",
        "pulled::i6_a_crash_at_any_point_leaves_one_commit_and_no_half_tree";
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
    /// A clock that jumps ahead ends environments.
    JumpBelieved: "I15", "deployd-engine",
        "expiry::i15_a_clock_that_jumps_ahead_and_back_ends_nothing";
    /// A secret's value is written to a deployment's log.
    SecretInALog: "I16", "deployd-engine",
        "secrets::i16_a_canary_is_found_in_the_cluster_s_secret_only";
    /// A worker goes on whose claim was taken over.
    LostClaimGoesOn: "I17", "deployd-engine",
        "time::i17_a_worker_whose_claim_was_taken_over_appends_nothing";

    // The store.

    /// A write is acknowledged before its commit is on stable storage.
    AcknowledgedBeforeSync: "I1", "deployd-store",
        "crashes::i1_what_was_acknowledged_survives_power_loss";
    /// A commit is not synced.
    SyncSkipped: "I1", "deployd-store",
        "crashes::i1_what_was_acknowledged_survives_power_loss";
    /// A commit that failed is acknowledged, and the store goes on.
    FailedSyncAcknowledged: "I1", "deployd-store",
        "crashes::i1_a_call_that_fails_once_ends_all_acknowledgements";
    /// What the log has is not done again when the store is opened.
    LogNotReplayed: "I1", "deployd-store",
        "crashes::i1_what_was_acknowledged_survives_power_loss";
    /// After a checkpoint the log goes on under the key that it had.
    LogKeyKept: "I1", "deployd-store",
        "crashes::i1_a_store_that_was_killed_again_and_again_has_what_it_had";
    /// The log begins anew before the checkpoint is on stable storage.
    LogCutTooEarly: "I1", "deployd-store",
        "crashes::i1_what_was_acknowledged_survives_power_loss";
    /// Checksums of blocks are written after the sync, which has only the blocks.
    ChecksumsAfterSync: "I1", "deployd-store",
        "crashes::i1_what_was_acknowledged_survives_power_loss";
    /// A header is written over the last one that was synced.
    HeaderOverwritten: "I1", "deployd-store",
        "sealed::head::tests::what_was_synced_is_not_written_over_before_the_next_sync";
    /// A repeat is answered although its request is another one.
    DigestNotCompared: "I2", "deployd-store",
        "conformance::redb::acceptance::i2_another_digest_is_key_reuse";
    /// The idempotency key of a request is not stored.
    StoredKeyForgotten: "I2", "deployd-store",
        "conformance::redb::acceptance::i2_a_repeat_gets_the_recorded_answer";
    /// An append elsewhere than at the end of its stream is taken.
    VersionNotCompared: "I3", "deployd-store",
        "conformance::redb::batches::an_append_elsewhere_than_at_the_end_conflicts";
    /// The feed skips a position with every batch.
    FeedGap: "I3", "deployd-store",
        "conformance::redb::feed::i3_the_feed_has_all_events_in_their_order";
    /// A claim is its owner's for ever.
    ClaimNeverExpires: "I7", "deployd-store",
        "conformance::redb::claims::i17_another_worker_waits_until_it_expires";
    /// An event is hashed with the version before its own.
    ChainOffByOne: "I9", "deployd-store",
        "conformance::redb::batches::i9_every_event_is_chained_to_the_one_before";
    /// A part of a stream is read as if nothing had been before it.
    LinkOfNothing: "I9", "deployd-store",
        "damage::i9_what_older_versions_wrote_is_read_among_what_is_written_now";
    /// Content is given that is not what its digest says.
    ContentNotCompared: "I9", "deployd-store",
        "damage::changed_content_is_found_and_not_given";
    /// Projections are put after the commit of their events.
    IndexOutsideTransaction: "I10", "deployd-store",
        "crashes::i1_groups_survive_power_loss";
    /// The last projection of a batch is not put.
    PutForgotten: "I10", "deployd-store",
        "conformance::redb::batches::a_batch_stores_all_its_parts";
    /// A refused batch leaves its projections behind.
    RefusedBatchPutsAll: "I10", "deployd-store",
        "groups::a_refused_request_does_not_disturb_its_neighbours";
    /// A full page says that it is the last one.
    PageSaysNoMore: "I10", "deployd-store",
        "conformance::redb::cursors::pages_upwards_have_every_entry_once";
    /// Messages are added after the commit of their events.
    OutboxOutsideTransaction: "I11", "deployd-store",
        "crashes::i1_groups_survive_power_loss";
    /// A message that was delivered still counts as pending, too.
    MessageCountedTwice: "I11", "deployd-store",
        "conformance::redb::accounting::i11_every_message_is_counted_once";
    /// A message that was taken can be taken by another at once.
    LeaseForgotten: "I11", "deployd-store",
        "conformance::redb::outbox::i11_what_is_leased_is_not_given_again";
    /// A block is taken for what was written, whatever it is.
    ChecksumNotCompared: "I14", "deployd-store",
        "rot::i14_a_flipped_bit_is_named_or_harmless";
    /// A message that can't be read keeps the others from being taken.
    DamagedMessageBlocksAll: "I14", "deployd-store",
        "damage::i14_a_message_that_cant_be_read_is_set_aside";
    /// An append passes with any fence.
    FenceNotCompared: "I17", "deployd-store",
        "conformance::redb::claims::i17_an_older_fence_appends_nothing";
    /// Fences begin at one again when the store is opened.
    FenceReusedAfterRestart: "I17", "deployd-store",
        "conformance::redb::fences::i17_fences_grow_over_many_restarts";
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
