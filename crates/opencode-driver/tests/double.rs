//! The driver with a double of opencode that misbehaves: every failure is told clearly and leaves nothing.
#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "tests may panic"
)]

mod support;

use std::path::PathBuf;
use std::time::Duration;

use opencode_driver::{Driver, DriverError, LocateConfig, Opencode, OpencodeConfig, locate};
use protocol::driver::{DriverEvent, TurnRecall};
use protocol::state::TurnState;
use serde_json::json;
use support::{Chat, fake_opencode, spec, texts, turn_id};
use tempfile::TempDir;
use tokio::sync::mpsc;

const ANSWER: &str = "Grüße, 世界 😀";

struct Double {
    driver: Opencode,
    home: TempDir,
}

impl Double {
    fn that(how: &str) -> Self {
        Self::with(how, |_| {})
    }

    fn with(how: &str, change: impl FnOnce(&mut OpencodeConfig)) -> Self {
        let home = TempDir::new().unwrap();
        let mut config = support::config(fake_opencode(), &home.path().join("state"));
        config.config = json!({ "fake": how });
        change(&mut config);
        Self {
            driver: Opencode::new(config),
            home,
        }
    }

    async fn refused(&self) -> DriverError {
        let (events, _receiver) = mpsc::channel(1);
        let error = self
            .driver
            .start(spec(self.home.path(), 1), events)
            .await
            .unwrap_err();
        self.assert_nothing_is_left();
        error
    }

    async fn chat(&self) -> Chat {
        Chat::start(&self.driver, spec(self.home.path(), 1)).await
    }

    /// No process runs in this double's directory or has its database.
    fn assert_nothing_is_left(&self) {
        assert_eq!(support::processes_of(self.home.path()), Vec::<u32>::new());
    }

    /// Prompts, and follows the session to the exit that is to come.
    async fn exits_in_a_turn(&self) -> (String, String) {
        let mut chat = self.chat().await;
        chat.session
            .process
            .prompt(&turn_id(1), "hello")
            .await
            .unwrap();
        let mut seen = support::Seen::default();
        let reason = loop {
            match chat.next().await {
                DriverEvent::Exited { reason } => break reason,
                event => {
                    chat.note(1, &mut seen, event);
                }
            }
        };
        assert_eq!(
            chat.events.recv().await,
            None,
            "something comes after the exit"
        );
        assert!(matches!(
            chat.session.process.prompt(&turn_id(2), "more").await,
            Err(DriverError::Gone { .. })
        ));
        chat.session.process.stop().await;
        self.assert_nothing_is_left();
        (texts(seen.shown.parts()).concat(), reason)
    }
}

#[tokio::test]
async fn a_turn_of_the_double_is_as_it_should_be() {
    for how in [
        "",
        "split",
        "big-event",
        "drop",
        "no-acp",
        "port-taken",
        "killed-at-start",
    ] {
        let double = Double::that(how);
        let mut chat = double.chat().await;
        assert_eq!(chat.session.model.as_deref(), Some("fake/model"));
        assert_eq!(
            chat.session.process.recall(&turn_id(1)).await,
            Ok(TurnRecall::Absent)
        );
        let seen = chat.turn(1, "hello", &[]).await;
        seen.assert_streamed_is_final();
        assert_eq!(
            (seen.texts(), seen.end().outcome),
            (vec![ANSWER], TurnState::Completed),
            "{how}"
        );
        assert!(
            matches!(
                chat.session.process.recall(&turn_id(1)).await,
                Ok(TurnRecall::Finished(_))
            ),
            "{how}"
        );
        chat.session.process.stop().await;
        double.assert_nothing_is_left();
    }
}

