//! The wire types of the page and of the Convex backend are made from the Rust ones, and so is what else the
//! Convex backend knows of the contract. These tests fail when a committed file is stale;
//! `UPDATE_WIRE=1 cargo test -p protocol --test typescript` writes them anew.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use protocol::functions::{Access, FUNCTIONS, Kind};
use protocol::{functions, ids, limits, state, wire};
use schemars::generate::{Contract, SchemaSettings};
use serde_json::{Map, Value, json};
use ts_rs::{Config, TS};

const HEADER: &str =
    "// Made from crates/protocol by `UPDATE_WIRE=1 cargo test -p protocol --test typescript`.\n";
const PAGE_WIRE: &str = "../../webapp/src/lib/backend/wire.gen.ts";
const CONVEX_WIRE: &str = "../../convex/model/gen/wire.ts";
const CONVEX_SCHEMAS: &str = "../../convex/model/gen/schemas.ts";
const CONVEX_STATES: &str = "../../convex/model/gen/states.ts";

fn export<T: TS + 'static + ?Sized>(config: &Config) {
    T::export_all(config).expect("a wire type that TypeScript can say");
}

macro_rules! export_functions {
    ($config:expr, $($Function:ident),* $(,)?) => {$(
        export::<<functions::$Function as functions::Function>::Args>($config);
        export::<<functions::$Function as functions::Function>::Reply>($config);
    )*};
}

fn page_wire() -> String {
    let mut text = wire_types();
    writeln!(
        text,
        "\nexport const WIRE_VERSION = {};\nexport const WIRE_VERSION_MIN = {};",
        wire::WIRE_VERSION,
        wire::WIRE_VERSION_MIN
    )
    .unwrap();
    text.push_str("\nexport const LIMITS = {\n");
    for (name, value) in [
        ("nameMaxBytes", limits::NAME_MAX_BYTES),
        ("pathMaxBytes", limits::PATH_MAX_BYTES),
        ("messageMaxBytes", limits::MESSAGE_MAX_BYTES),
        ("queueMaxTurns", limits::QUEUE_MAX_TURNS),
        ("transcriptPageTurns", limits::TRANSCRIPT_PAGE_TURNS),
        ("inspectedMax", limits::INSPECTED_MAX),
        ("urlMaxBytes", limits::URL_MAX_BYTES),
        ("sseLineMaxBytes", limits::SSE_LINE_MAX_BYTES),
        ("schedulesMax", limits::SCHEDULES_MAX),
    ] {
        writeln!(text, "  {name}: {value},").unwrap();
    }
    text.push_str("} as const;\n");
    text
}

/// The same types, and every limit under its own name.
fn convex_wire() -> String {
    let mut text = wire_types();
    writeln!(
        text,
        "\nexport const WIRE_VERSION = {};\nexport const WIRE_VERSION_MIN = {};",
        wire::WIRE_VERSION,
        wire::WIRE_VERSION_MIN
    )
    .unwrap();
    text.push_str("\nexport const LIMITS = {\n");
    for (name, value) in limit_constants() {
        writeln!(text, "  {name}: {value},").unwrap();
    }
    text.push_str("} as const;\n");
    text
}

/// The constants of limits.rs, read from its text, so that none is forgotten here.
fn limit_constants() -> Vec<(String, u64)> {
    include_str!("../src/limits.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("pub const "))
        .map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            let (_, value) = value.trim_end_matches(';').split_once(" = ").unwrap();
            let factors = value.split(" * ").map(|factor| {
                let digits = factor.replace('_', "");
                digits.parse::<u64>().unwrap()
            });
            (camel_case(name), factors.product())
        })
        .collect()
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_').map(str::to_lowercase);
    let first = words.next().unwrap();
    words.fold(first, |text, word| {
        format!("{text}{}{}", word[..1].to_uppercase(), &word[1..])
    })
}

/// What every function's arguments look like, as JSON schemas without their prose: what they look like once
/// serialised, so that `required` says which members are written always. A member with a `default`, and one
/// that may be null, need not come.
fn convex_schemas() -> String {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.contract = Contract::Serialize;
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let functions: Map<String, Value> = FUNCTIONS
        .iter()
        .map(|function| {
            let schema = (function.args_schema)(&mut generator);
            (function.name.to_owned(), schema.into())
        })
        .collect();
    let mut definitions = Map::from_iter(generator.take_definitions(true));
    for (name, prefix) in ID_KINDS {
        if let Some(definition) = definitions.get_mut(*name) {
            *definition = json!({ "type": "string", "format": format!("id:{prefix}") });
        }
    }
    let mut text = format!("{HEADER}import type {{ Schema }} from \"../decode\";\n");
    for (name, schemas) in [("FUNCTION_ARGS", functions), ("DEFINITIONS", definitions)] {
        writeln!(
            text,
            "\nexport const {name}: Readonly<Record<string, Schema>> = {{"
        )
        .unwrap();
        for (name, mut schema) in BTreeMap::from_iter(schemas) {
            strip_prose(&mut schema);
            writeln!(text, "  {}: {},", json!(name), sorted(schema)).unwrap();
        }
        text.push_str("};\n");
    }
    text
}

