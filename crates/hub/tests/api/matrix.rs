//! Every route against every role. The routes come from the table of functions and from the hub's own
//! description, so a new one without a line here fails.

use hyper::{Method, StatusCode};
use protocol::{
    ErrorCode,
    functions::{Access, FUNCTIONS, FunctionInfo},
};
use serde_json::{Value, json};

use crate::support::{Answer, Caller, Machine, TestHub, encode, hash_of_nothing, text};

/// A hub on which there is one of everything.
struct World {
    test: TestHub,
    machine: Machine,
    other_machine: Machine,
    stale: Caller,
    new_machine: String,
    worker: String,
    chat: String,
    turn: String,
    waiting_turn: String,
    interrupted_turn: String,
    ask: String,
    command: String,
    schedule: String,
    run: String,
    key: String,
}

fn schedule_spec() -> Value {
    let when = json!({ "kind": "cron", "expression": "0 9 * * *", "zone": "UTC" });
    json!({ "name": "daily", "when": when, "prompt": "Look.", "overlap": "parallel" })
}

impl World {
    async fn new() -> Self {
        let test = TestHub::start().await;
        let first = test.connected().await;
        let machine = test.connect(&first.id, &first.secret).await;
        let other_machine = test.connected().await;
        let owner = test.owner();
        let chat = test.chat(&machine).await;
        let interrupted_turn = test.turn(&machine, &chat).await;
        let end = json!({
            "turnId": interrupted_turn,
            "outcome": "interrupted",
            "answer": { "parts": [], "hash": hash_of_nothing() },
        });
        machine.caller.call("worker.chat.writeMessage", end).await;
        let turn = test.turn(&machine, &chat).await;
        let sent = json!({ "chatSessionId": chat, "message": "Next" });
        let waiting_turn = text(&owner.call("worker.chat.sendMessage", sent).await["turn"]["id"]);
        let body = json!({ "kind": "permission", "permission": "bash", "patterns": ["ls"] });
        let ask = json!({ "turnId": turn, "agentAskId": "a", "body": body });
        let ask = text(&machine.caller.call("worker.chat.openAsk", ask).await["askId"]);
        let view = owner
            .call("worker.chat.view", json!({ "chatSessionId": chat }))
            .await;
        let operation = json!({ "kind": "make_directory", "path": "a" });
        let request = json!({ "machineId": machine.id, "operation": operation });
        let requested = owner.call("machine.command.request", request).await;
        let command = text(&requested["command"]["id"]);
        machine
            .caller
            .call("machine.command.take", json!({ "commandId": command }))
            .await;
        let created = owner.call("machine.create", json!({ "name": "new" })).await;
        let worker = text(&view["chat"]["workerId"]);
        let schedule = json!({ "workerId": worker, "spec": schedule_spec() });
        let scheduled = owner.call("schedule.create", schedule).await;
        let schedule = text(&scheduled["schedule"]["id"]);
        let begun = owner
            .call("schedule.runNow", json!({ "scheduleId": schedule }))
            .await;
        Self {
            worker,
            schedule,
            run: text(&begun["run"]["id"]),
            new_machine: text(&created["machineId"]),
            key: text(&created["registrationKey"]),
            stale: first.caller,
            test,
            machine,
            other_machine,
            chat,
            turn,
            waiting_turn,
            interrupted_turn,
            ask,
            command,
        }
    }

