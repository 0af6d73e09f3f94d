//! The built page: files with a strict policy.

use std::{
    borrow::Cow,
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::{
    Json, Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    response::Response,
    routing::{any, get},
};
use protocol::{CallError, ErrorCode};
use rust_embed::RustEmbed;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::refusal;

/// Where the page comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum PageSource {
    /// What was built into this program. A debug build reads `webapp/out` of its source tree instead.
    #[default]
    Embedded,
    /// The folder of an exported page, read anew for each request.
    Directory(PathBuf),
}

#[derive(RustEmbed)]
#[folder = "../../webapp/out"]
#[allow_missing = true]
struct Built;

/// Whether the page is built into this program.
#[must_use]
pub fn has_page() -> bool {
    Built::get("index.html").is_some()
}

/// Names under which Next puts files that never change.
const IMMUTABLE_PREFIX: &str = "_next/static/";
/// Written by the page's build: the hashes of its inline scripts.
const CSP_FILE: &str = "csp.json";
const HTML: &str = "text/html; charset=utf-8";
const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Orchestrator</title>\
<h1>The page has not been built</h1>\
<p>The backend runs, but there is no page in this build. Build it with <code>npm ci &amp;&amp; npm run build</code> \
in <code>webapp/</code>, then build the backend again &mdash; or run <code>./start</code>, which does both.</p>";

/// Which backend the page talks to; it asks for this at `/config.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "backend", rename_all = "lowercase")]
pub enum PageBackend {
    /// The hub that serves it.
    #[default]
    Hub,
    /// A Convex deployment.
    Convex {
        /// Its URL: `https://name.convex.cloud`.
        url: String,
        /// Who signs people in besides the owner's links, if anybody does.
        #[serde(skip_serializing_if = "Option::is_none")]
        auth: Option<IdentityProvider>,
    },
}

/// An OpenID Connect provider with which the page signs people in, by authorization code and PKCE.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IdentityProvider {
    /// Its address, as its tokens say it: `https://login.example.org`.
    pub issuer: String,
    /// What it calls this page.
    pub client_id: String,
}

impl PageBackend {
    /// Where the page may connect to besides where it came from, as its policy says it.
    fn origins(&self) -> String {
        let Self::Convex { url, auth } = self else {
            return String::new();
        };
        let deployment = origin(url).map(|origin| {
            let socket = origin.replacen("http", "ws", 1);
            format!(" {origin} {socket}")
        });
        let provider = auth.as_ref().and_then(|auth| origin(&auth.issuer));
        let provider = provider.map(|origin| format!(" {origin}"));
        deployment.into_iter().chain(provider).collect()
    }
}

/// The origin of a web address.
fn origin(url: &str) -> Option<String> {
    let uri = Uri::try_from(url).ok()?;
    let scheme = uri
        .scheme_str()
        .filter(|scheme| matches!(*scheme, "http" | "https"))?;
    Some(format!("{scheme}://{}", uri.authority()?))
}

/// The page, ready to be served.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    source: PageSource,
    backend: PageBackend,
}

impl Page {
    pub(crate) fn new(source: PageSource, backend: PageBackend) -> Self {
        Self { source, backend }
    }

    async fn read(&self, name: &str) -> Option<File> {
        match &self.source {
            PageSource::Embedded => Built::get(name).map(|file| File {
                name: name.to_owned(),
                hash: file.metadata.sha256_hash(),
                data: file.data,
            }),
            PageSource::Directory(directory) => {
                let path = directory.join(name);
                let inside = inside(directory, &path).await?;
                let data = tokio::fs::read(inside).await.ok()?;
                Some(File::new(name, Cow::Owned(data)))
            }
        }
    }

    /// The file for a path, as Next's static export lays them out.
    async fn file_for(&self, path: &str) -> Option<File> {
        let names = if path.is_empty() {
            vec!["index.html".to_owned()]
        } else {
            vec![
                path.to_owned(),
                format!("{path}.html"),
                format!("{path}/index.html"),
            ]
        };
        for name in names {
            if let Some(file) = self.read(&name).await {
                return Some(file);
            }
        }
        None
    }

