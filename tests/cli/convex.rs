//! The commands on a Convex deployment: the bridge (`tests/convex-bridge`), which runs the real functions.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::{Ended, Home, Started, table, until, values};

/// A bridge that takes tokens of one home's key; it is killed when this is dropped.
struct Deployment {
    child: Child,
    url: String,
}

impl Deployment {
    fn start(auth: &str, args: &[&str]) -> Self {
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let folder = top.join("tests/convex-bridge");
        for needed in [&folder, &top.join("convex")] {
            assert!(
                needed.join("node_modules").is_dir(),
                "the packages are not there: run `npm ci` in {} first",
                needed.display()
            );
        }
        let mut child = Command::new(folder.join("bridge"))
            .args(["--auth", auth, "--errors", "development"])
            .args(args)
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the bridge starts; it needs node");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert!(
            line.starts_with("http://"),
            "the bridge has not started: see its words above"
        );
        Self {
            child,
            url: line.trim().to_owned(),
        }
    }

    /// One that knows the key of a home, which is made.
    fn of(home: &Home) -> Self {
        let minted = home.run(&["convex", "mint-key", "--owner", "Ann"]);
        assert_eq!(minted.code, 0, "{}", minted.stderr);
        Self::start(minted.stdout.trim(), &[])
    }

    fn address(&self) -> String {
        format!("convex+{}", self.url)
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn up(home: &Home, deployment: &Deployment) -> Started {
    let started = home.start(&[
        "up",
        "--convex",
        &deployment.url,
        "--listen",
        "127.0.0.1:0",
        "--root",
        "projects",
        "--name",
        "desk",
    ]);
    started.says("ready: this computer is online");
    started.prints("/sign-in#token=");
    started
}

fn settings(home: &Home) -> insta::Settings {
    let mut settings = table(home);
    settings.add_filter(r"127\.0\.0\.1_\d{4,5}", "127.0.0.1_[PORT]");
    settings.add_filter(r"eyJ[\w-]+\.[\w-]+\.[\w-]+", "[JWT]");
    settings.add_filter(r"base64,[\w+/=]+", "base64,[JWKS]");
    settings.add_filter(
        r"orchestrator\.local/[0-9a-f]{32}",
        "orchestrator.local/[ID]",
    );
    settings
}

#[test]
fn a_key_is_made_once_and_kept_from_others() {
    let home = Home::new();
    let data = ".local/share/opencode-orchestrator";
    settings(&home).bind(|| {
        insta::assert_snapshot!("convex-no-key", home.run(&["convex", "token"]).text());
        let minted = home.run(&["convex", "mint-key"]);
        insta::assert_snapshot!("convex-mint-key", minted.text());
        insta::assert_snapshot!(
            "convex-mint-key-again",
            home.run(&["convex", "mint-key"]).text()
        );
        let auth = home.run(&["convex", "auth"]);
        assert_eq!(auth.stdout, minted.stdout, "the same key");
        insta::assert_snapshot!(
            "convex-token",
            home.run(&["convex", "token", "--days", "7"]).text()
        );
        let path = home.place(data).join("convex-key.json");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));

        let replaced = home.run(&["convex", "mint-key", "--replace"]);
        assert_eq!(replaced.code, 0);
        assert_ne!(replaced.stdout, minted.stdout);
        let issuer = |ended: &Ended| {
            let providers: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
            providers[0]["issuer"].clone()
        };
        assert_eq!(issuer(&replaced), issuer(&minted), "the same person");

        std::fs::write(&path, "nonsense").unwrap();
        insta::assert_snapshot!("convex-key-damaged", home.run(&["convex", "auth"]).text());
        assert_eq!(
            home.run(&["convex", "mint-key"]).code,
            3,
            "it is not put aside unasked"
        );
        assert_eq!(home.run(&["convex", "mint-key", "--replace"]).code, 0);
    });
}

#[test]
fn one_link_and_everything_as_on_a_hub() {
    let home = Home::new();
    let deployment = Deployment::of(&home);
    let up = up(&home, &deployment);
    settings(&home).bind(|| {
        // Found by what runs here, without a word about where.
        insta::assert_snapshot!("convex-machines", home.run(&["machines"]).text());
        insta::assert_snapshot!("convex-link", home.run(&["link"]).text());
        insta::assert_snapshot!("convex-password", home.run(&["password"]).text());
        std::fs::create_dir(home.place("projects/app")).unwrap();
        assert_eq!(home.run(&["workers", "add", "app"]).code, 0);
        until("the worker is ready", || {
            home.run(&["workers"]).stdout.contains("ready")
        });
        assert!(home.run(&["ls", "desk:"]).stdout.contains("app"));
        let doctor = home.run(&[
            "doctor",
            "--convex",
            &deployment.url,
            "--listen",
            "127.0.0.1:0",
        ]);
        let lines: Vec<&str> = doctor
            .stdout
            .lines()
            .filter(|line| line.contains(" backend ") || line.contains(" sign-in "))
            .filter(|line| !line.contains(" health "))
            .collect();
        insta::assert_snapshot!("convex-doctor", lines.join("\n"));
    });
    let second = home.run(&[
        "up",
        "--convex",
        &deployment.url,
        "--root",
        "projects",
        "--listen",
        "127.0.0.1:0",
    ]);
    assert_eq!(second.code, 12, "{}", second.stderr);
    assert!(
        second.stderr.contains(&format!("process {}", up.pid())),
        "{}",
        second.stderr
    );
    let ended = up.stop();
    settings(&home).bind(|| insta::assert_snapshot!("convex-up", ended.text()));
    assert_eq!(ended.stdout.lines().count(), 1, "one line of data");
    home.is_quiet();

    let again = self::up(&home, &deployment);
    let backend = deployment.address();
    assert_eq!(
        home.run(&["machines", "--json", "--backend", &backend])
            .stdout
            .lines()
            .count(),
        1,
        "it comes back as the machine it was"
    );
    assert_eq!(again.stop().code, 0);
    home.is_quiet();
}

