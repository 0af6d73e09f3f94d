//! The one choke point before every route: which names the hub answers to, which pages may write to it, and
//! what the request says about who sends it.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, Method, Uri, header, request::Parts},
    middleware::Next,
    response::Response,
};
use protocol::{CallError, ErrorCode};

use super::auth::Credential;
use crate::refusal;

/// The header that a page sends with everything that changes something; a page of another origin can't.
const PAGE_HEADER: &str = "x-orchestrator";
const COOKIE: &str = "orchestrator_session";

/// Where a request came in, for handlers.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// The client's address, or that of the proxy before it.
    pub(crate) address: IpAddr,
    /// The hub's own address as the client wrote it: `http://localhost:8080`.
    pub(crate) base: String,
    /// The cookie's name there.
    pub(crate) cookie_name: String,
    /// Whether the cookie is for TLS only.
    pub(crate) is_secure: bool,
}

/// A connection's peer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Which names the hub answers to.
#[derive(Debug)]
pub(crate) struct Guard {
    listen: SocketAddr,
    public: Option<Public>,
    allowed_hosts: Vec<String>,
}

/// The address under which others reach the hub.
#[derive(Debug, Clone)]
struct Public {
    is_https: bool,
    authority: Authority,
}

/// A host and perhaps a port, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Authority {
    host: String,
    port: Option<u16>,
}

/// What was given as the hub's public address is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not an address like https://orchestrator.example.org: it needs http or https, a host, and nothing after it"
)]
pub struct InvalidPublicUrl(pub String);

impl Guard {
    pub(crate) fn new(
        listen: SocketAddr,
        public_url: Option<&str>,
        allowed_hosts: &[String],
    ) -> Result<Self, InvalidPublicUrl> {
        Ok(Self {
            listen,
            public: public_url.map(Public::parse).transpose()?,
            allowed_hosts: allowed_hosts
                .iter()
                .map(|host| host.trim().to_ascii_lowercase())
                .collect(),
        })
    }

    /// Lets a request in, or says why not.
    fn admit(&self, parts: &Parts, peer: Peer) -> Result<(Origin, Credential), CallError> {
        let host = self.host(parts)?;
        self.check_origin(parts, &host)?;
        let is_public = self
            .public
            .as_ref()
            .filter(|public| public.authority.host == host.host);
        let is_secure = is_public.is_some_and(|public| public.is_https);
        let origin = Origin {
            address: peer.0.ip(),
            base: format!("{}://{host}", if is_secure { "https" } else { "http" }),
            cookie_name: cookie_name(&host, is_secure),
            is_secure,
        };
        let credential = Credential::of(&parts.headers, &origin.cookie_name)?;
        if matches!(credential, Credential::Cookie(_))
            && changes(&parts.method)
            && !parts.headers.contains_key(PAGE_HEADER)
        {
            return Err(CallError::new(
                ErrorCode::Forbidden,
                "A request with the page's cookie must carry the header X-Orchestrator: 1, so that no other page can send it.",
            ));
        }
        Ok((origin, credential))
    }

    /// The host that the client meant, if the hub answers to it: a page of a stranger's domain whose name
    /// leads to this computer (DNS rebinding) gets nothing.
    fn host(&self, parts: &Parts) -> Result<Authority, CallError> {
        let mut hosts = parts.headers.get_all(header::HOST).iter();
        let header = hosts
            .next()
            .and_then(|host| Authority::parse(host.to_str().ok()?));
        let absolute = match parts.uri.authority() {
            Some(authority) => Some(Authority::parse(authority.as_str()).ok_or_else(no_host)?),
            None => None,
        };
        if hosts.next().is_some() || (header.is_none() && parts.headers.contains_key(header::HOST))
        {
            return Err(no_host());
        }
        let host = absolute.or(header).ok_or_else(no_host)?;
        if self.answers_to(&host) {
            return Ok(host);
        }
        Err(CallError::new(
            ErrorCode::Forbidden,
            format!(
                "This backend does not answer to the host {:?}. To allow it, start the backend with `--allow-host {}`, or with its own address as `--public-url`.",
                host.host, host.host
            ),
        ))
    }

