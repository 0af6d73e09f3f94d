//! A way to the hub that can be bad: TCP, with latency, slicing, cuts, half-open connections and black holes.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::random::Random;

/// Read at once; what is more waits in the socket.
const PIECE_BYTES: usize = 16 * 1024;
/// Of each piece so much is sliced: more says nothing new and takes long.
const SLICED_BYTES: usize = 512;

/// What every connection meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    Clear,
    /// Each piece comes later by a random time.
    Latency {
        most_ms: u64,
    },
    /// Pieces come in small slices.
    Slices {
        most_bytes: u64,
    },
    /// Nothing comes through and nobody is told.
    BlackHole,
    /// New connections end at once.
    Refusing,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Reset,
    Close,
    /// The hub sees its end, the caller never hears of it.
    SilentToCaller,
    /// The caller sees its end, the hub never hears of it.
    SilentToHub,
}

/// What holds now.
#[derive(Debug, Clone, Copy)]
struct Sky {
    weather: Weather,
    /// Connections with a lower number end like this.
    ended: Option<(u64, End)>,
}

/// A listener before the hub.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    sky: watch::Sender<Sky>,
    next: watch::Receiver<u64>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub async fn start(hub: SocketAddr, seed: u64) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (sky, seen) = watch::channel(Sky {
            weather: Weather::Clear,
            ended: None,
        });
        let (count, next) = watch::channel(0);
        let task = tokio::spawn(async move {
            for number in 0_u64.. {
                let Ok((caller, _)) = listener.accept().await else {
                    return;
                };
                count.send_replace(number + 1);
                let connection = Connection {
                    number,
                    sky: seen.clone(),
                    random: Random::new(seed, number),
                };
                tokio::spawn(connection.carry(caller, hub));
            }
        });
        Ok(Self {
            address,
            sky,
            next,
            task,
        })
    }

    /// Its address as a hub's.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes the weather.
    pub fn set(&self, weather: Weather) {
        self.sky.send_modify(|sky| sky.weather = weather);
    }

    /// Ends every connection that there is.
    pub fn end(&self, end: End) {
        let before = *self.next.borrow();
        self.sky.send_modify(|sky| sky.ended = Some((before, end)));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Connection {
    number: u64,
    sky: watch::Receiver<Sky>,
    random: Random,
}

impl Connection {
    async fn carry(mut self, mut caller: TcpStream, hub: SocketAddr) {
        let (number, mut told) = (self.number, self.sky.clone());
        let ended = async move {
            let is_ended = |sky: &Sky| sky.ended.filter(|(before, _)| number < *before);
            told.wait_for(|sky| is_ended(sky).is_some())
                .await
                .ok()
                .and_then(|sky| is_ended(&sky))
                .map_or(End::Reset, |(_, end)| end)
        };
        tokio::pin!(ended);
        let connected = tokio::select! {
            connected = self.connect(hub) => connected,
            _ = &mut ended => None,
        };
        let Some(mut upstream) = connected else {
            let _ = caller.set_zero_linger();
            return;
        };
        let _ = caller.set_nodelay(true);
        let _ = upstream.set_nodelay(true);
        let end = {
            let (from_caller, to_caller) = caller.split();
            let (from_hub, to_hub) = upstream.split();
            let there = pump(from_caller, to_hub, self.sky.clone(), self.random.clone());
            let back = pump(from_hub, to_caller, self.sky.clone(), self.random.clone());
            tokio::select! {
                () = async { tokio::join!(there, back); } => return,
                end = &mut ended => end,
            }
        };
        match end {
            End::Reset => {
                let _ = caller.set_zero_linger();
                let _ = upstream.set_zero_linger();
            }
            End::Close => {}
            End::SilentToCaller => {
                drop(upstream);
                swallow(caller).await;
            }
            End::SilentToHub => {
                drop(caller);
                swallow(upstream).await;
            }
        }
    }

    /// Reaches the hub when the weather lets it.
    async fn connect(&mut self, hub: SocketAddr) -> Option<TcpStream> {
        let weather = self
            .sky
            .wait_for(|sky| sky.weather != Weather::BlackHole)
            .await
            .ok()?
            .weather;
        if weather == Weather::Refusing {
            return None;
        }
        TcpStream::connect(hub).await.ok()
    }
}

/// Reads until the other side gives up, and says nothing.
async fn swallow(mut stream: TcpStream) {
    let mut piece = vec![0; PIECE_BYTES];
    while stream.read(&mut piece).await.is_ok_and(|read| read > 0) {}
}

/// Carries one direction until it ends.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut sky: watch::Receiver<Sky>,
    mut random: Random,
) {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = match from.read(&mut piece).await {
            Ok(0) | Err(_) => break,
            Ok(read) => read,
        };
        // What was read when the hole opened waits too.
        let Ok(weather) = sky
            .wait_for(|sky| sky.weather != Weather::BlackHole)
            .await
            .map(|sky| sky.weather)
        else {
            break;
        };
        if pass(&mut to, &piece[..read], weather, &mut random)
            .await
            .is_err()
        {
            break;
        }
    }
    let _ = to.shutdown().await;
}

