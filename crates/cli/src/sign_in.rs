//! `link`, `login`, `password`: getting in.

use std::io::{IsTerminal as _, Read as _};
use std::time::Duration;

use protocol::CallError;
use protocol::secret::Secret;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::Api;
use crate::convex::key::OwnerKey;
use crate::exit::{Exit, Failure};
use crate::out::Out;
use crate::running::Running;
use crate::settings::{Key, Settings};
use crate::way::Way;
use crate::{credentials, lists, places, up};

/// How long the backend may take for a password: its hash is slow on purpose.
const LIMIT: Duration = Duration::from_secs(30);
/// More than any password or token that a backend takes.
const SECRET_MAX_BYTES: u64 = 16 * 1024;
/// How long a token is good that only tries whether a deployment takes it.
const TRIAL_LIFE: Duration = Duration::from_secs(60 * 60);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LinkReply {
    url: String,
    expires_at: protocol::Timestamp,
}

/// Prints a new link.
pub(crate) async fn link(
    settings: &Settings,
    page: Option<&str>,
    out: Out,
) -> Result<Exit, Failure> {
    let api = Api::of(settings)?;
    if api.way().is_convex() {
        return convex_link(settings, &api, page, out);
    }
    let link: LinkReply = api.post("auth/link", &json!({})).await?;
    if out.is_json() {
        out.value(&json!({ "link": link.url, "expiresAt": link.expires_at }))?;
    } else {
        out.say(&format!(
            "This link signs you in, once, until {}:",
            lists::time(link.expires_at)
        ));
        out.line(&link.url)?;
    }
    Ok(Exit::Done)
}

fn convex_link(
    settings: &Settings,
    api: &Api,
    page: Option<&str>,
    out: Out,
) -> Result<Exit, Failure> {
    let page = page
        .map(str::to_owned)
        .or_else(|| settings.optional(Key::PublicUrl))
        .or_else(|| running_page(settings, api.address()))
        .ok_or_else(|| {
            let message = format!(
                "No page for {} runs on this computer, so there is nothing to link to. Start one with `orchestrator up --convex {}`, or name one with --page.",
                api.address(),
                api.address()
            );
            Failure::new(Exit::Settings, message)
        })?;
    let (link, note) = up::convex_link(settings, api, &page)?;
    if out.is_json() {
        let expires_at = link
            .expose()
            .split_once("#token=")
            .and_then(|(_, token)| transport_convex::expires_at(&Secret::new(token)));
        out.value(&json!({ "link": link.expose(), "expiresAt": expires_at }))?;
    } else {
        out.say(&format!("This link signs you in. {note}"));
        out.line(link.expose())?;
    }
    Ok(Exit::Done)
}

/// The page for a deployment that runs on this computer.
fn running_page(settings: &Settings, address: &str) -> Option<String> {
    settings
        .local_data_dirs()
        .iter()
        .filter_map(|directory| Running::read(directory))
        .find(|running| running.url == address)?
        .page
}

/// Sets the owner's password.
pub(crate) async fn password(settings: &Settings, out: Out) -> Result<Exit, Failure> {
    let api = Api::of(settings)?;
    if api.way().is_convex() {
        let message = format!(
            "{} has no password: people sign in with tokens there, of `orchestrator convex token` or of an identity provider.",
            api.address()
        );
        return Err(Failure::new(Exit::Usage, message));
    }
    let password = read_password(out, "The new password").await?;
    let _: Value = api
        .post("auth/password", &json!({ "password": password }))
        .await?;
    out.say("The password is set; browsers that were signed in have to sign in again.");
    Ok(Exit::Done)
}

/// Exchanges the password for a token, and keeps it.
pub(crate) async fn login(settings: &Settings, out: Out) -> Result<Exit, Failure> {
    let way = Way::of(settings)?;
    if way.is_convex() {
        return convex_login(settings, way, out).await;
    }
    let address = way.address().to_owned();
    let password = read_password(out, &format!("The owner's password for {address}")).await?;
    let client = reqwest::Client::builder()
        .timeout(LIMIT)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    let signed_in = send(
        client.post(format!("{address}/v1/auth/sign-in")),
        &way,
        &json!({ "password": password }),
    )
    .await?;
    let cookie = signed_in
        .headers()
        .get("set-cookie")
        .and_then(|cookie| cookie.to_str().ok());
    let cookie = cookie
        .and_then(|cookie| cookie.split(';').next())
        .map(str::to_owned);
    let cookie = cookie.ok_or_else(|| {
        Failure::new(
            Exit::Upgrade,
            format!("{address} signed in but sent no cookie. Is it a hub?"),
        )
    })?;

    #[derive(Deserialize)]
    struct TokenReply {
        token: Secret,
    }
    let request = |path: &str| {
        client
            .post(format!("{address}{path}"))
            .header("cookie", &cookie)
            .header("x-orchestrator", "1")
    };
    let name = format!("orchestrator on {}", places::hostname());
    let name: String = name.chars().take(40).collect();
    let reply: TokenReply = read(
        send(request("/v1/auth/token"), &way, &json!({ "name": name })).await?,
        &address,
    )
    .await?;
    let path = credentials::keep(settings, &address, reply.token)?;
    // The browser sign-in has done its work. If it stays, it ends by itself when it is not used.
    let _ = send(request("/v1/auth/sign-out"), &way, &json!({})).await;
    if out.is_json() {
        out.value(&json!({ "backend": address, "file": path }))?;
    } else {
        out.say(&format!(
            "Signed in to {address}. The token is in {}.",
            path.display()
        ));
    }
    Ok(Exit::Done)
}

