//! Lists a directory, a page at a time, in bounded memory however large it is.

use std::collections::BinaryHeap;
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use cap_std::fs::Dir;
use protocol::limits::{COMMAND_MAX_BYTES, LISTING_PAGE_ENTRIES};
use protocol::time::Timestamp;
use protocol::wire::{
    CommandError, CommandErrorCode, CommandResult, DirectoryEntry, EntryKind, Listing,
};
use rustix::fs::{AtFlags, FileType};
use tokio_util::sync::CancellationToken;

use super::errors::failed_at;
use super::head;
use super::names::{Below, OWN_PREFIX, escape, unescape};
use super::root::{Root, entries_of, kind_of_entry};

/// After so many entries it is looked whether anybody still waits.
const CANCEL_CHECK_ENTRIES: u32 = 1_024;
/// What a page's entries may take as JSON: the result's limit, but for what is around them.
const PAGE_MAX_BYTES: usize = COMMAND_MAX_BYTES - 8 * 1024;

/// What is asked for.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) directory: String,
    pub(super) hidden: bool,
    pub(super) filter: Option<String>,
    pub(super) after: Option<String>,
}

pub(super) fn list(
    root: &Root,
    query: &Query,
    cancel: &CancellationToken,
) -> Result<CommandResult, CommandError> {
    let below = Below::read(&query.directory)?;
    let failed = |error: &std::io::Error| {
        failed_at("folder", &query.directory, "could not be listed", error)
    };
    let after = query.after.as_deref().map(Place::read).transpose()?;
    let directory = root
        .handle()
        .open_dir(below.path())
        .map_err(|error| failed(&error))?;
    let first = find_first(&directory, query, after, cancel).map_err(|error| failed(&error))?;

    let mut listing = Listing {
        total: first.total,
        ..Listing::default()
    };
    let mut bytes = 0;
    let mut last = None;
    for place in first.places {
        let mut entry = describe(&directory, &place);
        if place.kind.is_dir() {
            let name = OsStr::from_bytes(&place.name);
            entry.git = head::of_child(root, below.path(), &directory, name);
        }
        bytes += serde_json::to_vec(&entry).map_or(0, |json| json.len() + 1);
        if bytes > PAGE_MAX_BYTES {
            break;
        }
        listing.entries.push(entry);
        last = Some(place);
    }
    if listing.entries.len() < first.left {
        listing.next = last.map(|place| place.write());
    }
    Ok(CommandResult::Listing(listing))
}

/// Where an entry is in the order: directories first, then by name, byte by byte. The `next` of a page is the
/// place of its last entry, so a page goes on rightly also when entries have come and gone.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    kind: FileType,
    name: Vec<u8>,
}

impl Place {
    fn key(&self) -> (bool, &[u8]) {
        key(self.kind, &self.name)
    }

    fn write(&self) -> String {
        let group = if self.kind.is_dir() { 'd' } else { 'f' };
        format!("{group}{}", escape(OsStr::from_bytes(&self.name)))
    }

    fn read(text: &str) -> Result<Self, CommandError> {
        let place = text.split_at_checked(1).and_then(|(group, name)| {
            let kind = match group {
                "d" => FileType::Directory,
                "f" => FileType::RegularFile,
                _ => return None,
            };
            let name = unescape(name)?.into_vec();
            Some(Self { kind, name })
        });
        place.ok_or_else(|| {
            let text =
                "The page asked for does not exist. List the folder again from its beginning.";
            CommandError::new(CommandErrorCode::Invalid, text)
        })
    }
}

impl Ord for Place {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

fn key(kind: FileType, name: &[u8]) -> (bool, &[u8]) {
    (!kind.is_dir(), name)
}

struct First {
    /// The first entries after where the page begins, in order.
    places: Vec<Place>,
    /// How many there are after it.
    left: usize,
    /// How many there are.
    total: u32,
}

/// Goes through the directory once, and keeps no more names than a page has.
fn find_first(
    directory: &Dir,
    query: &Query,
    after: Option<Place>,
    cancel: &CancellationToken,
) -> std::io::Result<First> {
    let filter = query.filter.as_deref().map(str::to_lowercase);
    let mut heap: BinaryHeap<Place> = BinaryHeap::with_capacity(LISTING_PAGE_ENTRIES + 1);
    let (mut left, mut total) = (0, 0_u32);
    for (seen, entry) in (1_u32..).zip(entries_of(directory)?) {
        if seen % CANCEL_CHECK_ENTRIES == 0 && cancel.is_cancelled() {
            break;
        }
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !is_wanted(name, query.hidden, filter.as_deref()) {
            continue;
        }
        let kind = kind_of_entry(directory, &entry)?;
        total = total.saturating_add(1);
        let place = key(kind, name);
        if after.as_ref().is_some_and(|after| place <= after.key()) {
            continue;
        }
        left += 1;
        let is_full = heap.len() == LISTING_PAGE_ENTRIES;
        if !is_full || heap.peek().is_some_and(|last| place < last.key()) {
            if is_full {
                heap.pop();
            }
            let name = name.to_vec();
            heap.push(Place { kind, name });
        }
    }
    Ok(First {
        places: heap.into_sorted_vec(),
        left,
        total,
    })
}

fn is_wanted(name: &[u8], hidden: bool, filter: Option<&str>) -> bool {
    if matches!(name, b"." | b"..") || name.starts_with(OWN_PREFIX.as_bytes()) {
        return false;
    }
    (hidden || !name.starts_with(b"."))
        && filter.is_none_or(|filter| {
            escape(OsStr::from_bytes(name))
                .to_lowercase()
                .contains(filter)
        })
}

/// An entry with its size and time, unless it has just gone away.
fn describe(directory: &Dir, place: &Place) -> DirectoryEntry {
    let name = OsStr::from_bytes(&place.name);
    let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).ok();
    let kind = match place.kind {
        FileType::Directory => EntryKind::Directory,
        FileType::RegularFile => EntryKind::File,
        FileType::Symlink => EntryKind::Link,
        FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => EntryKind::Other,
    };
    DirectoryEntry {
        name: escape(name),
        kind,
        size: stat
            .as_ref()
            .filter(|_| kind == EntryKind::File)
            .and_then(|stat| u64::try_from(stat.st_size).ok()),
        modified_at: stat.and_then(|stat| {
            let seconds = u64::try_from(stat.st_mtime).ok()?;
            let ms = stat.st_mtime_nsec / 1_000_000;
            Some(Timestamp::from_ms(
                seconds.checked_mul(1_000)?.saturating_add(ms),
            ))
        }),
        git: None,
    }
}
