//! Warm spares: taken, told from dead ones, ended, found again.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "tests may panic"
)]

mod support;

use std::path::{Path, PathBuf};
use std::time::Duration;

use opencode_driver::{Opencode, OpencodeConfig, SpareConfig};
use protocol::driver::SessionSpec;
use scripted_model::{ModelConfig, ScriptedModel};
use serde_json::json;
use support::{Chat, HANG, processes_of, spec, turn_id};
use tempfile::TempDir;

/// At once, and for longer than any test.
const AT_ONCE: SpareConfig = SpareConfig {
    limit: 1,
    delay: Duration::ZERO,
    unused_limit: HANG,
};

struct Place {
    home: TempDir,
    config: OpencodeConfig,
}

impl Place {
    fn new(program: PathBuf, spares: SpareConfig) -> Self {
        let home = TempDir::new().unwrap();
        for name in ["one", "two"] {
            std::fs::create_dir(home.path().join(name)).unwrap();
        }
        let mut config = support::config(program, &home.path().join("state"));
        config.spares = spares;
        Self { home, config }
    }

    fn double(spares: SpareConfig) -> Self {
        let mut place = Self::new(support::fake_opencode(), spares);
        place.config.config = json!({});
        place
    }

    fn driver(&self) -> Opencode {
        Opencode::new(self.config.clone())
    }

    fn spec(&self, directory: &str, chat: u8) -> SessionSpec {
        spec(&self.home.path().join(directory), chat)
    }

    /// The spares that run, by their databases.
    fn spares(&self) -> Vec<u32> {
        let is_program = |id: &u32| {
            std::fs::read_link(format!("/proc/{id}/exe")).is_ok_and(|program| {
                Some(program.as_path()) == self.config.locate.explicit.as_deref()
            })
        };
        processes_with(self.home.path(), "/sessions/spare-")
            .into_iter()
            .filter(is_program)
            .collect()
    }

    async fn until_spares(&self, count: usize) -> Vec<u32> {
        support::until(|| self.spares().len() == count).await;
        self.spares()
    }

    /// The files of spares' storages.
    fn spare_files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.home.path().join("state/sessions")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths
            .filter(|path| {
                let name = path.file_name().unwrap_or_default();
                name.to_string_lossy().starts_with("spare-")
            })
            .collect()
    }

    /// Whether a spare that notes its requests has had the last one of its start.
    fn is_warm(&self) -> bool {
        self.spare_files().iter().any(|file| {
            file.to_string_lossy().ends_with(".requests")
                && std::fs::read_to_string(file)
                    .is_ok_and(|notes| notes.contains("/config/providers\n"))
        })
    }
}

fn processes_with(home: &Path, words: &str) -> Vec<u32> {
    let has = |id: &u32| {
        let environment = std::fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
        environment
            .windows(words.len())
            .any(|window| window == words.as_bytes())
    };
    processes_of(home).into_iter().filter(has).collect()
}

fn is_of_a_spare(chat: &Chat) -> bool {
    chat.session.agent_session_id.starts_with("spare-")
}

