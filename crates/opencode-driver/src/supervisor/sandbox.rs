//! What a supervised program may change: enforced by Landlock, where the kernel has it.
//!
//! The supervisor restricts itself before it starts anything, so the program and all that it starts are held
//! as well, and can't get out. Reading is not restricted. What is not named can't be written, made, removed,
//! truncated, renamed or linked; other processes can't be signalled or traced.

use std::ffi::OsString;
use std::path::PathBuf;

/// The limits of one program; written as options of the supervisor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sandbox {
    /// Directories and files that may be written, with all below them; relative ones are of the directory that
    /// the supervisor starts in. A few harmless devices, like `/dev/null`, always may.
    pub write: Vec<PathBuf>,
    /// No TCP connection may be opened or taken.
    pub no_network: bool,
}

impl Sandbox {
    /// The supervisor's options that say so.
    #[must_use]
    pub fn options(&self) -> Vec<OsString> {
        let mut options = vec![OsString::from(READ_ONLY)];
        for path in &self.write {
            options.extend([WRITE.into(), path.into()]);
        }
        if self.no_network {
            options.push(NO_NETWORK.into());
        }
        options
    }

    /// Takes the options off the front of a command line; none when there are none.
    ///
    /// # Errors
    /// Says what is wrong with the options.
    pub(super) fn take_options(
        args: &mut std::iter::Peekable<impl Iterator<Item = OsString>>,
    ) -> Result<Option<Self>, String> {
        let mut sandbox = None;
        while let Some(option) = args.next_if(|arg| arg.as_encoded_bytes().starts_with(b"--")) {
            let asked: &mut Self = if option == "--" {
                break;
            } else {
                sandbox.get_or_insert_default()
            };
            match option.to_str() {
                Some(READ_ONLY) => {}
                Some(NO_NETWORK) => asked.no_network = true,
                Some(WRITE) => {
                    let path = args.next().ok_or("--write needs a directory")?;
                    asked.write.push(path.into());
                }
                _ => return Err(format!("unknown option {}", option.display())),
            }
        }
        Ok(sandbox)
    }
}

/// How far this kernel holds programs to their sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enforcement {
    /// All of it.
    Full,
    /// Most of it: the kernel knows an older Landlock.
    Partial,
    /// None of it; says why.
    Off(String),
}

impl std::fmt::Display for Enforcement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Full => f.write_str("enforced by the kernel (Landlock)"),
            Self::Partial => f.write_str("enforced in part: this kernel has an older Landlock"),
            Self::Off(why) => write!(f, "not enforced: {why}"),
        }
    }
}

/// What this machine's kernel enforces. Found out by a thread that restricts itself and ends.
#[must_use]
pub fn enforcement() -> Enforcement {
    let asked = Sandbox {
        no_network: true,
        ..Sandbox::default()
    };
    std::thread::spawn(move || platform::restrict(&asked))
        .join()
        .unwrap_or_else(|_| Err("it could not be tried".to_owned()))
        .unwrap_or_else(Enforcement::Off)
}

pub(super) use platform::restrict;

const READ_ONLY: &str = "--read-only";
const WRITE: &str = "--write";
const NO_NETWORK: &str = "--no-network";

#[cfg(target_os = "linux")]
mod platform {
    use landlock::{
        ABI, Access as _, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, Ruleset,
        RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope,
    };

    use super::{Enforcement, Sandbox};

    /// What is asked of the kernel; an older one does what it can.
    const ASKED: ABI = ABI::V7;
    /// Writing to these leaves nothing behind, and programs expect to be able to.
    const HARMLESS: [&str; 3] = ["/dev/null", "/dev/zero", "/dev/full"];

    /// Restricts this thread and all that it starts from now on.
    ///
    /// # Errors
    /// Says why it could not be done; a kernel without Landlock is no error.
    pub(in super::super) fn restrict(sandbox: &Sandbox) -> Result<Enforcement, String> {
        let mut rules = Vec::new();
        for path in &sandbox.write {
            rules.push(PathFd::new(path).map_err(|error| error.to_string())?);
        }
        rules.extend(HARMLESS.iter().filter_map(|path| PathFd::new(path).ok()));
        apply(sandbox, rules).map_err(|error| error.to_string())
    }

    fn apply(sandbox: &Sandbox, rules: Vec<PathFd>) -> Result<Enforcement, RulesetError> {
        let mut ruleset = Ruleset::default()
            .handle_access(AccessFs::from_write(ASKED))?
            .scope(Scope::Signal)?;
        if sandbox.no_network {
            ruleset = ruleset
                .handle_access(AccessNet::from_all(ASKED))?
                .scope(Scope::AbstractUnixSocket)?;
        }
        let mut ruleset = ruleset.create()?;
        for rule in rules {
            let access = rights(&rule);
            ruleset = ruleset.add_rule(PathBeneath::new(rule, access))?;
        }
        Ok(match ruleset.restrict_self()?.ruleset {
            RulesetStatus::FullyEnforced => Enforcement::Full,
            RulesetStatus::PartiallyEnforced => Enforcement::Partial,
            RulesetStatus::NotEnforced => {
                Enforcement::Off("this kernel has no Landlock, or it is turned off".to_owned())
            }
        })
    }

    /// A file takes only the rights that a file can have.
    fn rights(path: &PathFd) -> BitFlags<AccessFs> {
        let is_directory = rustix::fs::fstat(path)
            .is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir());
        let write = AccessFs::from_write(ASKED);
        if is_directory {
            write
        } else {
            write & AccessFs::from_file(ASKED)
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    use super::{Enforcement, Sandbox};

    pub(in super::super) fn restrict(_sandbox: &Sandbox) -> Result<Enforcement, String> {
        Ok(Enforcement::Off("only Linux has Landlock".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(args: &[&str]) -> (Result<Option<Sandbox>, String>, Vec<OsString>) {
        let mut args = args.iter().map(OsString::from).peekable();
        (Sandbox::take_options(&mut args), args.collect())
    }

    #[test]
    fn options_read_back_and_the_programs_own_are_left_alone() {
        let sandbox = Sandbox {
            write: vec![".".into(), "/a b".into()],
            no_network: true,
        };
        let mut args = sandbox.options();
        args.extend(["--", "git", "--read-only"].map(OsString::from));
        let mut args = args.into_iter().peekable();
        assert_eq!(Sandbox::take_options(&mut args), Ok(Some(sandbox)));
        assert_eq!(args.collect::<Vec<_>>(), ["git", "--read-only"]);
        assert_eq!(
            taken(&["--", "git", "--write"]),
            (Ok(None), vec!["git".into(), "--write".into()])
        );
        assert_eq!(
            taken(&["git", "--x"]),
            (Ok(None), vec!["git".into(), "--x".into()])
        );
    }

    #[test]
    fn options_that_are_not_understood_are_refused() {
        assert!(taken(&["--unknown", "x"]).0.is_err());
        assert!(taken(&["--write"]).0.is_err());
    }
}
