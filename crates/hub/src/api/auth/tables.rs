//! People, their links and their sign-ins, as rows.

use protocol::ids::PersonId;
use rusqlite::{Connection, OptionalExtension as _, Row, params, types::Type};

use super::SIGN_IN_IDLE_MS;

/// Sign-ins that one person may have; beyond it the longest unused one ends.
const SIGN_INS_MAX: u32 = 200;

/// A person as the hub knows them.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) id: PersonId,
    pub(crate) name: String,
    pub(crate) password: Option<String>,
}

/// Where a sign-in lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// In a browser's cookie.
    Browser,
    /// With a program.
    Token,
    /// In a file beside the database; it never ends by itself.
    Local,
}

impl Kind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Browser => "browser",
            Self::Token => "token",
            Self::Local => "local",
        }
    }

    fn read(text: &str) -> Option<Self> {
        [Self::Browser, Self::Token, Self::Local]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

/// A sign-in.
#[derive(Debug, Clone)]
pub(crate) struct SignIn {
    pub(crate) hash: String,
    pub(crate) id: String,
    pub(crate) person: PersonId,
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) created_ms: u64,
    pub(crate) used_ms: u64,
}

impl SignIn {
    pub(crate) fn holds_at(&self, now_ms: u64) -> bool {
        self.kind == Kind::Local || now_ms.saturating_sub(self.used_ms) < SIGN_IN_IDLE_MS
    }
}

/// How long a link can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkLife {
    /// Made on demand.
    Short,
    /// Until the hub stops, but no longer than a day.
    Process,
}

impl LinkLife {
    pub(crate) const fn ms(self) -> u64 {
        match self {
            Self::Short => 15 * 60 * 1_000,
            Self::Process => 24 * 60 * 60 * 1_000,
        }
    }
}

pub(super) fn owner(connection: &Connection) -> rusqlite::Result<Option<Person>> {
    connection
        .prepare_cached("SELECT id, name, password FROM person ORDER BY created_ms, id LIMIT 1")?
        .query_row([], read_person)
        .optional()
}

pub(super) fn person(connection: &Connection, id: &PersonId) -> rusqlite::Result<Option<Person>> {
    connection
        .prepare_cached("SELECT id, name, password FROM person WHERE id = ?1")?
        .query_row([id.as_str()], read_person)
        .optional()
}

pub(super) fn add_person(
    connection: &Connection,
    id: &PersonId,
    name: &str,
    now_ms: u64,
) -> rusqlite::Result<()> {
    connection
        .execute(
            "INSERT INTO person (id, name, created_ms) VALUES (?1, ?2, ?3)",
            params![id.as_str(), name, now_ms],
        )
        .map(drop)
}

pub(super) fn set_password(
    connection: &Connection,
    id: &PersonId,
    hash: &str,
) -> rusqlite::Result<()> {
    connection
        .execute(
            "UPDATE person SET password = ?2 WHERE id = ?1",
            params![id.as_str(), hash],
        )
        .map(drop)
}

pub(super) fn add_link(
    connection: &Connection,
    hash: &str,
    person: &PersonId,
    expires_ms: u64,
    life: LinkLife,
) -> rusqlite::Result<()> {
    // So that unused ones do not gather.
    connection.execute(
        "DELETE FROM sign_in_link WHERE expires_ms <= ?1",
        [expires_ms.saturating_sub(life.ms())],
    )?;
    connection
        .execute(
            "INSERT INTO sign_in_link (hash, person, expires_ms, process_bound) VALUES (?1, ?2, ?3, ?4)",
            params![hash, person.as_str(), expires_ms, life == LinkLife::Process],
        )
        .map(drop)
}

