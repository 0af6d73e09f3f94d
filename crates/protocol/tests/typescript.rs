//! The page's wire types are made from the Rust ones. This test fails when the committed file is stale;
//! `UPDATE_WIRE=1 cargo test -p protocol --test typescript` writes it anew.

#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::path::Path;

use protocol::functions::{Access, FUNCTIONS, Kind};
use protocol::{functions, limits, wire};
use ts_rs::{Config, TS};

const TARGET: &str = "../../webapp/src/lib/backend/wire.gen.ts";

fn export<T: TS + 'static + ?Sized>(config: &Config) {
    T::export_all(config).expect("a wire type that TypeScript can say");
}

macro_rules! export_functions {
    ($config:expr, $($Function:ident),* $(,)?) => {$(
        export::<<functions::$Function as functions::Function>::Args>($config);
        export::<<functions::$Function as functions::Function>::Reply>($config);
    )*};
}

fn generate() -> String {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::new()
        .with_out_dir(folder.path())
        .with_large_int("number");
    export_functions!(
        &config,
        ListMachines,
        ViewMachine,
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
    );
    export::<wire::Chunk>(&config);
    export::<protocol::CallError>(&config);

    let types = std::fs::read_to_string(folder.path().join("wire.ts")).unwrap();
    let mut text = String::from(
        "// Made from crates/protocol by `UPDATE_WIRE=1 cargo test -p protocol --test typescript`.\n",
    );
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
    text.push_str("} as const;\n\nexport const LIMITS = {\n");
    for (name, value) in [
        ("nameMaxBytes", limits::NAME_MAX_BYTES),
        ("pathMaxBytes", limits::PATH_MAX_BYTES),
        ("messageMaxBytes", limits::MESSAGE_MAX_BYTES),
        ("queueMaxTurns", limits::QUEUE_MAX_TURNS),
        ("transcriptPageTurns", limits::TRANSCRIPT_PAGE_TURNS),
        ("inspectedMax", limits::INSPECTED_MAX),
        ("urlMaxBytes", limits::URL_MAX_BYTES),
        ("sseLineMaxBytes", limits::SSE_LINE_MAX_BYTES),
    ] {
        writeln!(text, "  {name}: {value},").unwrap();
    }
    text.push_str("} as const;\n");
    text
}

#[test]
fn the_pages_wire_types_are_up_to_date() {
    let generated = generate();
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join(TARGET);
    if std::env::var_os("UPDATE_WIRE").is_some() {
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::write(&target, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(&target).unwrap_or_default();
    assert!(
        committed == generated,
        "{TARGET} is stale: run UPDATE_WIRE=1 cargo test -p protocol --test typescript"
    );
}

#[test]
fn every_function_is_exported() {
    let generated = generate();
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
