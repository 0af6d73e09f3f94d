//! Where a deployment is.

use reqwest::Url;
use thiserror::Error;

/// What tells a deployment's address from a hub's.
const PREFIX: &str = "convex+";
/// The hosts of Convex's own cloud.
const CLOUD: &str = ".convex.cloud";
/// Where a deployment of the cloud answers to plain HTTP, which is not what its clients talk to.
const SITE: &str = ".convex.site";

/// Why an address can't be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AddressError {
    /// It is none.
    #[error(
        "{0:?} is not the address of a Convex deployment. It looks like convex+https://name.convex.cloud or convex+http://127.0.0.1:3210."
    )]
    Invalid(String),
    /// It is the other address of a deployment.
    #[error(
        "{0:?} is where a deployment answers to plain HTTP. Give the one that ends in {CLOUD}: {1}"
    )]
    Site(String, String),
}

/// A Convex deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    url: Url,
}

/// Whether an address is that of a Convex deployment, and not of a hub.
#[must_use]
pub fn is_convex(address: &str) -> bool {
    let address = address.trim();
    address.starts_with(PREFIX)
        || Url::parse(address).is_ok_and(|url| {
            url.host_str()
                .is_some_and(|host| host.ends_with(CLOUD) || host.ends_with(SITE))
        })
}

impl Deployment {
    /// Reads an address, with or without `convex+`.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(address: &str) -> Result<Self, AddressError> {
        let text = address.trim();
        let invalid = || AddressError::Invalid(text.chars().take(200).collect());
        let url = Url::parse(text.strip_prefix(PREFIX).unwrap_or(text)).map_err(|_| invalid())?;
        let host = url.host_str().unwrap_or_default();
        // The client forgets a path, so that it would talk to something else; and a name or a password in an
        // address is shown wherever the address is.
        let is_plain = matches!(url.path(), "" | "/")
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if host.is_empty() || !is_plain || !matches!(url.scheme(), "http" | "https") {
            return Err(invalid());
        }
        if let Some(name) = host.strip_suffix(SITE) {
            let meant = format!("{PREFIX}https://{name}{CLOUD}");
            return Err(AddressError::Site(text.to_owned(), meant));
        }
        Ok(Self { url })
    }

    /// The deployment's own URL, as its tools take it: `https://name.convex.cloud`.
    #[must_use]
    pub fn url(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    /// The address as the commands take it: `convex+https://name.convex.cloud`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{PREFIX}{}", self.url())
    }

    /// Its host and port.
    pub(crate) fn host_and_port(&self) -> (&str, u16) {
        // An IPv6 address has brackets in a URL and none elsewhere.
        let host = self.url.host_str().unwrap_or_default();
        let port = self.url.port_or_known_default().unwrap_or_default();
        (host.trim_matches(['[', ']']), port)
    }
}

impl std::fmt::Display for Deployment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.address())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_is_told_from_a_hub() {
        for convex in [
            "convex+https://happy-otter-123.convex.cloud",
            "https://happy-otter-123.convex.cloud/",
            "convex+http://127.0.0.1:3210",
            "convex+nonsense",
            " convex+https://convex.example.org",
        ] {
            assert!(is_convex(convex), "{convex}");
        }
        for hub in [
            "http://127.0.0.1:7777",
            "https://hub.example.org",
            "https://convex.cloud.example.org",
            "https://example.org/x.convex.cloud",
            "nonsense",
        ] {
            assert!(!is_convex(hub), "{hub}");
        }
    }

    #[test]
    fn one_deployment_has_one_address() {
        for same in [
            "convex+https://a-b-1.convex.cloud",
            "https://a-b-1.convex.cloud/",
            "convex+https://A-B-1.convex.cloud:443",
        ] {
            let deployment = Deployment::parse(same).unwrap();
            assert_eq!(deployment.address(), "convex+https://a-b-1.convex.cloud");
            assert_eq!(deployment.url(), "https://a-b-1.convex.cloud");
            assert_eq!(deployment.host_and_port(), ("a-b-1.convex.cloud", 443));
        }
        let own = Deployment::parse("convex+http://[::1]:3210").unwrap();
        assert_eq!(
            (own.url(), own.host_and_port()),
            ("http://[::1]:3210", ("::1", 3210))
        );
    }

    #[test]
    fn what_is_none_is_refused_with_an_example() {
        for none in [
            "",
            "convex+",
            "convex+ftp://x",
            "convex+https://x/below",
            "convex+https://me:secret@x",
            "convex+https://x/?a=1",
            "convex+http://",
        ] {
            let error = Deployment::parse(none).unwrap_err().to_string();
            assert!(
                error.contains("convex+http://127.0.0.1:3210"),
                "{none}: {error}"
            );
        }
        let site = Deployment::parse("https://a-b-1.convex.site")
            .unwrap_err()
            .to_string();
        assert!(site.contains("convex+https://a-b-1.convex.cloud"), "{site}");
    }
}
