//! Starts opencode below a supervisor and keeps it until it is told to end.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::driver::DriverError;
use crate::supervisor::{ALONE, EOF_GRACE, Sandbox, TERM_GRACE};
use crate::wire::launch::Hosting;

/// How much of its standard error is kept, in bytes.
const STDERR_KEPT_BYTES: usize = 4 * 1024;
/// The longest line of its standard output that is looked at, in bytes.
const STDOUT_LINE_MAX_BYTES: u64 = 256 * 1024;
/// How long the supervisor may take to end everything, before it is killed itself.
const END_LIMIT: Duration = Duration::from_secs(20);
/// How long the last words may take to arrive after the process has ended.
const LAST_WORDS_LIMIT: Duration = Duration::from_millis(500);

/// What to start.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    /// The supervisor and its arguments, up to and without `--`.
    pub(crate) supervisor: &'a [OsString],
    /// What only one opencode at a time may have: it waits for that.
    pub(crate) alone: PathBuf,
    /// What it is held to.
    pub(crate) sandbox: Option<Sandbox>,
    pub(crate) program: &'a Path,
    pub(crate) hosting: Hosting,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) environment: Vec<(OsString, OsString)>,
    pub(crate) directory: &'a Path,
    pub(crate) ready_limit: Duration,
}

/// A process that takes requests. When the last handle is dropped it ends.
#[derive(Debug)]
pub(crate) struct Running {
    stop: CancellationToken,
    exit: watch::Receiver<Option<Exit>>,
    stderr: Arc<Mutex<VecDeque<u8>>>,
}

/// How a process ended.
#[derive(Debug, Clone)]
struct Exit {
    status: String,
    /// By a signal, so not for anything that it said.
    is_killed: bool,
}

/// Starts it and waits until it takes requests.
///
/// # Errors
/// [`DriverError::ExitedAtStart`], [`DriverError::KilledAtStart`], [`DriverError::NeverReady`] or [`DriverError::Machine`]; nothing is left of
/// it then.
pub(crate) async fn launch(launch: Launch<'_>) -> Result<Running, DriverError> {
    let mut child = spawn(&launch)?;
    let stderr = Arc::new(Mutex::new(VecDeque::new()));
    let (Some(mut stdin), Some(stdout), Some(errors)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(DriverError::Machine {
            what: "opencode could not be started".to_owned(),
            reason: "it has no standard streams".to_owned(),
        });
    };
    let errors = tokio::spawn(keep_last_words(errors, Arc::clone(&stderr)));
    if let Some(greeting) = launch.hosting.greeting() {
        // If it has ended already, waiting for its readiness says so, and why.
        let _ = stdin.write_all(greeting.as_bytes()).await;
        let _ = stdin.flush().await;
    }
    let (ready, is_ready) = watch::channel(false);
    tokio::spawn(watch_stdout(stdout, launch.hosting, ready));
    let (stop, exit) = keep(child, stdin);
    let running = Running { stop, exit, stderr };
    match running.wait_ready(is_ready, launch.ready_limit).await {
        Readiness::Ready => Ok(running),
        Readiness::Exited(Exit { status, is_killed }) => {
            let _ = tokio::time::timeout(LAST_WORDS_LIMIT, errors).await;
            let stderr = running.last_words();
            Err(if is_killed {
                DriverError::KilledAtStart {
                    status,
                    tries: 1,
                    stderr,
                }
            } else {
                DriverError::ExitedAtStart { status, stderr }
            })
        }
        Readiness::Late => {
            running.end().await;
            let waited_ms = u64::try_from(launch.ready_limit.as_millis()).unwrap_or(u64::MAX);
            Err(DriverError::NeverReady {
                waited_ms,
                stderr: running.last_words(),
            })
        }
    }
}

enum Readiness {
    Ready,
    Exited(Exit),
    Late,
}

impl Running {
    async fn wait_ready(&self, mut ready: watch::Receiver<bool>, limit: Duration) -> Readiness {
        tokio::select! {
            Ok(_) = ready.wait_for(|ready| *ready) => Readiness::Ready,
            exit = self.exit() => Readiness::Exited(exit),
            () = tokio::time::sleep(limit) => Readiness::Late,
        }
    }

    /// Waits until it has ended and says how.
    pub(crate) async fn exited(&self) -> String {
        self.exit().await.status
    }

