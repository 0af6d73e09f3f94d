//! What the tests against real processes share.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "each test file uses a part of it; tests may panic"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use opencode_driver::{Driver, LocateConfig, Opencode, OpencodeConfig, StartedSession};
use protocol::Timestamp;
use protocol::driver::{DriverEvent, SessionSpec, TurnEnd};
use protocol::ids::{ChatSessionId, TurnId};
use protocol::transcript::{Transcript, text_hash};
use protocol::wire::{AskAnswer, AskBody, ChunkOp, Part, PartBody, ToolCall};
use scripted_model::{ModelConfig, ScriptedModel};
use tempfile::TempDir;
use tokio::sync::mpsc;

/// Longer than anything here takes: only a hang meets it.
pub const HANG: Duration = Duration::from_secs(120);

/// The real opencode. Its absence fails the test: nothing is skipped.
pub fn real_opencode() -> PathBuf {
    if let Some(path) = std::env::var_os("ORCHESTRATOR_OPENCODE") {
        return PathBuf::from(path);
    }
    let machine = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "x64"
    };
    let system = if cfg!(target_os = "macos") {
        "darwin"
    } else {
        "linux"
    };
    let pinned = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/opencode/node_modules")
        .join(format!("opencode-{system}-{machine}/bin/opencode"));
    assert!(
        pinned.is_file(),
        "the pinned opencode is missing: run tests/opencode/scripts/ensure-opencode"
    );
    pinned.canonicalize().unwrap()
}

/// The scripted double.
pub fn fake_opencode() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_fake-opencode"))
}

pub fn config(program: PathBuf, state: &Path) -> OpencodeConfig {
    let locate = LocateConfig {
        explicit: Some(program),
        ..LocateConfig::default()
    };
    let mut config = OpencodeConfig::new(locate, state);
    config.supervisor = vec![env!("CARGO_BIN_EXE_opencode-supervise").into()];
    config.lean = true;
    config
}

/// A driver with a scripted model and directories of its own.
pub struct Bench {
    pub model: ScriptedModel,
    pub driver: Opencode,
    pub home: TempDir,
}

impl Bench {
    pub async fn new() -> Self {
        let model = ScriptedModel::start(ModelConfig::fast()).await.unwrap();
        let home = TempDir::new().unwrap();
        let mut config = config(real_opencode(), &home.path().join("state"));
        config.config = model.opencode_config();
        std::fs::create_dir(home.path().join("work")).unwrap();
        Self {
            model,
            driver: Opencode::new(config),
            home,
        }
    }

    pub fn work(&self) -> PathBuf {
        self.home.path().join("work")
    }

    pub fn spec(&self, chat: u8) -> SessionSpec {
        spec(&self.work(), chat)
    }

    pub async fn start(&self, chat: u8) -> Chat {
        Chat::start(&self.driver, self.spec(chat)).await
    }
}

pub fn spec(directory: &Path, chat: u8) -> SessionSpec {
    SessionSpec {
        chat_session_id: ChatSessionId::generate(Timestamp::from_ms(1_795_000_000_000), [chat; 10]),
        directory: directory.to_str().unwrap().to_owned(),
        agent_session_id: None,
        title: "A test".to_owned(),
        model: None,
        agent: None,
        is_own_directory: false,
        sandbox: protocol::wire::Sandbox::Off,
        ask_first: false,
        also_writes: Vec::new(),
    }
}

pub fn turn_id(number: u8) -> TurnId {
    TurnId::generate(
        Timestamp::from_ms(1_795_000_000_000 + u64::from(number)),
        [number; 10],
    )
}

/// A started session with its events.
pub struct Chat {
    pub session: StartedSession,
    pub events: mpsc::Receiver<DriverEvent>,
}

/// A turn as a reader of its events has it.
#[derive(Debug, Default)]
pub struct Seen {
    pub ops: Vec<ChunkOp>,
    pub shown: Transcript,
    pub asked: BTreeMap<String, AskBody>,
    pub closed: Vec<String>,
    pub end: Option<TurnEnd>,
}

impl Seen {
    pub fn end(&self) -> &TurnEnd {
        self.end.as_ref().expect("the turn has ended")
    }

    pub fn texts(&self) -> Vec<&str> {
        texts(&self.end().answer.parts)
    }

    pub fn tools(&self) -> Vec<&ToolCall> {
        let tool = |part: &'_ Part| matches!(part.body, PartBody::Tool(_));
        self.end()
            .answer
            .parts
            .iter()
            .filter(|part| tool(part))
            .map(|part| match &part.body {
                PartBody::Tool(call) => call,
                _ => unreachable!(),
            })
            .collect()
    }