fn signal(process: u32, name: &str) {
    let words = [name.to_owned(), process.to_string()];
    assert!(
        std::process::Command::new("kill")
            .args(words)
            .status()
            .unwrap()
            .success()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_session_in_a_directory_takes_the_spare_and_another_one_follows() {
    let place = Place::double(AT_ONCE);
    let driver = place.driver();
    let first = Chat::start(&driver, place.spec("one", 1)).await;
    assert!(!is_of_a_spare(&first));
    let spare = place.until_spares(1).await;
    let mut second = Chat::start(&driver, place.spec("one", 2)).await;
    assert!(is_of_a_spare(&second));
    let seen = second.turn(1, "hello", &[]).await;
    seen.assert_streamed_is_final();
    // The one that was taken still counts by its database's name.
    assert!(place.until_spares(2).await.contains(&spare[0]));
    second.session.process.stop().await;
    first.session.process.stop().await;
    drop(driver);
    support::until(|| processes_of(place.home.path()).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spare_is_kept_unless_it_is_asked_for() {
    let place = Place::double(SpareConfig {
        limit: 0,
        ..AT_ONCE
    });
    let driver = place.driver();
    let first = Chat::start(&driver, place.spec("one", 1)).await;
    let second = Chat::start(&driver, place.spec("one", 2)).await;
    assert!(!is_of_a_spare(&second));
    assert!(place.spares().is_empty());
    drop((first, second));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_died_or_hangs_is_never_handed_out() {
    for name in ["-9", "-STOP"] {
        let mut place = Place::double(AT_ONCE);
        place.config.config = json!({ "fake": "notes" });
        let driver = place.driver();
        let first = Chat::start(&driver, place.spec("one", 1)).await;
        let spare = place.until_spares(1).await[0];
        // One that is still starting would be waited for.
        support::until(|| place.is_warm()).await;
        signal(spare, name);
        let mut second = Chat::start(&driver, place.spec("one", 2)).await;
        assert!(!is_of_a_spare(&second), "{name}");
        second
            .turn(1, "hello", &[])
            .await
            .assert_streamed_is_final();
        // It is ended, and the next one takes its place.
        support::until(|| !place.spares().contains(&spare)).await;
        drop((first, second, driver));
        support::until(|| processes_of(place.home.path()).is_empty()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_nobody_takes_is_ended_and_leaves_no_files() {
    let mut place = Place::double(SpareConfig {
        unused_limit: Duration::ZERO,
        ..AT_ONCE
    });
    place.config.config = json!({ "fake": "notes" });
    let driver = place.driver();
    let first = Chat::start(&driver, place.spec("one", 1)).await;
    // The double's notes are not part of the storage: they show that there was one.
    support::until(|| place.is_warm()).await;
    support::until(|| place.spares().is_empty() && place.spare_files().len() == 1).await;
    assert!(place.is_warm());
    let second = Chat::start(&driver, place.spec("one", 2)).await;
    assert!(!is_of_a_spare(&second));
    drop((first, second));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_directory_takes_the_only_place() {
    let place = Place::double(AT_ONCE);
    let driver = place.driver();
    let first = Chat::start(&driver, place.spec("one", 1)).await;
    let of_one = place.until_spares(1).await[0];
    let second = Chat::start(&driver, place.spec("two", 2)).await;
    support::until(|| !place.spares().contains(&of_one)).await;
    let of_two = place.until_spares(1).await[0];
    let directory = std::fs::read_link(format!("/proc/{of_two}/cwd")).unwrap();
    assert_eq!(
        directory,
        place.home.path().join("two").canonicalize().unwrap()
    );
    let third = Chat::start(&driver, place.spec("one", 3)).await;
    assert!(!is_of_a_spare(&third));
    drop((first, second, third));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_in_a_spares_storage_goes_on_after_a_restart() {
    let model = ScriptedModel::start(ModelConfig::fast()).await.unwrap();
    let mut place = Place::new(support::real_opencode(), AT_ONCE);
    place.config.config = model.opencode_config();
    let driver = place.driver();
    let first = Chat::start(&driver, place.spec("one", 1)).await;
    place.until_spares(1).await;
    let mut second = Chat::start(&driver, place.spec("one", 2)).await;
    assert!(is_of_a_spare(&second));
    assert_eq!(second.turn(1, "say apples", &[]).await.texts(), ["apples"]);
    let name = second.session.agent_session_id.clone();
    second.session.process.stop().await;
    first.session.process.stop().await;
    drop((first, second, driver));
    support::until(|| processes_of(place.home.path()).is_empty()).await;

    // Nothing is known but the name.
    let driver = place.driver();
    let mut spec = place.spec("one", 2);
    spec.agent_session_id = Some(name.clone());
    let mut resumed = Chat::start(&driver, spec).await;
    assert_eq!(resumed.session.agent_session_id, name);
    let recalled = resumed.session.process.recall(&turn_id(1)).await.unwrap();
    assert!(
        matches!(recalled, protocol::driver::TurnRecall::Finished(_)),
        "{recalled:?}"
    );
    let said = resumed.turn(2, "recall", &[]).await;
    assert!(said.texts()[0].contains("apples"), "{:?}", said.texts());
    resumed.session.process.stop().await;
    drop(driver);
    support::until(|| processes_of(place.home.path()).is_empty()).await;
}
