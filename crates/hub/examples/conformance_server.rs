//! Serves streams to everybody on a loopback port of its own choosing, for the conformance suite and for
//! measurements: prints the address as one line, and ends when its standard input does.
//!
//! `cargo run -p hub --example conformance_server [DATABASE]`; without a path a temporary one is used.

use std::{io::Write as _, path::PathBuf, sync::Arc, time::Duration};

use axum::Router;
use hub::{
    listen::{STALL_LIMIT, cut_stalled},
    store::Store,
    streams::{OpenAccess, StreamLimits, Streams, router},
};
use tokio::{io::AsyncReadExt as _, net::TcpListener};

/// The suite appends bodies of this size and is content with either answer; taking them tests more.
const APPEND_BYTES: usize = 16 << 20;
/// The suite waits for some long-polls to end by themselves.
const LONG_POLL: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let path = std::env::args_os()
        .nth(1)
        .map_or_else(|| directory.path().join("streams.db"), PathBuf::from);
    let store = Store::open(path)?;
    let limits = StreamLimits {
        append_bytes: APPEND_BYTES,
        long_poll: LONG_POLL,
        ..StreamLimits::default()
    };
    let streams = Streams::start(store.clone(), limits);
    let app = Router::new().nest("/v1/stream", router(streams, Arc::new(OpenAccess)));

    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    writeln!(std::io::stdout(), "http://{}", listener.local_addr()?)?;
    let serving = async { axum::serve(cut_stalled(listener, STALL_LIMIT), app).await };
    let mut ignored = Vec::new();
    let mut stdin = tokio::io::stdin();
    tokio::select! {
        served = serving => served?,
        _ = stdin.read_to_end(&mut ignored) => {}
    }
    store.close().await;
    Ok(())
}