/// Keeps a token for a deployment, or lets it have tokens of this computer's key.
async fn convex_login(settings: &Settings, way: Way, out: Out) -> Result<Exit, Failure> {
    let address = way.address().to_owned();
    let key = OwnerKey::read(settings)?;
    let hint = if key.is_some() {
        ", or nothing for this computer's own key"
    } else {
        ""
    };
    let given = read_secret(out, &format!("A token for {address}{hint}")).await?;
    let (token, key) = match (given.is_empty(), key) {
        (false, _) => (Secret::new(given), None),
        (true, Some(key)) => (key.token(TRIAL_LIFE)?, Some(key)),
        (true, None) => {
            let message = format!(
                "There is no token, and this computer has no key. The owner of {address} gets you one with `orchestrator convex token`; for a deployment of your own, `orchestrator convex mint-key` makes a key."
            );
            return Err(Failure::new(Exit::Usage, message));
        }
    };
    // What the deployment does not take is not kept.
    let api = Api::new(way, token.clone(), "what was given".to_owned());
    api.call::<protocol::functions::ListMachines>(&protocol::wire::NoArgs {})
        .await?;
    let path = match key {
        Some(mut key) => {
            key.allow(&address, settings)?;
            OwnerKey::path(settings)?
        }
        None => credentials::keep(settings, &address, token)?,
    };
    if out.is_json() {
        out.value(&json!({ "backend": address, "file": path }))?;
    } else {
        out.say(&format!("Signed in to {address}, by {}.", path.display()));
    }
    Ok(Exit::Done)
}

async fn send(
    request: reqwest::RequestBuilder,
    way: &Way,
    body: &impl Serialize,
) -> Result<reqwest::Response, Failure> {
    let response = request
        .json(body)
        .send()
        .await
        .map_err(|error| way.unreachable(&crate::health::innermost(error)))?;
    if response.status().is_success() {
        return Ok(response);
    }
    let status = response.status().as_u16();
    match response.json::<CallError>().await {
        Ok(error) => Err(error.into()),
        Err(_) => Err(Failure::new(
            Exit::Refused,
            format!(
                "{} answered with HTTP status {status}. Is this the address of a hub?",
                way.address()
            ),
        )),
    }
}

async fn read<T: DeserializeOwned>(
    response: reqwest::Response,
    address: &str,
) -> Result<T, Failure> {
    response.json().await.map_err(|_| {
        Failure::new(
            Exit::Upgrade,
            format!("The answer of {address} can't be read. Its version may be another one."),
        )
    })
}

/// A password, asked for or of standard input.
async fn read_password(out: Out, what: &str) -> Result<String, Failure> {
    let password = read_secret(out, what).await?;
    if password.is_empty() {
        Err(Failure::new(Exit::Usage, "The password is empty."))
    } else {
        Ok(password)
    }
}

/// Asks on the terminal without showing what is typed, or takes standard input.
async fn read_secret(out: Out, what: &str) -> Result<String, Failure> {
    let what = what.to_owned();
    let read = tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        if std::io::stdin().is_terminal() {
            out.say_piece(&format!("{what}: "));
            let _hidden = Hidden::begin();
            std::io::stdin().read_line(&mut text)?;
            out.say("");
        } else {
            std::io::stdin()
                .lock()
                .take(SECRET_MAX_BYTES)
                .read_to_string(&mut text)?;
        }
        Ok::<_, std::io::Error>(text)
    });
    let text = match read.await {
        Ok(text) => text.map_err(|error| {
            Failure::new(
                Exit::Usage,
                format!("What was given can't be read: {error}."),
            )
        })?,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    };
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// For as long as it lives, the terminal does not show what is typed.
struct Hidden {
    #[cfg(unix)]
    before: Option<rustix::termios::Termios>,
}

impl Hidden {
    #[cfg(unix)]
    fn begin() -> Self {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let stdin = std::io::stdin();
        let before = tcgetattr(&stdin).ok();
        if let Some(before) = &before {
            let mut hidden = before.clone();
            hidden.local_modes.remove(LocalModes::ECHO);
            // A terminal that can't be told shows it.
            let _ = tcsetattr(&stdin, OptionalActions::Now, &hidden);
        }
        Self { before }
    }

    #[cfg(not(unix))]
    fn begin() -> Self {
        Self {}
    }
}

#[cfg(unix)]
impl Drop for Hidden {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = rustix::termios::tcsetattr(
                std::io::stdin(),
                rustix::termios::OptionalActions::Now,
                before,
            );
        }
    }
}
