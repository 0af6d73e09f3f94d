use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::world::World;
use crate::backend::rows::save;
use crate::backend::tables::{Entry, key};
use crate::backend::{Backend, Entropy};
use crate::error::ErrorCode;
use crate::ids::{PersonId, ScheduleId};
use crate::limits::SCHEDULES_MAX;
use crate::schedule::{Timing, When};
use crate::time::Timestamp;

const MINUTE_MS: u64 = 60_000;

fn worker(world: &mut World) -> String {
    let args = json!({ "machineId": world.machine, "directory": "repo" });
    let worker = world.person("worker.register", args);
    worker["id"].as_str().unwrap().to_owned()
}

fn create(world: &mut World, worker: &str, more: Value) -> String {
    let mut spec = json!({
        "name": "s",
        "when": { "kind": "cron", "expression": "*/7 * * * *", "zone": "UTC" },
        "prompt": "Look.",
    });
    for (name, value) in more.as_object().unwrap() {
        spec[name] = value.clone();
    }
    let args = json!({ "workerId": worker, "spec": spec });
    let view = world.person("schedule.create", args);
    view["schedule"]["id"].as_str().unwrap().to_owned()
}

fn all_runs(world: &mut World, schedule: &str) -> Vec<Value> {
    let mut runs = Vec::new();
    let mut before = Value::Null;
    loop {
        let args = json!({ "scheduleId": schedule, "before": before });
        let page = world.person("schedule.ledger", args);
        runs.extend(page["runs"].as_array().unwrap().iter().cloned());
        if page["hasEarlier"] == false {
            return runs;
        }
        before = runs.last().unwrap()["id"].clone();
    }
}

/// Ticks until nothing is due any more.
fn settle(world: &mut World, turn: u64) {
    for more in 0_u64.. {
        let mut id = [0; 10];
        id[..8].copy_from_slice(&(turn << 20 | more).to_be_bytes());
        let entropy = Entropy {
            id,
            secret: [0; 32],
        };
        let next = Backend::new(&mut world.rows, world.now, entropy)
            .next_deadline()
            .unwrap();
        if next.is_none_or(|at| at > world.now) {
            return;
        }
        let outcome = Backend::new(&mut world.rows, world.now, entropy)
            .tick()
            .unwrap();
        assert_eq!(outcome.reply, json!([]), "no deadline is given up");
        world.rows.commit();
    }
}

/// The turn at the head of each chat session is taken and ended.
fn work(world: &mut World, outcome: &str) {
    world.machine("machine.heartbeat", json!({}));
    let inbox = world.machine("machine.inbox", json!({}));
    for chat in inbox["chats"].as_array().unwrap() {
        let id = &chat["id"];
        if chat["state"] == "requested" {
            for (seq, state) in [(1, "starting"), (2, "ready")] {
                let report = json!({ "chatSessionId": id, "state": state, "seq": seq });
                world.machine("worker.chat.reportSession", report);
            }
        }
        let turn = &chat["turn"]["id"];
        if turn.is_null() {
            continue;
        }
        world.machine("worker.chat.takeTurn", json!({ "turnId": turn }));
        let hash = crate::transcript::text_hash(&[]);
        let answer = json!({ "parts": [], "hash": hash });
        let end =
            json!({ "turnId": turn, "outcome": outcome, "answer": answer, "failure": "provider" });
        world.machine("worker.chat.writeMessage", end);
    }
}

/// A small generator, so that a failure comes again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

