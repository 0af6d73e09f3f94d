//! Whoever watches a chat session looks again when its wait for a process may be another one, and only then.

use serde_json::{Value, json};

use super::world::World;
use crate::backend::{Effect, Topic};
use crate::ids::ChatSessionId;
use crate::limits::LEASE_MS;

fn tell(world: &mut World, processes: u32, waiting: &[&ChatSessionId]) {
    let status = json!({ "processes": processes, "processLimit": 4, "waiting": waiting });
    world.machine("machine.heartbeat", json!({ "status": status }));
}

/// The chat sessions that are to be looked at again.
fn looked_at(world: &World) -> Vec<ChatSessionId> {
    let chat = |effect: &Effect| match effect {
        Effect::Changed(Topic::Chat(chat)) => Some(chat.clone()),
        Effect::Changed(_)
        | Effect::CreateStream(_)
        | Effect::DeleteStream(_)
        | Effect::CutConnections { .. } => None,
    };
    world.effects.iter().filter_map(chat).collect()
}

fn ahead(world: &mut World, chat: &ChatSessionId) -> Value {
    let view = world.person("worker.chat.view", json!({ "chatSessionId": chat }));
    view["wait"]["ahead"].clone()
}

#[test]
fn only_those_look_again_whose_wait_is_another_one() {
    let mut world = World::new();
    let args = json!({ "machineId": world.machine, "directory": "a" });
    let worker = world.person("worker.register", args)["id"].clone();
    let chats = [(); 3].map(|()| {
        let started = world.person("worker.chat.startSession", json!({ "workerId": worker }));
        let chat: ChatSessionId = serde_json::from_value(started["chatSessionId"].clone()).unwrap();
        let args = json!({ "chatSessionId": chat, "message": "Hello" });
        world.person("worker.chat.sendMessage", args);
        chat
    });
    let [a, b, c] = &chats;
    tell(&mut world, 4, &[a, b]);
    assert_eq!(looked_at(&world), [a.clone(), b.clone()]);
    tell(&mut world, 4, &[a, b]);
    assert!(looked_at(&world).is_empty(), "it is the same");
    world.machine("machine.heartbeat", json!({}));
    assert!(looked_at(&world).is_empty(), "nothing is told");
    tell(&mut world, 4, &[a, c]);
    assert_eq!(looked_at(&world), [b.clone(), c.clone()]);
    tell(&mut world, 3, &[a, c]);
    assert_eq!(looked_at(&world), [a.clone(), c.clone()], "for memory now");
    assert_eq!(ahead(&mut world, c), 1);

    world.wait(LEASE_MS);
    assert_eq!(
        looked_at(&world),
        [a.clone(), c.clone()],
        "the lease is over"
    );
    assert_eq!(ahead(&mut world, c), Value::Null);
    world.machine("machine.heartbeat", json!({}));
    assert_eq!(looked_at(&world), [a.clone(), c.clone()], "it is back");
    assert_eq!(ahead(&mut world, c), 1);
    world.machine("machine.heartbeat", json!({ "draining": true }));
    assert_eq!(
        looked_at(&world),
        [a.clone(), c.clone()],
        "it takes nothing"
    );
    world.start_process();
    assert_eq!(
        looked_at(&world),
        [a.clone(), c.clone()],
        "another connection"
    );
    assert_eq!(ahead(&mut world, c), Value::Null);
}
