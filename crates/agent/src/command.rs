//! Commands that this process works on, each in a task of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::agent::{Attempt, CommandEnd, Input};
use protocol::ids::CommandId;
use protocol::wire::{CommandError, CommandErrorCode, CommandResult, Operation};
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

use crate::directory::{Directories, Ended};

/// Progress that waits to be passed on; the latest counts, so little is kept.
const PROGRESS_QUEUE: usize = 4;

/// The work under way.
#[derive(Debug)]
pub(crate) struct Commands {
    directories: Option<Directories>,
    inputs: mpsc::Sender<Input>,
    running: BTreeMap<CommandId, Running>,
}

#[derive(Debug)]
struct Running {
    attempt: Attempt,
    cancel: CancellationToken,
    /// Held while it is worked on: an attempt begins when the one before has ended.
    turn: Arc<Mutex<()>>,
}

impl Commands {
    pub(crate) fn new(directories: Option<Directories>, inputs: mpsc::Sender<Input>) -> Self {
        Self {
            directories,
            inputs,
            running: BTreeMap::new(),
        }
    }

    /// Begins the work; it ends with [`Input::CommandEnded`].
    pub(crate) fn run(&mut self, id: CommandId, attempt: Attempt, operation: Operation) {
        let turn = self
            .running
            .get(&id)
            .map(|before| Arc::clone(&before.turn))
            .unwrap_or_default();
        let cancel = CancellationToken::new();
        let running = Running {
            attempt,
            cancel: cancel.clone(),
            turn: Arc::clone(&turn),
        };
        self.running.insert(id.clone(), running);
        let work = Work {
            directories: self.directories.clone(),
            inputs: self.inputs.clone(),
            id,
            attempt,
            cancel,
        };
        tokio::spawn(async move {
            let _turn = turn.lock().await;
            work.run(operation).await;
        });
    }

    pub(crate) fn cancel(&self, id: &CommandId) {
        if let Some(running) = self.running.get(id) {
            running.cancel.cancel();
        }
    }

    pub(crate) fn forget(&mut self, id: &CommandId, attempt: Attempt) {
        if self
            .running
            .get(id)
            .is_some_and(|running| running.attempt == attempt)
        {
            self.running.remove(id);
        }
    }
}

/// When the agent ends, so does what it works on: it will be begun again.
impl Drop for Commands {
    fn drop(&mut self) {
        for running in self.running.values() {
            running.cancel.cancel();
        }
    }
}

struct Work {
    directories: Option<Directories>,
    inputs: mpsc::Sender<Input>,
    id: CommandId,
    attempt: Attempt,
    cancel: CancellationToken,
}

impl Work {
    async fn run(self, operation: Operation) {
        tracing::info!(command = %self.id, attempt = self.attempt, kind = operation.kind(), "a command begins");
        let end = match self.perform(operation).await {
            Ok(result) => CommandEnd::Succeeded(result),
            Err(Ended::Cancelled) => CommandEnd::Cancelled,
            Err(Ended::Failed(error)) => {
                tracing::warn!(command = %self.id, %error, "a command failed");
                CommandEnd::Failed(error)
            }
        };
        // Nobody listens only when the agent has ended.
        let _ = self
            .inputs
            .send(Input::CommandEnded(self.id, self.attempt, end))
            .await;
    }

    async fn perform(&self, operation: Operation) -> Result<CommandResult, Ended> {
        let directories = self.directories.as_ref().ok_or_else(|| {
            CommandError::new(
                CommandErrorCode::Other,
                "The program that runs on this machine does no directory operations.",
            )
        })?;
        // An earlier attempt may have done it already. That is found out by doing it; only what takes long is
        // worth stopping then.
        let cancel = if self.attempt > 1 && !operation.is_long() {
            CancellationToken::new()
        } else {
            self.cancel.clone()
        };
        let (progress, mut told) = mpsc::channel(PROGRESS_QUEUE);
        let work = directories.perform(&self.id, operation, progress, cancel);
        tokio::pin!(work);
        loop {
            tokio::select! {
                result = &mut work => return result,
                Some(progress) = told.recv() => {
                    let input = Input::CommandProgress(self.id.clone(), self.attempt, progress);
                    let _ = self.inputs.send(input).await;
                }
            }
        }
    }
}
