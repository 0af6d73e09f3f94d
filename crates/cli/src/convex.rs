//! `orchestrator convex`: the key with which this computer's owner signs in to Convex deployments.

pub(crate) mod key;

use std::time::Duration;

use protocol::Timestamp;
use serde_json::json;

use crate::cli::{ConvexArgs, ConvexCommand};
use crate::exit::{Exit, Failure};
use crate::lists;
use crate::out::Out;
use crate::settings::Settings;
use key::OwnerKey;

/// The variable of a deployment that says who may sign in.
const VARIABLE: &str = "ORCHESTRATOR_AUTH";
/// How long a link's token is good.
pub(crate) const LINK_LIFE: Duration = days(30);

pub(crate) fn run(settings: &Settings, args: &ConvexArgs, out: Out) -> Result<Exit, Failure> {
    match &args.command {
        ConvexCommand::MintKey { owner, replace } => mint_key(settings, owner, *replace, out),
        ConvexCommand::Auth { beside } => {
            auth(settings, beside.as_deref().unwrap_or_default(), out)
        }
        ConvexCommand::Token { days: count } => token(settings, days(*count), out),
    }
}

fn mint_key(settings: &Settings, owner: &str, replace: bool, out: Out) -> Result<Exit, Failure> {
    let path = OwnerKey::path(settings)?;
    let earlier = match OwnerKey::read(settings) {
        Ok(None) => None,
        Ok(Some(_)) if !replace => {
            let message = format!(
                "There is a key already: {}. `orchestrator convex auth` prints what a deployment has to know of it. With --replace a new one takes its place; then no token of the old one is taken any more once the deployments know the new one.",
                path.display()
            );
            return Err(Failure::new(Exit::AlreadyExists, message));
        }
        Ok(Some(earlier)) => Some(earlier),
        // A file that can't be read is not put aside unasked: the owner's identity is in it.
        Err(failure) if !replace => return Err(failure),
        Err(_) => None,
    };
    let key = OwnerKey::mint(owner, earlier.as_ref())?;
    key.write(settings)?;
    if earlier.is_some() {
        out.say("The new key signs for the same person as the old one.");
    }
    out.say(&format!(
        "The key is in {}, for you only. What follows is its public half, which the deployment has to know. Next, with CONVEX_DEPLOY_KEY, or CONVEX_SELF_HOSTED_URL and CONVEX_SELF_HOSTED_ADMIN_KEY, in the environment:\n\n  cd convex && npm ci\n  orchestrator convex auth | npx convex env set {VARIABLE}\n  npx convex deploy\n  orchestrator up --convex https://NAME.convex.cloud\n\n`./start --convex` does all of it.",
        path.display()
    ));
    print_auth(&key, "", out)
}

fn auth(settings: &Settings, beside: &str, out: Out) -> Result<Exit, Failure> {
    let key = OwnerKey::needed(settings)?;
    out.say(&format!(
        "Set it as {VARIABLE} of the deployment: orchestrator convex auth | npx convex env set {VARIABLE}"
    ));
    print_auth(&key, beside, out)
}

fn print_auth(key: &OwnerKey, beside: &str, out: Out) -> Result<Exit, Failure> {
    let value = key.providers(beside)?;
    if out.is_json() {
        out.value(&json!({ "variable": VARIABLE, "value": value }))?;
    } else {
        out.line(&value)?;
    }
    Ok(Exit::Done)
}

fn token(settings: &Settings, life: Duration, out: Out) -> Result<Exit, Failure> {
    let key = OwnerKey::needed(settings)?;
    let token = key.token(life)?;
    let until = transport::now().plus_ms(u64::try_from(life.as_millis()).unwrap_or(u64::MAX));
    if out.is_json() {
        out.value(&json!({ "token": token.expose(), "expiresAt": until }))?;
    } else {
        out.say(&describe(until));
        out.line(token.expose())?;
    }
    Ok(Exit::Done)
}

/// What a person should know of a token.
pub(crate) fn describe(until: Timestamp) -> String {
    format!(
        "Good until {}, as often as you like. Whoever has it is you to the deployment: keep it to yourself.",
        lists::time(until)
    )
}

const fn days(count: u32) -> Duration {
    Duration::from_secs(count as u64 * 24 * 60 * 60)
}