/// The same with each object's members in one order, however serde_json was built.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let members: BTreeMap<_, _> = members
                .into_iter()
                .map(|(name, member)| (name, sorted(member)))
                .collect();
            Value::Object(Map::from_iter(members))
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

const ID_KINDS: &[(&str, &str)] = &[
    ("PersonId", ids::PersonId::PREFIX),
    ("MachineId", ids::MachineId::PREFIX),
    ("WorkerId", ids::WorkerId::PREFIX),
    ("ChatSessionId", ids::ChatSessionId::PREFIX),
    ("TurnId", ids::TurnId::PREFIX),
    ("AskId", ids::AskId::PREFIX),
    ("CommandId", ids::CommandId::PREFIX),
    ("ScheduleId", ids::ScheduleId::PREFIX),
    ("RunId", ids::RunId::PREFIX),
];

/// Takes out what only people read. A schema's own `title` and `description` are texts; a property of that name
/// is a schema.
fn strip_prose(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|name, member| {
                !(matches!(name.as_str(), "title" | "description" | "$comment")
                    && member.is_string())
            });
            members.values_mut().for_each(strip_prose);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_prose),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn convex_states() -> String {
    let mut text = format!(
        "{HEADER}\n/** Each thing's states, and the states that each may go to. */\nexport const STATES = {{\n"
    );
    for table in state::TABLES {
        writeln!(text, "  {}: {{", json!(table.thing)).unwrap();
        for (state, next) in table.rows {
            writeln!(text, "    {state}: {},", json!(next)).unwrap();
        }
        text.push_str("  },\n");
    }
    text.push_str("} as const;\n");
    text
}

fn wire_types() -> String {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::new()
        .with_out_dir(folder.path())
        .with_large_int("number");
    export_functions!(
        &config,
        ListMachines,
        ViewMachine,
        ViewHealth,
        CreateMachine,
        ReissueKey,
        RenameMachine,
        RevokeMachine,
        RegisterMachine,
        Connect,
        Heartbeat,
        Disconnect,
        ReadInbox,
        ViewDirectory,
        ReadActivity,
        RequestCommand,
        CancelCommand,
        ViewCommand,
        TakeCommand,
        ReportCommand,
        FinishCommand,
        RegisterWorker,
        RenameWorker,
        ConfigureWorker,
        RemoveWorker,
        ReportWorker,
        StartSession,
        RenameSession,
        EndSession,
        SendMessage,
        CancelTurn,
        ContinueTurn,
        AnswerAsk,
        ViewChat,
        ReadTranscript,
        ReportSession,
        TakeTurn,
        WriteMessage,
        OpenAsk,
        SettleAsk,
        ListSchedules,
        ViewSchedule,
        ReadLedger,
        CreateSchedule,
        EditSchedule,
        PauseSchedule,
        ResumeSchedule,
        RunScheduleNow,
        CancelRun,
        DeleteSchedule,
    );
    export::<wire::Chunk>(&config);
    export::<wire::Appended>(&config);
    export::<protocol::CallError>(&config);

    let types = std::fs::read_to_string(folder.path().join("wire.ts")).unwrap();
    let mut text = String::from(HEADER);
    text.extend(
        types
            .lines()
            .skip_while(|line| line.starts_with("//"))
            .map(|line| format!("{}\n", line.trim_end())),
    );
    text.push_str("\n/** Every function of the contract: who may call it, what it does, what it takes and gives. */\nexport interface Functions {\n");
    for function in FUNCTIONS {
        let (args, reply) = function.type_names;
        writeln!(
            text,
            "  /** {} */\n  \"{}\": {{ args: {args}; reply: {reply} }};",
            function.doc, function.name
        )
        .unwrap();
    }
    text.push_str("}\n\nexport const FUNCTIONS = {\n");
    for function in FUNCTIONS {
        let access = match function.access {
            Access::Anyone => "anyone",
            Access::Person => "person",
            Access::Machine => "machine",
        };
        let kind = match function.kind {
            Kind::Query => "query",
            Kind::Mutation => "mutation",
        };
        writeln!(
            text,
            "  \"{}\": {{ access: \"{access}\", kind: \"{kind}\" }},",
            function.name
        )
        .unwrap();
    }
    text.push_str("} as const;\n");
    text
}

#[test]
fn the_generated_files_are_up_to_date() {
    for (path, generated) in [
        (PAGE_WIRE, page_wire()),
        (CONVEX_WIRE, convex_wire()),
        (CONVEX_SCHEMAS, convex_schemas()),
        (CONVEX_STATES, convex_states()),
    ] {
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        if std::env::var_os("UPDATE_WIRE").is_some() {
            std::fs::create_dir_all(target.parent().unwrap()).unwrap();
            std::fs::write(&target, &generated).unwrap();
        }
        let committed = std::fs::read_to_string(&target).unwrap_or_default();
        assert!(
            committed == generated,
            "{path} is stale: run UPDATE_WIRE=1 cargo test -p protocol --test typescript"
        );
    }
}

#[test]
fn every_function_is_exported() {
    let generated = wire_types();
    for function in FUNCTIONS {
        let (args, reply) = function.type_names;
        for name in [args, reply] {
            assert!(
                generated.contains(&format!("export type {name} ")),
                "{name} of {} is missing",
                function.name
            );
        }
    }
}
