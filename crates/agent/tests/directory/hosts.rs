//! Hosts of repositories that behave badly, on this computer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What a host does with whoever asks.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Manner {
    /// It asks for credentials.
    AsksWho,
    /// It takes the request and says nothing.
    Silent,
    /// It sends a repository with one file that never ends; waits so long between pieces.
    Endless(Duration),
    /// It sends the caller to a file on the caller's own disk.
    SendsToDisk,
}

pub(crate) struct Host {
    pub(crate) url: String,
    /// Bytes of repositories that were sent.
    pub(crate) sent: watch::Receiver<u64>,
}

impl Host {
    pub(crate) async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/team/project.git", listener.local_addr().unwrap());
        let (tell, sent) = watch::channel(0);
        let tell = Arc::new(tell);
        let count = Arc::new(AtomicU64::new(0));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tell, count) = (Arc::clone(&tell), Arc::clone(&count));
                // Whoever asked may go away at any time.
                tokio::spawn(async move {
                    let _ = answer(stream, manner, &tell, &count).await;
                });
            }
        });
        Self { url, sent }
    }
}

async fn answer(
    mut stream: TcpStream,
    manner: Manner,
    tell: &watch::Sender<u64>,
    count: &AtomicU64,
) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    match manner {
        Manner::Silent => {
            tell.send_modify(|sent| *sent += 1);
            std::future::pending().await
        }
        Manner::AsksWho => {
            let head = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            stream.write_all(head.as_bytes()).await
        }
        Manner::SendsToDisk => {
            let head = "HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            stream.write_all(head.as_bytes()).await
        }
        Manner::Endless(pause) if request.starts_with(b"POST") => {
            stream.write_all(head("result").as_bytes()).await?;
            stream.write_all(b"0008NAK\n").await?;
            // A million objects: an empty blob, then one of 256 GiB as zlib blocks that are not compressed.
            let mut pack = b"PACK\0\0\0\x02\0\x0f\x42\x40".to_vec();
            pack.extend(b"\x30\x78\x01\x01\0\0\xff\xff\0\0\0\x01");
            pack.extend(b"\xb0\x80\x80\x80\x80\x40\x78\x01");
            loop {
                pack.extend([0x00, 0x00, 0x80, 0xff, 0x7f]);
                pack.extend([7; 0x8000]);
                let mut packet = format!("{:04x}\x01", pack.len() + 5).into_bytes();
                packet.append(&mut pack);
                stream.write_all(&packet).await?;
                let sent = count.fetch_add(packet.len() as u64, Ordering::Relaxed);
                tell.send_replace(sent + packet.len() as u64);
                tokio::time::sleep(pause).await;
            }
        }
        Manner::Endless(_) => {
            let id = "1234567890123456789012345678901234567890";
            let abilities = "side-band-64k ofs-delta symref=HEAD:refs/heads/main agent=test";
            let body = [
                packet("# service=git-upload-pack\n"),
                "0000".to_owned(),
                packet(&format!("{id} HEAD\0{abilities}\n")),
                packet(&format!("{id} refs/heads/main\n")),
                "0000".to_owned(),
            ]
            .concat();
            stream.write_all(head("advertisement").as_bytes()).await?;
            stream.write_all(body.as_bytes()).await
        }
    }
}

fn head(what: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-{what}\r\nConnection: close\r\n\r\n"
    )
}

fn packet(line: &str) -> String {
    format!("{:04x}{line}", line.len() + 4)
}
