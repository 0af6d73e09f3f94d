//! The directories by themselves, beside the plain programs in the same run: a listing beside `ls -la`, a clone
//! beside `git clone`. `cargo bench -p agent --bench directories`.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and ends where it fails"
)]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use agent::directory::{Directories, DirectorySettings, Root};
use protocol::git_url::GitProtocol;
use protocol::ids::CommandId;
use protocol::time::Timestamp;
use protocol::wire::{CommandResult, Operation};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const LISTED_ENTRIES: usize = 1_000;
const LISTING_ROUNDS: u8 = 50;
const CLONE_ROUNDS: u8 = 7;
const FILES: usize = 100;
const FILE_BYTES: usize = 1024 * 1024;

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    std::fs::create_dir(&root).unwrap();
    let mut settings = DirectorySettings::new(vec![env!("CARGO_BIN_EXE_agent-supervise").into()]);
    settings.protocols.push(GitProtocol::File);
    let directories = Directories::new(Root::open(&root).unwrap(), settings);
    list(&directories, &root).await;
    clone(&directories, folder.path(), &root).await;
}

async fn list(directories: &Directories, root: &Path) {
    std::fs::create_dir(root.join("many")).unwrap();
    for n in 0..LISTED_ENTRIES {
        std::fs::write(root.join(format!("many/file-{n:04}")), "x").unwrap();
    }
    let (mut ours, mut plain) = (Vec::new(), Vec::new());
    for round in 0..LISTING_ROUNDS {
        plain.push(timed(|| run(root, "ls", &["-la", "many"])));
        let began = Instant::now();
        let mut after = None;
        loop {
            let operation = Operation::List {
                directory: "many".to_owned(),
                hidden: true,
                filter: None,
                after,
            };
            let CommandResult::Listing(page) = perform(directories, round, operation).await else {
                panic!("no listing");
            };
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        ours.push(began.elapsed());
    }
    let (ours, plain) = (median(ours), median(plain));
    println!("all pages of {LISTED_ENTRIES} entries: {ours:?}; `ls -la`: {plain:?}");
}

async fn clone(directories: &Directories, folder: &Path, root: &Path) {
    run(folder, "git", &["init", "-q", "origin"]);
    let mut state = 1_u64;
    for n in 0..FILES {
        let mut noise = Vec::with_capacity(FILE_BYTES);
        while noise.len() < FILE_BYTES {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            noise.extend(state.to_le_bytes()[2..].iter());
        }
        std::fs::write(folder.join(format!("origin/{n}")), noise).unwrap();
    }
    let origin = folder.join("origin");
    run(&origin, "git", &["add", "-A"]);
    let who = ["-c", "user.name=T", "-c", "user.email=t@example.org"];
    run(
        &origin,
        "git",
        &[&who[..], &["commit", "-q", "-m", "one"]].concat(),
    );
    let url = format!("file://{}", origin.display());
    let (mut ours, mut plain) = (Vec::new(), Vec::new());
    for round in 0..CLONE_ROUNDS {
        plain.push(timed(|| {
            run(folder, "git", &["clone", "-q", &url, "plain"])
        }));
        std::fs::remove_dir_all(folder.join("plain")).unwrap();
        let operation = Operation::Clone {
            url: url.clone(),
            branch: None,
            path: "new".to_owned(),
        };
        let began = Instant::now();
        perform(directories, round, operation).await;
        ours.push(began.elapsed());
        std::fs::remove_dir_all(root.join("new")).unwrap();
    }
    let (ours, plain) = (median(ours), median(plain));
    let ratio = ours.as_secs_f64() / plain.as_secs_f64();
    println!(
        "clone of {FILES} MiB: {ours:?}; `git clone`: {plain:?}; {ratio:.2} times (target: at most 1.1)"
    );
}

async fn perform(directories: &Directories, round: u8, operation: Operation) -> CommandResult {
    let id = CommandId::generate(Timestamp::from_ms(1), [round; 10]);
    let (progress, _told) = mpsc::channel(1);
    directories
        .perform(&id, operation, progress, CancellationToken::new())
        .await
        .unwrap()
}

fn run(directory: &Path, program: &str, arguments: &[&str]) {
    let status = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .stdout(Stdio::null())
        .status();
    assert!(status.unwrap().success(), "{program} {arguments:?}");
}

fn timed(work: impl FnOnce()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