async fn pass(
    to: &mut WriteHalf<'_>,
    piece: &[u8],
    weather: Weather,
    random: &mut Random,
) -> std::io::Result<()> {
    match weather {
        Weather::Latency { most_ms } => {
            tokio::time::sleep(random.time(0, most_ms)).await;
            to.write_all(piece).await
        }
        Weather::Slices { most_bytes } => {
            let (mut sliced, rest) = piece.split_at(piece.len().min(SLICED_BYTES));
            while !sliced.is_empty() {
                let length = usize::try_from(random.between(1, most_bytes)).unwrap_or(1);
                let (slice, left) = sliced.split_at(length.min(sliced.len()));
                to.write_all(slice).await?;
                if random.per_cent(10) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                sliced = left;
            }
            to.write_all(rest).await
        }
        Weather::Clear | Weather::BlackHole | Weather::Refusing => to.write_all(piece).await,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may panic")]
mod tests {
    use super::*;

    /// A server that sends back what it gets.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        address
    }

    async fn says(stream: &mut TcpStream, text: &str) -> std::io::Result<String> {
        stream.write_all(text.as_bytes()).await?;
        let mut heard = vec![0; text.len()];
        stream.read_exact(&mut heard).await?;
        Ok(String::from_utf8(heard).unwrap())
    }

    #[tokio::test]
    async fn what_is_sliced_or_late_comes_whole() {
        let proxy = Proxy::start(echo().await, 1).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        for weather in [
            Weather::Clear,
            Weather::Latency { most_ms: 5 },
            Weather::Slices { most_bytes: 3 },
        ] {
            proxy.set(weather);
            let text = "all of it, in order ".repeat(50);
            assert_eq!(says(&mut stream, &text).await.unwrap(), text);
        }
    }

    #[tokio::test]
    async fn a_black_hole_gives_back_what_it_held() {
        let proxy = Proxy::start(echo().await, 1).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        assert_eq!(says(&mut stream, "before").await.unwrap(), "before");
        proxy.set(Weather::BlackHole);
        let waiting = says(&mut stream, "within");
        tokio::pin!(waiting);
        let early = tokio::time::timeout(Duration::from_millis(50), &mut waiting).await;
        assert!(early.is_err(), "nothing comes through");
        proxy.set(Weather::Clear);
        assert_eq!(waiting.await.unwrap(), "within");
    }

    #[tokio::test]
    async fn a_cut_ends_what_there_is_and_lets_new_ones_through_afterwards() {
        let proxy = Proxy::start(echo().await, 1).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        assert_eq!(says(&mut stream, "before").await.unwrap(), "before");
        proxy.set(Weather::Refusing);
        proxy.end(End::Reset);
        assert!(says(&mut stream, "after").await.is_err());
        proxy.set(Weather::Clear);
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        assert_eq!(says(&mut stream, "again").await.unwrap(), "again");
    }
}
