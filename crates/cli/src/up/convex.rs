//! A Convex deployment in the hub's place: the page for it is served here, and this computer is one of its machines.

use std::fs::File;
use std::path::{Path, PathBuf};

use hub::{PageBackend, PageServer, PageServerConfig, RunningPage};
use protocol::secret::Secret;
use transport_convex::Deployment;

use crate::api::Api;
use crate::convex::key::OwnerKey;
use crate::convex::{LINK_LIFE, describe};
use crate::exit::{Exit, Failure};
use crate::out::{Look, Out};
use crate::running::{Announced, Running};
use crate::settings::{Key, Settings};
use crate::way::Way;
use crate::{credentials, health, places};

/// A page that is served for a deployment.
pub(super) struct Served {
    page: RunningPage,
    pub(super) api: Api,
    place: PathBuf,
    _announced: Option<Announced>,
    /// One process at a time: two would fight for one MACHINE_ID.
    _lock: File,
}

impl Served {
    pub(super) async fn start(
        settings: &Settings,
        deployment: &Deployment,
        out: Out,
    ) -> Result<Self, Failure> {
        let place = settings.convex_dir(deployment)?;
        places::create_private_dir(&place).map_err(|error| super::unusable(&place, &error))?;
        let lock = lock(&place)?;
        let way = Way::to(&deployment.address())?;
        let versions = health::of_deployment(&way).await?;
        versions.check(way.address())?;
        let api = sign_in(settings, way)?;
        let config = PageServerConfig {
            listen: settings.listen()?,
            public_url: settings.optional(Key::PublicUrl),
            allowed_hosts: settings.allow_hosts(),
            ..PageServerConfig::new(PageBackend::Convex {
                url: deployment.url().to_owned(),
                auth: settings.identity_provider()?,
            })
        };
        let page = match PageServer::start(config).await {
            Ok(page) => page,
            Err(error) => return Err(super::not_started(settings, &place, error).await),
        };
        let running = Running::of_deployment(api.address(), page.local_url());
        let announced = running.announce(&place).inspect_err(|error| {
            out.say(&format!(
                "{} other commands will not find this deployment by themselves: {error}",
                out.talk(Look::Warn, "warning:")
            ));
        });
        out.say(&format!(
            "The page is served at {}, for the deployment {}; this computer's files are in {}.",
            page.url(),
            api.address(),
            place.display()
        ));
        Ok(Self {
            page,
            api,
            place,
            _announced: announced.ok(),
            _lock: lock,
        })
    }

    /// A link that signs in, and what a person should know of it.
    pub(super) fn sign_in_link(&self, settings: &Settings) -> Result<(Secret, String), Failure> {
        link(settings, &self.api, &self.page.url())
    }

    pub(super) fn page_url(&self) -> String {
        self.page.local_url()
    }

    pub(super) fn place(&self) -> &Path {
        &self.place
    }

    pub(super) async fn stop(self) {
        self.page.shutdown().await;
    }
}

/// A link to a page with a token in it: of this computer's key where the deployment takes those, else the token that
/// the commands use.
pub(crate) fn link(
    settings: &Settings,
    api: &Api,
    page: &str,
) -> Result<(Secret, String), Failure> {
    let key = OwnerKey::read(settings)?.filter(|key| key.is_for(api.address()));
    let token = match key {
        Some(key) => key.token(LINK_LIFE)?,
        None => api.token().cloned().ok_or_else(|| api.way().signed_out())?,
    };
    let note = transport_convex::expires_at(&token)
        .map(describe)
        .unwrap_or_default();
    let page = page.trim_end_matches('/');
    Ok((
        Secret::new(format!("{page}/sign-in#token={}", token.expose())),
        note,
    ))
}

/// As whom this computer talks to the deployment. Its own key is for a deployment that it was told of by name.
fn sign_in(settings: &Settings, way: Way) -> Result<Api, Failure> {
    if credentials::find(settings, &way)?.is_none()
        && let Some(mut key) = OwnerKey::read(settings)?
    {
        key.allow(way.address(), settings)?;
    }
    match credentials::find(settings, &way)? {
        Some((token, source)) => Ok(Api::new(way, token, source)),
        None => {
            let message = format!(
                "This computer has no key for {}. `./start --convex` makes one and tells the deployment; by hand it is `orchestrator convex mint-key`, which says what to do next. For somebody else's deployment: `orchestrator login --backend {}` takes a token of its owner's.",
                way.address(),
                way.address()
            );
            Err(Failure::new(Exit::SignedOut, message))
        }
    }
}

fn lock(place: &Path) -> Result<File, Failure> {
    let path = place.join("lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| super::unusable(place, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            let whose = Running::read(place).map_or_else(String::new, |running| {
                let page = running.page.unwrap_or_default();
                format!(": it is process {}, and the page is at {page}", running.pid)
            });
            let message = format!(
                "Another `orchestrator up` runs already with {}{whose}. Use that one (`orchestrator link` prints a sign-in link), stop it, or choose another directory with --data-dir.",
                place.display()
            );
            Err(Failure::new(Exit::AlreadyRunning, message))
        }
        Err(std::fs::TryLockError::Error(error)) => Err(super::unusable(place, &error)),
    }
}
