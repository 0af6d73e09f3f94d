//! When the machine tells who waits for a process.

use super::bench::{Bench, chat};

/// When something was told, and who waits by it.
fn told(bench: &Bench) -> Vec<(u64, Vec<crate::ids::ChatSessionId>)> {
    let told = bench.told.iter();
    told.map(|(at, status)| (*at, status.waiting.clone()))
        .collect()
}

#[test]
fn who_waits_is_told_at_once_and_at_most_each_second() {
    let mut bench = Bench::new(1, None);
    bench.busy(1, 1);
    assert_eq!(told(&bench), [(0, vec![])], "how it is at the beginning");
    bench.pass(5_000);
    bench.add(2);
    bench.send(2, 2);
    bench.pass(100);
    bench.add(3);
    bench.send(3, 3);
    bench.pass(100);
    bench.withdraw(2);
    bench.pass(60_000);

    assert_eq!(
        told(&bench)[1..4],
        [
            (5_000, vec![chat(2)]),
            (6_000, vec![chat(3)]),
            (21_000, vec![chat(3)])
        ],
        "then as usual"
    );
}

#[test]
fn what_could_not_be_told_yet_is_told_after_the_answer() {
    let mut bench = Bench::new(1, None);
    bench.busy(1, 1);
    bench.pass(2_000);
    bench.is_slow = true;
    bench.add(2);
    bench.send(2, 2);
    bench.add(3);
    bench.send(3, 3);
    bench.pass(4_000);
    assert_eq!(bench.told.len(), 2, "one after the other");
    bench.answer_all();
    assert_eq!(told(&bench).last(), Some(&(6_000, vec![chat(2), chat(3)])));
}

#[test]
fn each_connection_is_told_anew() {
    let mut bench = Bench::new(1, None);
    bench.busy(1, 1);
    bench.add(2);
    bench.send(2, 2);
    bench.pass(5_000);
    bench.reconnect();
    bench.pass(2_000);
    let waiting: Vec<_> = told(&bench)
        .into_iter()
        .map(|(_, waiting)| waiting)
        .collect();
    assert_eq!(waiting, [vec![], vec![chat(2)], vec![chat(2)]]);
}