    /// What was streamed comes to the same as the complete answer.
    pub fn assert_streamed_is_final(&self) {
        let answer = &self.end().answer;
        assert_eq!(texts(self.shown.parts()), texts(&answer.parts));
        assert_eq!(self.shown.hash(), text_hash(&answer.parts));
        for part in &answer.parts {
            assert!(
                self.shown.parts().contains(part),
                "{part:?} is not in {:?}",
                self.shown.parts()
            );
        }
    }
}

pub fn texts(parts: &[Part]) -> Vec<&str> {
    parts
        .iter()
        .filter_map(|part| match &part.body {
            PartBody::Text { text } if !text.is_empty() => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

impl Chat {
    pub async fn start(driver: &dyn Driver, spec: SessionSpec) -> Self {
        let (sender, events) = mpsc::channel(16);
        let session = tokio::time::timeout(HANG, driver.start(spec, sender))
            .await
            .expect("it hangs")
            .unwrap();
        Self { session, events }
    }

    pub async fn next(&mut self) -> DriverEvent {
        tokio::time::timeout(HANG, self.events.recv())
            .await
            .expect("no event comes")
            .expect("the events have ended")
    }

    /// Sends a message and follows the turn to its end, answering asks from the list in turn.
    pub async fn turn(&mut self, number: u8, text: &str, answers: &[AskAnswer]) -> Seen {
        self.session
            .process
            .prompt(&turn_id(number), text)
            .await
            .unwrap();
        self.follow(number, answers).await
    }

    /// Follows a turn to its end.
    pub async fn follow(&mut self, number: u8, answers: &[AskAnswer]) -> Seen {
        let mut answers = answers.iter();
        let mut seen = Seen::default();
        loop {
            let event = self.next().await;
            let id = self.note(number, &mut seen, event);
            if let Some(id) = id {
                let answer = answers
                    .next()
                    .unwrap_or_else(|| panic!("nobody expected {:?}", seen.asked[&id]));
                self.session
                    .process
                    .reply(&id, answer.clone())
                    .await
                    .unwrap();
            }
            if seen.end.is_some() {
                return seen;
            }
        }
    }

    /// Takes an event into account; the id of an ask that it opens.
    pub fn note(&self, number: u8, seen: &mut Seen, event: DriverEvent) -> Option<String> {
        match event {
            DriverEvent::Chunk { turn_id: turn, op } => {
                assert_eq!(turn, turn_id(number));
                seen.shown.apply_op(&op);
                seen.ops.push(op);
            }
            DriverEvent::AskOpened {
                agent_ask_id, body, ..
            } => {
                seen.asked.insert(agent_ask_id.clone(), body);
                return Some(agent_ask_id);
            }
            DriverEvent::AskClosed { agent_ask_id, .. } => seen.closed.push(agent_ask_id),
            DriverEvent::TurnEnded { turn_id: turn, end } => {
                assert_eq!(turn, turn_id(number));
                seen.end = Some(end);
            }
            DriverEvent::Exited { reason } => panic!("it exited: {reason}"),
        }
        None
    }

    /// Follows a turn until something is so.
    pub async fn until(&mut self, number: u8, is_so: impl Fn(&Seen) -> bool) -> Seen {
        let mut seen = Seen::default();
        while !is_so(&seen) {
            let event = self.next().await;
            self.note(number, &mut seen, event);
        }
        seen
    }
}

/// The processes that run in a directory or below it, or have a path below it in their environment.
pub fn processes_of(home: &Path) -> Vec<u32> {
    let needle = home.to_str().unwrap().as_bytes();
    let own = std::process::id();
    let has = |id: &u32| {
        let environment = std::fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
        let directory = std::fs::read_link(format!("/proc/{id}/cwd")).unwrap_or_default();
        environment
            .windows(needle.len())
            .any(|window| window == needle)
            || directory.starts_with(home)
    };
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id| *id != own).filter(has).collect()
}

/// The process whose command line has a word.
pub fn process_called(home: &Path, word: &str) -> u32 {
    let has = |id: &u32| {
        let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0)
            .next()
            .is_some_and(|program| String::from_utf8_lossy(program).ends_with(word))
    };
    processes_of(home)
        .into_iter()
        .find(has)
        .unwrap_or_else(|| panic!("no process called {word}"))
}

/// kill -9.
pub fn kill(process: u32) {
    assert!(
        std::process::Command::new("kill")
            .args(["-9", &process.to_string()])
            .status()
            .unwrap()
            .success()
    );
}

/// Waits until something is so.
pub async fn until(is_so: impl Fn() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(HANG, wait)
        .await
        .expect("it never came to be so");
}
