//! The thread that the official clients run on. One thread, so that nothing of a client runs while another part of it
//! is dropped: its connection's task, if it fails at the moment in which its client is dropped on another thread,
//! waits for an order that can't come in a loop that never pauses, and no runtime it runs on ever ends.

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use transport::TransportError;

/// Runs until it is dropped.
#[derive(Debug)]
pub(super) struct Engine {
    handle: Handle,
    _runs: oneshot::Sender<()>,
}

impl Engine {
    pub(super) fn start() -> Result<Self, TransportError> {
        let failed = |error: &dyn std::fmt::Display| {
            TransportError::Lost(format!(
                "no thread can be started for the connection ({error})"
            ))
        };
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| failed(&error))?;
        let handle = runtime.handle().clone();
        let (runs, ended) = oneshot::channel::<()>();
        std::thread::Builder::new()
            .name("convex".to_owned())
            .spawn(move || {
                // Ends by the sender's drop.
                let _ = runtime.block_on(ended);
            })
            .map_err(|error| failed(&error))?;
        Ok(Self {
            handle,
            _runs: runs,
        })
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_runs_on_it_ends_with_it() {
        let engine = Engine::start().unwrap();
        let (held, mut let_go) = oneshot::channel::<()>();
        engine.handle().spawn(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        assert!(let_go.try_recv().is_err());
        drop(engine);
        assert!(let_go.await.is_err(), "the task was dropped");
    }
}
