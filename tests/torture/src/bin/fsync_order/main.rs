//! Is what the hub acks on the disk before? Runs the shipped hub below strace, has it take one message and one
//! piece of a streamed answer, and looks in the trace for the order: the write to the log, the log's sync, the
//! answer. Then the same streams without the sync, which must be found out: `fsync_order`.
#![allow(clippy::print_stdout, reason = "what it found is what it prints")]

mod trace;

use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use hub::listen::{STALL_LIMIT, cut_stalled};
use hub::store::{Store, StoreOptions};
use hub::streams::{Create, OpenAccess, StreamLimits, Streams, router};
use protocol::Timestamp;
use protocol::backend::stream_path;
use protocol::functions::{
    Connect, CreateMachine, Function, RegisterMachine, RegisterWorker, ReportSession, SendMessage,
    StartSession, TakeTurn,
};
use protocol::ids::TurnId;
use protocol::secret::Secret;
use protocol::state::ChatState;
use protocol::wire::{
    Chunk, ChunkOp, ConnectArgs, CreateMachineArgs, DeltaKind, MachineInfo, RegisterMachineArgs,
    RegisterWorkerArgs, ReportSessionArgs, SendMessageArgs, StartSessionArgs, TurnArgs,
    WIRE_VERSION, WorkerSettings,
};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use transport::{Append, Call, Transport as _, new_key};
use transport_http::HttpTransport;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How long any step may take.
const LIMIT: Duration = Duration::from_secs(120);
/// The pause between two looks at the trace.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// The calls that matter.
const TRACED: &str =
    "trace=read,readv,recvfrom,recvmsg,write,writev,pwrite64,sendto,sendmsg,fsync,fdatasync";
/// So much of each call's data is in the trace: a page of the database with its head.
const TRACED_BYTES: &str = "8192";
/// What the message and the chunk hold, and nothing else does.
const MESSAGE: &str = "a-message-that-is-acked";
const CHUNK: &str = "a-chunk-that-is-acked";
/// This program as a hub's streams, and the same without the sync.
const SERVE: &str = "serve";
const SERVE_FORGETFUL: &str = "serve-without-sync";