#[test]
fn another_computer_joins_with_a_key_and_another_person_with_a_token() {
    let home = Home::new();
    let deployment = Deployment::of(&home);
    let backend = deployment.address();
    let signed_out = home.run(&["machines", "--backend", &backend]);
    assert_eq!(
        signed_out.code, 5,
        "a key is for the deployments that it was told of: {}",
        signed_out.stderr
    );
    let login = home.run(&["login", "--backend", &backend]);
    assert_eq!(login.code, 0, "{}", login.stderr);
    let added = home.run(&[
        "machines",
        "--json",
        "--backend",
        &backend,
        "add",
        "build-2",
    ]);
    let key = values(&added)[0]["registrationKey"]
        .as_str()
        .unwrap()
        .to_owned();

    let other = Home::new();
    let machine = other.start(&[
        "machine",
        "--backend",
        &backend,
        "--key",
        &key,
        "--root",
        "projects",
    ]);
    machine.says("Connected to");
    until("it is online", || {
        home.run(&["machines", "--backend", &backend])
            .stdout
            .contains("online")
    });

    let refused = other.run_with(&["login", "--backend", &backend], "opt_of-a-hub\n");
    assert_eq!(refused.code, 5, "{}", refused.stderr);
    let token = home.run(&["convex", "token"]).stdout;
    let login = other.run_with(&["login", "--backend", &backend], &token);
    assert_eq!(login.code, 0, "{}", login.stderr);
    assert!(
        other
            .run(&["machines", "--backend", &backend])
            .stdout
            .contains("build-2")
    );
    assert_eq!(machine.stop().code, 0);
    until("it has said goodbye", || {
        !home
            .run(&["machines", "--backend", &backend])
            .stdout
            .contains("online")
    });
}

#[test]
fn what_is_wrong_with_a_deployment_is_said_in_a_line() {
    let home = Home::new();
    assert_eq!(home.run(&["convex", "mint-key"]).code, 0);
    let stranger = Home::new();
    let minted = stranger.run(&["convex", "mint-key"]);
    let not_mine = Deployment::start(minted.stdout.trim(), &[]);
    let empty = Deployment::start("[]", &["--functions", "fixtures/functions"]);
    let nowhere = "http://127.0.0.1:1";
    settings(&home).bind(|| {
        for (name, code, url) in [
            ("not-mine", 5, not_mine.url.as_str()),
            ("empty", 8, &empty.url),
            ("nowhere", 4, nowhere),
            ("bad-address", 3, "nonsense"),
        ] {
            let args = [
                "up",
                "--convex",
                url,
                "--root",
                "projects",
                "--listen",
                "127.0.0.1:0",
            ];
            let ended = home.run(&args);
            assert_eq!(
                (ended.code, ended.stdout.as_str()),
                (code, ""),
                "{name}: {}",
                ended.stderr
            );
            insta::assert_snapshot!(format!("convex-error-{name}"), ended.text());
        }
    });
    for (url, told) in [
        (&empty.url, "npx convex deploy"),
        (&not_mine.url, "ORCHESTRATOR_AUTH"),
    ] {
        let doctor = home.run(&["doctor", "--convex", url]);
        assert_eq!(doctor.code, 40);
        assert!(doctor.stdout.contains(told), "{}", doctor.stdout);
    }
}

#[test]
fn no_log_shows_a_token() {
    let home = Home::new().with("ORCHESTRATOR_LOG", "trace");
    let deployment = Deployment::of(&home);
    let backend = deployment.address();
    let token = home.run(&["convex", "token"]).stdout;
    let home = home.with("ORCHESTRATOR_TOKEN", token.trim());
    let ended = home.run(&["machines", "--json", "--backend", &backend, "add", "box"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let key = values(&ended)[0]["registrationKey"]
        .as_str()
        .unwrap()
        .to_owned();
    let machine = home.start(&[
        "machine",
        "--backend",
        &backend,
        "--key",
        &key,
        "--root",
        "projects",
    ]);
    machine.says("Connected to");
    let said = machine.stop().stderr;
    for secret in [token.trim(), "omc_", "oms_", "ork_"] {
        for text in [&said, &ended.stderr] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }
}
