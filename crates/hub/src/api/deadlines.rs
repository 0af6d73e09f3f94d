//! What happens by itself when its time has come.

use protocol::Timestamp;

use super::core::Core;

/// Before another try where the store could not.
const RETRY_MS: u64 = 1_000;

/// Meets deadlines until the hub stops. Each is a row, so none is lost when the hub or its computer stops.
pub(crate) async fn run(core: Core) {
    let mut next = core.next_deadline.subscribe();
    let stop = core.stop.clone();
    let work = async {
        // Until the first commit nobody has said what the first deadline is.
        while let Err(error) = look_first_up(&core).await {
            tracing::warn!(%error, "the first deadline can't be read; trying again");
            pause(&core).await;
        }
        loop {
            let at = *next.borrow_and_update();
            let due = async {
                match at {
                    Some(at) => core.clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = due => {}
                _ = next.changed() => continue,
            }
            // Says in its commit when the next one is, which may be at once.
            match core.change(|_, backend| backend.tick()).await {
                Ok(given_up) => {
                    for error in given_up.as_array().into_iter().flatten() {
                        tracing::error!(%error, "a deadline could not be met and was given up");
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "deadlines could not be met; trying again");
                    pause(&core).await;
                }
            }
        }
    };
    stop.run_until_cancelled(work).await;
}

async fn look_first_up(core: &Core) -> Result<(), protocol::CallError> {
    let first = core.look(|_, backend| backend.next_deadline()).await??;
    core.next_deadline.send_if_modified(|next| {
        let unknown = next.is_none();
        if unknown {
            *next = first.map(Timestamp::as_ms);
        }
        unknown
    });
    Ok(())
}

async fn pause(core: &Core) {
    core.clock
        .sleep_until(core.clock.now_ms().saturating_add(RETRY_MS))
        .await;
}