    /// Arguments with which the owner, or the machine, succeeds.
    fn args(&self, function: &str) -> Value {
        let Self {
            machine,
            new_machine,
            worker,
            chat,
            turn,
            ask,
            command,
            ..
        } = self;
        match function {
            "machine.list" | "machine.heartbeat" | "machine.disconnect" | "machine.inbox" => {
                json!({})
            }
            "machine.view" | "machine.health" | "machine.revoke" | "machine.activity" => {
                json!({ "machineId": machine.id })
            }
            "machine.create" => json!({ "name": "another" }),
            "machine.reissueKey" => json!({ "machineId": new_machine }),
            "machine.rename" => json!({ "machineId": machine.id, "name": "renamed" }),
            "machine.register" => json!({ "registrationKey": self.key }),
            "machine.connect" => {
                json!({ "machineId": machine.id, "secret": machine.secret, "wireVersion": 1 })
            }
            "machine.directory" => json!({ "machineId": machine.id, "directory": "" }),
            "machine.command.request" => json!({
                "machineId": machine.id,
                "operation": { "kind": "list", "directory": "" },
            }),
            "machine.command.cancel" | "machine.command.view" | "machine.command.take" => {
                json!({ "commandId": command })
            }
            "machine.command.report" => {
                json!({ "commandId": command, "progress": { "phase": "Counting" }, "seq": 9 })
            }
            "machine.command.finish" => json!({ "commandId": command, "outcome": "succeeded" }),
            "worker.register" => json!({ "machineId": machine.id, "directory": "b" }),
            "worker.configure" => json!({ "workerId": worker, "settings": {} }),
            "worker.rename" => json!({ "workerId": worker, "name": "renamed" }),
            "worker.remove" => json!({ "workerId": worker }),
            "worker.report" => json!({ "workerId": worker, "state": "ready", "seq": 9 }),
            "worker.chat.startSession" => json!({ "workerId": worker }),
            "worker.chat.renameSession" => json!({ "chatSessionId": chat, "title": "renamed" }),
            "worker.chat.endSession" | "worker.chat.view" | "worker.chat.transcript" => {
                json!({ "chatSessionId": chat })
            }
            "worker.chat.sendMessage" => json!({ "chatSessionId": chat, "message": "Hello" }),
            "worker.chat.cancelTurn" => json!({ "turnId": self.waiting_turn }),
            "worker.chat.continueTurn" => json!({ "turnId": self.interrupted_turn }),
            "worker.chat.answerAsk" => json!({ "askId": ask, "answer": { "kind": "once" } }),
            "worker.chat.reportSession" => {
                json!({ "chatSessionId": chat, "state": "failed", "reason": "x", "seq": 9 })
            }
            "worker.chat.takeTurn" => json!({ "turnId": turn }),
            "worker.chat.writeMessage" => json!({
                "turnId": turn,
                "outcome": "completed",
                "answer": { "parts": [], "hash": hash_of_nothing() },
            }),
            "worker.chat.openAsk" => json!({
                "turnId": turn,
                "agentAskId": "b",
                "body": { "kind": "permission", "permission": "bash", "patterns": [] },
            }),
            "worker.chat.settleAsk" => json!({ "turnId": turn, "agentAskId": "a" }),
            "schedule.list" => json!({ "workerId": worker }),
            "schedule.create" => json!({ "workerId": worker, "spec": schedule_spec() }),
            "schedule.edit" => {
                json!({ "scheduleId": self.schedule, "revision": 1, "spec": schedule_spec() })
            }
            "schedule.view" | "schedule.ledger" | "schedule.pause" | "schedule.resume"
            | "schedule.runNow" | "schedule.delete" => json!({ "scheduleId": self.schedule }),
            "schedule.cancelRun" => json!({ "runId": self.run }),
            unknown => panic!("say here with which arguments {unknown} is called"),
        }
    }

    async fn refusal(
        &self,
        caller: &Caller,
        function: &FunctionInfo,
    ) -> (StatusCode, Option<ErrorCode>) {
        let answer = caller
            .try_call(function.name, self.args(function.name))
            .await;
        let code = (!answer.status.is_success()).then(|| answer.error().code);
        (answer.status, code)
    }
}

/// Functions that reach nothing by an id: what they do concerns the caller only.
const WITHOUT_IDS: &[&str] = &[
    "machine.list",
    "machine.create",
    "machine.heartbeat",
    "machine.disconnect",
    "machine.inbox",
];

const UNAUTHENTICATED: (StatusCode, Option<ErrorCode>) =
    (StatusCode::UNAUTHORIZED, Some(ErrorCode::Unauthenticated));
const FORBIDDEN: (StatusCode, Option<ErrorCode>) =
    (StatusCode::FORBIDDEN, Some(ErrorCode::Forbidden));
const NOT_FOUND: (StatusCode, Option<ErrorCode>) =
    (StatusCode::NOT_FOUND, Some(ErrorCode::NotFound));
const OK: (StatusCode, Option<ErrorCode>) = (StatusCode::OK, None);

