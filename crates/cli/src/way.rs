//! The way to a backend, of either kind. The address decides, and nothing but this looks at it.

use std::sync::Arc;

use transport::Transport;
use transport_convex::ConvexTransport;
use transport_http::HttpTransport;

use crate::exit::{Exit, Failure};
use crate::settings::{Key, Settings};

/// A way to a backend. Clones share their connections.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    address: String,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Hub(Arc<HttpTransport>),
    Convex(Arc<ConvexTransport>),
}

impl Way {
    /// The way to the backend at an address: `http://127.0.0.1:7777` is a hub, `convex+https://name.convex.cloud` a
    /// Convex deployment.
    ///
    /// # Errors
    /// When it is not an address of a backend.
    pub(crate) fn to(address: &str) -> Result<Self, Failure> {
        let wrong = |error: String| Failure::new(Exit::Settings, error);
        if transport_convex::is_convex(address) {
            let convex = ConvexTransport::new(address).map_err(|error| wrong(error.to_string()))?;
            return Ok(Self {
                address: convex.deployment().address(),
                kind: Kind::Convex(Arc::new(convex)),
            });
        }
        let hub = HttpTransport::new(address).map_err(|error| wrong(error.to_string()))?;
        Ok(Self {
            address: hub.address().to_owned(),
            kind: Kind::Hub(Arc::new(hub)),
        })
    }

    /// The way to the backend that the settings name.
    ///
    /// # Errors
    /// As [`Way::to`].
    pub(crate) fn of(settings: &Settings) -> Result<Self, Failure> {
        let address = settings
            .optional(Key::Backend)
            .unwrap_or_else(|| settings.local_backend());
        Self::to(&address)
    }

    /// The backend's address, in one spelling for each backend.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn transport(&self) -> &dyn Transport {
        match &self.kind {
            Kind::Hub(hub) => hub.as_ref(),
            Kind::Convex(convex) => convex.as_ref(),
        }
    }

    pub(crate) fn shared(&self) -> Arc<dyn Transport> {
        match &self.kind {
            Kind::Hub(hub) => Arc::clone(hub) as Arc<dyn Transport>,
            Kind::Convex(convex) => Arc::clone(convex) as Arc<dyn Transport>,
        }
    }

    /// Whether it is a Convex deployment.
    pub(crate) fn is_convex(&self) -> bool {
        matches!(self.kind, Kind::Convex(_))
    }

    /// What a person reads when the backend can't be reached.
    pub(crate) fn unreachable(&self, why: &str) -> Failure {
        let advice = match self.kind {
            Kind::Hub(_) => {
                "Is it running? Start it with `orchestrator up`, or name another one with --backend."
            }
            Kind::Convex(_) => {
                "Is the address right, and does this computer reach it? `orchestrator doctor` looks closer; --backend names another one."
            }
        };
        Failure::new(
            Exit::Unreachable,
            format!(
                "The backend {} can't be reached: {why}. {advice}",
                self.address
            ),
        )
    }

    /// What a person reads who is not signed in to it.
    pub(crate) fn signed_out(&self) -> Failure {
        let address = &self.address;
        let message = match self.kind {
            Kind::Hub(_) => format!(
                "You are not signed in to {address}. Run `orchestrator login --backend {address}`, or give a token by ORCHESTRATOR_TOKEN. On the hub's own computer, --data-dir finds the owner's token."
            ),
            Kind::Convex(_) => format!(
                "You are not signed in to {address}. Run `orchestrator login --backend {address}`: it takes a token of `orchestrator convex token`, or this computer's own key. Or give a token by ORCHESTRATOR_TOKEN."
            ),
        };
        Failure::new(Exit::SignedOut, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_address_decides() {
        for (address, spelt, is_convex) in [
            ("http://127.0.0.1:7777/", "http://127.0.0.1:7777", false),
            ("https://hub.example.org", "https://hub.example.org", false),
            (
                "https://a-b-1.convex.cloud/",
                "convex+https://a-b-1.convex.cloud",
                true,
            ),
            (
                "convex+http://127.0.0.1:3210",
                "convex+http://127.0.0.1:3210",
                true,
            ),
        ] {
            let way = Way::to(address).unwrap();
            assert_eq!(
                (way.address(), way.is_convex()),
                (spelt, is_convex),
                "{address}"
            );
        }
        for (wrong, hint) in [
            ("nonsense", "http://127.0.0.1:7777"),
            ("convex+nonsense", "convex+https://"),
            (
                "https://a-b-1.convex.site",
                "convex+https://a-b-1.convex.cloud",
            ),
        ] {
            let failure = Way::to(wrong).unwrap_err();
            assert_eq!(failure.exit, Exit::Settings);
            assert!(failure.message.contains(hint), "{}", failure.message);
        }
    }
}