    fn answers_to(&self, host: &Authority) -> bool {
        if matches!(host.host.as_str(), "localhost" | "127.0.0.1" | "[::1]")
            || self.is_allowed(host)
        {
            return true;
        }
        // A name can be made to lead here, an address can't.
        let address = host.host.trim_matches(['[', ']']).parse::<IpAddr>();
        address
            .is_ok_and(|address| address == self.listen.ip() || self.listen.ip().is_unspecified())
    }

    fn is_allowed(&self, host: &Authority) -> bool {
        self.public
            .as_ref()
            .is_some_and(|public| public.authority.host == host.host)
            || self
                .allowed_hosts
                .iter()
                .any(|allowed| *allowed == host.host || *allowed == host.to_string())
    }

    /// Whether a page may send this: only one that came from here, or from where the hub was told.
    fn check_origin(&self, parts: &Parts, host: &Authority) -> Result<(), CallError> {
        let is_api = parts.uri.path().starts_with("/v1/");
        if let Some(origin) = parts.headers.get(header::ORIGIN)
            && (is_api || changes(&parts.method))
        {
            let text = origin.to_str().unwrap_or_default();
            let allowed = Uri::try_from(text).ok().is_some_and(|uri| {
                uri.authority()
                    .and_then(|authority| Authority::parse(authority.as_str()))
                    .is_some_and(|from| self.may_write(uri.scheme_str(), &from, host))
            });
            if !allowed {
                return Err(CallError::new(
                    ErrorCode::Forbidden,
                    format!(
                        "A page from {:?} may not use this backend. Open the backend's own page, or allow that host with `--allow-host`.",
                        text.chars().take(128).collect::<String>()
                    ),
                ));
            }
        } else if is_api && crosses_sites(&parts.headers) {
            return Err(CallError::new(
                ErrorCode::Forbidden,
                "A page of another origin may not use this backend. Open the backend's own page.",
            ));
        }
        Ok(())
    }

    fn may_write(&self, scheme: Option<&str>, from: &Authority, host: &Authority) -> bool {
        if !matches!(scheme, Some("http" | "https")) {
            return false;
        }
        let public = self.public.as_ref().is_some_and(|public| {
            public.authority == *from && public.is_https == (scheme == Some("https"))
        });
        // What came with the very host that was asked for is of the same origin. Other ports of a host are
        // other programs, so one is allowed by name and port only.
        public
            || from == host
            || self
                .allowed_hosts
                .iter()
                .any(|allowed| *allowed == from.to_string())
    }
}

/// Runs the guard before everything else, and gives what it found to the handlers.
pub(crate) async fn check(
    State(guard): State<Arc<Guard>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    match guard.admit(&parts, peer) {
        Ok((origin, credential)) => {
            parts.extensions.insert(origin);
            parts.extensions.insert(credential);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(error) => refusal::response(error),
    }
}

fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

fn crosses_sites(headers: &HeaderMap) -> bool {
    headers
        .get("sec-fetch-site")
        .is_some_and(|site| matches!(site.as_bytes(), b"cross-site" | b"same-site"))
}

fn no_host() -> CallError {
    CallError::new(
        ErrorCode::Invalid,
        "The request names no host, or several. Send one Host header.",
    )
}

/// Browsers keep cookies by host, whatever the port; the port in the name keeps two hubs on one computer apart.
fn cookie_name(host: &Authority, is_secure: bool) -> String {
    let port = host.port.map(|port| format!("_{port}")).unwrap_or_default();
    if is_secure {
        format!("__Host-{COOKIE}{port}")
    } else {
        format!("{COOKIE}{port}")
    }
}

impl Public {
    fn parse(text: &str) -> Result<Self, InvalidPublicUrl> {
        let invalid = || InvalidPublicUrl(text.to_owned());
        let uri = Uri::try_from(text).map_err(|_| invalid())?;
        let is_https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) | None => return Err(invalid()),
        };
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(invalid());
        }
        let authority = uri
            .authority()
            .and_then(|authority| Authority::parse(authority.as_str()));
        let mut authority = authority.ok_or_else(invalid)?;
        // As a browser writes it in an Origin.
        let default_port = if is_https { 443 } else { 80 };
        authority.port = authority.port.filter(|port| *port != default_port);
        Ok(Self {
            is_https,
            authority,
        })
    }
}

