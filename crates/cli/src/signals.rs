//! The signals with which a person or the system asks a process to end.

use tokio::sync::mpsc;

use crate::exit::{Exit, Failure};

/// More than two signals say nothing new.
const WAITING: usize = 4;

/// Requests to end, one after the other.
#[derive(Debug)]
pub(crate) struct Signals(mpsc::Receiver<()>);

impl Signals {
    /// From now on these signals don't end the process by themselves.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let (sender, receiver) = mpsc::channel(WAITING);
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let hangup = (!is_hangup_ignored()).then(SignalKind::hangup);
            for kind in [SignalKind::interrupt(), SignalKind::terminate()]
                .into_iter()
                .chain(hangup)
            {
                let mut signals = signal(kind).map_err(|error| {
                    Failure::new(Exit::Failed, format!("Signals can't be taken: {error}."))
                })?;
                let sender = sender.clone();
                tokio::spawn(async move {
                    while signals.recv().await.is_some() && sender.send(()).await.is_ok() {}
                });
            }
        }
        #[cfg(not(unix))]
        tokio::spawn(async move {
            while tokio::signal::ctrl_c().await.is_ok() && sender.send(()).await.is_ok() {}
        });
        Ok(Self(receiver))
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending().await
        }
    }
}

/// Whether whoever started this process wants it to outlive the terminal, as `nohup` does.
#[cfg(unix)]
fn is_hangup_ignored() -> bool {
    const HANGUP_BIT: u64 = 1;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & HANGUP_BIT != 0)
}
