//! Listing: order, pages, odd names, large folders.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;

use agent::directory::unescape;
use protocol::limits::{COMMAND_MAX_BYTES, LISTING_PAGE_ENTRIES};
use protocol::wire::{CommandErrorCode, CommandResult, EntryKind, Listing, Operation};

use crate::stage::{Stage, command, commit, git, list, make, trash};

/// All pages of a folder.
async fn pages(stage: &Stage, directory: &str, filter: Option<&str>) -> Vec<Listing> {
    let mut pages: Vec<Listing> = Vec::new();
    loop {
        let operation = Operation::List {
            directory: directory.to_owned(),
            hidden: true,
            filter: filter.map(str::to_owned),
            after: pages.last().and_then(|page| page.next.clone()),
        };
        let result = stage.perform(operation).await.unwrap();
        assert!(serde_json::to_vec(&result).unwrap().len() <= COMMAND_MAX_BYTES);
        match result {
            CommandResult::Listing(page) => pages.push(page),
            other => panic!("{other:?}"),
        }
        if pages.last().unwrap().next.is_none() {
            return pages;
        }
    }
}

fn names(pages: &[Listing]) -> Vec<String> {
    pages
        .iter()
        .flat_map(|page| &page.entries)
        .map(|entry| entry.name.clone())
        .collect()
}

#[tokio::test]
async fn directories_come_first_and_each_by_name() {
    let stage = Stage::new();
    for name in ["b", "B", "a b", "ä"] {
        fs::create_dir(stage.path(name)).unwrap();
    }
    fs::write(stage.path("a"), "four").unwrap();
    fs::write(stage.path(".hidden"), "").unwrap();
    symlink("b", stage.path("link")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, stage.path("pipe"), rustix::fs::Mode::RWXU).unwrap();
    let listing = stage.list("").await;
    let shown: Vec<_> = listing
        .entries
        .iter()
        .map(|entry| (entry.name.as_str(), entry.kind, entry.size))
        .collect();
    assert_eq!(
        shown,
        [
            ("B", EntryKind::Directory, None),
            ("a b", EntryKind::Directory, None),
            ("b", EntryKind::Directory, None),
            ("ä", EntryKind::Directory, None),
            ("a", EntryKind::File, Some(4)),
            ("link", EntryKind::Link, None),
            ("pipe", EntryKind::Other, None),
        ]
    );
    assert_eq!((listing.total, listing.next), (7, None));
    assert!(
        listing
            .entries
            .iter()
            .all(|entry| entry.modified_at.is_some())
    );
    assert_eq!(names(&pages(&stage, "", None).await).len(), 8);
    assert_eq!(names(&pages(&stage, "", Some("A")).await), ["a b", "a"]);
}

#[tokio::test]
async fn repositories_worktrees_and_submodules_say_what_they_have_checked_out() {
    let stage = Stage::new();
    git(&stage.path(""), &["init", "-q", "-b", "trunk", "repo"]);
    commit(&stage.path("repo"));
    git(
        &stage.path("repo"),
        &["worktree", "add", "-q", "-b", "side", "../tree"],
    );
    git(&stage.path(""), &["clone", "-q", "repo", "loose"]);
    git(&stage.path("loose"), &["checkout", "-q", "--detach"]);
    fs::create_dir_all(stage.path("broken/.git")).unwrap();
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        stage.path("broken/.git/HEAD"),
        rustix::fs::Mode::RWXU,
    )
    .unwrap();
    // A `.git` that points out of the root: a repository, but nothing outside is read.
    git(
        stage.folder.path(),
        &["init", "-q", "-b", "secret", "outside"],
    );
    fs::create_dir(stage.path("away")).unwrap();
    fs::write(stage.path("away/.git"), "gitdir: ../../outside/.git\n").unwrap();
    fs::create_dir(stage.path("linked")).unwrap();
    symlink(stage.outside("outside/.git"), stage.path("linked/.git")).unwrap();
    fs::create_dir(stage.path("plain")).unwrap();
    let heads: Vec<_> = stage
        .list("")
        .await
        .entries
        .into_iter()
        .map(|entry| (entry.name, entry.git.map(|git| git.branch)))
        .collect();
    let branch = |name: &str| Some(Some(name.to_owned()));
    assert_eq!(
        heads,
        [
            ("away".to_owned(), Some(None)),
            ("broken".to_owned(), None),
            ("linked".to_owned(), None),
            ("loose".to_owned(), Some(None)),
            ("plain".to_owned(), None),
            ("repo".to_owned(), branch("trunk")),
            ("tree".to_owned(), branch("side")),
        ]
    );
}

#[tokio::test]
async fn the_products_own_folders_are_not_listed() {
    let stage = Stage::new();
    fs::write(stage.path("gone"), "").unwrap();
    stage.perform(trash("gone")).await.unwrap();
    assert!(stage.path(".orchestrator-trash").exists());
    assert_eq!(names(&pages(&stage, "", None).await), Vec::<String>::new());
}

#[tokio::test]
async fn names_that_are_not_utf_8_or_255_bytes_long_come_back_exactly() {
    let stage = Stage::new();
    let odd: Vec<Vec<u8>> = vec![
        b"\xff\xfe".to_vec(),
        b"a\nb".to_vec(),
        b"back\\slash".to_vec(),
        b"\x1b[31mred".to_vec(),
        vec![b'x'; 255],
        vec![0xff; 255],
        "é".repeat(127).into_bytes(),
    ];
    for name in &odd {
        fs::create_dir(stage.path(OsStr::from_bytes(name))).unwrap();
    }
    let listed = names(&pages(&stage, "", None).await);
    let mut back: Vec<_> = listed
        .iter()
        .map(|name| unescape(name).unwrap().as_bytes().to_vec())
        .collect();
    back.sort();
    let mut expected = odd;
    expected.sort();
    assert_eq!(back, expected);
    for name in &listed {
        stage.perform(make(&format!("{name}/below"))).await.unwrap();
        assert_eq!(stage.list(name).await.total, 1, "{name}");
    }
    assert_eq!(
        stage.refusal(make(&"x".repeat(256))).await,
        CommandErrorCode::Invalid
    );
}