#[test]
fn every_instant_has_exactly_one_row_whatever_happens_to_the_clock_and_the_machine() {
    let overlaps = ["skip", "queue", "cancel", "parallel"];
    let catch_ups = [
        json!({ "kind": "latest" }),
        json!({ "kind": "skip" }),
        json!({ "kind": "all", "withinMs": 60 * MINUTE_MS }),
    ];
    for seed in 0..48_u64 {
        let mut dice = Dice(seed);
        let mut world = World::new();
        let worker = worker(&mut world);
        let session = ["new", "continue"][dice.below(2) as usize];
        let more = json!({
            "overlap": overlaps[dice.below(4) as usize],
            "catchUp": catch_ups[dice.below(3) as usize],
            "jitterMs": dice.below(2) * 5 * MINUTE_MS,
            "retries": { "most": dice.below(3) },
            "timeLimitMs": 10 * MINUTE_MS,
            "session": { "kind": session },
        });
        let id = create(&mut world, &worker, more.clone());
        let created = world.now;
        for step in 0..60_u64 {
            match dice.below(10) {
                // On time, late, very late, and set back.
                0..5 => world.now = world.now.plus_ms(dice.below(9 * MINUTE_MS)),
                5 => world.now = world.now.plus_ms(dice.below(24 * 60 * MINUTE_MS)),
                6 => {
                    let back_ms = dice.below(30 * MINUTE_MS);
                    let back = world.now.as_ms().saturating_sub(back_ms);
                    world.now = Timestamp::from_ms(back).max(created);
                }
                7 => work(&mut world, ["completed", "failed"][dice.below(2) as usize]),
                8 => {
                    let _ = world.try_person("schedule.runNow", json!({ "scheduleId": id }));
                }
                _ => {
                    let runs = all_runs(&mut world, &id);
                    if let Some(run) = runs.first() {
                        let args = json!({ "runId": run["id"] });
                        let _ = world.try_person("schedule.cancelRun", args);
                    }
                }
            }
            settle(&mut world, seed << 8 | step);
            let view = world.person("schedule.view", json!({ "scheduleId": id }));
            let open = view["schedule"]["openRunCount"].as_u64().unwrap();
            let most = if more["overlap"] == "parallel" { 10 } else { 2 };
            assert!(open <= most, "seed {seed}: {open} open runs, {more}");
        }
        check_rows(&mut world, &id, created, &format!("seed {seed}: {more}"));
        // Once everything has been worked off, nothing is left open.
        for step in 0..40_u64 {
            world.person("schedule.pause", json!({ "scheduleId": id }));
            work(&mut world, "completed");
            world.now = world.now.plus_ms(MINUTE_MS);
            settle(&mut world, 1 << 40 | seed << 8 | step);
        }
        let view = world.person("schedule.view", json!({ "scheduleId": id }));
        assert_eq!(view["schedule"]["openRunCount"], 0, "seed {seed}: {view}");
        for run in all_runs(&mut world, &id) {
            assert!(run["endedAt"].is_u64(), "seed {seed}: {run} has no end");
        }
    }
}

/// Every firing up to now is in one row, and nothing else is.
fn check_rows(world: &mut World, id: &str, created: Timestamp, what: &str) {
    let when = When::Cron {
        expression: "*/7 * * * *".to_owned(),
        zone: "UTC".to_owned(),
    };
    let timing = Timing::new(&when).unwrap();
    let mut counts: BTreeMap<u64, u32> = BTreeMap::new();
    let runs = all_runs(world, id);
    let latest = runs
        .iter()
        .filter(|run| run["isManual"] == false)
        .map(|run| run["until"].as_u64().or(run["dueAt"].as_u64()).unwrap())
        .max()
        .unwrap_or_default();
    let until = latest.max(world.now.as_ms());
    let mut at = created;
    while let Some(next) = timing.next_fire(at).filter(|at| at.as_ms() <= until) {
        counts.insert(next.as_ms(), 0);
        at = next;
    }
    for run in &runs {
        if run["isManual"] == true {
            continue;
        }
        let first = run["dueAt"].as_u64().unwrap();
        let last = run["until"].as_u64().unwrap_or(first);
        let mut told = 0;
        for (_, count) in counts.range_mut(first..=last) {
            *count += 1;
            told += 1;
        }
        assert_eq!(run["count"], told, "{what}: {run}");
    }
    let wrong: Vec<_> = counts.iter().filter(|(_, count)| **count != 1).collect();
    assert!(wrong.is_empty(), "{what}: {wrong:?}");
}

