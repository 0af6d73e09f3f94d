//! A backend with a person, a machine and its process.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::backend::{Backend, Caller, Effect, Entropy, MemoryRows, Request};
use crate::error::CallError;
use crate::ids::{IdempotencyKey, PersonId};
use crate::secret::Secret;
use crate::time::Timestamp;

const START: Timestamp = Timestamp::from_ms(1_700_000_000_000);

pub(super) struct World {
    pub(super) rows: MemoryRows,
    pub(super) now: Timestamp,
    pub(super) calls: u64,
    pub(super) processes: u32,
    pub(super) machine: String,
    pub(super) secret: String,
    pub(super) token: Secret,
    /// What the latest call or passing of time asked for besides.
    pub(super) effects: BTreeSet<Effect>,
}

impl World {
    pub(super) fn new() -> Self {
        let mut world = Self {
            rows: MemoryRows::default(),
            now: START,
            calls: 0,
            processes: 0,
            machine: String::new(),
            secret: String::new(),
            token: Secret::new(""),
            effects: BTreeSet::new(),
        };
        let created = world.person("machine.create", json!({ "name": "box" }));
        let register = json!({ "registrationKey": created["registrationKey"] });
        let credentials = world
            .call(Caller::Anyone, "machine.register", register)
            .unwrap();
        world.machine = credentials["machineId"].as_str().unwrap().to_owned();
        world.secret = credentials["secret"].as_str().unwrap().to_owned();
        world.start_process();
        world
    }

    /// A new process connects and gives its first sign of life, which fences the one before.
    pub(super) fn start_process(&mut self) {
        self.processes += 1;
        let nonce = format!("process-{}", self.processes);
        let args = json!({ "machineId": self.machine, "secret": self.secret, "wireVersion": 1, "nonce": nonce });
        let reply = self.call(Caller::Anyone, "machine.connect", args).unwrap();
        self.token = Secret::new(reply["connectionToken"].as_str().unwrap());
        self.machine("machine.heartbeat", json!({}));
    }

    pub(super) fn call(
        &mut self,
        caller: Caller,
        function: &str,
        args: Value,
    ) -> Result<Value, CallError> {
        self.calls += 1;
        let mut id = [0; 10];
        id[2..].copy_from_slice(&self.calls.to_be_bytes());
        let mut secret = [0; 32];
        secret[..8].copy_from_slice(&self.calls.to_be_bytes());
        let request = Request {
            function,
            args,
            key: Some(IdempotencyKey::generate(self.now, id)),
            caller,
        };
        let entropy = Entropy { id, secret };
        let result = Backend::new(&mut self.rows, self.now, entropy).call(&request);
        match &result {
            Ok(_) => self.rows.commit(),
            Err(_) => self.rows.roll_back(),
        }
        result.map(|outcome| {
            self.effects = outcome.effects;
            outcome.reply
        })
    }

    pub(super) fn try_person(&mut self, function: &str, args: Value) -> Result<Value, CallError> {
        let person = PersonId::generate(START, [9; 10]);
        self.call(Caller::Person(person), function, args)
    }

    pub(super) fn person(&mut self, function: &str, args: Value) -> Value {
        self.try_person(function, args).unwrap()
    }

    pub(super) fn try_machine(&mut self, function: &str, args: Value) -> Result<Value, CallError> {
        self.call(Caller::Machine(self.token.clone()), function, args)
    }

    pub(super) fn machine(&mut self, function: &str, args: Value) -> Value {
        self.try_machine(function, args).unwrap()
    }

    pub(super) fn request(&mut self, operation: Value) -> String {
        let args = json!({ "machineId": self.machine, "operation": operation });
        let view = self.person("machine.command.request", args);
        view["command"]["id"].as_str().unwrap().to_owned()
    }

    pub(super) fn refused(&mut self, operation: Value) -> CallError {
        let args = json!({ "machineId": self.machine, "operation": operation });
        self.try_person("machine.command.request", args)
            .unwrap_err()
    }

    pub(super) fn make_directory(&mut self, path: &str) -> String {
        self.request(json!({ "kind": "make_directory", "path": path }))
    }

    pub(super) fn list(&mut self, directory: &str) -> String {
        self.request(json!({ "kind": "list", "directory": directory }))
    }

    pub(super) fn take(&mut self, id: &str) -> Value {
        self.machine("machine.command.take", json!({ "commandId": id }))
    }

    pub(super) fn finish(&mut self, id: &str, outcome: &str, result: Value) {
        let args = json!({ "commandId": id, "outcome": outcome, "result": result });
        self.machine("machine.command.finish", args);
    }

    pub(super) fn view(&mut self, id: &str) -> Value {
        self.person("machine.command.view", json!({ "commandId": id }))
    }

    pub(super) fn state(&mut self, id: &str) -> String {
        self.view(id)["command"]["state"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    pub(super) fn open(&mut self) -> Vec<Value> {
        let inbox = self.machine("machine.inbox", json!({}));
        inbox["commands"].as_array().unwrap().clone()
    }

    pub(super) fn wait(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
        let entropy = Entropy {
            id: [0; 10],
            secret: [0; 32],
        };
        let met = Backend::new(&mut self.rows, self.now, entropy).tick();
        self.effects = met.unwrap().effects;
        self.rows.commit();
    }
}
