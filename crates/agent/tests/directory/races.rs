//! Somebody changes the directories while the machine works on them.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use protocol::wire::{CommandErrorCode, CommandResult};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::stage::{Stage, list, make, read, rename, trash};

/// How often each operation is tried against the swapping.
const ROUNDS: usize = 1_000;

/// Swaps two entries over and over until it is dropped.
struct Swapping {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<u64>>,
}

impl Swapping {
    fn start(one: std::path::PathBuf, other: std::path::PathBuf) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut swaps = 0;
            while !stopped.load(Ordering::Relaxed) {
                renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE).unwrap();
                swaps += 1;
            }
            swaps
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Swapping {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let swaps = self.thread.take().unwrap().join().unwrap();
        println!("swapped {swaps} times");
        assert!(swaps > 100);
    }
}

#[tokio::test]
async fn a_link_swapped_in_during_the_operation_never_leads_out() {
    let stage = Stage::new();
    fs::create_dir(stage.outside("secret")).unwrap();
    fs::write(stage.outside("secret/file"), "secret").unwrap();
    fs::create_dir(stage.path("folder")).unwrap();
    fs::write(stage.path("folder/file"), "public").unwrap();
    symlink("../secret", stage.path("link")).unwrap();
    let root = agent::Root::open(&stage.path("")).unwrap();
    let swapping = Swapping::start(stage.path("folder"), stage.path("link"));
    let (mut seen, mut refused) = (0, 0);
    for round in 0..ROUNDS {
        match stage.perform(read("folder/file")).await {
            Ok(CommandResult::File(file)) => {
                assert_eq!(file.text, "public");
                seen += 1;
            }
            Ok(other) => panic!("{other:?}"),
            Err(error) => {
                assert_eq!(error.code, CommandErrorCode::OutsideRoot, "{error}");
                refused += 1;
            }
        }
        if let Ok(CommandResult::Listing(listing)) = stage.perform(list("folder")).await {
            assert!(
                listing
                    .entries
                    .iter()
                    .all(|entry| entry.size != Some(6) || entry.name == "file")
            );
        }
        let name = format!("folder/made-{round}");
        let _ = stage.perform(make(&name)).await;
        let _ = stage.perform(rename(&name, &format!("{name}-again"))).await;
        let _ = stage.perform(trash(&format!("{name}-again"))).await;
        if let Ok(path) = root.directory("folder") {
            assert!(!path.ends_with("secret"), "{}", path.display());
        }
    }
    drop(swapping);
    println!("read {seen} times, refused {refused} times");
    assert!(seen > 0 && refused > 0);
    let outside: Vec<_> = fs::read_dir(stage.outside("secret"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(outside, ["file"]);
}

#[tokio::test]
async fn a_parent_renamed_during_the_operation_leads_to_one_of_both_or_nowhere() {
    let stage = Stage::new();
    for name in ["one", "other"] {
        fs::create_dir_all(stage.path(name).join("deep/er")).unwrap();
        fs::write(stage.path(name).join("deep/er/file"), name).unwrap();
    }
    let swapping = Swapping::start(stage.path("one"), stage.path("other"));
    let mut done = 0;
    for round in 0..ROUNDS {
        match stage.perform(read("one/deep/er/file")).await {
            Ok(CommandResult::File(file)) => {
                assert!(["one", "other"].contains(&file.text.as_str()))
            }
            other => panic!("{other:?}"),
        }
        let name = format!("one/deep/er/made-{round}");
        match stage.perform(make(&name)).await {
            Ok(_) => done += 1,
            // Made in one, looked for in the other.
            Err(error) => assert_eq!(error.code, CommandErrorCode::NotFound, "{error}"),
        }
    }
    drop(swapping);
    let made = |name: &str| {
        fs::read_dir(stage.path(name).join("deep/er"))
            .unwrap()
            .count()
            - 1
    };
    assert!(done > 0 && (done..=2 * ROUNDS).contains(&(made("one") + made("other"))));
    assert_eq!(fs::read_dir(stage.folder.path()).unwrap().count(), 1);
}
