//! `/v1/auth/…`: signing in and out.

use axum::{
    Extension, Json, Router,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use protocol::{CallError, ErrorCode, Timestamp, ids::PersonId, secret::Secret};
use rusqlite::Connection;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    BROWSER_PREFIX, Credential, Kind, LINK_PREFIX, LinkLife, SIGN_IN_IDLE_MS, SignIn, TOKEN_PREFIX,
    local::new_sign_in_id,
    new_link, new_secret,
    tables::{self, Person},
};
use crate::{
    api::{
        App, body,
        core::{Core, defect},
        guard::Origin,
    },
    refusal,
};

/// A body of these routes is small.
const BODY_MAX_BYTES: usize = 8 * 1024;
/// What a person calls a token.
const NAME_MAX_BYTES: usize = 64;

/// Every route below, with its method: for the description.
pub(crate) const SIGN_IN_PATHS: &[(&str, &str)] = &[
    ("post", "/v1/auth/sign-in"),
    ("get", "/v1/auth/me"),
    ("post", "/v1/auth/password"),
    ("post", "/v1/auth/sign-out"),
    ("post", "/v1/auth/link"),
    ("post", "/v1/auth/token"),
    ("get", "/v1/auth/sign-ins"),
    ("post", "/v1/auth/revoke"),
];

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/v1/auth/sign-in", post(sign_in))
        .route("/v1/auth/me", get(me))
        .route("/v1/auth/password", post(set_password))
        .route("/v1/auth/sign-out", post(sign_out))
        .route("/v1/auth/link", post(make_link))
        .route("/v1/auth/token", post(make_token))
        .route("/v1/auth/sign-ins", get(list))
        .route("/v1/auth/revoke", post(revoke))
}

type Answer = Result<Response, Refused>;

/// A refusal on its way out of a handler.
struct Refused(CallError);

impl From<CallError> for Refused {
    fn from(error: CallError) -> Self {
        Self(error)
    }
}

impl axum::response::IntoResponse for Refused {
    fn into_response(self) -> Response {
        refusal::response(self.0)
    }
}

#[derive(Deserialize)]
struct SignInArgs {
    token: Option<Secret>,
    password: Option<String>,
}

async fn sign_in(
    State(app): State<App>,
    Extension(origin): Extension<Origin>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    app.limiter.take(origin.address)?;
    let args: SignInArgs = arguments(&headers, body).await?;
    let core = &app.core;
    let person = match args {
        SignInArgs {
            token: Some(token),
            password: None,
        } => Proof::Link(token),
        SignInArgs {
            token: None,
            password: Some(password),
        } => Proof::Person(check_owners_password(&app, &origin, password).await?),
        SignInArgs { .. } => {
            return Err(CallError::new(
                ErrorCode::Invalid,
                "Send either the token of a sign-in link or a password.",
            )
            .into());
        }
    };
    let secret = new_secret(BROWSER_PREFIX)?;
    let sign_in_id = new_sign_in_id()?;
    let (hash, now_ms, name) = (secret.hash(), core.clock.now_ms(), user_agent(&headers));
    // One transaction: a link that was used up has signed somebody in.
    let me = core
        .write(move |transaction| {
            let person = match person {
                Proof::Person(person) => person,
                Proof::Link(token) => used_link(transaction, &token, now_ms)?,
            };
            let sign_in = SignIn {
                hash: hash.as_str().to_owned(),
                id: sign_in_id,
                person: person.clone(),
                kind: Kind::Browser,
                name,
                created_ms: now_ms,
                used_ms: now_ms,
            };
            tables::add_sign_in(transaction, &sign_in).map_err(|error| defect(&error))?;
            Ok(Me::of(load_person(transaction, &person)?))
        })
        .await?;
    let mut response = Json(me).into_response();
    set_cookie(
        &mut response,
        &origin,
        secret.expose(),
        SIGN_IN_IDLE_MS / 1_000,
    );
    Ok(response)
}

enum Proof {
    Person(PersonId),
    Link(Secret),
}

fn used_link(connection: &Connection, token: &Secret, now_ms: u64) -> Result<PersonId, CallError> {
    let incomplete = || {
        CallError::new(
            ErrorCode::Unauthenticated,
            "This sign-in link is not complete. Copy the whole link, or ask for a new one with `orchestrator link`.",
        )
    };
    if !token.is_well_formed(LINK_PREFIX) {
        return Err(incomplete());
    }
    tables::use_link(connection, token.hash().as_str(), now_ms)
        .map_err(|error| defect(&error))?
        .ok_or_else(|| {
            CallError::new(
                ErrorCode::Expired,
                "This sign-in link was used or has expired. Ask for a new one with `orchestrator link`.",
            )
        })
}

async fn check_owners_password(
    app: &App,
    origin: &Origin,
    password: String,
) -> Result<PersonId, CallError> {
    let owner = app
        .core
        .read(tables::owner)
        .await?
        .map_err(|error| defect(&error))?;
    let (id, hash) = owner.map(|owner| (owner.id, owner.password)).unzip();
    let right = app
        .passwords
        .check(origin.address, password, hash.flatten())
        .await?;
    id.filter(|_| right).ok_or_else(|| {
        CallError::new(
            ErrorCode::Unauthenticated,
            "The password is wrong, or none was set. Try again, or sign in with a link: `orchestrator link` makes one.",
        )
    })
}

