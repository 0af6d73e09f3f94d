//! A small resident process between the agent and opencode, so that opencode and everything that it starts
//! never outlives the agent, also when the agent is killed with -9.
//!
//! It is a sub-command of the product's own binary: `orchestrator supervise -- opencode acp ...`. Its standard
//! input is a pipe from the agent and is passed on to the program; the end of that pipe means that the agent
//! has stopped or died. Then, and also when the program ends by itself, everything is taken down:
//!
//! 1. the program's standard input is closed; `opencode acp` ends by that within 0.2 s, tools and all;
//! 2. after [`EOF_GRACE`] its process group gets SIGTERM;
//! 3. after [`TERM_GRACE`] its process group gets SIGKILL;
//! 4. what is left of its descendants is killed, also what has called `setsid`: on Linux they were adopted by
//!    this process (it is their sub-reaper), and they carry [`MARKER_VARIABLE`] in their environment.
//!
//! Elsewhere than on Linux only the process group is taken down.
//!
//! Options before the `--` restrict what the program may change: see [`Sandbox`]. Before those may stand
//! `--alone FILE`: then it waits until no other supervisor has that file, and first ends what one that was killed
//! with -9 itself has left.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

mod alone;
mod sandbox;
mod tree;

pub(crate) use alone::ALONE;
#[cfg(target_os = "linux")]
pub(crate) use tree::below;

pub use sandbox::{Enforcement, Sandbox, enforcement};

/// The variable by which processes of one supervisor are known.
pub const MARKER_VARIABLE: &str = "ORCHESTRATOR_SUPERVISED_BY";
/// How long the program may take to end after its standard input has.
pub const EOF_GRACE: Duration = Duration::from_millis(2_000);
/// How long the program may take to end after SIGTERM.
pub const TERM_GRACE: Duration = Duration::from_millis(2_500);
/// How long survivors are hunted before the supervisor gives up and says so.
const SWEEP_LIMIT: Duration = Duration::from_secs(10);
/// The exit code when the program can't be started, as shells have it.
pub const EXIT_CANNOT_START: u8 = 127;
/// The exit code when the program's sandbox can't be set up.
pub const EXIT_CANNOT_CONFINE: u8 = 126;
/// The exit code when what the program needs for itself alone can't be had.
pub const EXIT_NOT_ALONE: u8 = 125;
/// The exit code for a command line that is not understood, as in `sysexits.h`.
const EXIT_USAGE: u8 = 64;
/// Events that may wait: there are never more than a few.
const EVENTS_WAITING: usize = 8;
/// How much is passed on at once, in bytes.
const COPY_BYTES: usize = 16 * 1024;

enum Event {
    /// The agent has stopped or died: the program's standard input is closed.
    Eof,
    /// Somebody told the supervisor to end.
    Signal,
    /// The program has ended, with the code that the supervisor ends with.
    Exited(u8),
}

