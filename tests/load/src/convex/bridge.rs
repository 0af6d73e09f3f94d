//! The bridge as a process, and a person who is signed in to it.

use std::path::Path;
use std::process::Stdio;

use protocol::functions::Function;
use protocol::secret::Secret;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use transport_convex::ConvexTransport;

use crate::machines::call;
use crate::{Failure, Found};

pub(super) struct Bridge {
    child: Child,
    url: String,
    http: reqwest::Client,
    /// The person's connection.
    pub(super) transport: ConvexTransport,
    pub(super) person: Secret,
}

impl Bridge {
    pub(super) async fn start(programs: &Found) -> Result<Self, Failure> {
        let data = tempfile::tempdir()?;
        let auth = orchestrator(programs, data.path(), &["convex", "mint-key"]).await?;
        let token = orchestrator(programs, data.path(), &["convex", "token"]).await?;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../convex-bridge");
        let mut child = Command::new(folder.join("bridge"))
            .args(["--listen", "127.0.0.1:0", "--control", "--auth", auth.trim()])
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("the bridge did not start ({error}); run `npm ci` in tests/convex-bridge and convex"))?;
        let stdout = child.stdout.take().ok_or("no standard output")?;
        let url = BufReader::new(stdout).lines().next_line().await?.ok_or(
            "the bridge ended before it was ready; run `npm ci` in tests/convex-bridge and convex",
        )?;
        // The transport chooses how TLS is done, for all of this program.
        let transport = ConvexTransport::new(&format!("convex+{url}"))?;
        Ok(Self {
            child,
            url,
            transport,
            http: reqwest::Client::new(),
            person: Secret::new(token.trim()),
        })
    }

    /// A machine's own connection.
    pub(super) fn another(&self) -> Result<ConvexTransport, Failure> {
        Ok(ConvexTransport::new(&format!("convex+{}", self.url))?)
    }

    /// Calls as the person.
    pub(super) async fn call<F: Function>(&self, args: &F::Args) -> Result<F::Reply, Failure> {
        call::<F>(&self.transport, args, Some(&self.person)).await
    }

    pub(super) async fn reset_counts(&self) -> Result<(), Failure> {
        self.control("POST", "settled").await?;
        self.control("POST", "counts/reset").await.map(drop)
    }

    pub(super) async fn counts(&self) -> Result<Value, Failure> {
        self.control("POST", "settled").await?;
        self.control("GET", "counts").await
    }

    /// What is stored; asking costs nothing.
    pub(super) async fn tables(&self) -> Result<Value, Failure> {
        self.control("GET", "tables").await
    }

    async fn control(&self, method: &str, what: &str) -> Result<Value, Failure> {
        let url = format!("{}/_bridge/{what}", self.url);
        let request = match method {
            "GET" => self.http.get(url),
            _ => self.http.post(url).json(&serde_json::json!({})),
        };
        Ok(request.send().await?.error_for_status()?.json().await?)
    }

    pub(super) async fn stop(mut self) {
        let _ = self.child.kill().await;
    }
}

async fn orchestrator(programs: &Found, data: &Path, args: &[&str]) -> Result<String, Failure> {
    let output = Command::new(&programs.orchestrator)
        .args(args)
        .arg("--data-dir")
        .arg(data)
        .output()
        .await?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