/// Who is signed in.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Me {
    person: PersonView,
    has_password: bool,
}

#[derive(Serialize)]
struct PersonView {
    id: PersonId,
    name: String,
}

impl Me {
    fn of(person: Person) -> Self {
        Self {
            person: PersonView {
                id: person.id,
                name: person.name,
            },
            has_password: person.password.is_some(),
        }
    }
}

async fn me(
    State(app): State<App>,
    Extension(origin): Extension<Origin>,
    Extension(credential): Extension<Credential>,
) -> Answer {
    let now_ms = app.core.clock.now_ms();
    let asked = credential.clone();
    let person = app
        .core
        .read(move |connection| load_person(connection, &asked.sign_in(connection, now_ms)?.person))
        .await??;
    credential.note_use(&app.core).await;
    let mut response = Json(Me::of(person)).into_response();
    if let Credential::Cookie(secret) = &credential {
        // The browser's clock starts anew, as the hub's does.
        set_cookie(
            &mut response,
            &origin,
            secret.expose(),
            SIGN_IN_IDLE_MS / 1_000,
        );
    }
    Ok(response)
}

#[derive(Deserialize)]
struct PasswordArgs {
    password: String,
    current: Option<String>,
}

async fn set_password(
    State(app): State<App>,
    Extension(origin): Extension<Origin>,
    Extension(credential): Extension<Credential>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let args: PasswordArgs = arguments(&headers, body).await?;
    let core = &app.core;
    let (own, person) = signed_in(core, &credential).await?;
    // The file on the hub's own computer is the way back for somebody who has forgotten it.
    if let Some(hash) = person.password.filter(|_| own.kind != Kind::Local) {
        let current = args.current.unwrap_or_default();
        if !app
            .passwords
            .check(origin.address, current, Some(hash))
            .await?
        {
            return Err(CallError::new(
                ErrorCode::Forbidden,
                "The current password is wrong. If it is forgotten, set a new one with `orchestrator password` on the backend's computer.",
            )
            .into());
        }
    }
    let hash = app.passwords.hash(args.password).await?;
    let now_ms = core.clock.now_ms();
    let (at_work, asked) = (core.clone(), credential.clone());
    core.write(move |transaction| {
        // Again: it may have been revoked while the hash was computed.
        let own = asked.sign_in(transaction, now_ms)?;
        let change = || {
            tables::set_password(transaction, &own.person, &hash)?;
            for other in tables::sign_ins(transaction, &own.person)? {
                if other.kind == Kind::Browser && other.hash != own.hash {
                    end(&at_work, transaction, other)?;
                }
            }
            Ok(())
        };
        change().map_err(|error: rusqlite::Error| defect(&error))
    })
    .await?;
    Ok(done())
}