/// Runs a program until it or the agent ends; `args` is what follows `supervise` on the command line. The exit
/// code is the program's own, or 128 and the signal that ended it.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut args = args.into_iter().peekable();
    let options = alone::take_option(&mut args)
        .and_then(|alone| Ok((alone, Sandbox::take_options(&mut args)?)));
    let (alone, sandbox) = match options {
        Ok(options) => options,
        Err(why) => {
            complain(&why);
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let Some(program) = args.next() else {
        complain(
            "usage: supervise [--alone FILE] [--read-only] [--write DIRECTORY]... [--no-network] -- PROGRAM [ARGUMENT...]",
        );
        return ExitCode::from(EXIT_USAGE);
    };
    let marker = marker();
    // Held to the end, when nothing of the program is left.
    let alone = alone.map(|file| alone::wait(&file, &marker, SWEEP_LIMIT));
    if let Some(Err(why)) = &alone {
        complain(why);
        return ExitCode::from(EXIT_NOT_ALONE);
    }
    // Before there are threads: it holds for this one and what it starts.
    if let Some(Err(why)) = sandbox.map(|sandbox| sandbox::restrict(&sandbox)) {
        complain(&format!("the sandbox could not be set up: {why}"));
        return ExitCode::from(EXIT_CANNOT_CONFINE);
    }
    tree::adopt_orphans();
    let (events, received) = sync_channel(EVENTS_WAITING);
    // Before there is a program that a signal could leave behind.
    end_on_signals(events.clone());
    let mut command = Command::new(&program);
    command
        .args(args)
        .env(MARKER_VARIABLE, &marker)
        .stdin(Stdio::piped());
    own_group(&mut command);
    match command.spawn() {
        Ok(child) => ExitCode::from(supervise(child, &marker, events, &received)),
        Err(error) => {
            complain(&format!(
                "{} could not be started: {error}",
                program.display()
            ));
            ExitCode::from(EXIT_CANNOT_START)
        }
    }
}

fn supervise(
    mut child: Child,
    marker: &str,
    events: SyncSender<Event>,
    received: &Receiver<Event>,
) -> u8 {
    let group = child.id();
    // Dropping the sender of this channel makes the thread close the program's standard input.
    if let Some(stdin) = child.stdin.take() {
        pass_stdin_on(stdin, events.clone());
    }
    reap(child, events);

    let code = match received.recv() {
        Ok(Event::Exited(code)) => code,
        Ok(Event::Eof) => {
            exit_within(received, EOF_GRACE).unwrap_or_else(|| take_down(received, group))
        }
        Ok(Event::Signal) | Err(_) => take_down(received, group),
    };
    if !tree::sweep(marker, SWEEP_LIMIT) {
        complain("some processes that opencode started could not be ended");
    }
    code
}

/// Ends the program by signals.
fn take_down(received: &Receiver<Event>, group: u32) -> u8 {
    tree::signal_group(group, tree::Signal::Terminate);
    if let Some(code) = exit_within(received, TERM_GRACE) {
        return code;
    }
    tree::signal_group(group, tree::Signal::Kill);
    exit_within(received, TERM_GRACE).unwrap_or(128 + 9)
}

fn exit_within(received: &Receiver<Event>, limit: Duration) -> Option<u8> {
    let deadline = Instant::now() + limit;
    loop {
        match received.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(Event::Exited(code)) => return Some(code),
            Ok(Event::Eof | Event::Signal) => {}
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
        }
    }
}

/// Copies this process's standard input to the program's; at its end closes the program's and tells.
fn pass_stdin_on(mut to: ChildStdin, events: SyncSender<Event>) {
    thread::spawn(move || {
        let mut from = io::stdin().lock();
        let mut buffer = vec![0_u8; COPY_BYTES];
        let mut open = true;
        loop {
            match from.read(&mut buffer) {
                Ok(0) => break,
                // A program that does not read its input any more is no reason to end it.
                Ok(read) => {
                    open = open
                        && to
                            .write_all(&buffer[..read])
                            .and_then(|()| to.flush())
                            .is_ok()
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        drop(to);
        let _ = events.send(Event::Eof);
    });
}

/// A name for this supervisor that no other process on this machine has had since it started.
fn marker() -> String {
    let started = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    format!("{}-{}", std::process::id(), started.as_nanos())
}

fn complain(what: &str) {
    let _ = writeln!(io::stderr(), "orchestrator supervise: {what}");
}

/// A group of its own for the program: a Ctrl-C in the terminal reaches the agent, which ends it in order.
#[cfg(unix)]
fn own_group(command: &mut Command) {
    use std::os::unix::process::CommandExt as _;
    command.process_group(0);
}

#[cfg(not(unix))]
fn own_group(_command: &mut Command) {}

/// Makes the signals that ask a process to end take the program down in order.
#[cfg(unix)]
fn end_on_signals(events: SyncSender<Event>) {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let Ok(mut signals) = signal_hook::iterator::Signals::new([SIGTERM, SIGINT, SIGHUP]) else {
        return;
    };
    thread::spawn(move || {
        for _ in signals.forever() {
            if events.send(Event::Signal).is_err() {
                break;
            }
        }
    });
}

#[cfg(not(unix))]
fn end_on_signals(_events: SyncSender<Event>) {}

/// Waits for the program and for every orphan that this process has adopted, so that no zombie stays.
#[cfg(target_os = "linux")]
fn reap(child: Child, events: SyncSender<Event>) {
    thread::spawn(move || {
        let main = child.id();
        loop {
            match tree::wait_any() {
                tree::Waited::Ended { pid, code } if pid == main => {
                    let _ = events.send(Event::Exited(code));
                }
                tree::Waited::Ended { .. } | tree::Waited::Interrupted => {}
                // New orphans only come while the program or an earlier orphan lives; both count as children.
                tree::Waited::NoChildren => return,
            }
        }
    });
}

#[cfg(not(target_os = "linux"))]
fn reap(mut child: Child, events: SyncSender<Event>) {
    thread::spawn(move || {
        let code = child
            .wait()
            .ok()
            .and_then(|status| status.code())
            .unwrap_or(1);
        let _ = events.send(Event::Exited(u8::try_from(code).unwrap_or(1)));
    });
}
