//! The page's files.

use std::path::Path;

use hub::{IdentityProvider, PageBackend, PageServer, PageServerConfig, PageSource};
use hyper::{Method, StatusCode};

use crate::support::{Answer, Caller, TestHub};

fn export(directory: &Path) {
    let files = [
        ("index.html", "home"),
        ("chat.html", "chat"),
        ("404.html", "nothing here"),
        (
            "csp.json",
            r#"{ "scriptHashes": ["sha256-abc+/=", "'unsafe-inline'", "sha256-x'; script-src *"] }"#,
        ),
        ("_next/static/app.js", "code"),
        ("a b.txt", "blank"),
        (".hidden", "secret"),
    ];
    for (name, content) in files {
        let path = directory.join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("makes");
        std::fs::write(path, content).expect("writes");
    }
}

async fn hub(directory: &Path) -> TestHub {
    let page = PageSource::Directory(directory.join("out"));
    TestHub::start_with(|config| config.page = page).await
}

#[tokio::test]
async fn files_are_served_as_next_lays_them_out() {
    let directory = tempfile::tempdir().expect("a directory");
    export(&directory.path().join("out"));
    let test = hub(directory.path()).await;
    let get = |path: &'static str| {
        let caller = test.anybody();
        async move { caller.get(path).await }
    };
    let is = |answer: Answer, status: u16, body: &str| {
        assert_eq!(
            (answer.status.as_u16(), answer.body.as_str()),
            (status, body),
            "{answer:?}"
        );
    };
    is(get("/").await, 200, "home");
    is(get("/index.html").await, 200, "home");
    is(get("/chat").await, 200, "chat");
    is(get("/chat/?id=1").await, 200, "chat");
    is(get("/a%20b.txt").await, 200, "blank");
    is(get("/nowhere").await, 404, "nothing here");
    is(get("/csp.json").await, 404, "nothing here");

    let html = get("/chat").await;
    assert_eq!(html.headers["content-type"], "text/html; charset=utf-8");
    assert_eq!(html.headers["cache-control"], "no-cache");
    let policy = html.headers["content-security-policy"]
        .to_str()
        .expect("text");
    assert!(
        policy.contains("script-src 'self' 'sha256-abc+/=';"),
        "{policy}"
    );
    let code = get("/_next/static/app.js").await;
    assert_eq!(
        code.headers["cache-control"],
        "public, max-age=31536000, immutable"
    );
    let etag = code.headers["etag"].to_str().expect("text");
    let known = test
        .anybody()
        .with("if-none-match", etag)
        .get("/_next/static/app.js")
        .await;
    assert_eq!(
        (known.status, known.body.as_str()),
        (StatusCode::NOT_MODIFIED, "")
    );
    let head = test.anybody().send(Method::HEAD, "/chat", "").await;
    assert_eq!((head.status, head.body.as_str()), (StatusCode::OK, ""));
    assert_eq!(
        test.anybody().send(Method::POST, "/chat", "").await.status,
        StatusCode::METHOD_NOT_ALLOWED
    );
}

