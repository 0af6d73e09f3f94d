//! Where a conversation is kept: the database of its chat session, or one that was begun before there was a
//! chat session for it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use protocol::driver::SessionSpec;

use crate::driver::DriverError;

/// What the names of databases begin with that were begun before their chat session.
const SPARE_PREFIX: &str = "spare-";
/// Random bytes in such a name.
const SPARE_RANDOM_BYTES: usize = 10;
/// Stands between the storage's name and the conversation's in what the backend keeps.
const SEPARATOR: char = '/';
/// What SQLite puts beside a database.
const DATABASE_ENDINGS: &[&str] = &["db", "db-wal", "db-shm"];
/// Beside the directory of the databases.
const LOCKS: &str = "locks";
/// Marks a database that nobody has a conversation in.
const UNUSED_ENDING: &str = "unused";

/// The name of a database, without its ending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Storage(String);

impl Storage {
    /// The storage of a chat session, and opencode's own name for its conversation if it has begun. What the
    /// backend keeps is `<storage>/<conversation>`, or the conversation alone where it is in the chat session's
    /// own storage: nothing else has to be remembered to find it again.
    pub(crate) fn of(spec: &SessionSpec) -> (Self, Option<&str>) {
        let own = || Self(spec.chat_session_id.to_string());
        let Some(known) = spec.agent_session_id.as_deref() else {
            return (own(), None);
        };
        match known.split_once(SEPARATOR) {
            // A name of any other form is none that was ever given, and might lead anywhere.
            Some((storage, conversation)) if is_spare_name(storage) => {
                (Self(storage.to_owned()), Some(conversation))
            }
            Some(_) | None => (own(), Some(known)),
        }
    }

    /// One that no chat session has yet.
    pub(crate) fn fresh() -> Result<Self, DriverError> {
        let mut random = [0; SPARE_RANDOM_BYTES];
        getrandom::fill(&mut random).map_err(|error| DriverError::Machine {
            what: "no random bytes".to_owned(),
            reason: error.to_string(),
        })?;
        let digits: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self(format!("{SPARE_PREFIX}{digits}")))
    }

    /// What the backend keeps of a conversation in this storage.
    pub(crate) fn name(&self, conversation: &str) -> String {
        if is_spare_name(&self.0) {
            format!("{}{SEPARATOR}{conversation}", self.0)
        } else {
            conversation.to_owned()
        }
    }

    /// The database.
    pub(crate) fn database(&self, sessions: &Path) -> PathBuf {
        sessions.join(format!("{}.db", self.0))
    }

    /// What its supervisor holds for as long as an opencode may work on it. Not beside the database, where
    /// opencode itself may write.
    pub(crate) fn lock(&self, sessions: &Path) -> PathBuf {
        sessions.with_file_name(LOCKS).join(&self.0)
    }

    /// Notes that nobody has a conversation in it yet.
    pub(crate) fn mark_unused(&self, sessions: &Path) -> io::Result<()> {
        std::fs::write(self.mark(sessions), "")
    }

    /// Notes that it is somebody's from now on.
    pub(crate) fn mark_used(&self, sessions: &Path) -> io::Result<()> {
        std::fs::remove_file(self.mark(sessions))
    }

    /// Deletes it, its mark last. Only for one that nobody has a conversation in, and that no process has open.
    pub(crate) fn delete(&self, sessions: &Path) {
        for ending in DATABASE_ENDINGS {
            // It may not have come so far; what can't be deleted takes some room and does no harm.
            let _ = std::fs::remove_file(sessions.join(format!("{}.{ending}", self.0)));
        }
        let _ = std::fs::remove_file(self.lock(sessions));
        let _ = std::fs::remove_file(self.mark(sessions));
    }

    fn mark(&self, sessions: &Path) -> PathBuf {
        sessions.join(format!("{}.{UNUSED_ENDING}", self.0))
    }
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Deletes what earlier processes have begun and never used. Only marks of at least that age count: a younger
/// one may be of a process that is about to end.
pub(crate) fn delete_unused(sessions: &Path, min_age: Duration) {
    let Ok(entries) = std::fs::read_dir(sessions) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(storage) = name
            .to_str()
            .and_then(|name| name.strip_suffix(&format!(".{UNUSED_ENDING}")))
        else {
            continue;
        };
        let written = entry.metadata().and_then(|metadata| metadata.modified());
        let age = written
            .ok()
            .and_then(|written| SystemTime::now().duration_since(written).ok());
        if is_spare_name(storage) && age.is_some_and(|age| age >= min_age) {
            Storage(storage.to_owned()).delete(sessions);
        }
    }
}

fn is_spare_name(name: &str) -> bool {
    name.strip_prefix(SPARE_PREFIX).is_some_and(|digits| {
        digits.len() == 2 * SPARE_RANDOM_BYTES
            && digits
                .bytes()
                .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    })
}

#[cfg(test)]
mod tests {
    use protocol::Timestamp;
    use protocol::ids::ChatSessionId;

    use super::*;

    fn spec(agent_session_id: Option<&str>) -> SessionSpec {
        SessionSpec {
            chat_session_id: ChatSessionId::generate(Timestamp::from_ms(1), [1; 10]),
            directory: "/".to_owned(),
            agent_session_id: agent_session_id.map(str::to_owned),
            title: String::new(),
            model: None,
            agent: None,
            is_own_directory: false,
            sandbox: protocol::wire::Sandbox::Off,
            ask_first: false,
            also_writes: Vec::new(),
        }
    }

    #[test]
    fn a_name_leads_back_to_its_storage() {
        let fresh = Storage::fresh().unwrap();
        let name = fresh.name("ses_1");
        assert_eq!(Storage::of(&spec(Some(&name))), (fresh, Some("ses_1")));
    }

    #[test]
    fn a_name_without_a_storage_means_the_chat_sessions_own() {
        let own = Storage(spec(None).chat_session_id.to_string());
        assert_eq!(Storage::of(&spec(None)), (own.clone(), None));
        assert_eq!(own.name("ses_1"), "ses_1");
        assert_eq!(Storage::of(&spec(Some("ses_1"))), (own, Some("ses_1")));
    }

    #[test]
    fn a_name_never_leads_out_of_the_sessions_directory() {
        let own = Storage(spec(None).chat_session_id.to_string());
        for name in [
            "../x/ses_1",
            "/etc/ses_1",
            "spare-../ses_1",
            "spare-00/ses_1",
            "spare-0000000000000000000G/s",
        ] {
            assert_eq!(Storage::of(&spec(Some(name))), (own.clone(), Some(name)));
        }
    }

    #[test]
    fn only_old_unused_storages_are_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let (used, unused) = (Storage::fresh().unwrap(), Storage::fresh().unwrap());
        for storage in [&used, &unused] {
            std::fs::write(storage.database(folder.path()), "").unwrap();
            storage.mark_unused(folder.path()).unwrap();
        }
        used.mark_used(folder.path()).unwrap();
        delete_unused(folder.path(), Duration::from_secs(3_600));
        assert!(unused.database(folder.path()).exists(), "too young");
        delete_unused(folder.path(), Duration::ZERO);
        assert!(!unused.database(folder.path()).exists());
        assert!(used.database(folder.path()).exists());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