#[tokio::test]
async fn every_function_answers_only_those_it_is_for() {
    let world = World::new().await;
    let test = &world.test;
    let stranger = test.stranger();
    let forged_person = test.bearer(protocol::secret::Secret::generate("opt", [3; 32]).expose());
    let forged_machine = test.bearer(&format!(
        "omc_{}_{}_x",
        world.machine.id, world.machine.epoch
    ));
    let forged_cookie = test.cookie(&format!(
        "orchestrator_session_{}=opb_x",
        test.hub.addr().port()
    ));
    for function in FUNCTIONS {
        let has_ids = !WITHOUT_IDS.contains(&function.name);
        let others = if has_ids { NOT_FOUND } else { OK };
        let stale = (StatusCode::FORBIDDEN, Some(ErrorCode::StaleEpoch));
        let machines = (FORBIDDEN, FORBIDDEN);
        let (anonymous, (machine, other_machine), (person, other_person), stale) =
            match function.access {
                // Whatever else the caller brings: what counts is among the arguments.
                Access::Anyone => continue,
                Access::Person => (UNAUTHENTICATED, machines, (OK, others), stale),
                Access::Machine => (UNAUTHENTICATED, (OK, others), (FORBIDDEN, FORBIDDEN), stale),
            };
        let refused = [
            ("nobody", test.anybody(), anonymous),
            ("a forged person", forged_person.clone(), UNAUTHENTICATED),
            ("a forged machine", forged_machine.clone(), UNAUTHENTICATED),
            (
                "a forged cookie",
                forged_cookie.clone(),
                if function.access == Access::Person {
                    UNAUTHENTICATED
                } else {
                    anonymous
                },
            ),
            ("another person", stranger.clone(), other_person),
            (
                "another machine",
                world.other_machine.caller.clone(),
                other_machine,
            ),
            ("an earlier connection", world.stale.clone(), stale),
        ];
        for (who, caller, expected) in refused {
            assert_eq!(
                world.refusal(&caller, function).await,
                expected,
                "{who} calls {}",
                function.name
            );
        }
        let wrong_kind = if function.access == Access::Person {
            (&world.machine.caller, machine)
        } else {
            (&test.owner(), person)
        };
        assert_eq!(
            world.refusal(wrong_kind.0, function).await,
            wrong_kind.1,
            "the wrong kind calls {}",
            function.name
        );
    }
}

#[tokio::test]
async fn every_function_answers_those_it_is_for() {
    for function in FUNCTIONS {
        let world = World::new().await;
        let caller = match function.access {
            Access::Anyone => world.test.anybody(),
            Access::Person => world.test.owner(),
            Access::Machine => world.machine.caller.clone(),
        };
        assert_eq!(
            world.refusal(&caller, function).await,
            OK,
            "{}",
            function.name
        );
    }
}

#[tokio::test]
async fn every_watch_reaches_only_what_is_the_watchers() {
    let world = World::new().await;
    let test = &world.test;
    let stranger = test.stranger();
    let foreign = [
        (&stranger, "machine.view", "not_found"),
        (&stranger, "worker.chat.view", "not_found"),
        (&stranger, "machine.inbox", "forbidden"),
        (&stranger, "machine.activity", "not_found"),
        (&stranger, "machine.directory", "not_found"),
        (&stranger, "machine.command.view", "not_found"),
        (&stranger, "schedule.list", "not_found"),
        (&stranger, "schedule.view", "not_found"),
        (&stranger, "schedule.ledger", "not_found"),
        (&world.machine.caller, "schedule.view", "forbidden"),
        (&world.machine.caller, "machine.command.view", "forbidden"),
        (&world.machine.caller, "machine.view", "forbidden"),
        (&world.machine.caller, "machine.list", "forbidden"),
        (&world.machine.caller, "worker.chat.view", "forbidden"),
        (&world.test.owner(), "machine.rename", "invalid"),
        (&world.test.owner(), "worker.chat.transcript", "invalid"),
        (&world.test.owner(), "no.such", "not_found"),
    ];
    for (caller, function, expected) in foreign {
        let args = if function == "no.such" {
            json!({})
        } else {
            world.args(function)
        };
        let mut events = caller
            .watch(&[(function, args)])
            .await
            .expect("a connection");
        assert_eq!(events.error().await, expected, "{function}");
    }
    let mut own = stranger
        .watch(&[("machine.list", json!({}))])
        .await
        .expect("a connection");
    assert_eq!(own.value().await["machines"], json!([]));
    for caller in [
        test.anybody(),
        test.bearer("omc_x"),
        test.bearer("opt_x"),
        world.stale.clone(),
    ] {
        let refused = caller
            .watch(&[("machine.list", json!({}))])
            .await
            .err()
            .expect("refused");
        assert!(
            matches!(
                refused.status,
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
            ),
            "{refused:?}"
        );
    }
}