    async fn exit(&self) -> Exit {
        let mut exit = self.exit.clone();
        let told = exit
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|exit| exit.clone());
        told.unwrap_or_else(|| Exit {
            status: "it is not known how".to_owned(),
            is_killed: false,
        })
    }

    /// How it ended, if it has.
    pub(crate) fn exit_status(&self) -> Option<String> {
        let exit = self.exit.borrow();
        exit.as_ref().map(|exit| exit.status.clone())
    }

    /// Ends it and everything that it started; returns when that is done.
    pub(crate) async fn end(&self) {
        self.stop.cancel();
        self.exited().await;
    }

    /// The end of what it wrote to its standard error, without colours.
    pub(crate) fn last_words(&self) -> String {
        let kept: Vec<u8> = self
            .stderr
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .copied()
            .collect();
        plain(&String::from_utf8_lossy(&kept))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn spawn(launch: &Launch<'_>) -> Result<Child, DriverError> {
    let failed = |reason: String| DriverError::Machine {
        what: "opencode could not be started".to_owned(),
        reason,
    };
    let (supervisor, arguments) = launch
        .supervisor
        .split_first()
        .ok_or_else(|| failed("there is no supervisor".to_owned()))?;
    let mut command = Command::new(supervisor);
    command
        .args(arguments)
        .arg(ALONE)
        .arg(&launch.alone)
        .args(launch.sandbox.iter().flat_map(Sandbox::options))
        .arg("--")
        .arg(launch.program)
        .args(&launch.arguments)
        .env_clear()
        .envs(launch.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(launch.directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    #[cfg(unix)]
    {
        command.process_group(0);
        // So that a listing of processes shows a name and not `/proc/self/exe`.
        if let Some(name) = std::env::current_exe()
            .ok()
            .filter(|_| supervisor == "/proc/self/exe")
        {
            command.arg0(name);
        }
    }
    command
        .spawn()
        .map_err(|error| failed(format!("{}: {error}", supervisor.display())))
}

/// Keeps the process in a task of its own: the end of its standard input is what ends it.
fn keep(mut child: Child, stdin: ChildStdin) -> (CancellationToken, watch::Receiver<Option<Exit>>) {
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let (tell, exit) = watch::channel(None);
    tokio::spawn(async move {
        let status = tokio::select! {
            status = child.wait() => status,
            () = stopped.cancelled() => {
                drop(stdin);
                end_within(&mut child, END_LIMIT.max(EOF_GRACE + TERM_GRACE)).await
            }
        };
        tell.send_replace(Some(status.map_or_else(
            |error| Exit {
                status: error.to_string(),
                is_killed: false,
            },
            describe,
        )));
    });
    (stop, exit)
}

async fn end_within(child: &mut Child, limit: Duration) -> std::io::Result<ExitStatus> {
    match tokio::time::timeout(limit, child.wait()).await {
        Ok(status) => status,
        Err(_) => {
            child.start_kill()?;
            child.wait().await
        }
    }
}

/// The supervisor ends with the program's own code, or 128 and the signal that ended it.
fn describe(status: ExitStatus) -> Exit {
    let (status, is_killed) = match status.code() {
        Some(code @ 129..=192) => (format!("ended by signal {}", code - 128), true),
        Some(code) => (format!("exit code {code}"), false),
        None => (status.to_string(), true),
    };
    Exit { status, is_killed }
}

/// Looks for the line that says that it is ready; then only keeps the pipe empty.
async fn watch_stdout(stdout: ChildStdout, hosting: Hosting, ready: watch::Sender<bool>) {
    let mut reader = BufReader::new(stdout);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader)
            .take(STDOUT_LINE_MAX_BYTES)
            .read_until(b'\n', &mut line)
            .await
        {
            Ok(0) | Err(_) => return,
            Ok(_) if hosting.says_ready(&String::from_utf8_lossy(&line)) => {
                ready.send_replace(true);
            }
            Ok(_) => {}
        }
    }
}

async fn keep_last_words(mut stderr: ChildStderr, kept: Arc<Mutex<VecDeque<u8>>>) {
    let mut buffer = vec![0_u8; STDERR_KEPT_BYTES];
    while let Ok(read) = stderr.read(&mut buffer).await {
        if read == 0 {
            return;
        }
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(&buffer[..read]);
        let surplus = kept.len().saturating_sub(STDERR_KEPT_BYTES);
        kept.drain(..surplus);
    }
}

/// Text without escape sequences and with its white space in order.
fn plain(text: &str) -> String {
    let mut shown = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character == '\u{1b}' {
            // A colour: everything up to the letter that ends it.
            let _ = characters.find(char::is_ascii_alphabetic);
        } else if character == '\n' || !character.is_control() {
            shown.push(character);
        }
    }
    shown
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_come_without_colours_and_empty_lines() {
        assert_eq!(
            plain("\u{1b}[91m\u{1b}[1mError: \u{1b}[0mUnexpected error\n\n  ServeError\u{7}\r\n"),
            "Error: Unexpected error; ServeError"
        );
    }
}
