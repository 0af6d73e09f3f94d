//! Cutting connections whose peer takes nothing any more.
//!
//! A reader that stops reading fills its socket and is then waited for, for ever. [`cut_stalled`] ends such a
//! connection after a while; the reader resumes by offset when it can.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::serve::Listener;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

/// How long a peer may take nothing while there is something to send: three pings of a live read.
pub const STALL_LIMIT: Duration = Duration::from_secs(45);

/// Accepts like `listener`, and ends connections that take nothing for `limit`.
pub fn cut_stalled<L: Listener>(listener: L, limit: Duration) -> CutStalled<L> {
    CutStalled { listener, limit }
}

/// See [`cut_stalled`].
#[derive(Debug)]
pub struct CutStalled<L> {
    listener: L,
    limit: Duration,
}

impl<L: Listener> Listener for CutStalled<L> {
    type Io = Guarded<L::Io>;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (io, address) = self.listener.accept().await;
        (
            Guarded {
                io,
                limit: self.limit,
                stalled: None,
            },
            address,
        )
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A connection that fails once a write has waited too long.
#[derive(Debug)]
pub struct Guarded<I> {
    io: I,
    limit: Duration,
    /// Runs while a write waits.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<I> Guarded<I> {
    /// Fails writes of `io` that wait for `limit`.
    pub(crate) fn new(io: I, limit: Duration) -> Self {
        Self {
            io,
            limit,
            stalled: None,
        }
    }

    fn judge<T>(
        &mut self,
        context: &mut Context<'_>,
        write: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if write.is_ready() {
            self.stalled = None;
            return write;
        }
        let limit = self.limit;
        let timer = self
            .stalled
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + limit)));
        ready!(timer.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the peer takes nothing any more",
        )))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Guarded<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, into)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Guarded<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.io).poll_write(context, bytes);
        self.judge(context, write)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.io).poll_write_vectored(context, slices);
        self.judge(context, write)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flush = Pin::new(&mut self.io).poll_flush(context);
        self.judge(context, flush)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    fn guarded() -> (Guarded<tokio::io::DuplexStream>, tokio::io::DuplexStream) {
        let (ours, theirs) = duplex(8);
        (
            Guarded {
                io: ours,
                limit: STALL_LIMIT,
                stalled: None,
            },
            theirs,
        )
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_cut() {
        let (mut ours, theirs) = guarded();
        let before = Instant::now();
        let error = ours.write_all(&[0; 64]).await.expect_err("cut");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(before.elapsed() >= STALL_LIMIT, "in virtual time");
        drop(theirs);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_a_little_now_and_then_is_not() {
        let (mut ours, mut theirs) = guarded();
        let slow = tokio::spawn(async move {
            let mut byte = [0; 1];
            for _ in 0..64 {
                tokio::time::sleep(STALL_LIMIT / 2).await;
                theirs.read_exact(&mut byte).await.expect("reads");
            }
            theirs
        });
        ours.write_all(&[0; 64]).await.expect("all goes");
        slow.await.expect("reads all");
    }
}