#[tokio::test]
async fn a_page_of_the_longest_names_stays_within_the_limit() {
    let stage = Stage::new();
    for n in 0..LISTING_PAGE_ENTRIES {
        let mut name = vec![0xff; 252];
        name.extend(format!("{n:03}").bytes());
        File::create(stage.path(OsStr::from_bytes(&name))).unwrap();
    }
    let pages = pages(&stage, "", None).await;
    assert!(pages.len() > 1);
    let mut names = names(&pages);
    assert_eq!(names.len(), LISTING_PAGE_ENTRIES);
    names.dedup();
    assert_eq!(names.len(), LISTING_PAGE_ENTRIES);
}

#[tokio::test]
async fn a_page_goes_on_rightly_when_entries_come_and_go() {
    let stage = Stage::new();
    for n in 0..LISTING_PAGE_ENTRIES + 50 {
        fs::create_dir(stage.path(format!("d{n:04}"))).unwrap();
    }
    let first = stage.list("").await;
    let next = first.next.clone().unwrap();
    fs::remove_dir(stage.path(format!("d{:04}", LISTING_PAGE_ENTRIES - 1))).unwrap();
    fs::create_dir(stage.path("a-new-one-before")).unwrap();
    let operation = Operation::List {
        directory: String::new(),
        hidden: false,
        filter: None,
        after: Some(next),
    };
    let Ok(CommandResult::Listing(second)) = stage.perform(operation).await else {
        panic!("a listing was expected");
    };
    assert_eq!(second.entries.len(), 50);
    assert_eq!(
        second.entries[0].name,
        format!("d{LISTING_PAGE_ENTRIES:04}")
    );
    for after in ["", "x", "d\\", "é"] {
        let operation = Operation::List {
            directory: String::new(),
            hidden: false,
            filter: None,
            after: Some(after.to_owned()),
        };
        assert_eq!(stage.refusal(operation).await, CommandErrorCode::Invalid);
    }
}

#[tokio::test]
async fn a_folder_of_200_000_entries_is_listed_page_by_page() {
    const ENTRIES: usize = 200_000;
    let stage = Stage::new();
    fs::create_dir(stage.path("large")).unwrap();
    let folder = File::open(stage.path("large")).unwrap();
    let flags = rustix::fs::OFlags::CREATE | rustix::fs::OFlags::RDWR;
    for n in 0..ENTRIES {
        rustix::fs::openat(
            &folder,
            format!("entry-{n:06}"),
            flags,
            rustix::fs::Mode::RUSR,
        )
        .unwrap();
    }
    let began = std::time::Instant::now();
    let first = stage.list("large").await;
    println!(
        "the first page of {ENTRIES} entries took {:?}",
        began.elapsed()
    );
    assert_eq!(
        (first.total as usize, first.entries.len()),
        (ENTRIES, LISTING_PAGE_ENTRIES)
    );
    assert_eq!(first.entries[0].name, "entry-000000");
    let filtered = names(&pages(&stage, "large", Some("ENTRY-1999")).await);
    assert_eq!(filtered.len(), 100);
    let after = Operation::List {
        directory: "large".to_owned(),
        hidden: false,
        filter: None,
        after: Some("fentry-199998".to_owned()),
    };
    let Ok(CommandResult::Listing(last)) = stage.perform(after).await else {
        panic!("a listing was expected");
    };
    assert_eq!(
        (last.entries.len(), last.total as usize, last.next),
        (1, ENTRIES, None)
    );
}

#[tokio::test]
async fn what_does_not_stay_below_the_root_is_not_listed() {
    let stage = Stage::new();
    fs::create_dir(stage.outside("secret")).unwrap();
    symlink(stage.outside("secret"), stage.path("absolute")).unwrap();
    symlink("../secret", stage.path("relative")).unwrap();
    symlink("loop", stage.path("loop")).unwrap();
    symlink("/proc/self/root", stage.path("proc")).unwrap();
    for path in [
        "../..", "..", "a/../..", "/", "/etc", "absolute", "relative", "loop", "proc", "proc/etc",
    ] {
        assert_eq!(
            stage.refusal(list(path)).await,
            CommandErrorCode::OutsideRoot,
            "{path}"
        );
    }
    assert_eq!(stage.refusal(list("a\0b")).await, CommandErrorCode::Invalid);
    assert_eq!(
        stage.refusal(list("missing")).await,
        CommandErrorCode::NotFound
    );
    fs::write(stage.path("file"), "").unwrap();
    assert_eq!(
        stage.refusal(list("file")).await,
        CommandErrorCode::WrongKind
    );
}

#[tokio::test]
async fn with_the_root_at_the_top_the_systems_own_links_are_not_followed() {
    let top = crate::stage::directories(std::path::Path::new("/"), |_| {});
    for path in [
        "proc/self/root",
        "proc/self/root/etc",
        "proc/self/cwd",
        "proc/self/fd/0",
    ] {
        let id = command();
        let (progress, _told) = tokio::sync::mpsc::channel(1);
        let ended = top.perform(
            &id,
            list(path),
            progress,
            tokio_util::sync::CancellationToken::new(),
        );
        match ended.await {
            Err(agent::directory::Ended::Failed(error)) => {
                assert_eq!(error.code, CommandErrorCode::OutsideRoot, "{path}");
            }
            other => panic!("{path}: {other:?}"),
        }
    }
}