/// Takes a link away and tells whose it was.
pub(super) fn use_link(
    connection: &Connection,
    hash: &str,
    now_ms: u64,
) -> rusqlite::Result<Option<PersonId>> {
    let used = connection
        .prepare_cached("DELETE FROM sign_in_link WHERE hash = ?1 RETURNING person, expires_ms")?
        .query_row([hash], |row| Ok((read_id(row, 0)?, row.get::<_, u64>(1)?)))
        .optional()?;
    Ok(used
        .filter(|(_, expires_ms)| now_ms < *expires_ms)
        .map(|(person, _)| person))
}

/// Takes away the links of earlier processes and those that are past their time.
pub(super) fn drop_old_links(connection: &Connection, now_ms: u64) -> rusqlite::Result<()> {
    connection
        .execute(
            "DELETE FROM sign_in_link WHERE process_bound OR expires_ms <= ?1",
            [now_ms],
        )
        .map(drop)
}

pub(super) fn add_sign_in(connection: &Connection, sign_in: &SignIn) -> rusqlite::Result<()> {
    connection.execute(
        "INSERT INTO sign_in (hash, id, person, kind, name, created_ms, used_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            sign_in.hash,
            sign_in.id,
            sign_in.person.as_str(),
            sign_in.kind.as_str(),
            sign_in.name,
            sign_in.created_ms,
            sign_in.used_ms
        ],
    )?;
    connection.execute(
        "DELETE FROM sign_in WHERE kind != 'local' AND (used_ms <= ?1 OR hash IN \
         (SELECT hash FROM sign_in WHERE person = ?2 ORDER BY used_ms DESC, id DESC LIMIT -1 OFFSET ?3))",
        params![
            sign_in.used_ms.saturating_sub(SIGN_IN_IDLE_MS),
            sign_in.person.as_str(),
            SIGN_INS_MAX
        ],
    )?;
    Ok(())
}

pub(super) fn sign_in(connection: &Connection, hash: &str) -> rusqlite::Result<Option<SignIn>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM sign_in WHERE hash = ?1"))?
        .query_row([hash], read_sign_in)
        .optional()
}

pub(super) fn sign_ins(
    connection: &Connection,
    person: &PersonId,
) -> rusqlite::Result<Vec<SignIn>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM sign_in WHERE person = ?1 ORDER BY used_ms DESC, id DESC"
        ))?
        .query_map([person.as_str()], read_sign_in)?
        .collect()
}

pub(super) fn used(connection: &Connection, hash: &str, now_ms: u64) -> rusqlite::Result<()> {
    connection
        .execute(
            "UPDATE sign_in SET used_ms = ?2 WHERE hash = ?1",
            params![hash, now_ms],
        )
        .map(drop)
}

/// Ends a sign-in.
pub(super) fn drop_sign_in(connection: &Connection, hash: &str) -> rusqlite::Result<()> {
    connection
        .execute("DELETE FROM sign_in WHERE hash = ?1", [hash])
        .map(drop)
}

const COLUMNS: &str = "hash, id, person, kind, name, created_ms, used_ms";

fn read_sign_in(row: &Row<'_>) -> rusqlite::Result<SignIn> {
    let kind: String = row.get(3)?;
    Ok(SignIn {
        hash: row.get(0)?,
        id: row.get(1)?,
        person: read_id(row, 2)?,
        kind: Kind::read(&kind)
            .ok_or_else(|| unreadable(3, format!("the kind {kind:?}").into()))?,
        name: row.get(4)?,
        created_ms: row.get(5)?,
        used_ms: row.get(6)?,
    })
}

fn read_person(row: &Row<'_>) -> rusqlite::Result<Person> {
    Ok(Person {
        id: read_id(row, 0)?,
        name: row.get(1)?,
        password: row.get(2)?,
    })
}

fn read_id(row: &Row<'_>, column: usize) -> rusqlite::Result<PersonId> {
    PersonId::parse(&row.get::<_, String>(column)?)
        .map_err(|error| unreadable(column, error.into()))
}

fn unreadable(column: usize, error: Box<dyn std::error::Error + Send + Sync>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error)
}
