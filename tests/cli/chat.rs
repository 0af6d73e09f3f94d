//! `chat` against the real opencode with the scripted model.

use std::path::Path;

use crate::support::{Home, Started, git, table, until, values};

/// The demo, with the pinned opencode.
fn demo() -> (Home, Started) {
    let pinned = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/opencode")
        .canonicalize()
        .unwrap();
    assert!(
        pinned.join("node_modules").is_dir(),
        "the pinned opencode is missing: run tests/opencode/scripts/ensure-opencode"
    );
    let home = Home::new()
        .with("ORCHESTRATOR_OPENCODE", "")
        .with("ORCHESTRATOR_OPENCODE_DIR", pinned.to_str().unwrap());
    let up = home.start(&["up", "--demo", "--listen", "127.0.0.1:0"]);
    up.says("ready: this computer is online");
    (home, up)
}

/// One opencode for all of it: they are large.
#[test]
fn a_message_is_answered_and_the_exit_code_says_how() {
    let (home, up) = demo();
    let said = home.run(&["chat", "say", "Grüße,", "世界", "😀"]);
    assert_eq!(
        (said.code, said.stdout.as_str()),
        (0, "Grüße, 世界 😀\n"),
        "{}",
        said.stderr
    );
    let session = said
        .stderr
        .split("--session ")
        .nth(1)
        .unwrap()
        .trim()
        .trim_end_matches(')')
        .to_owned();
    let chat = |args: &[&str]| {
        let mut all = vec!["chat", "--session", &session];
        all.extend_from_slice(args);
        home.run(&all)
    };

    let piped = home.run_with(
        &["chat", "--session", &session, "say", "-"],
        "from a pipe\n",
    );
    assert_eq!(piped.stdout, "from a pipe\n", "{}", piped.stderr);

    let json = values(&chat(&["--json", "think", "hard"]));
    assert_eq!(json.first().unwrap()["event"], "session");
    let text: String = json
        .iter()
        .filter(|event| event["event"] == "text")
        .map(|event| event["text"].as_str().unwrap())
        .collect();
    let end = json.last().unwrap();
    assert_eq!(
        (&end["event"], &end["state"], end["text"].as_str().unwrap()),
        (&"end".into(), &"completed".into(), text.as_str())
    );
    assert!(json.iter().any(|event| event["event"] == "reasoning"));

    let denied = chat(&["run", "echo", "hi"]);
    assert!(
        denied
            .stderr
            .contains("Denied, since nobody is here to answer: bash echo hi"),
        "{}",
        denied.stderr
    );
    let allowed = chat(&["--asks", "allow", "run", "echo", "hi"]);
    assert_eq!(allowed.code, 0);
    assert!(
        allowed.stderr.contains("Allowed: bash echo hi") && allowed.stdout.contains("hi"),
        "{}",
        allowed.text()
    );

    let hostile = chat(&["hostile"]);
    let steers = |text: &str| {
        text.chars()
            .any(|character| character.is_control() && !matches!(character, '\n' | '\t'))
    };
    assert!(
        !steers(&hostile.stdout) && !steers(&hostile.stderr),
        "control bytes reach the terminal"
    );
    assert!(
        hostile.stdout.contains("<script>"),
        "the text itself is left as it is: {}",
        hostile.stdout
    );

    let failed = chat(&["fail", "400"]);
    assert_eq!(
        (failed.code, failed.stdout.as_str()),
        (30, ""),
        "{}",
        failed.stderr
    );

    let slow = home.start(&["chat", "--session", &session, "--json", "slow", "50"]);
    slow.prints("\"event\":\"text\"");
    slow.signal(rustix::process::Signal::INT);
    let cancelled = slow.end();
    assert_eq!(cancelled.code, 32, "{}", cancelled.text());

    let unknown = home.run(&["chat", "--continue", "no such title", "say hi"]);
    assert_eq!(unknown.code, 7, "{}", unknown.text());
    assert!(
        unknown.stderr.contains(&session) && unknown.stderr.contains("by its id"),
        "those that there are: {}",
        unknown.stderr
    );

    let transcript = home.run(&["sessions", "transcript", &session]);
    home.settings().bind(|| {
        insta::assert_snapshot!(
            "transcript-begins",
            transcript
                .stdout
                .lines()
                .take(6)
                .collect::<Vec<_>>()
                .join("\n")
        )
    });
    table(&home).bind(|| insta::assert_snapshot!("sessions", home.run(&["sessions"]).text()));
    let continued = home.run(&["chat", "--json", "--continue", &session, "and", "now?"]);
    assert_eq!(continued.code, 0, "{}", continued.text());
    let events = values(&continued);
    let next = events[0]["chatSessionId"].as_str().unwrap();
    assert_ne!(next, session, "{events:?}");
    let known = values(&home.run(&["sessions", "--json"]));
    let found = |id: &str| known.iter().find(|shown| shown["id"] == id).unwrap();
    assert_eq!(found(next)["continues"], session.as_str());
    assert_eq!(found(&session)["continuedBy"], next);
    let heard: String = events
        .iter()
        .filter_map(|event| event["text"].as_str())
        .collect();
    assert!(heard.contains("Grüße"), "the model was told: {heard}");
    assert_eq!(home.run(&["sessions", "end", next]).code, 0);

    assert_eq!(home.run(&["sessions", "end", &session]).code, 0);
    let over = chat(&["say", "again"]);
    assert_eq!(over.code, 6, "{}", over.stderr);
    assert!(
        over.stderr.contains("This chat session has ended"),
        "{}",
        over.stderr
    );

    a_worktree_goes_with_its_session_unless_work_would_be_lost(&home);
    assert_eq!(up.stop().code, 0);
    home.is_quiet();
}

