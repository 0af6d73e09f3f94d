use serde_json::{Value, json};

use super::world::World;
use crate::limits::TRANSCRIPT_PAGE_BYTES;
use crate::transcript::text_hash;
use crate::wire::{Part, PartBody};

/// A turn with an answer of so many bytes; gives its id.
fn answered(world: &mut World, chat: &Value, bytes: usize) -> Value {
    let sent = world.person(
        "worker.chat.sendMessage",
        json!({ "chatSessionId": chat, "message": "go" }),
    );
    let turn = sent["turn"]["id"].clone();
    world.machine("worker.chat.takeTurn", json!({ "turnId": turn }));
    let parts = vec![Part {
        id: "p".to_owned(),
        body: PartBody::Text {
            text: "x".repeat(bytes),
        },
    }];
    let answer = json!({ "parts": parts, "hash": text_hash(&parts) });
    world.machine(
        "worker.chat.writeMessage",
        json!({ "turnId": turn, "outcome": "completed", "answer": answer }),
    );
    turn
}

fn ordinals(page: &Value) -> Vec<u64> {
    let turns = page["turns"].as_array().unwrap();
    turns
        .iter()
        .map(|record| record["turn"]["ordinal"].as_u64().unwrap())
        .collect()
}

#[test]
fn a_page_holds_what_fits_latest_first_and_always_one_turn() {
    let mut world = World::new();
    let worker = world.person(
        "worker.register",
        json!({ "machineId": world.machine, "directory": "repo" }),
    );
    let started = world.person(
        "worker.chat.startSession",
        json!({ "workerId": worker["id"] }),
    );
    let chat = &started["chatSessionId"];
    for (seq, state) in [(1, "starting"), (2, "ready")] {
        let report = json!({ "chatSessionId": chat, "state": state, "seq": seq });
        world.machine("worker.chat.reportSession", report);
    }
    let sizes = [
        10,
        TRANSCRIPT_PAGE_BYTES / 2,
        TRANSCRIPT_PAGE_BYTES + 1,
        TRANSCRIPT_PAGE_BYTES / 2,
        10,
    ];
    let turns: Vec<Value> = sizes
        .iter()
        .map(|bytes| answered(&mut world, chat, *bytes))
        .collect();

    let mut page = world.person("worker.chat.transcript", json!({ "chatSessionId": chat }));
    assert_eq!(ordinals(&page), [4, 5]);
    for expected in [vec![3], vec![1, 2]] {
        assert_eq!(page["hasEarlier"], true);
        let before = json!({ "chatSessionId": chat, "beforeOrdinal": ordinals(&page)[0] });
        page = world.person("worker.chat.transcript", before);
        assert_eq!(ordinals(&page), expected);
    }
    assert_eq!(page["hasEarlier"], false);

    let chosen = json!({ "chatSessionId": chat, "turnIds": [turns[4], turns[2], turns[3]] });
    let page = world.person("worker.chat.transcript", chosen);
    assert_eq!(ordinals(&page), [4, 5]);
}
