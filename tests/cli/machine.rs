//! `machine`: registration, taking over, losing the backend and finding it again.

use crate::support::{Home, Started};

/// A hub, and the home that it runs in.
fn hub() -> (Home, Started, String) {
    let home = Home::new();
    let hub = home.start(&["hub", "--listen", "127.0.0.1:0"]);
    hub.prints("http://");
    let backend = home.backend();
    (home, hub, backend)
}

/// A port that nobody has now.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

#[test]
fn it_registers_once_and_comes_back() {
    let (owner, _hub, backend) = hub();
    let key = owner.key("build-2");
    let home = Home::new();
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
    let ended = machine.stop();
    home.settings()
        .bind(|| insta::assert_snapshot!("machine-first", ended.text()));

    let machine = home.start(&["machine"]);
    machine.says("Connected to");
    assert!(owner.run(&["machines"]).stdout.contains("online"));
    let ended = machine.stop();
    home.settings()
        .bind(|| insta::assert_snapshot!("machine-again", ended.text()));

    let used = Home::new().run(&[
        "machine",
        "--backend",
        &backend,
        "--key",
        &key,
        "--root",
        ".",
    ]);
    assert_eq!(used.code, 22);
    home.settings()
        .bind(|| insta::assert_snapshot!("error-key-used", used.text()));
}

#[test]
fn by_variables_alone() {
    let (owner, _hub, backend) = hub();
    let home = Home::new()
        .with("ORCHESTRATOR_BACKEND", &backend)
        .with("ORCHESTRATOR_REGISTRATION_KEY", &owner.key("ci"))
        .with("ORCHESTRATOR_ROOT", "projects");
    let machine = home.start(&["machine", "--json"]);
    machine.prints("{\"event\":\"registered\"");
    machine.prints("{\"event\":\"connected\"}");
    machine.stop();
}

#[test]
fn keys_that_are_wrong_are_refused_in_words() {
    let (owner, _hub, backend) = hub();
    let key = owner.key("build-2");
    let other = format!(
        "{}{}",
        &key[..key.len() - 1],
        if key.ends_with('0') { '1' } else { '0' }
    );
    let home = Home::new();
    for key in ["ork_nonsense", &other] {
        let refused = home.run(&[
            "machine",
            "--backend",
            &backend,
            "--key",
            key,
            "--root",
            "projects",
        ]);
        assert_eq!(
            (refused.code, refused.stdout.as_str()),
            (22, ""),
            "{}",
            refused.stderr
        );
        assert!(refused.stderr.contains("error: "), "{}", refused.stderr);
    }
    assert!(
        !home
            .place(".local/share/opencode-orchestrator/machine/machine.toml")
            .exists()
    );
}

#[test]
fn of_two_with_one_id_the_older_gives_way() {
    let (owner, _hub, backend) = hub();
    let home = Home::new();
    let older = home.start(&[
        "machine",
        "--backend",
        &backend,
        "--key",
        &owner.key("twice"),
        "--root",
        "projects",
    ]);
    older.says("Connected to");
    let newer = home.start(&["machine"]);
    let ended = older.end();
    assert_eq!(ended.code, 20);
    home.settings()
        .bind(|| insta::assert_snapshot!("error-fenced", ended.stderr.lines().last().unwrap()));
    newer.says("Connected to");
    assert_eq!(newer.stop().code, 0);
}

#[test]
fn one_that_was_revoked_says_how_to_come_back() {
    let (owner, _hub, backend) = hub();
    let home = Home::new();
    let register = |name: &str| {
        home.start(&[
            "machine",
            "--backend",
            &backend,
            "--key",
            &owner.key(name),
            "--root",
            "projects",
        ])
    };
    let machine = register("gone");
    machine.says("Connected to");
    owner.run(&["machines", "revoke", "gone"]);
    let ended = machine.end();
    assert_eq!(ended.code, 21);
    home.settings()
        .bind(|| insta::assert_snapshot!("error-revoked", ended.stderr.lines().last().unwrap()));

    let forgotten = home.run(&["machine", "forget"]);
    assert_eq!(forgotten.code, 0);
    home.settings()
        .bind(|| insta::assert_snapshot!("machine-forget", forgotten.text()));
    let anew = register("back");
    anew.says("Connected to");
    anew.stop();
}