#[tokio::test]
async fn what_can_not_start_says_why() {
    let error = Double::with("", |config| {
        config.locate.explicit = Some(PathBuf::from("/nowhere/opencode"))
    })
    .refused()
    .await;
    assert!(
        matches!(&error, DriverError::Missing { looked_in, .. } if looked_in == &["/nowhere/opencode"]),
        "{error}"
    );

    let error = Double::that("exit-at-start").refused().await;
    assert_eq!(
        error.to_string(),
        "opencode ended while it was starting (exit code 7). Its last words: Error: no space left on the moon"
    );

    let error = Double::that("always-killed").refused().await;
    assert!(error.is_retryable());
    assert_eq!(
        error.to_string(),
        "opencode was killed while it was starting (ended by signal 9), 3 times. If nobody did that, the machine \
         may be short of memory: end other programs, then send the message again. It wrote nothing to its \
         standard error."
    );

    let error = Double::with("never-ready", |config| {
        config.ready_limit = Duration::from_millis(300)
    })
    .refused()
    .await;
    assert!(
        matches!(&error, DriverError::NeverReady { stderr, .. } if stderr == "thinking about it"),
        "{error}"
    );

    let error = Double::with("hang", |config| {
        config.request_limit = Duration::from_millis(300)
    })
    .refused()
    .await;
    assert!(matches!(&error, DriverError::TimedOut { .. }), "{error}");

    let error = Double::that("old").refused().await;
    assert!(
        matches!(&error, DriverError::WrongVersion { found, .. } if found == "1.2.0"),
        "{error}"
    );

    let double = Double::that("");
    let (events, _receiver) = mpsc::channel(1);
    let file = double.home.path().join("file");
    std::fs::write(&file, "").unwrap();
    for wrong in [file, double.home.path().join("missing")] {
        let error = double
            .driver
            .start(spec(&wrong, 1), events.clone())
            .await
            .unwrap_err();
        assert!(matches!(&error, DriverError::Directory { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_wrong_version_is_named_with_what_to_do() {
    let home = TempDir::new().unwrap();
    for (version, is_fine) in [
        ("1.18.2", true),
        ("1.17.9", false),
        ("2.0.0", false),
        ("gibberish", false),
    ] {
        let path = home.path().join(format!("opencode-says-{version}"));
        std::os::unix::fs::symlink(fake_opencode(), &path).unwrap();
        let found = locate(&LocateConfig {
            explicit: Some(path),
            ..LocateConfig::default()
        })
        .await;
        match found {
            Ok(binary) => assert!(is_fine && binary.version == version),
            Err(error) => {
                assert!(
                    !is_fine
                        && matches!(&error, DriverError::WrongVersion { found, .. } if found == version),
                    "{error}"
                );
                assert!(
                    error.to_string().contains("1.18.x")
                        && error.to_string().contains("npm install"),
                    "{error}"
                );
            }
        }
    }
    let error = locate(&LocateConfig {
        pinned: Some(home.path().to_owned()),
        ..LocateConfig::default()
    })
    .await
    .unwrap_err();
    assert!(error.to_string().contains("./start"), "{error}");
}

#[tokio::test]
async fn an_exit_in_a_turn_is_told_after_what_was_said() {
    let (said, reason) = Double::that("exit-mid-turn").exits_in_a_turn().await;
    assert_eq!(
        (said.as_str(), reason.as_str()),
        ("Grüße, ", "exit code 9; its last words: I have had enough")
    );
}

#[tokio::test]
async fn a_line_without_an_end_ends_the_process() {
    let (said, reason) = Double::that("endless-line").exits_in_a_turn().await;
    assert_eq!(
        (said.as_str(), reason.as_str()),
        (
            "Grüße, ",
            "opencode sent a line of more than 64 MiB and was stopped"
        )
    );
}

#[tokio::test]
async fn a_process_that_answers_no_more_is_ended() {
    let (said, reason) = Double::with("hang-mid-turn", |config| {
        config.request_limit = Duration::from_millis(200)
    })
    .exits_in_a_turn()
    .await;
    assert_eq!(said, "Grüße, ");
    assert!(
        reason.starts_with("opencode does not answer any more and was stopped"),
        "{reason}"
    );
}

#[tokio::test]
async fn nobody_listening_ends_the_process_and_a_dropped_one_ends_too() {
    let double = Double::that("");
    let chat = double.chat().await;
    drop(chat.events);
    support::until(|| support::processes_of(double.home.path()).is_empty()).await;

    let Chat { session, events } = double.chat().await;
    drop(session);
    support::until(|| support::processes_of(double.home.path()).is_empty()).await;
    drop(events);
}

#[tokio::test]
async fn a_slow_reader_holds_everything_back_and_loses_nothing() {
    let double = Double::that("");
    let (sender, mut events) = mpsc::channel(1);
    let session = double
        .driver
        .start(spec(double.home.path(), 1), sender)
        .await
        .unwrap();
    session.process.prompt(&turn_id(1), "hello").await.unwrap();
    // The turn is over in opencode long before anybody reads.
    while !matches!(
        session.process.recall(&turn_id(1)).await,
        Ok(TurnRecall::Finished(_))
    ) {
        tokio::task::yield_now().await;
    }
    let mut said = String::new();
    loop {
        match events.recv().await.unwrap() {
            DriverEvent::Chunk {
                op: protocol::wire::ChunkOp::Append { delta, .. },
                ..
            } => said.push_str(&delta),
            DriverEvent::TurnEnded { .. } => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(said, ANSWER);
    session.process.stop().await;
}