fn a_worktree_goes_with_its_session_unless_work_would_be_lost(home: &Home) {
    let root = home.place(".local/share/opencode-orchestrator-demo/projects");
    let repository = root.join("repository");
    std::fs::create_dir(&repository).unwrap();
    git(&repository, &["init", "-q"]);
    git(
        &repository,
        &["commit", "-q", "--allow-empty", "-m", "Begin"],
    );
    let machine = values(&home.run(&["machines", "--json"]));
    let machine = machine[0]["name"].as_str().unwrap();
    let said = home.run(&[
        "chat",
        "--machine",
        machine,
        "--dir",
        "repository",
        "--own-worktree",
        "--json",
        "say",
        "hi",
    ]);
    assert_eq!(said.code, 0, "{}", said.text());
    let session = values(&said)[0]["chatSessionId"]
        .as_str()
        .unwrap()
        .to_owned();
    let worktree = root.join(".orchestrator-worktrees").join(&session);
    std::fs::write(worktree.join("unsaved"), "").unwrap();

    let becomes = |state: &str| {
        until(state, || {
            values(&home.run(&["sessions", "list", "--all", "--json"]))
                .iter()
                .any(|chat| chat["id"] == session && chat["worktree"]["state"] == state)
        });
    };
    let ended = home.run(&["sessions", "end", &session]);
    assert!(
        ended.stderr.contains("--discard-worktree"),
        "{}",
        ended.stderr
    );
    becomes("kept");
    assert!(worktree.join("unsaved").exists());
    let discard = ["sessions", "end", &session, "--discard-worktree"];
    assert_eq!(home.run(&discard).code, 0);
    becomes("removed");
    assert!(!worktree.exists());
}

#[test]
fn messages_that_can_not_be_sent_are_refused_before() {
    let home = Home::new();
    let empty = home.run(&["chat"]);
    assert_eq!(empty.code, 2, "{}", empty.stderr);
    let long = home.run_with(&["chat", "-"], &"x".repeat(256 * 1024 + 1));
    assert_eq!(long.code, 2);
    assert!(long.stderr.contains("256 KiB"), "{}", long.stderr);
}
