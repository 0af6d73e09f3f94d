//! Lines from the terminal, one at a time.

use std::io::BufRead as _;

use tokio::sync::mpsc;

/// Lines typed ahead that wait to be taken.
const WAITING: usize = 64;

/// What a person types.
#[derive(Debug)]
pub(super) struct Input(Option<mpsc::Receiver<String>>);

impl Input {
    /// From now on standard input is read, in a thread of its own: reading can't be called off.
    pub(super) fn of_terminal() -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().lines() {
                let Ok(line) = line else { return };
                if sender.blocking_send(line).is_err() {
                    return;
                }
            }
        });
        Self(Some(receiver))
    }

    /// Nobody types.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// The next line; `None` once and for all at the end.
    pub(super) async fn line(&mut self) -> Option<String> {
        self.0.as_mut()?.recv().await
    }

    /// The next line, for as long as there are any; waits for ever at the end.
    pub(super) async fn line_while_open(&mut self) -> String {
        match self.line().await {
            Some(line) => line,
            None => {
                self.0 = None;
                std::future::pending().await
            }
        }
    }

    /// The next message: lines that end with a backslash go on in the next.
    pub(super) async fn message(&mut self) -> Option<String> {
        let mut message = String::new();
        loop {
            let line = self.line().await?;
            match line.strip_suffix('\\') {
                Some(part) => {
                    message.push_str(part);
                    message.push('\n');
                }
                None => return Some(message + &line),
            }
        }
    }
}
