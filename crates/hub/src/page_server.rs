//! Only the page, for a backend that is elsewhere.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    api::{self, Guard, Page, PageBackend, PageSource},
    hub::{StartError, local_url, people_url},
    server,
};

/// How the page is to be served.
#[derive(Debug, Clone)]
pub struct PageServerConfig {
    /// The address to listen on; port 0 for any.
    pub listen: SocketAddr,
    /// The address under which people reach the page, like `https://orchestrator.example.org`.
    pub public_url: Option<String>,
    /// Further hosts to answer to, each as `host` or `host:port`.
    pub allowed_hosts: Vec<String>,
    /// Where the page comes from.
    pub page: PageSource,
    /// The backend that the page talks to.
    pub backend: PageBackend,
}

impl PageServerConfig {
    /// The page that is built in, for this backend, on a loopback port of its own choosing.
    #[must_use]
    pub fn new(backend: PageBackend) -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            public_url: None,
            allowed_hosts: Vec::new(),
            page: PageSource::default(),
            backend,
        }
    }
}

/// Serves the page and nothing else.
#[derive(Debug)]
pub struct PageServer;

impl PageServer {
    /// Starts to serve; it serves when this returns.
    ///
    /// # Errors
    /// [`StartError::Listen`] and [`StartError::PublicUrl`].
    pub async fn start(config: PageServerConfig) -> Result<RunningPage, StartError> {
        let guard_of =
            |listen| Guard::new(listen, config.public_url.as_deref(), &config.allowed_hosts);
        guard_of(config.listen)?;
        let listen_error = |source| StartError::Listen {
            address: config.listen,
            source,
        };
        let listener = TcpListener::bind(config.listen)
            .await
            .map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;
        let router = api::page_router(guard_of(address)?, Page::new(config.page, config.backend));
        let stop = CancellationToken::new();
        let server = tokio::spawn(server::serve(listener, router, stop.clone()));
        tracing::info!(%address, "the page is served");
        Ok(RunningPage {
            address,
            public_url: config.public_url,
            stop,
            server,
        })
    }
}

/// A page that is served. Dropping it leaves it served; [`RunningPage::shutdown`] ends it.
#[derive(Debug)]
pub struct RunningPage {
    address: SocketAddr,
    public_url: Option<String>,
    stop: CancellationToken,
    server: JoinHandle<()>,
}

impl RunningPage {
    /// Where programs on this computer reach it.
    #[must_use]
    pub fn local_url(&self) -> String {
        local_url(self.address)
    }

    /// Where people reach it: the public address if there is one.
    #[must_use]
    pub fn url(&self) -> String {
        people_url(self.address, self.public_url.as_deref())
    }

    /// Stops, once the requests under way are answered.
    pub async fn shutdown(self) {
        self.stop.cancel();
        if let Err(error) = self.server.await {
            tracing::warn!(%error, "the page's server did not end well");
        }
    }
}
