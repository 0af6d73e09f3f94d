//! What is there from the first start: the owner, and a token for programs on the same computer.

use std::{
    io,
    path::{Path, PathBuf},
};

use protocol::{
    CallError,
    ids::PersonId,
    secret::{Secret, hex},
};

use super::{
    Kind, SignIn, TOKEN_PREFIX, new_secret,
    tables::{self, Person},
};
use crate::api::core::{Core, defect, entropy};

const OWNER_NAME: &str = "Owner";

/// Where the token for programs on this computer is.
pub(crate) fn local_token_path(data_dir: &Path) -> PathBuf {
    data_dir.join("owner-token")
}

/// Sees to it that there is an owner and a file with a token that works, and voids links of earlier
/// processes. Gives the owner.
pub(crate) async fn prepare(core: &Core, data_dir: &Path) -> Result<PersonId, PrepareError> {
    let now_ms = core.clock.now_ms();
    let id = PersonId::generate(core.now(), entropy()?.id);
    let owner = core
        .write(move |transaction| {
            let prepare = || {
                tables::drop_old_links(transaction, now_ms)?;
                if let Some(owner) = tables::owner(transaction)? {
                    return Ok(owner);
                }
                tables::add_person(transaction, &id, OWNER_NAME, now_ms)?;
                Ok(Person {
                    id,
                    name: OWNER_NAME.to_owned(),
                    password: None,
                })
            };
            prepare().map_err(|error: rusqlite::Error| defect(&error))
        })
        .await?;

    let path = local_token_path(data_dir);
    let file_error = |source| PrepareError::TokenFile {
        path: path.clone(),
        source,
    };
    let kept = read_token(&path).map_err(file_error)?;
    if let Some(kept) = kept {
        let hash = kept.hash();
        let known = core
            .read(move |connection| tables::sign_in(connection, hash.as_str()))
            .await?
            .map_err(|error| defect(&error))?;
        if known.is_some_and(|known| known.kind == Kind::Local && known.person == owner.id) {
            return Ok(owner.id);
        }
    }
    let token = new_secret(TOKEN_PREFIX)?;
    // The file first: a token of which only the file knows does no harm, one that nobody has stays for ever.
    write_token(&path, &token).map_err(file_error)?;
    let sign_in = SignIn {
        hash: token.hash().as_str().to_owned(),
        id: new_sign_in_id()?,
        person: owner.id.clone(),
        kind: Kind::Local,
        name: "owner-token file".to_owned(),
        created_ms: now_ms,
        used_ms: now_ms,
    };
    core.write(move |transaction| {
        transaction
            .execute("DELETE FROM sign_in WHERE kind = 'local'", [])
            .and_then(|_| tables::add_sign_in(transaction, &sign_in))
            .map_err(|error| defect(&error))
    })
    .await?;
    Ok(owner.id)
}

/// Why the owner could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The database refused.
    #[error("{0}")]
    Store(#[from] CallError),
    /// The token's file can't be read or written.
    #[error("cannot use {}: {source}; check that it belongs to you", path.display())]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
}

/// A name for a sign-in that is no secret.
pub(super) fn new_sign_in_id() -> Result<String, CallError> {
    Ok(format!("sgn_{}", hex(&entropy()?.id)))
}

fn read_token(path: &Path) -> io::Result<Option<Secret>> {
    match std::fs::read_to_string(path) {
        Ok(text) => {
            private(path)?;
            Ok(Some(Secret::new(text.trim())).filter(|token| token.is_well_formed(TOKEN_PREFIX)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes the file as a whole or not at all, and for its owner only from its first byte.
fn write_token(path: &Path, token: &Secret) -> io::Result<()> {
    use std::io::Write as _;
    let unfinished = path.with_extension("new");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, OWNER_ONLY);
    let mut file = options.open(&unfinished)?;
    private(&unfinished)?;
    writeln!(file, "{}", token.expose())?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)
}

#[cfg(unix)]
const OWNER_ONLY: u32 = 0o600;

fn private(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    return std::fs::set_permissions(
        path,
        std::os::unix::fs::PermissionsExt::from_mode(OWNER_ONLY),
    );
    #[cfg(not(unix))]
    {
        let _ = path;
        Ok(())
    }
}
