//! Accepting connections: so many, each with so much patience, all of them ended when the hub stops.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

use crate::{
    api::Peer,
    listen::{Guarded, STALL_LIMIT},
};

/// Connections that may be open; further ones wait to be accepted.
const CONNECTIONS_MAX: usize = 16_384;
/// How long a connection may take to say what it wants, and how long an idle one is kept.
const HEAD_WAIT: Duration = Duration::from_secs(75);
/// The head of a request; a list of watches is in it.
const HEAD_MAX_BYTES: usize = 64 * 1024;
/// Before another try where nothing can be accepted, such as without a free file descriptor.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// How long requests that are under way may go on once the hub stops.
const STOP_WAIT: Duration = Duration::from_secs(10);

/// Serves until `stop`, then lets requests that are under way end.
pub(crate) async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let connections = TaskTracker::new();
    let abort = CancellationToken::new();
    let accept = async {
        // The semaphore is never closed.
        while let Ok(slot) = Arc::clone(&slots).acquire_owned().await {
            let (stream, peer) = next(&listener).await;
            let (router, stop, abort) = (router.clone(), stop.clone(), abort.clone());
            connections.spawn(async move {
                abort
                    .run_until_cancelled(connection(stream, peer, router, stop))
                    .await;
                drop(slot);
            });
        }
    };
    stop.run_until_cancelled(accept).await;
    drop(listener);
    connections.close();
    if tokio::time::timeout(STOP_WAIT, connections.wait())
        .await
        .is_err()
    {
        tracing::warn!(
            open = connections.len(),
            "requests were still under way when the hub stopped"
        );
        abort.cancel();
        connections.wait().await;
    }
}

async fn next(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // The peer has gone already.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionAborted
                        | io::ErrorKind::ConnectionReset
                        | io::ErrorKind::ConnectionRefused
                ) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted; trying again");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, router: Router, stop: CancellationToken) {
    // A small event must not wait for the acknowledgement of the one before.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps its delay");
    }
    let service = service_fn(|request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(Peer(peer)));
        let router = router.clone();
        async move {
            Ok::<_, Infallible>(
                router
                    .oneshot(request)
                    .await
                    .unwrap_or_else(|never| match never {}),
            )
        }
    });
    let io = TokioIo::new(Guarded::new(stream, STALL_LIMIT));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WAIT)
        .max_buf_size(HEAD_MAX_BYTES)
        .serve_connection(io, service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %peer, "a connection ended early");
    }
}