#[tokio::test]
async fn nothing_outside_the_page_is_served() {
    let directory = tempfile::tempdir().expect("a directory");
    export(&directory.path().join("out"));
    std::fs::write(directory.path().join("secret.txt"), "secret").expect("writes");
    #[cfg(unix)]
    std::os::unix::fs::symlink(
        directory.path().join("secret.txt"),
        directory.path().join("out/link.txt"),
    )
    .expect("links");
    let test = hub(directory.path()).await;
    let paths = [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/_next/../../secret.txt",
        "/.hidden",
        "/link.txt",
        "/%2fetc%2fpasswd",
        "//etc/passwd",
        "/a%00.txt",
        "/%ff",
        "/..%5csecret.txt",
        "/%",
        "/_next/",
        "/_next",
    ];
    for path in paths {
        let answer = test.anybody().get(path).await;
        assert_eq!(
            answer.status,
            StatusCode::NOT_FOUND,
            "{path}: {}",
            answer.body
        );
        assert!(
            !answer.body.contains("secret") && !answer.body.contains("root:"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_page_that_was_not_built_says_how() {
    let directory = tempfile::tempdir().expect("a directory");
    let test = hub(directory.path()).await;
    let answer = test.anybody().get("/chat").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.body.contains("npm run build"), "{}", answer.body);
}

#[tokio::test]
async fn the_page_learns_that_its_backend_is_the_hub() {
    let directory = tempfile::tempdir().expect("a directory");
    export(&directory.path().join("out"));
    let test = hub(directory.path()).await;
    let config = test.anybody().get("/config.json").await;
    assert_eq!(
        (config.status.as_u16(), config.body.as_str()),
        (200, r#"{"backend":"hub"}"#)
    );
    assert_eq!(config.headers["cache-control"], "no-store");
    let page = test.anybody().get("/").await;
    let policy = page.headers["content-security-policy"]
        .to_str()
        .expect("text");
    assert!(policy.contains("connect-src 'self';"), "{policy}");
}

#[tokio::test]
async fn the_page_alone_is_served_for_a_backend_elsewhere() {
    let directory = tempfile::tempdir().expect("a directory");
    export(&directory.path().join("out"));
    let backend = PageBackend::Convex {
        url: "https://happy-otter-123.convex.cloud".to_owned(),
        auth: Some(IdentityProvider {
            issuer: "https://login.example.org/team".to_owned(),
            client_id: "orchestrator".to_owned(),
        }),
    };
    let server = PageServer::start(PageServerConfig {
        page: PageSource::Directory(directory.path().join("out")),
        ..PageServerConfig::new(backend)
    })
    .await
    .expect("starts");
    let address = server.local_url();
    let address = address
        .trim_start_matches("http://")
        .parse()
        .expect("an address");
    let anybody = Caller::new(address, &[]);
    let config = anybody.get("/config.json").await;
    assert_eq!(
        config.body,
        r#"{"backend":"convex","url":"https://happy-otter-123.convex.cloud","auth":{"issuer":"https://login.example.org/team","clientId":"orchestrator"}}"#
    );
    let page = anybody.get("/chat").await;
    assert_eq!((page.status, page.body.as_str()), (StatusCode::OK, "chat"));
    let policy = page.headers["content-security-policy"]
        .to_str()
        .expect("text");
    assert!(
        policy.contains("connect-src 'self' https://happy-otter-123.convex.cloud wss://happy-otter-123.convex.cloud https://login.example.org;"),
        "{policy}"
    );
    assert_eq!(page.headers["x-frame-options"], "DENY");
    assert_eq!(
        anybody.get("/v1/health").await.status,
        StatusCode::NOT_FOUND
    );
    let rebound = anybody.with("host", "evil.example").get("/").await;
    assert_eq!(rebound.status, StatusCode::FORBIDDEN);
    server.shutdown().await;
}

#[tokio::test]
async fn an_odd_backend_adds_nothing_to_the_policy() {
    let directory = tempfile::tempdir().expect("a directory");
    export(&directory.path().join("out"));
    for odd in ["nonsense", "file:///etc", "https://a b", ""] {
        let server = PageServer::start(PageServerConfig {
            page: PageSource::Directory(directory.path().join("out")),
            ..PageServerConfig::new(PageBackend::Convex {
                url: odd.to_owned(),
                auth: Some(IdentityProvider {
                    issuer: odd.to_owned(),
                    client_id: odd.to_owned(),
                }),
            })
        })
        .await
        .expect("starts");
        let address = server.local_url();
        let address = address
            .trim_start_matches("http://")
            .parse()
            .expect("an address");
        let page = Caller::new(address, &[]).get("/").await;
        let policy = page.headers["content-security-policy"]
            .to_str()
            .expect("text");
        assert!(policy.contains("connect-src 'self';"), "{odd}: {policy}");
        server.shutdown().await;
    }
}
