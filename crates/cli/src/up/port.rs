//! A port that is taken: by whom, and what to do.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use crate::exit::{Exit, Failure};

/// How long whoever has the port may take to say that it is a hub.
const ASK_LIMIT: Duration = Duration::from_secs(2);

/// Says why the address can't be listened on, and what to do.
pub(crate) async fn explain(address: SocketAddr, error: &std::io::Error) -> Failure {
    let is = |kind| error.kind() == kind;
    let message = if is(ErrorKind::AddrInUse) {
        let whose = whose(address).await;
        let free = SocketAddr::new(address.ip(), 0);
        format!(
            "The port {} is taken {whose} choose another one: --listen {free} takes a free one.",
            address.port()
        )
    } else if is(ErrorKind::PermissionDenied) {
        format!(
            "{address} may not be listened on by you: ports below 1024 are the administrator's. Choose another one with --listen."
        )
    } else if is(ErrorKind::AddrNotAvailable) {
        format!(
            "{} is not an address of this computer. Choose another one with --listen.",
            address.ip()
        )
    } else {
        format!("{address} can't be listened on: {error}. Choose another one with --listen.")
    };
    Failure::new(Exit::AddressTaken, message)
}

/// Who has the port, and what to do about it.
async fn whose(address: SocketAddr) -> String {
    let url = format!("http://{}", reachable(address));
    match crate::health::ask(&url, ASK_LIMIT).await {
        Ok(health) => format!(
            "by another hub (version {}). Use that one, or",
            health.version
        ),
        Err(_) => match owner(address.port()) {
            Some(owner) => format!("by {owner}. Stop it, or"),
            None => "by another program. Stop it, or".to_owned(),
        },
    }
}

fn reachable(address: SocketAddr) -> SocketAddr {
    let loopback: std::net::IpAddr = if address.is_ipv4() {
        std::net::Ipv4Addr::LOCALHOST.into()
    } else {
        std::net::Ipv6Addr::LOCALHOST.into()
    };
    if address.ip().is_unspecified() {
        SocketAddr::new(loopback, address.port())
    } else {
        address
    }
}

/// The process that listens on a port, where the system tells.
#[cfg(target_os = "linux")]
fn owner(port: u16) -> Option<String> {
    let sockets: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| std::fs::read_to_string(table).ok())
        .flat_map(|table| listeners(&table, port))
        .collect();
    for entry in std::fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        // Other people's processes keep theirs to themselves.
        let Ok(files) = std::fs::read_dir(entry.path().join("fd")) else {
            continue;
        };
        let has_it = files
            .flatten()
            .filter_map(|file| std::fs::read_link(file.path()).ok())
            .any(|target| {
                sockets
                    .iter()
                    .any(|socket| target.as_os_str() == socket.as_str())
            });
        if has_it {
            let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            return Some(format!("process {pid} ({})", crate::out::one_line(&name)));
        }
    }
    None
}

#[cfg(not(target_os = "linux"))]
fn owner(_port: u16) -> Option<String> {
    None
}

/// The sockets of `/proc/net/tcp` that listen on a port, as links of `/proc/PID/fd` name them.
#[cfg(target_os = "linux")]
fn listeners(table: &str, port: u16) -> Vec<String> {
    const LISTENS: &str = "0A";
    let port = format!(":{port:04X}");
    let of_line = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let listens = fields.get(1)?.ends_with(&port) && *fields.get(3)? == LISTENS;
        listens
            .then(|| fields.get(9).map(|inode| format!("socket:[{inode}]")))
            .flatten()
    };
    table.lines().skip(1).filter_map(of_line).collect()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_owner_of_a_port_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let owner = owner(listener.local_addr().unwrap().port()).unwrap();
        assert!(
            owner.starts_with(&format!("process {} (", std::process::id())),
            "{owner}"
        );
    }

    #[test]
    fn only_listeners_count() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
                     0: 0100007F:1E61 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1\n\
                     1: 0100007F:1E61 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 222 1\n";
        assert_eq!(listeners(table, 7777), ["socket:[111]"]);
        assert!(listeners(table, 7778).is_empty());
    }
}
