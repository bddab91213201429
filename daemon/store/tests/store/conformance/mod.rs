//! What every store promises, as small cases. A case that holds for one
//! implementation holds for all of them, so that none has to be special-cased.
//!
//! A case is a function of the implementation; it is named in [`suite!`], and
//! the compiler says so when it is not.

mod acceptance;
mod accounting;
mod batches;
mod callers;
mod claims;
mod content;
mod copies;
mod cursors;
mod feed;
mod fences;
mod limits;
mod model;
mod outbox;
mod projections;
mod repeats;
mod whole;

use deployd_core::ports::{Batch, FeedPosition, Order, Store, StoreError, VerifyReport};

use crate::samples::*;

/// Runs the suite over an implementation, as a module of tests.
macro_rules! suite {
    ($module:ident, $implementation:ty) => {
        mod $module {
            suite! { @cases $implementation,
                batches: a_stream_that_is_not_there_has_version_0 i3_versions_are_1_2_3 heads_are_returned_in_the_order_of_the_appends an_append_elsewhere_than_at_the_end_conflicts of_two_appends_at_one_version_one_wins what_was_appended_is_read_as_it_was i9_every_event_is_chained_to_the_one_before reading_begins_at_a_version_and_ends_at_max streams_with_names_that_begin_alike_are_apart a_batch_stores_all_its_parts a_batch_that_conflicts_stores_nothing a_batch_that_is_fenced_off_stores_nothing an_empty_batch_is_stored an_append_without_events_is_invalid a_stream_twice_is_invalid a_stream_without_a_name_is_invalid i13_an_event_over_the_limit_is_invalid i13_a_name_over_the_limit_is_invalid i13_too_many_items_are_invalid i13_too_many_bytes_are_invalid i14_json_too_deep_to_be_read_again_is_invalid i14_json_just_not_too_deep_is_read_again i1_what_was_stored_is_there_after_a_restart a_stream_goes_on_after_a_restart;
                acceptance: i2_the_first_request_of_a_key_is_new i2_a_repeat_gets_the_recorded_answer i2_a_repeat_is_answered_whatever_its_batch i2_another_digest_is_key_reuse i2_another_digest_is_key_reuse_before_anything_else i2_the_recorded_answer_can_be_asked_for i2_an_empty_answer_is_an_answer i2_a_refused_request_records_no_key i2_of_repeats_at_once_one_is_new i2_keys_survive_a_restart i2_a_key_is_known_for_seven_days i13_keys_are_forgotten_a_few_at_a_time i13_a_key_over_the_limit_is_invalid;
                projections: a_key_that_is_not_there_has_no_value a_value_is_read_as_it_was_put a_later_value_replaces puts_happen_in_their_order a_removal_removes_one_key_of_one_index a_scan_is_sorted_either_way a_range_has_its_start_and_not_its_end a_prefix_has_all_that_begin_with_it a_prefix_of_the_last_byte_has_its_keys a_page_says_whether_there_is_more indexes_with_names_that_begin_alike_are_apart i13_a_key_of_an_index_over_the_limit_is_invalid i13_a_value_over_the_limit_is_invalid;
                content: content_that_is_not_there_is_none content_is_read_as_it_was_given the_same_content_again_stays content_with_another_digest_is_invalid i13_content_over_the_limit_is_invalid;
                feed: i3_the_feed_has_all_events_in_their_order a_feed_item_is_the_event_of_its_stream the_feed_goes_on_after_a_position i3_a_refused_batch_leaves_no_gap what_the_feed_has_already_is_not_waited_for who_waits_for_the_feed_is_woken a_batch_without_events_wakes_nobody what_the_feed_grew_to_can_be_read;
                claims: a_claim_says_what_was_claimed i17_another_worker_waits_until_it_expires a_worker_renews_its_claim_and_keeps_its_fence i17_a_worker_that_lost_its_claim_gets_another_fence streams_are_claimed_apart a_released_stream_can_be_claimed_at_once i17_fences_grow_also_after_a_release a_lost_claim_given_back_changes_nothing a_claim_given_back_twice_is_given_back_once i17_the_present_fence_appends i17_an_older_fence_appends_nothing i17_a_fence_that_nobody_was_given_appends_nothing i17_who_is_fenced_off_is_not_told_the_head i15_an_expired_claim_appends_until_it_is_taken an_append_without_a_fence_needs_no_claim i17_claims_and_fences_survive_a_restart i15_a_claim_without_end_does_not_wrap i13_names_in_claims_have_limits;
                outbox: i11_a_message_is_stored_with_its_batch i11_a_message_that_is_there_stays_as_it_is what_is_due_is_taken_soonest_first at_most_max_are_taken i11_what_is_leased_is_not_given_again a_taken_message_is_as_it_was the_next_due_time_is_told what_was_delivered_is_not_due what_is_dead_is_not_due i11_what_was_put_off_is_due_then i11_a_dead_message_can_be_delivered_again only_a_known_message_is_settled messages_are_listed_as_they_came i11_messages_are_listed_by_status a_list_after_an_unknown_message_is_refused i11_messages_survive_a_restart i13_a_message_over_the_limit_is_invalid;
                whole: i9_an_empty_store_is_sound i9_a_verification_counts_what_it_read a_backup_has_everything a_backup_replaces_nothing a_backup_to_nowhere_fails_and_the_store_goes_on;
                limits: i13_an_event_of_the_largest_size_is_stored an_event_without_anything_is_stored i13_a_value_of_the_largest_size_is_stored i13_content_of_the_largest_size_is_stored i13_a_message_of_the_largest_size_is_stored i13_the_id_of_a_message_has_a_limit i13_an_answer_of_the_largest_size_is_replayed i13_a_worker_s_name_of_the_largest_size_claims i13_a_claim_of_no_stream_is_invalid i13_the_most_items_are_stored many_streams_grow_in_one_batch i13_events_count_as_items i13_an_invalid_part_refuses_the_whole_batch;
                callers: i3_of_many_appends_at_once_each_has_its_version i4_of_many_appends_at_one_version_one_is_stored i3_streams_at_once_share_one_feed i2_of_many_repeats_at_once_one_is_new i2_of_one_key_and_two_requests_at_once_one_is_known i17_of_many_claims_at_once_one_worker_has_it i17_every_takeover_at_once_has_a_fence_of_its_own i11_of_many_takes_at_once_each_message_is_given_once i11_settled_and_added_at_once_none_is_lost i10_events_and_projections_are_seen_together a_follower_of_the_feed_sees_everything_once the_same_content_at_once_is_stored_once;
                accounting: i11_every_message_is_counted_once i11_the_counts_survive_a_restart i11_a_repeated_message_is_counted_once i11_a_refused_batch_adds_no_message i11_settling_again_counts_once i11_a_lease_changes_no_count i11_what_was_not_settled_is_given_again i11_a_lease_ends_also_over_a_restart i11_settling_ends_the_lease taking_none_leases_none what_is_due_at_once_is_taken_as_it_came a_message_for_the_end_of_time_waits i11_attempts_are_kept_with_their_message i11_pages_of_a_list_have_every_message_once i11_delivered_dead_and_back_is_one_message i11_an_accepted_request_s_message_is_told_once;
                cursors: pages_upwards_have_every_entry_once pages_downwards_have_every_entry_once pages_stay_within_their_range pages_are_the_same_after_a_restart a_prefix_is_paged_like_any_range an_entry_put_behind_the_cursor_is_not_seen_twice a_removed_entry_is_in_no_page an_empty_value_is_an_entry a_range_of_nothing_has_nothing a_refused_batch_puts_nothing;
                fences: i17_fences_grow_over_many_restarts i17_a_process_that_comes_back_keeps_its_fence i17_a_lost_fence_is_never_given_again i17_another_worker_gives_nothing_back a_renewal_may_shorten_a_claim i15_a_clock_that_jumps_back_takes_no_claim_away i17_one_lost_fence_refuses_the_whole_batch i17_accepting_compares_the_fence i4_accepting_compares_the_version i17_a_fence_given_back_appends_until_the_next i17_a_fence_of_another_stream_appends_nothing i17_fences_are_in_a_backup;
                repeats: i2_keys_that_begin_alike_are_apart i2_another_digest_is_refused_also_after_a_restart i2_a_refused_reuse_leaves_the_key_as_it_is i2_a_repeat_does_not_renew_its_key i2_a_key_is_kept_to_its_last_moment i15_keys_of_a_clock_without_end_do_not_wrap i15_a_clock_that_jumps_back_forgets_nothing i2_only_new_keys_forget_old_ones i2_a_key_is_in_a_backup i2_what_is_accepted_is_in_the_feed_once;
                copies: an_empty_store_is_copied a_copy_and_its_store_go_their_own_ways a_copy_of_a_copy_has_everything a_copy_survives_a_restart copies_are_made_one_after_the_other i9_a_verification_is_the_same_after_a_restart i9_refusals_leave_nothing_to_verify i9_messages_and_projections_are_no_events content_of_a_refused_batch_is_not_stored one_digest_with_two_contents_is_refused content_comes_with_its_events;
                model: every_answer_is_the_model_s_answer;
            }
        }
    };
    (@cases $implementation:ty, $($group:ident: $($case:ident)*;)*) => {$(
        mod $group {
            #[allow(unused_imports)]
            use crate::implementations::Implementation;
            $(
                #[tokio::test]
                async fn $case() {
                    let it = <$implementation>::fresh().await;
                    super::super::$group::$case(it).await;
                }
            )*
        }
    )*};
}

suite!(memory, deployd_store::MemoryStore);
suite!(redb, crate::implementations::OnDisk);

/// The batch is refused as invalid, and leaves nothing in an empty store.
async fn is_invalid(store: &dyn Store, batch: Batch) {
    let refused = store.append(batch).await;
    assert!(matches!(refused, Err(StoreError::InvalidBatch(_))), "{refused:?}");
    is_empty(store).await;
}

/// Nothing was stored: what [`everything`] would put somewhere is nowhere.
async fn is_empty(store: &dyn Store) {
    assert_eq!(store.verify().await.unwrap(), VerifyReport::default());
    assert_eq!(store.feed(FeedPosition(0), 1).await.unwrap(), []);
    assert!(store.scan(PLACES, all(), Order::Ascending, 1).await.unwrap().entries.is_empty());
    assert!(store.outbox_list(None, None, 1).await.unwrap().is_empty());
    assert_eq!(store.outbox_due().await.unwrap(), None);
}
