//! The cases of correspondent accounts that have to be shown between two chains, and the tests that
//! show them: on ledgers in the simulated world here, on EVM nodes in `pair/…` and `evm/…`.
//!
//! | case | shown by |
//! | --- | --- |
//! | an account that is exhausted | `credit_exhausted::a_sends_to_b_until_its_account_is_exhausted_and_a_deposit_lets_it_go_on`; in one batch: `value::a_batch_fills_the_limit_from_the_front_and_the_rest_waits_in_order`; freed by opposite traffic: `value::opposite_traffic_makes_room_again_and_wakes_who_waits`; closed meanwhile: `value::who_waits_when_the_account_is_closed_gets_the_money_back`; a window: `pair/window::a_window_is_reached_and_frees_itself` |
//! | a valid proof, but low standing | `standing::a_proven_message_waits_for_its_chains_standing_and_goes_on_with_time`, `standing::a_threshold_that_is_lowered_lets_go_what_waited_and_in_order`, `standing::what_expires_while_it_is_held_up_is_refunded_and_counts_against_nobody` |
//! | a replayed proof | `credit_refusals::a_replayed_proof_delivers_nothing_a_second_time_and_nothing_else`; replayed messages: `wrong_messages::a_batch_that_is_replayed_is_delivered_once_and_has_its_receipts_again`; on EVM: `evm/inbox::value_and_data_arrive_once_however_often_they_are_delivered` |
//! | an altered chain-id (spoofed source) | `credit_refusals::a_message_with_an_altered_chain_id_is_paid_out_of_nobodys_account`; in requests: `wrong_requests::a_chain_does_not_speak_for_another_nor_to_another`; altered otherwise: `wrong_proofs::a_message_altered_in_the_claim_is_never_delivered_and_the_true_one_is` |
//! | a proof that comes only after the expiry: void, then the refund, none before | `credit_expiry::a_proof_that_comes_only_after_the_expiry_voids_and_then_refunds`; the destination away: `expiry::a_message_that_expired_while_its_destination_was_away_is_void_and_refunded_once`; the source away: `expiry::a_claim_whose_proof_comes_after_its_expiry_is_void` |
//! | a refusal tried before the proof | `credit_refusals::nothing_is_refused_before_it_is_proven`; by a stolen key: `credit_refusals::a_message_that_was_refunded_on_a_stolen_signature_is_proven_to_nobody`; in words only: `wrong_requests::a_refusal_for_good_without_a_receipt_is_only_a_hint`; that no code can do it: the `compile_fail` example of `proto::stage` |
//! | a delivery mined after the expiry | `credit_expiry::a_delivery_that_is_mined_after_the_expiry_is_refused_by_the_chain_and_voided`; to the second: `expiry::the_last_second_counts`; on EVM: `evm/inbox::what_may_not_be_delivered_is_skipped_with_its_reason` |
//! | a lost receipt | `credit_refusals::a_lost_receipt_is_asked_for_and_given_again`; `faults::receipts_that_never_arrive_are_asked_for`, `faults::receipts_are_offered_for_a_week_and_no_longer`, `faults::lost_calls_and_lost_answers_delay_and_lose_nothing` |
//! | a receipt by a key that was revoked in flight | `credit_refusals::a_receipt_by_a_key_that_was_revoked_in_flight_ends_nothing_until_it_is_signed_anew`; by any wrong hand: `wrong_receipts::a_receipt_that_the_destination_did_not_sign_ends_nothing` |
//! | a reorganisation after the emission, and after the delivery | before they are final: `pair/reorganised::a_source_block_is_taken_back_before_it_is_final`, `pair/reorganised::a_delivery_is_taken_back_before_it_is_final`; what should be final: `wrong_proofs::a_message_proven_in_another_block_is_delivered_once`, `wrong_proofs::two_headers_of_one_height_freeze_the_chain_until_the_operator_thaws_it` |
//! | a batch of 50 with three refused in the middle | `credit_exhausted::a_batch_of_fifty_with_three_refused_in_the_middle` |
//! | a restart of either side in each state | `credit_restarts::a_source_killed_in_each_state_takes_up_where_it_was`, `credit_restarts::a_destination_killed_in_each_state_takes_up_where_it_was`, `credit_restarts::both_sides_killed_twice_in_each_state`; without the spool: `credit_restarts::a_source_that_loses_its_spool_in_each_state_reads_its_chain_anew`, `credit_restarts::a_destination_that_loses_its_spool_in_each_state_reads_its_chain_anew`; at random: `kills::both_killed_in_turn_lose_and_double_nothing`, `chaos::whatever_happens_every_message_ends_once`; nodes too: `pair/node_kills::both_nodes_are_killed_in_each_state` |
//! | clocks 2 minutes apart | `credit_clocks::chains_two_minutes_apart_work_as_if_they_were_not`, `credit_clocks::a_gateway_two_minutes_from_its_own_chain_works_as_if_it_were_not`, `credit_clocks::a_destination_that_is_ahead_voids_what_has_expired_by_its_clock`, `credit_clocks::a_destination_that_is_behind_may_deliver_what_has_expired_at_the_source`, `credit_clocks::a_chain_does_not_deliver_late_for_a_gateway_that_is_behind`, `credit_clocks::a_window_frees_itself_though_gateway_and_chain_disagree_on_the_time`; further apart: `credit_clocks::further_apart_than_that_the_proof_waits_until_its_time_has_come`; set meanwhile: `credit_clocks::clocks_that_are_set_while_messages_are_under_way_lose_none` |
//! | a message that expires in flight in every state | `credit_expiry::a_message_that_expires_in_any_state_ends_once_and_as_its_destination_says` |
//! | `unknown` and `pending` never refund | `wrong_receipts::unknown_sends_again_and_refunds_nothing`, `wrong_receipts::a_status_by_another_hand_moves_nothing`; even where refunds without a receipt are allowed: `credit_no_receipt::a_destination_that_answers_pending_or_unknown_is_never_given_up` |
//! | expiry alone never refunds | `credit_no_receipt::unless_it_is_allowed_a_silent_destination_is_waited_for_without_end` |
//! | `refund_without_receipt` | `credit_no_receipt::where_it_is_allowed_the_sender_is_paid_back_once_after_the_grace`, `credit_no_receipt::an_answer_before_the_grace_is_over_ends_it`, `credit_no_receipt::a_delivered_receipt_after_the_refund_is_an_alert_and_moves_nothing`, `credit_no_receipt::a_claim_that_it_kept_all_the_while_is_void_when_it_comes_back`, `credit_no_receipt::a_gateway_that_was_off_for_weeks_begins_to_listen_anew`, `credit_no_receipt::a_destination_that_no_look_up_finds_is_gone_too` |
//!
//! A test below holds this table to the names that exist.

use std::{collections::BTreeSet, fs, path::Path};

/// The tests that the table names: `file::test` of the stories, `folder/file::test` of others.
fn named() -> Vec<(String, String)> {
    let rows = include_str!("cases.rs").lines().filter(|line| line.starts_with("//! |"));
    let words = rows.flat_map(|row| row.split('`').skip(1).step_by(2));
    let tests = words.filter(|word| !word.starts_with("proto::"));
    tests
        .filter_map(|word| word.split_once("::"))
        .map(|(file, test)| (file.to_owned(), test.to_owned()))
        .collect()
}

#[test]
fn each_case_names_tests_that_exist() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let named = named();
    for (file, test) in &named {
        let path = match file.contains('/') {
            true => tests.join(format!("{file}.rs")),
            false => tests.join("stories").join(format!("{file}.rs")),
        };
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        assert!(text.contains(&format!("fn {test}(")), "{file} has no {test}");
    }
    let files: BTreeSet<&str> = named.iter().map(|(file, _)| file.as_str()).collect();
    assert!(named.len() > 40 && files.len() > 10, "{} in {files:?}", named.len());
}