impl Authority {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        let (host, port) = match text.rfind(':') {
            Some(at) if !text.ends_with(']') => (&text[..at], Some(text[at + 1..].parse().ok()?)),
            _ => (text.as_str(), None),
        };
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let plain = host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
        let host = host.strip_suffix('.').unwrap_or(host);
        (!host.is_empty() && (bracketed || plain)).then(|| Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl std::fmt::Display for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use axum::http;

    use super::*;

    fn guard(listen: &str) -> Guard {
        let allowed = ["hub.lan".to_owned(), "dev.lan:3000".to_owned()];
        Guard::new(
            listen.parse().unwrap(),
            Some("https://hub.example.org"),
            &allowed,
        )
        .unwrap()
    }

    fn admit(guard: &Guard, method: &str, headers: &[(&str, &str)]) -> Result<Origin, String> {
        let mut request = http::Request::builder()
            .method(method)
            .uri("/v1/machine.list");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let peer = Peer("127.0.0.1:1".parse().unwrap());
        guard
            .admit(&parts, peer)
            .map(|(origin, _)| origin)
            .map_err(|error| error.message)
    }

    #[test]
    fn answers_to_its_own_names_only() {
        let guard = guard("127.0.0.1:8080");
        for host in [
            "localhost:8080",
            "LOCALHOST",
            "127.0.0.1:1",
            "[::1]:8080",
            "hub.example.org",
            "hub.lan:81",
            "dev.lan:3000",
            "localhost.",
        ] {
            assert!(admit(&guard, "GET", &[("host", host)]).is_ok(), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "dev.lan:3001",
            "10.0.0.1",
            "",
            "a b",
            "[::2]",
            "localhost:x",
            "127.0.0.1.evil",
        ] {
            assert!(admit(&guard, "GET", &[("host", host)]).is_err(), "{host}");
        }
        assert!(admit(&guard, "GET", &[]).is_err());
        assert!(
            admit(
                &guard,
                "GET",
                &[("host", "localhost"), ("host", "evil.example")]
            )
            .is_err()
        );
        let open = super::tests::guard("0.0.0.0:8080");
        assert!(
            admit(&open, "GET", &[("host", "10.0.0.1:8080")]).is_ok(),
            "an address can't be rebound"
        );
        assert!(admit(&open, "GET", &[("host", "evil.example")]).is_err());
    }

    #[test]
    fn only_its_own_page_may_write() {
        let guard = guard("127.0.0.1:8080");
        let post = |host, origin| admit(&guard, "POST", &[("host", host), ("origin", origin)]);
        assert!(post("localhost:8080", "http://localhost:8080").is_ok());
        assert!(post("localhost:8080", "https://hub.example.org").is_ok());
        assert!(post("localhost:8080", "http://dev.lan:3000").is_ok());
        for origin in [
            "http://localhost:3000",
            "http://hub.example.org",
            "null",
            "http://evil.example",
            "file://",
            "http://hub.lan:99",
        ] {
            assert!(post("localhost:8080", origin).is_err(), "{origin}");
        }
        let site = |site| {
            admit(
                &guard,
                "GET",
                &[("host", "localhost"), ("sec-fetch-site", site)],
            )
        };
        assert!(site("same-origin").is_ok() && site("none").is_ok());
        assert!(site("same-site").is_err() && site("cross-site").is_err());
    }

    #[test]
    fn the_cookie_is_strict_where_there_is_tls_and_needs_the_pages_header() {
        let guard = guard("127.0.0.1:8080");
        let origin = admit(&guard, "GET", &[("host", "hub.example.org")]).unwrap();
        assert_eq!(
            (origin.cookie_name.as_str(), origin.base.as_str()),
            ("__Host-orchestrator_session", "https://hub.example.org")
        );
        let cookie = [
            ("host", "localhost:80"),
            ("cookie", "a=b; orchestrator_session_80=c"),
        ];
        assert!(admit(&guard, "GET", &cookie).is_ok());
        assert!(admit(&guard, "POST", &cookie).is_err());
        let with_header = [cookie[0], cookie[1], ("x-orchestrator", "1")];
        assert!(admit(&guard, "POST", &with_header).is_ok());
        assert!(Guard::new(guard.listen, Some("hub.example.org"), &[]).is_err());
        assert!(Guard::new(guard.listen, Some("https://hub.example.org/below"), &[]).is_err());
    }
}