async fn sign_out(
    State(app): State<App>,
    Extension(origin): Extension<Origin>,
    Extension(credential): Extension<Credential>,
) -> Answer {
    let core = app.core.clone();
    let now_ms = core.clock.now_ms();
    let ended = app
        .core
        .write(move |transaction| {
            let own = credential.sign_in(transaction, now_ms)?;
            end(&core, transaction, own).map_err(|error| defect(&error))
        })
        .await;
    match ended {
        Ok(()) => {}
        // Signed out already: as wished.
        Err(error) if error.code == ErrorCode::Unauthenticated => {}
        Err(error) => return Err(error.into()),
    }
    let mut response = done();
    set_cookie(&mut response, &origin, "", 0);
    Ok(response)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LinkReply {
    url: String,
    expires_at: Timestamp,
}

async fn make_link(
    State(app): State<App>,
    Extension(origin): Extension<Origin>,
    Extension(credential): Extension<Credential>,
) -> Answer {
    let (own, _) = signed_in(&app.core, &credential).await?;
    let link = new_link(&app.core, own.person, LinkLife::Short).await?;
    let base = app.public_url.as_deref().unwrap_or(&origin.base);
    let reply = LinkReply {
        url: link_url(base, &link.token),
        expires_at: Timestamp::from_ms(link.expires_ms),
    };
    Ok(Json(reply).into_response())
}

/// The token is in the fragment, so that it reaches no log on its way.
pub(crate) fn link_url(base: &str, token: &Secret) -> String {
    format!(
        "{}/sign-in#token={}",
        base.trim_end_matches('/'),
        token.expose()
    )
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct TokenArgs {
    name: String,
}

#[derive(Serialize)]
struct TokenReply {
    id: String,
    token: Secret,
}

async fn make_token(
    State(app): State<App>,
    Extension(credential): Extension<Credential>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let args: TokenArgs = arguments(&headers, body).await?;
    if args.name.len() > NAME_MAX_BYTES || args.name.chars().any(char::is_control) {
        return Err(CallError::new(
            ErrorCode::Invalid,
            format!(
                "The name must be a line of at most {NAME_MAX_BYTES} bytes. Choose a shorter one."
            ),
        )
        .into());
    }
    let token = new_secret(TOKEN_PREFIX)?;
    let id = new_sign_in_id()?;
    let (hash, now_ms) = (token.hash(), app.core.clock.now_ms());
    let reply = TokenReply {
        id: id.clone(),
        token,
    };
    app.core
        .write(move |transaction| {
            let own = credential.sign_in(transaction, now_ms)?;
            let sign_in = SignIn {
                hash: hash.as_str().to_owned(),
                id,
                person: own.person,
                kind: Kind::Token,
                name: args.name,
                created_ms: now_ms,
                used_ms: now_ms,
            };
            tables::add_sign_in(transaction, &sign_in).map_err(|error| defect(&error))
        })
        .await?;
    Ok(Json(reply).into_response())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SignInView {
    id: String,
    kind: &'static str,
    name: String,
    created_at: Timestamp,
    used_at: Timestamp,
    is_current: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SignInList {
    sign_ins: Vec<SignInView>,
}

async fn list(State(app): State<App>, Extension(credential): Extension<Credential>) -> Answer {
    let now_ms = app.core.clock.now_ms();
    let sign_ins = app
        .core
        .read(move |connection| {
            let own = credential.sign_in(connection, now_ms)?;
            let all = tables::sign_ins(connection, &own.person).map_err(|error| defect(&error))?;
            Ok::<_, CallError>((own, all))
        })
        .await?
        .map(|(own, all)| {
            all.into_iter()
                .filter(|known| known.holds_at(now_ms))
                .map(|known| SignInView {
                    is_current: known.hash == own.hash,
                    id: known.id,
                    kind: known.kind.as_str(),
                    name: known.name,
                    created_at: Timestamp::from_ms(known.created_ms),
                    used_at: Timestamp::from_ms(known.used_ms),
                })
                .collect()
        })?;
    Ok(Json(SignInList { sign_ins }).into_response())
}

#[derive(Deserialize)]
struct RevokeArgs {
    id: String,
}

async fn revoke(
    State(app): State<App>,
    Extension(credential): Extension<Credential>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let args: RevokeArgs = arguments(&headers, body).await?;
    let core = app.core.clone();
    let now_ms = core.clock.now_ms();
    app.core
        .write(move |transaction| {
            let own = credential.sign_in(transaction, now_ms)?;
            let all = tables::sign_ins(transaction, &own.person).map_err(|error| defect(&error))?;
            let chosen = all
                .into_iter()
                .find(|known| known.id == args.id)
                .ok_or_else(|| CallError::not_found("sign-in"))?;
            end(&core, transaction, chosen).map_err(|error| defect(&error))
        })
        .await?;
    Ok(done())
}

/// Ends a sign-in, and after the commit what is open with it.
fn end(
    core: &Core,
    transaction: &crate::store::Transaction<'_>,
    sign_in: SignIn,
) -> rusqlite::Result<()> {
    tables::drop_sign_in(transaction, &sign_in.hash)?;
    let core = core.clone();
    transaction.after_commit(move || core.cuts.cut_sign_in(&sign_in.hash));
    Ok(())
}

async fn signed_in(core: &Core, credential: &Credential) -> Result<(SignIn, Person), CallError> {
    let now_ms = core.clock.now_ms();
    let credential = credential.clone();
    core.read(move |connection| {
        let own = credential.sign_in(connection, now_ms)?;
        let person = load_person(connection, &own.person)?;
        Ok((own, person))
    })
    .await?
}

fn load_person(connection: &Connection, id: &PersonId) -> Result<Person, CallError> {
    tables::person(connection, id)
        .map_err(|error| defect(&error))?
        .ok_or_else(super::not_signed_in)
}

async fn arguments<T: DeserializeOwned>(headers: &HeaderMap, body: Body) -> Result<T, CallError> {
    let mut value = body::json(headers, body, BODY_MAX_BYTES).await?;
    if value.is_null() {
        value = serde_json::Value::Object(serde_json::Map::new());
    }
    T::deserialize(value).map_err(|error| {
        CallError::new(
            ErrorCode::Invalid,
            format!("The arguments do not fit: {error}."),
        )
    })
}

fn set_cookie(response: &mut Response, origin: &Origin, value: &str, life_s: u64) {
    let secure = if origin.is_secure { "; Secure" } else { "" };
    let cookie = format!(
        "{}={value}; HttpOnly; SameSite=Strict; Path=/; Max-Age={life_s}{secure}",
        origin.cookie_name
    );
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}

/// What the browser calls itself, so that a person can tell their sign-ins apart.
fn user_agent(headers: &HeaderMap) -> String {
    const MAX_CHARS: usize = 200;
    headers
        .get(header::USER_AGENT)
        .and_then(|value| value.to_str().ok())
        .map(|value| value.chars().take(MAX_CHARS).collect())
        .unwrap_or_default()
}

fn done() -> Response {
    Json(protocol::wire::Done {}).into_response()
}
