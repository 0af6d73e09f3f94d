//! `ls`.

use protocol::functions::ViewDirectory;
use protocol::wire::{
    CommandResult, DirectoryArgs, DirectoryEntry, EntryKind, GitHead, Listing, Operation,
};

use super::{Asked, Desk, Place, shown_at, text, unknown_result};
use crate::cli::LsArgs;
use crate::exit::{Exit, Failure};
use crate::lists::time;
use crate::out::{Look, Out, name_text};

/// How many entries are listed at most; more of them nobody reads, and a filter finds what is wanted.
const LISTED_MAX: usize = 10_000;

pub(super) async fn list(desk: &mut Desk, args: LsArgs) -> Result<Exit, Failure> {
    let place = desk.place(args.on.machine.as_deref(), &args.path).await?;
    let mut rows = Vec::new();
    let mut listed = 0;
    let mut after = None;
    loop {
        let operation = Operation::List {
            directory: place.path.clone(),
            hidden: args.all,
            filter: args.filter.clone(),
            after,
        };
        let result = match desk.ask(&place.machine, operation, args.wait).await? {
            Asked::Succeeded(succeeded) => succeeded.result,
            Asked::Waits(_) if listed == 0 => return last_known(desk, &place, &args).await,
            Asked::Waits(command) => {
                desk.left(&command)?;
                return Ok(Exit::Waiting);
            }
        };
        let Some(CommandResult::Listing(page)) = result else {
            return Err(unknown_result());
        };
        listed += page.entries.len();
        show_page(desk.out, &page, &mut rows)?;
        after = page.next;
        if after.is_none() {
            break;
        }
        if listed >= LISTED_MAX {
            end_table(desk.out, &rows)?;
            desk.out.say(&format!(
                "{} {} of {} entries are listed. Find others with --filter.",
                desk.out.talk(Look::Warn, "note:"),
                text::number(u64::try_from(listed).unwrap_or(u64::MAX)),
                text::number(page.total.into())
            ));
            return Ok(Exit::Done);
        }
    }
    end_table(desk.out, &rows)?;
    Ok(Exit::Done)
}

/// What was last listed of a directory whose machine is away.
async fn last_known(desk: &Desk, place: &Place, args: &LsArgs) -> Result<Exit, Failure> {
    let known = desk
        .api
        .call::<ViewDirectory>(&DirectoryArgs {
            machine_id: place.machine.id.clone(),
            directory: place.path.clone(),
            hidden: args.all,
        })
        .await?;
    let (Some(mut listing), Some(as_of)) = (known.listing, known.as_of) else {
        desk.out.say(&format!(
            "{} was never listed, so there is nothing to show until the machine is back.",
            shown_at(&place.machine, &place.path)
        ));
        return Ok(Exit::Waiting);
    };
    let total = listing.total;
    let shown = listing.entries.len();
    if let Some(filter) = &args.filter {
        let filter = filter.to_lowercase();
        listing
            .entries
            .retain(|entry| entry.name.to_lowercase().contains(&filter));
    }
    let mut rows = Vec::new();
    show_page(desk.out, &listing, &mut rows)?;
    end_table(desk.out, &rows)?;
    let only = if listing.next.is_some() {
        format!(
            " Only the first {shown} of {} entries are known.",
            text::number(total.into())
        )
    } else {
        String::new()
    };
    desk.out.say(&format!(
        "{} that is as of {}.{only}",
        desk.out.talk(Look::Warn, "note:"),
        time(as_of)
    ));
    Ok(Exit::Waiting)
}

fn show_page(out: Out, page: &Listing, rows: &mut Vec<Vec<String>>) -> Result<(), Failure> {
    if out.is_json() {
        return page.entries.iter().try_for_each(|entry| out.value(entry));
    }
    rows.extend(page.entries.iter().map(row));
    Ok(())
}

fn end_table(out: Out, rows: &[Vec<String>]) -> Result<(), Failure> {
    if out.is_json() {
        return Ok(());
    }
    out.table(&["KIND", "SIZE", "CHANGED", "NAME", "GIT BRANCH"], rows)
}

fn row(entry: &DirectoryEntry) -> Vec<String> {
    let kind = match entry.kind {
        EntryKind::Directory => "directory",
        EntryKind::File => "file",
        EntryKind::Link => "link",
        EntryKind::Other => "other",
        EntryKind::Unknown => "unknown",
    };
    let git = match &entry.git {
        None => String::new(),
        Some(GitHead { branch: None }) => "(no branch)".to_owned(),
        Some(GitHead {
            branch: Some(branch),
        }) => name_text(branch),
    };
    vec![
        kind.to_owned(),
        entry.size.map(text::bytes).unwrap_or_default(),
        entry.modified_at.map(time).unwrap_or_default(),
        name_text(&entry.name),
        git,
    ]
}