#[test]
fn a_backend_that_is_not_there_yet_is_waited_for() {
    let owner = Home::new();
    let listen = format!("127.0.0.1:{}", free_port());
    let hub = owner.start(&["hub", "--listen", &listen]);
    hub.prints("http://");
    let (backend, key) = (owner.backend(), owner.key("early"));
    hub.stop();

    let home = Home::new();
    let machine = home.start(&[
        "machine",
        "--backend",
        &backend,
        "--key",
        &key,
        "--root",
        "projects",
    ]);
    machine.says("can't be reached");
    let hub = owner.start(&["hub", "--listen", &listen]);
    machine.says("Registered as early");
    machine.says("Connected to");

    // And it outlives the backend's restarts.
    hub.stop();
    machine.says("trying again.");
    let _hub = owner.start(&["hub", "--listen", &listen]);
    machine.says("Reconnected to");
    assert_eq!(machine.stop().code, 0);
}

#[test]
fn what_is_stored_and_broken_is_not_guessed_at() {
    let home = Home::new();
    let place = home.place("m");
    std::fs::create_dir(&place).unwrap();
    std::fs::write(place.join("machine.toml"), "machine_id = \"mch_x\"\n").unwrap();
    let broken = home.run(&["machine", "--machine-dir", "m"]);
    assert_eq!(broken.code, 3);
    assert!(
        broken.stderr.contains("orchestrator machine forget"),
        "{}",
        broken.stderr
    );
    assert_eq!(
        home.run(&["machine", "forget", "--machine-dir", "m"]).code,
        0
    );
    assert!(!place.join("machine.toml").exists());
}

#[test]
fn credentials_of_the_environment_need_no_files() {
    let (owner, _hub, backend) = hub();
    let home = Home::new();
    let machine = home.start(&[
        "machine",
        "--backend",
        &backend,
        "--key",
        &owner.key("env"),
        "--root",
        "projects",
    ]);
    machine.says("Connected to");
    machine.stop();
    let stored = std::fs::read_to_string(
        home.place(".local/share/opencode-orchestrator/machine/machine.toml"),
    )
    .unwrap();
    let value = |name: &str| {
        stored
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name} = \"")))
            .unwrap()
            .trim_end_matches('"')
            .to_owned()
    };

    let half = Home::new()
        .with("ORCHESTRATOR_MACHINE_ID", &value("machine_id"))
        .run(&["machine"]);
    assert_eq!(half.code, 3);
    assert!(
        half.stderr.contains("ORCHESTRATOR_MACHINE_SECRET"),
        "{}",
        half.stderr
    );

    let bare = Home::new()
        .with("ORCHESTRATOR_MACHINE_ID", &value("machine_id"))
        .with("ORCHESTRATOR_MACHINE_SECRET", &value("secret"))
        .with("ORCHESTRATOR_BACKEND", &backend)
        .with("ORCHESTRATOR_ROOT", "projects");
    let machine = bare.start(&["machine"]);
    machine.says("Connected to");
    machine.stop();
    assert!(
        !bare
            .place(".local/share/opencode-orchestrator/machine/machine.toml")
            .exists()
    );
}

#[test]
fn whoever_is_signed_in_needs_no_key() {
    let (owner, _hub, backend) = hub();
    let machine = owner.start(&[
        "machine",
        "--backend",
        &backend,
        "--name",
        "here",
        "--root",
        "projects",
    ]);
    machine.says("Registered as here");
    machine.says("Connected to");
    machine.stop();
}