    async fn answer(&self, headers: &HeaderMap, file: File, status: StatusCode) -> Response {
        let etag = format!("\"{}\"", protocol::secret::hex(&file.hash[..16]));
        let is_known = status == StatusCode::OK && has_copy(headers, &etag);
        let is_immutable = status == StatusCode::OK && file.name.starts_with(IMMUTABLE_PREFIX);
        let content_type = content_type(&file.name);
        let mut response = Response::new(Body::empty());
        let out = response.headers_mut();
        if content_type == HTML {
            out.insert(header::CONTENT_SECURITY_POLICY, self.policy().await);
        }
        if let Ok(etag) = HeaderValue::try_from(etag) {
            out.insert(header::ETAG, etag);
        }
        let caching = if is_immutable {
            "public, max-age=31536000, immutable"
        } else {
            "no-cache"
        };
        out.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
        if is_known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            out.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
            *response.status_mut() = status;
            *response.body_mut() = match file.data {
                Cow::Borrowed(data) => Body::from(data),
                Cow::Owned(data) => Body::from(data),
            };
        }
        response
    }

    async fn policy(&self) -> HeaderValue {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Hashes {
            script_hashes: Vec<String>,
        }
        let hashes = self
            .read(CSP_FILE)
            .await
            .and_then(|file| serde_json::from_slice::<Hashes>(&file.data).ok());
        let scripts: String = hashes
            .map(|hashes| hashes.script_hashes)
            .unwrap_or_default()
            .iter()
            .filter(|hash| is_hash(hash))
            .map(|hash| format!(" '{}'", hash.trim_matches('\'')))
            .collect();
        let origins = self.backend.origins();
        let policy = format!(
            "default-src 'self'; script-src 'self'{scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
             connect-src 'self'{origins}; object-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
        );
        HeaderValue::try_from(policy)
            .unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"))
    }
}

pub(crate) fn router(page: Page) -> Router {
    Router::new()
        .route("/config.json", get(config))
        .fallback(any(serve))
        .with_state(Arc::new(page))
}

async fn config(State(page): State<Arc<Page>>) -> Json<PageBackend> {
    Json(page.backend.clone())
}

async fn serve(State(page): State<Arc<Page>>, request: Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = refusal::response(CallError::new(
            ErrorCode::Invalid,
            "The page is read with GET.",
        ));
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        return response;
    }
    let Some(path) = clean(request.uri()) else {
        return refusal::response(CallError::not_found("page"));
    };
    let found = page.file_for(&path).await;
    if let Some(found) = found.filter(|file| file.name != CSP_FILE) {
        return page.answer(request.headers(), found, StatusCode::OK).await;
    }
    if let Some(file) = page.read("404.html").await {
        return page
            .answer(request.headers(), file, StatusCode::NOT_FOUND)
            .await;
    }
    if page.read("index.html").await.is_some() {
        return refusal::response(CallError::not_found("page"));
    }
    let not_built = File::new("index.html", Cow::Borrowed(NOT_BUILT.as_bytes()));
    page.answer(
        request.headers(),
        not_built,
        StatusCode::SERVICE_UNAVAILABLE,
    )
    .await
}

/// A file of the page.
struct File {
    name: String,
    data: Cow<'static, [u8]>,
    /// Of the data, SHA-256.
    hash: [u8; 32],
}

impl File {
    fn new(name: &str, data: Cow<'static, [u8]>) -> Self {
        Self {
            name: name.to_owned(),
            hash: Sha256::digest(&data).into(),
            data,
        }
    }
}

fn has_copy(headers: &HeaderMap, etag: &str) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|known| known.trim().trim_start_matches("W/"))
        .any(|known| known == etag || known == "*")
}

/// The path below the page's root, decoded; `None` for what can't be a file of a page.
fn clean(uri: &Uri) -> Option<String> {
    let path = decode(uri.path().trim_matches('/'))?;
    let odd = |segment: &str| {
        segment.is_empty() || segment.starts_with('.') || segment.contains(['\\', ':', '\0'])
    };
    (path.is_empty() || !path.split('/').any(odd)).then_some(path)
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// The real path of a file, if it is a file within the directory, links included.
async fn inside(directory: &Path, path: &Path) -> Option<PathBuf> {
    let (root, real) = (
        tokio::fs::canonicalize(directory).await.ok()?,
        tokio::fs::canonicalize(path).await.ok()?,
    );
    let is_file = tokio::fs::metadata(&real).await.ok()?.is_file();
    (is_file && real.starts_with(root)).then_some(real)
}

fn is_hash(text: &str) -> bool {
    let text = text.trim_matches('\'');
    text.split_once('-').is_some_and(|(algorithm, digest)| {
        matches!(algorithm, "sha256" | "sha384" | "sha512")
            && digest.bytes().all(|byte| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_')
            })
    })
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => HTML,
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "txt" => "text/plain; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "woff" => "font/woff",
        "wasm" => "application/wasm",
        _ => "application/octet-stream",
    }
}