/// What a role gets from a route that is no function. Only the first figure of a success counts.
struct Row {
    route: (&'static str, &'static str),
    body: Value,
    anonymous: StatusCode,
    person: StatusCode,
    stranger: StatusCode,
    machine: StatusCode,
    other_machine: StatusCode,
}

#[tokio::test]
async fn every_other_route_answers_only_those_it_is_for() {
    const O: StatusCode = StatusCode::OK;
    const U: StatusCode = StatusCode::UNAUTHORIZED;
    const F: StatusCode = StatusCode::FORBIDDEN;
    const N: StatusCode = StatusCode::NOT_FOUND;
    let row =
        |method,
         path,
         body,
         [anonymous, person, stranger, machine, other_machine]: [StatusCode; 5]| Row {
            route: (method, path),
            body,
            anonymous,
            person,
            stranger,
            machine,
            other_machine,
        };
    let stream = "/v1/streams/turn/{turnId}";
    let rows = [
        row("get", "/v1/health", Value::Null, [O; 5]),
        row("get", "/openapi.json", Value::Null, [O; 5]),
        row("get", "/v1/watch", Value::Null, [U, O, O, O, O]),
        row("get", stream, Value::Null, [U, O, N, O, N]),
        row("head", stream, Value::Null, [U, O, N, O, N]),
        row("post", stream, json!([1]), [U, F, F, O, N]),
        row("put", stream, Value::Null, [F; 5]),
        row("delete", stream, Value::Null, [F; 5]),
        row("get", "/v1/auth/me", Value::Null, [U, O, O, F, F]),
        row("get", "/v1/auth/sign-ins", Value::Null, [U, O, O, F, F]),
        row("post", "/v1/auth/link", Value::Null, [U, O, O, F, F]),
        row("post", "/v1/auth/token", json!({}), [U, O, O, F, F]),
        row(
            "post",
            "/v1/auth/revoke",
            json!({ "id": "sgn_y" }),
            [U, N, N, F, F],
        ),
        row(
            "post",
            "/v1/auth/password",
            json!({ "password": "12345678" }),
            [U, O, O, F, F],
        ),
        row("post", "/v1/auth/sign-in", json!({ "token": "x" }), [U; 5]),
        row("post", "/v1/auth/sign-out", Value::Null, [O, O, O, F, F]),
    ];
    let world = World::new().await;
    let test = &world.test;
    let description = test.anybody().get("/openapi.json").await.json();
    for (path, operations) in description["paths"].as_object().expect("paths") {
        for method in operations.as_object().expect("operations").keys() {
            let is_function = FUNCTIONS
                .iter()
                .any(|function| *path == format!("/v1/{}", function.name));
            let has_row = rows.iter().any(|row| row.route == (method, path));
            assert!(
                is_function || has_row,
                "{method} {path} needs a line in this test"
            );
        }
    }
    for row in rows {
        let roles = [
            ("nobody", test.anybody(), row.anonymous),
            ("another person", test.stranger(), row.stranger),
            (
                "another machine",
                world.other_machine.caller.clone(),
                row.other_machine,
            ),
            ("the machine", world.machine.caller.clone(), row.machine),
            ("the owner", test.owner(), row.person),
        ];
        for (who, caller, expected) in roles {
            let answer = send(&world, &caller, &row).await;
            let same =
                answer.status == expected || (expected.is_success() && answer.status.is_success());
            assert!(
                same,
                "{who}: {:?} gave {}: {}",
                row.route, answer.status, answer.body
            );
        }
    }
}

async fn send(world: &World, caller: &Caller, row: &Row) -> Answer {
    let (method, path) = row.route;
    let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
    let mut path = path.replace("{turnId}", &world.turn);
    if path == "/v1/watch" {
        let function = if caller.is_machine() {
            "machine.inbox"
        } else {
            "machine.list"
        };
        let watches = json!([{ "id": "0", "function": function, "args": {} }]).to_string();
        path = format!("{path}?watches={}", encode(&watches));
        let opened = caller.events(&path).await;
        return opened.map_or_else(|answer| answer, |_| Answer::ok());
    }
    let is_other = caller.is(&world.other_machine.caller);
    let epoch = if is_other {
        world.other_machine.epoch
    } else {
        world.machine.epoch
    };
    let body = if row.body.is_null() {
        String::new()
    } else {
        row.body.to_string()
    };
    caller
        .with("content-type", "application/json")
        .with("producer-id", "p")
        .with("producer-epoch", &epoch.to_string())
        .with("producer-seq", "0")
        .send(method, &path, body)
        .await
}