#[tokio::main]
async fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let ended = match (args.next().as_deref(), args.next()) {
        (Some(SERVE), Some(database)) => serve(Path::new(&database), true).await,
        (Some(SERVE_FORGETFUL), Some(database)) => serve(Path::new(&database), false).await,
        _ => prove().await,
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

async fn prove() -> Result<(), Failure> {
    let home = tempfile::tempdir()?;
    if let Err(why) = can_trace(home.path()).await {
        println!("*** SKIPPED: whether the hub syncs before it acks was NOT checked: {why}");
        println!(
            "*** Install strace (on Debian: apt-get install strace) where processes may be traced."
        );
        return Ok(());
    }
    let orchestrator = match std::env::var_os("ORCHESTRATOR_PROGRAM") {
        Some(program) => PathBuf::from(program),
        None => std::env::current_exe()?.with_file_name("orchestrator"),
    };
    let trace = trace_hub(&orchestrator, home.path()).await?;
    for (what, text) in [("a message", MESSAGE), ("a piece of an answer", CHUNK)] {
        let ack = trace::check(&trace, text).map_err(|why| format!("{what}: {why}"))?;
        println!(
            "{what}: received in line {}, written to the log in {}, the log synced by {}, acked in {}",
            ack.received, ack.written, ack.synced, ack.answered
        );
    }
    // The proof can fail: the same streams with and without the sync.
    let this = std::env::current_exe()?;
    let trace = trace_streams(&this, home.path(), SERVE).await?;
    trace::check(&trace, CHUNK).map_err(|why| format!("the streams alone: {why}"))?;
    let trace = trace_streams(&this, home.path(), SERVE_FORGETFUL).await?;
    match trace::check(&trace, CHUNK) {
        Ok(ack) => Err(format!("without the sync nothing was found: {ack:?}").into()),
        Err(why) => {
            println!("without the sync it is found out: {why}");
            Ok(())
        }
    }
}

async fn can_trace(home: &Path) -> Result<(), String> {
    let traced = Command::new("strace")
        .args(["-D", "-f", "-o"])
        .arg(home.join("try"))
        .arg("true")
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .await;
    match traced {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Err(format!("strace can't be run: {error}")),
    }
}

/// A traced process. The tracer is its child, so that ending it ends both.
struct Traced {
    process: Child,
    trace: PathBuf,
    /// What it printed first.
    line: String,
}

impl Traced {
    async fn start(home: &Path, name: &str, command: &[&std::ffi::OsStr]) -> Result<Self, Failure> {
        let trace = home.join(format!("{name}.strace"));
        let mut process = Command::new("strace")
            .args(["-D", "-f", "-y", "-s", TRACED_BYTES, "-e", TRACED, "-o"])
            .arg(&trace)
            .args(command)
            .env_clear()
            .env("HOME", home)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = process.stdout.take().ok_or("no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        let line = tokio::time::timeout(LIMIT, lines.next_line())
            .await??
            .ok_or_else(|| format!("{name} did not start"))?;
        Ok(Self {
            process,
            trace,
            line,
        })
    }

    /// Ends it and reads what was written of it.
    async fn end(mut self) -> Result<String, Failure> {
        let pid = self.process.id().ok_or("it has ended by itself")?;
        self.process.kill().await?;
        let last = format!("{pid} +++ killed by SIGKILL +++");
        let deadline = Instant::now() + LIMIT;
        loop {
            let trace = std::fs::read(&self.trace)?;
            let trace = String::from_utf8_lossy(&trace);
            let is_last = |line: &str| line.split_whitespace().eq(last.split(' '));
            if trace.lines().any(is_last) {
                return Ok(trace.into_owned());
            }
            if Instant::now() > deadline {
                return Err("the trace does not end".into());
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

/// The shipped hub, with a machine that streams.
async fn trace_hub(orchestrator: &Path, home: &Path) -> Result<String, Failure> {
    let data = home.join("hub");
    let arguments = ["--json", "hub", "--listen", "127.0.0.1:0", "--data-dir"];
    let mut command = vec![orchestrator.as_os_str()];
    command.extend(arguments.map(std::ffi::OsStr::new));
    command.push(data.as_os_str());
    let traced = Traced::start(home, "hub", &command).await?;
    let started: Value = serde_json::from_str(&traced.line)?;
    let backend = started["backend"]
        .as_str()
        .ok_or("the hub told no address")?;
    let http = HttpTransport::new(backend)?;
    let owner = Secret::new(std::fs::read_to_string(data.join("owner-token"))?.trim());
    http.append(converse(&http, &owner).await?).await?;
    traced.end().await
}

/// All that comes before an append: a machine, a chat session and a message.
async fn converse(http: &HttpTransport, owner: &Secret) -> Result<Append, Failure> {
    let name = "here".to_owned();
    let created = call::<CreateMachine>(http, &CreateMachineArgs { name }, Some(owner)).await?;
    let register = RegisterMachineArgs {
        registration_key: created.registration_key,
        nonce: None,
        info: MachineInfo::default(),
    };
    let credentials = call::<RegisterMachine>(http, &register, None).await?;
    let connect = ConnectArgs {
        machine_id: credentials.machine_id.clone(),
        secret: credentials.secret,
        wire_version: WIRE_VERSION,
        nonce: None,
        info: MachineInfo::default(),
    };
    let connected = call::<Connect>(http, &connect, None).await?;
    let worker = RegisterWorkerArgs {
        machine_id: credentials.machine_id,
        directory: "project".to_owned(),
        name: None,
        settings: WorkerSettings::default(),
    };
    let worker_id = call::<RegisterWorker>(http, &worker, Some(owner)).await?.id;
    let session = StartSessionArgs {
        worker_id,
        title: None,
        model: None,
        agent: None,
        own_worktree: false,
        continues: None,
    };
    let session = call::<StartSession>(http, &session, Some(owner)).await?;
    let token = connected.connection_token;
    for (seq, state) in [(1, ChatState::Starting), (2, ChatState::Ready)] {
        let report = ReportSessionArgs {
            chat_session_id: session.chat_session_id.clone(),
            state,
            reason: None,
            agent_session_id: None,
            seq,
        };
        call::<ReportSession>(http, &report, Some(&token)).await?;
    }
    let message = SendMessageArgs {
        chat_session_id: session.chat_session_id,
        message: MESSAGE.to_owned(),
    };
    let turn = call::<SendMessage>(http, &message, Some(owner))
        .await?
        .turn
        .id;
    let turn_id = turn.clone();
    call::<TakeTurn>(http, &TurnArgs { turn_id }, Some(&token)).await?;
    Ok(append(turn, token, connected.epoch))
}

fn append(turn: TurnId, credential: Secret, epoch: u64) -> Append {
    let op = ChunkOp::Append {
        part: "p".to_owned(),
        kind: DeltaKind::Text,
        delta: CHUNK.to_owned(),
    };
    Append {
        turn_id: turn.clone(),
        credential,
        epoch,
        seq: 0,
        chunks: vec![Chunk { turn, seq: 0, op }],
    }
}

async fn call<F: Function>(
    http: &HttpTransport,
    args: &F::Args,
    credential: Option<&Secret>,
) -> Result<F::Reply, Failure> {
    let call = Call {
        function: F::NAME.to_owned(),
        args: serde_json::to_value(args)?,
        key: Some(new_key()),
        credential: credential.cloned(),
    };
    Ok(serde_json::from_value(http.call(call).await?)?)
}

/// The hub's streams alone, as this program serves them.
async fn trace_streams(this: &Path, home: &Path, how: &str) -> Result<String, Failure> {
    let database = home.join(format!("{how}.db"));
    let command = [this.as_os_str(), how.as_ref(), database.as_os_str()];
    let traced = Traced::start(home, how, &command).await?;
    let http = HttpTransport::new(traced.line.trim())?;
    let turn = turn_of_streams();
    http.append(append(turn, Secret::new("nobody"), 1)).await?;
    traced.end().await
}

/// The one turn whose stream is there.
fn turn_of_streams() -> TurnId {
    TurnId::generate(Timestamp::from_ms(1), [7; 10])
}

/// Serves streams to everybody until it is killed.
async fn serve(database: &Path, syncs_commits: bool) -> Result<(), Failure> {
    let options = StoreOptions {
        syncs_commits,
        ..StoreOptions::default()
    };
    let store = Store::open_with(database, &options)?;
    let streams = Streams::start(store, StreamLimits::default());
    let path = stream_path(&turn_of_streams());
    let path = path.strip_prefix("/v1/streams/").ok_or("another path")?;
    let create = Create {
        content_type: Some("application/json".to_owned()),
        ..Create::default()
    };
    streams
        .create_durably(path.to_owned(), create, None)
        .await?;
    let app = Router::new().nest("/v1/streams", router(streams, Arc::new(OpenAccess)));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(cut_stalled(listener, STALL_LIMIT), app).await?;
    Ok(())
}
