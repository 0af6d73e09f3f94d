//! A home of its own for each test, and processes in it.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Far more than anything takes; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(120);
/// The pause between two looks at something that tells nobody when it changes.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// A variable that every process of a test inherits, by which those that were left behind are found.
const MARK: &str = "CLI_TEST_MARK";

/// A computer of its own, as far as the program can tell.
pub(crate) struct Home {
    folder: TempDir,
    variables: BTreeMap<String, String>,
}

/// How a command ended.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// As it stands in a snapshot.
    pub(crate) fn text(&self) -> String {
        format!(
            "exit {}\n--- stdout\n{}--- stderr\n{}",
            self.code, self.stdout, self.stderr
        )
    }
}

impl Home {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("orchestrator-cli-")
            .tempdir()
            .unwrap();
        std::fs::create_dir(folder.path().join("projects")).unwrap();
        let mark = folder.path().display().to_string();
        let mut variables = BTreeMap::from([
            ("HOME".to_owned(), mark.clone()),
            (MARK.to_owned(), mark),
            ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
            ("LANG".to_owned(), "C.UTF-8".to_owned()),
            ("TZ".to_owned(), "UTC".to_owned()),
            ("COLUMNS".to_owned(), "100".to_owned()),
        ]);
        variables.insert("ORCHESTRATOR_OPENCODE".to_owned(), program("idle-opencode"));
        variables.insert("ORCHESTRATOR_DRAIN_SECONDS".to_owned(), "1".to_owned());
        Self { folder, variables }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn place(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Sets a variable of everything that is started from now on; an empty value takes it away.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        if value.is_empty() {
            self.variables.remove(name);
        } else {
            self.variables.insert(name.to_owned(), value.to_owned());
        }
        self
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_orchestrator"));
        command
            .args(args)
            .env_clear()
            .envs(&self.variables)
            .current_dir(self.path());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        self.run_with(args, "")
    }

    /// Runs a command to its end, with this on its standard input.
    pub(crate) fn run_with(&self, args: &[&str], input: &str) -> Ended {
        let mut started = self.start(args);
        let mut stdin = started.stdin.take().unwrap();
        // A command that does not read its input may have ended.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        started.end()
    }

    /// Starts a command.
    pub(crate) fn start(&self, args: &[&str]) -> Started {
        let mut command = self.command(args);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let said = Said::default();
        said.follow(child.stdout.take().unwrap(), Channel::Stdout);
        said.follow(child.stderr.take().unwrap(), Channel::Stderr);
        let stdin = child.stdin.take();
        Started {
            child,
            stdin,
            said,
            name: args.join(" "),
        }
    }

    /// Starts `up` and waits until this computer is online.
    pub(crate) fn up(&self, args: &[&str]) -> Started {
        let mut all = vec!["up", "--listen", "127.0.0.1:0", "--root", "projects"];
        all.extend_from_slice(args);
        let started = self.start(&all);
        started.says("ready: this computer is online");
        started.prints("http://");
        started
    }

    /// Where the hub of this home serves.
    pub(crate) fn backend(&self) -> String {
        let running =
            std::fs::read_to_string(self.place(".local/share/opencode-orchestrator/running.json"))
                .unwrap();
        let running: serde_json::Value = serde_json::from_str(&running).unwrap();
        running["url"].as_str().unwrap().to_owned()
    }

    /// A key for a new machine, by the hub of this home.
    pub(crate) fn key(&self, name: &str) -> String {
        let added = self.run(&["machines", "add", name, "--json"]);
        let added: serde_json::Value = serde_json::from_str(&added.stdout).unwrap();
        added["registrationKey"].as_str().unwrap().to_owned()
    }

    /// Every process that was started in this home, or by one of those, and lives.
    pub(crate) fn living(&self) -> Vec<String> {
        let mark = format!("{MARK}={}", self.path().display());
        let of_home = |entry: std::fs::DirEntry| {
            let path = entry.path();
            entry.file_name().to_str()?.parse::<u32>().ok()?;
            let environment = std::fs::read(path.join("environ")).ok()?;
            environment
                .split(|byte| *byte == 0)
                .any(|variable| variable == mark.as_bytes())
                .then_some(())?;
            let command = std::fs::read(path.join("cmdline")).ok()?;
            Some(String::from_utf8_lossy(&command).replace('\0', " "))
        };
        std::fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter_map(of_home)
            .collect()
    }

    /// Waits until there is a process whose command line contains this.
    pub(crate) fn runs(&self, what: &str) {
        until(what, || {
            self.living().iter().any(|command| command.contains(what))
        });
    }

