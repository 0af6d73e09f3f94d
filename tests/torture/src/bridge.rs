//! Convex in the hub's place: the functions behind the bridge, a process of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use protocol::secret::Secret;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::processes::Own;
use crate::product::{Started, command, log};
use crate::{Failure, Found};

/// How long the bridge may take to start: it compiles the functions.
const LIMIT: Duration = Duration::from_secs(120);
/// The folder of the bridge.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../convex-bridge");

/// Starts it, with a person who may sign in.
pub(crate) async fn start(found: &Found, own: &Own, home: &Path) -> Result<Started, Failure> {
    let auth = orchestrator(found, own, home, &["convex", "mint-key"]).await?;
    let token = orchestrator(found, own, home, &["convex", "token"]).await?;
    let folder = Path::new(FOLDER);
    let mut command = Command::new(folder.join("bridge"));
    command
        .args([
            "--listen",
            "127.0.0.1:0",
            "--control",
            "--auth",
            auth.trim(),
        ])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log(home, "hub.log")?)
        .kill_on_drop(true);
    let mut process = own.spawn(|| command.spawn(), Child::id).map_err(|error| {
        format!(
            "the bridge did not start ({error}); run `npm ci` in tests/convex-bridge and convex"
        )
    })?;
    let stdout = process.stdout.take().ok_or("no standard output")?;
    let mut lines = BufReader::new(stdout).lines();
    let line = tokio::time::timeout(LIMIT, lines.next_line()).await??;
    let line = line.ok_or(
        "the bridge ended before it was ready; run `npm ci` in tests/convex-bridge and convex",
    )?;
    let address = line.strip_prefix("http://");
    Ok(Started {
        process,
        address: address.ok_or("the bridge told no address")?.parse()?,
        token: Secret::new(token.trim()),
    })
}

/// Ends every connection, and takes none for so long.
pub(crate) async fn restart(address: SocketAddr, down: Duration) -> Result<(), Failure> {
    let down = serde_json::json!({ "ms": u64::try_from(down.as_millis())? });
    let answer = reqwest::Client::new()
        .post(format!("http://{address}/_bridge/restart"))
        .json(&down)
        .timeout(LIMIT)
        .send()
        .await;
    answer?.error_for_status()?;
    Ok(())
}

async fn orchestrator(
    found: &Found,
    own: &Own,
    home: &Path,
    arguments: &[&str],
) -> Result<String, Failure> {
    let mut command = command(&found.orchestrator, home);
    command
        .args(arguments)
        .arg("--data-dir")
        .arg(home.join("hub"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let process = own.spawn(|| command.spawn(), Child::id)?;
    let pid = process.id();
    let output = process.wait_with_output().await?;
    pid.inspect(|pid| own.forget(*pid));
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
