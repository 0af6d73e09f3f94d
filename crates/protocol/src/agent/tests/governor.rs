//! Who gets a process, and who makes room.

use super::bench::Bench;
use crate::state::ChatState;

#[test]
fn whoever_comes_first_is_served_first() {
    let mut bench = Bench::new(1, None);
    bench.busy(5, 1);
    for (number, message) in [(3, 2), (1, 3), (2, 4)] {
        bench.add(number);
        bench.send(number, message);
        bench.pass(10);
    }
    assert_eq!(bench.waiting(), [3, 1, 2]);
    for (number, message) in [(5, 1), (3, 2), (1, 3)] {
        assert_eq!(bench.starts.last(), Some(&number), "nobody else meanwhile");
        bench.answered(number, message, None);
        assert_eq!(bench.stops.last(), Some(&number), "makes room");
        bench.stopped(number);
        let next = *bench.starts.last().unwrap();
        bench.started(next);
    }
    assert_eq!(bench.starts, [5, 3, 1, 2]);
    assert!(bench.waiting().is_empty());
}

#[test]
fn of_several_at_once_the_oldest_message_comes_first_and_those_without_one_last() {
    let mut bench = Bench::new(1, None);
    bench.busy(9, 1);
    bench.add_as(1, ChatState::Requested);
    for (number, message) in [(2, 4), (3, 2), (4, 3)] {
        bench.add(number);
        bench.queue(number, message);
    }
    bench.show();
    assert_eq!(bench.waiting(), [3, 4, 2, 1]);
}

#[test]
fn whoever_has_been_idle_longest_makes_room() {
    let mut bench = Bench::new(3, None);
    for (number, message) in [(2, 1), (1, 2), (3, 3)] {
        bench.idle(number, message);
        bench.pass(1_000);
    }
    bench.send(2, 4);
    bench.answered(2, 4, None);
    assert!(bench.stops.is_empty(), "there is room for three");
    bench.add(4);
    bench.send(4, 5);
    assert_eq!(bench.stops, [1], "2 has worked since");
    assert_eq!(bench.waiting(), [4]);
    bench.stopped(1);
    assert_eq!(bench.starts.last(), Some(&4));
    assert_eq!(bench.stops, [1], "one was enough");
}

#[test]
fn a_turn_under_way_is_never_stopped_for_others() {
    let mut bench = Bench::new(2, Some(1_000));
    bench.busy(1, 1);
    bench.busy(2, 2);
    bench.measured(5_000);
    bench.add(3);
    bench.send(3, 3);
    bench.pass(60 * 60 * 1_000);
    assert!(bench.stops.is_empty());
    assert_eq!(bench.waiting(), [3]);
}

#[test]
fn whoever_has_more_messages_leaves_its_place_once_others_have_waited_long() {
    let mut bench = Bench::new(1, None);
    bench.busy(1, 1);
    bench.add(2);
    bench.send(2, 2);
    bench.answered(1, 1, Some(3));
    assert!(bench.stops.is_empty(), "2 has hardly waited");
    bench.pass(30_000);
    assert!(bench.stops.is_empty(), "not in the middle of a turn");
    bench.answered(1, 3, Some(4));
    assert_eq!(bench.stops, [1]);
    bench.stopped(1);
    assert_eq!(bench.starts, [1, 2]);
    assert_eq!(bench.waiting(), [1], "and queues up again");
}

#[test]
fn who_does_not_want_any_more_leaves_the_queue() {
    let mut bench = Bench::new(1, None);
    bench.busy(1, 1);
    bench.add(2);
    bench.send(2, 2);
    bench.add(3);
    bench.send(3, 3);
    bench.withdraw(2);
    assert_eq!(bench.waiting(), [3]);
}

#[test]
fn while_memory_is_short_nothing_is_started_and_the_idle_go_one_after_the_other() {
    let mut bench = Bench::new(8, Some(1_000));
    bench.idle(1, 1);
    bench.pass(1_000);
    bench.idle(2, 2);
    bench.busy(3, 3);
    bench.measured(1_001);
    assert_eq!(bench.stops, [1], "for relief");
    bench.stopped(1);
    assert_eq!(bench.stops, [1], "what that gave back is measured first");
    bench.add(4);
    bench.send(4, 4);
    assert_eq!(bench.waiting(), [4]);
    assert_eq!(bench.stops, [1, 2], "4 needs room");
    bench.stopped(2);
    assert_eq!(bench.waiting(), [4], "not before it is measured");
    bench.measured(900);
    assert_eq!(bench.starts.last(), Some(&4));
    bench.add(5);
    bench.send(5, 5);
    assert_eq!(bench.waiting(), [5], "the one that starts counts already");
}

#[test]
fn one_process_may_run_whatever_the_memory() {
    let mut bench = Bench::new(4, Some(1));
    bench.idle(1, 1);
    bench.measured(500);
    assert_eq!(bench.stops, [1]);
    bench.add(2);
    bench.send(2, 2);
    assert_eq!(bench.waiting(), [2]);
    bench.stopped(1);
    assert_eq!(bench.starts, [1, 2]);
}

#[test]
fn a_limit_of_none_is_one() {
    let mut bench = Bench::new(0, None);
    bench.busy(1, 1);
    bench.add(2);
    bench.send(2, 2);
    assert_eq!(bench.starts, [1]);
}