    /// Waits until no process of this home is left.
    pub(crate) fn is_quiet(&self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.living().is_empty() {
            assert!(
                Instant::now() < deadline,
                "left behind: {:#?}",
                self.living()
            );
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// A text without what differs from run to run.
    pub(crate) fn settings(&self) -> insta::Settings {
        let mut settings = insta::Settings::clone_current();
        let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        settings.add_filter(&literal(self.path().to_str().unwrap()), "[HOME]");
        settings.add_filter(&literal(env!("CARGO_MANIFEST_DIR")), "[CRATE]");
        settings.add_filter(&format!(r"\b{}\b", literal(hostname.trim())), "[HOSTNAME]");
        settings.add_filter(r"127\.0\.0\.1:\d{4,5}", "127.0.0.1:[PORT]");
        settings.add_filter(r"port \d{4,5}", "port [PORT]");
        settings.add_filter(r"process \d+", "process [PID]");
        settings.add_filter(
            r"\b(mch|wrk|cht|trn|ask|cmd|per)_[0-9a-z]{26}\b",
            "${1}_[ID]",
        );
        settings.add_filter(r"\b(ork|opl|opt|oms)_[0-9a-f]{68}\b", "${1}_[SECRET]");
        settings.add_filter(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "[TIME]");
        settings.add_filter(r"\(\d+\.\d s\)", "([DURATION])");
        settings.set_prepend_module_to_snapshot(false);
        settings.set_snapshot_path("snapshots");
        settings
    }
}

/// The same for tables, whose columns are as wide as what was replaced.
pub(crate) fn table(home: &Home) -> insta::Settings {
    let mut settings = home.settings();
    settings.add_filter(" {2,}", "  ");
    settings
}

fn literal(text: &str) -> String {
    text.chars()
        .flat_map(|character| {
            if character.is_alphanumeric() {
                vec![character]
            } else {
                vec!['\\', character]
            }
        })
        .collect()
}

/// Waits until something that tells nobody is so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// A command that runs. It is killed when it is dropped.
pub(crate) struct Started {
    child: Child,
    pub(crate) stdin: Option<ChildStdin>,
    said: Said,
    name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Channel {
    Stdout,
    Stderr,
}

/// What a command said so far.
#[derive(Clone, Default)]
struct Said(Arc<(Mutex<BTreeMap<Channel, Heard>>, Condvar)>);

#[derive(Default)]
struct Heard {
    text: String,
    is_over: bool,
}

impl Said {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Channel, Heard>> {
        self.0.0.lock().unwrap()
    }

    fn follow(&self, from: impl Read + Send + 'static, channel: Channel) {
        self.lock().insert(channel, Heard::default());
        let said = self.clone();
        std::thread::spawn(move || {
            let mut from = BufReader::new(from);
            let mut line = Vec::new();
            loop {
                line.clear();
                let is_over = from.read_until(b'\n', &mut line).unwrap_or(0) == 0;
                let mut heard = said.lock();
                let heard = heard.get_mut(&channel).unwrap();
                heard.text.push_str(&String::from_utf8_lossy(&line));
                heard.is_over = is_over;
                said.0.1.notify_all();
                if is_over {
                    return;
                }
            }
        });
    }

    fn wait(&self, channel: Channel, is_so: impl Fn(&Heard) -> bool) -> Result<String, String> {
        let mut heard = self.lock();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if is_so(&heard[&channel]) {
                return Ok(heard[&channel].text.clone());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || heard.values().all(|heard| heard.is_over) {
                return Err(heard
                    .iter()
                    .map(|(channel, heard)| format!("--- {channel:?}\n{}", heard.text))
                    .collect());
            }
            heard = self.0.1.wait_timeout(heard, left).unwrap().0;
        }
    }
}

impl Started {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until a line of standard error contains this.
    pub(crate) fn says(&self, what: &str) {
        self.expect(Channel::Stderr, what);
    }

    /// Waits until a line of standard output contains this.
    pub(crate) fn prints(&self, what: &str) {
        self.expect(Channel::Stdout, what);
    }

    fn expect(&self, channel: Channel, what: &str) {
        if let Err(said) = self.said.wait(channel, |heard| heard.text.contains(what)) {
            panic!("`{}` never said {what:?}:\n{said}", self.name);
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(
            Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap(),
            signal,
        )
        .unwrap();
    }

    /// Waits until it ends.
    pub(crate) fn end(mut self) -> Ended {
        let status = self.wait();
        let stdout = self
            .said
            .wait(Channel::Stdout, |heard| heard.is_over)
            .unwrap();
        let stderr = self
            .said
            .wait(Channel::Stderr, |heard| heard.is_over)
            .unwrap();
        Ended {
            code: status.code().unwrap_or(-1),
            stdout,
            stderr,
        }
    }

    fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "`{}` does not end", self.name);
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Asks it to end, and waits until it does.
    pub(crate) fn stop(self) -> Ended {
        self.signal(Signal::INT);
        self.end()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of JSON that a command printed.
pub(crate) fn values(ended: &Ended) -> Vec<serde_json::Value> {
    ended
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Runs git in a repository of a test.
pub(crate) fn git(directory: &Path, args: &[&str]) {
    let ended = Command::new("git")
        .args(["-c", "user.name=test", "-c", "user.email=test@example.org"])
        .args(args)
        .current_dir(directory)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(ended.status.success(), "{ended:?}");
}

/// A program of this test's.
pub(crate) fn program(name: &str) -> String {
    format!(
        "{}/../../tests/cli/programs/{name}",
        env!("CARGO_MANIFEST_DIR")
    )
}
