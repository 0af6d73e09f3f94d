//! Opening: the lock, the file's mode, the pragmas, the migrations.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};

use super::{OpenError, StoreOptions, migrations::MIGRATIONS};

/// Below this a write-ahead log can be corrupted.
const SQLITE_MIN_VERSION: i32 = 3_051_003;
/// Marks the file as a hub's ("OOhb").
const APPLICATION_ID: i32 = 0x4f4f_6862;
/// Statements kept prepared per connection.
const STATEMENT_CACHE: usize = 128;
/// Page cache per connection, in KiB.
const CACHE_KIB: i64 = 16 * 1024;
/// Pages in the write-ahead log before it is folded into the file: 16 MiB, so that under load the second
/// sync is rare.
const CHECKPOINT_PAGES: u32 = 4_096;
/// The log file is cut back to this after a peak.
const LOG_LIMIT_BYTES: u32 = 64 * 1024 * 1024;
/// How long SQLite waits for another process (a backup, a person's shell) before it refuses.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Takes the lock that keeps a second hub out; it is held as long as the file lives.
pub(super) fn lock(path: &Path) -> Result<File, OpenError> {
    let mut lock_path = path.as_os_str().to_owned();
    lock_path.push(".lock");
    let lock_path = PathBuf::from(lock_path);
    let file = private_file(&lock_path).map_err(|source| OpenError::Io {
        path: lock_path.clone(),
        source,
    })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(OpenError::Io {
            path: lock_path,
            source,
        }),
    }
}

/// Opens the connection that writes, having created and migrated the file.
pub(super) fn writer(path: &Path, options: &StoreOptions) -> Result<Connection, OpenError> {
    if rusqlite::version_number() < SQLITE_MIN_VERSION {
        return Err(OpenError::SqliteTooOld {
            found: rusqlite::version().to_owned(),
        });
    }
    let io = |source| OpenError::Io {
        path: path.to_owned(),
        source,
    };
    let fresh = !path.try_exists().map_err(io)?;
    // Created here and not by SQLite, so that it is private from its first byte; the log inherits the mode.
    drop(private_file(path).map_err(io)?);
    if fresh {
        sync_directory(path).map_err(io)?;
    }

    let sqlite = |source| OpenError::Sqlite {
        path: path.to_owned(),
        source,
    };
    let mut connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(sqlite)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(sqlite)?;
    // Before the first change of any kind, so that a refused file stays as it was.
    let version = check_schema(&connection, path)?;
    (|| {
        connection.pragma_update(None, "journal_mode", "WAL")?;
        let synchronous = if options.syncs_commits { "FULL" } else { "OFF" };
        connection.pragma_update(None, "synchronous", synchronous)?;
        // Plain fsync on macOS does not reach the platter.
        connection.pragma_update(None, "fullfsync", true)?;
        connection.pragma_update(None, "checkpoint_fullfsync", true)?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        connection.pragma_update(None, "journal_size_limit", LOG_LIMIT_BYTES)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        common(&connection)?;
        migrate(&mut connection, version)?;
        if let Some(pages) = options.max_pages {
            connection.pragma_update(None, "max_page_count", pages)?;
        }
        Ok(())
    })()
    .map_err(sqlite)?;
    Ok(connection)
}

/// Opens a connection that can't write.
pub(super) fn reader(path: &Path) -> Result<Connection, OpenError> {
    let open = || {
        let connection = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        common(&connection)?;
        Ok(connection)
    };
    open().map_err(|source| OpenError::Sqlite {
        path: path.to_owned(),
        source,
    })
}

fn common(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    Ok(())
}

/// The file's schema version, if it is one that this program may touch.
fn check_schema(connection: &Connection, path: &Path) -> Result<usize, OpenError> {
    let sqlite = |source| OpenError::Sqlite {
        path: path.to_owned(),
        source,
    };
    let pragma = |name| {
        connection
            .pragma_query_value(None, name, |row| row.get::<_, i64>(0))
            .map_err(sqlite)
    };
    let version = pragma("user_version")?;
    let application = pragma("application_id")?;
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(sqlite)?;
    let empty = tables == 0 && version == 0 && application == 0;
    if !empty && application != i64::from(APPLICATION_ID) {
        return Err(OpenError::Foreign {
            path: path.to_owned(),
        });
    }
    match usize::try_from(version) {
        Ok(version) if version <= MIGRATIONS.len() => Ok(version),
        _ => Err(OpenError::Newer {
            path: path.to_owned(),
            found: u32::try_from(version).unwrap_or(u32::MAX),
            known: u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX),
        }),
    }
}

fn migrate(connection: &mut Connection, from: usize) -> rusqlite::Result<()> {
    for (step, sql) in MIGRATIONS.iter().enumerate().skip(from) {
        let transaction =
            connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(
            None,
            "user_version",
            u32::try_from(step + 1).unwrap_or(u32::MAX),
        )?;
        transaction.commit()?;
    }
    Ok(())
}

fn private_file(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
        const OWNER_ONLY: u32 = 0o600;
        options.mode(OWNER_ONLY);
        let file = options.open(path)?;
        // A file that was there before, or a lax umask, must not leave it open to others.
        file.set_permissions(std::fs::Permissions::from_mode(OWNER_ONLY))?;
        Ok(file)
    }
    #[cfg(not(unix))]
    options.open(path)
}

/// Makes a new file's name durable; its content is SQLite's business.
fn sync_directory(path: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    if let Some(parent) = path.parent() {
        let parent = if parent.as_os_str().is_empty() {
            Path::new(".")
        } else {
            parent
        };
        File::open(parent)?.sync_all()?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}