#[test]
fn a_person_has_no_more_schedules_than_the_limit() {
    let mut world = World::new();
    let worker = worker(&mut world);
    let id = create(&mut world, &worker, json!({}));
    let owner = PersonId::generate(Timestamp::from_ms(1_700_000_000_000), [9; 10]);
    for n in 1..SCHEDULES_MAX as u64 {
        let mut entropy = [0; 10];
        // Beyond what the world counts its own by.
        entropy[2..].copy_from_slice(&(1 << 40 | n).to_be_bytes());
        let other = ScheduleId::generate(world.now, entropy);
        save(&mut world.rows, &key::schedule_of(&owner, &other), &Entry).unwrap();
    }
    world.rows.commit();
    let spec = json!({ "name": "s", "when": { "kind": "cron", "expression": "0 9 * * *", "zone": "UTC" }, "prompt": "Look." });
    let args = json!({ "workerId": worker, "spec": spec });
    let error = world
        .try_person("schedule.create", args.clone())
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::LimitReached);
    world.person("schedule.delete", json!({ "scheduleId": id }));
    world.person("schedule.create", args);
}

#[test]
fn what_is_due_when_a_person_pauses_edits_or_deletes_has_its_row() {
    for function in ["schedule.pause", "schedule.edit", "schedule.delete"] {
        let mut world = World::new();
        let worker = worker(&mut world);
        let id = create(&mut world, &worker, json!({}));
        // The deadline's tick comes later than the call.
        world.now = world.now.plus_ms(30 * MINUTE_MS);
        let mut args = json!({ "scheduleId": id });
        if function == "schedule.edit" {
            args["revision"] = json!(1);
            args["spec"] = json!({ "name": "s", "when": { "kind": "cron", "expression": "0 9 * * *", "zone": "UTC" }, "prompt": "Look." });
        }
        world.person(function, args);
        let runs = all_runs(&mut world, &id);
        assert!(runs.len() >= 4, "{function}: {runs:?}");
        settle(&mut world, 1);
        assert_eq!(all_runs(&mut world, &id).len(), runs.len(), "{function}");
    }
}

#[test]
fn a_webhooks_secret_is_shown_with_its_schedule_and_stays_the_same() {
    let mut world = World::new();
    let worker = worker(&mut world);
    let notify = json!({ "onFailure": true, "webhook": "https://example.org/x" });
    let id = create(&mut world, &worker, json!({ "notify": notify }));
    let view = world.person("schedule.view", json!({ "scheduleId": id }));
    let secret = view["webhookSecret"].as_str().unwrap().to_owned();
    let edit = |world: &mut World, revision: u32, notify: &Value| {
        let spec = json!({ "name": "s", "when": { "kind": "cron", "expression": "0 9 * * *", "zone": "UTC" }, "prompt": "Look.", "notify": notify });
        let args = json!({ "scheduleId": id, "revision": revision, "spec": spec });
        world.person("schedule.edit", args)["webhookSecret"].clone()
    };
    assert_eq!(edit(&mut world, 1, &json!({})), Value::Null);
    assert_eq!(edit(&mut world, 2, &notify), secret);
}

#[test]
fn the_deadline_of_a_paused_or_deleted_schedule_is_gone() {
    let mut world = World::new();
    let worker = worker(&mut world);
    let id = create(&mut world, &worker, json!({}));
    let armed = |world: &World| {
        world
            .rows
            .iter()
            .filter(|(key, value)| {
                key.starts_with("deadline/")
                    && String::from_utf8_lossy(value).contains("ScheduleFires")
            })
            .count()
    };
    assert_eq!(armed(&world), 1);
    world.person("schedule.pause", json!({ "scheduleId": id }));
    assert_eq!(armed(&world), 0);
    world.person("schedule.resume", json!({ "scheduleId": id }));
    assert_eq!(armed(&world), 1);
    world.person("schedule.delete", json!({ "scheduleId": id }));
    assert_eq!(armed(&world), 0);
}
