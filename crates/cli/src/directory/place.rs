//! Which machine and which path a person means.

use protocol::wire::MachineSummary;

use crate::api::pick;
use crate::exit::{Exit, Failure};
use crate::out::one_line;

/// A path below the root of a machine.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) machine: MachineSummary,
    /// As it was typed, without the machine; the backend checks it.
    pub(crate) path: String,
}

impl Place {
    /// Reads `[MACHINE:]PATH`; where a machine is given apart from it, all of it is the path.
    ///
    /// # Errors
    /// When there is no such machine, or none is named and there is not exactly one.
    pub(crate) fn find(
        machines: Vec<MachineSummary>,
        given: Option<&str>,
        text: &str,
    ) -> Result<Self, Failure> {
        let (wanted, path) = match given {
            Some(machine) => (Some(machine), text),
            None => split(text),
        };
        let machine = match wanted {
            Some(wanted) => named(machines, wanted).map_err(|mut failure| {
                if given.is_none() {
                    failure.message.push_str(&format!(
                        " If the path itself has a colon, write ./{} or name the machine with --machine.",
                        one_line(text)
                    ));
                }
                failure
            })?,
            None => only(machines)?,
        };
        Ok(Self {
            machine,
            path: path.to_owned(),
        })
    }

    /// Reads a second path on the same machine.
    pub(super) fn same_machine(
        &self,
        machines: Vec<MachineSummary>,
        is_path_alone: bool,
        text: &str,
    ) -> Result<String, Failure> {
        let (Some(wanted), path) = split(text) else {
            return Ok(text.to_owned());
        };
        if is_path_alone {
            return Ok(text.to_owned());
        }
        if named(machines, wanted)?.id != self.machine.id {
            return Err(Failure::new(
                Exit::Usage,
                "Things can be moved within one machine only. Clone a repository on the other one instead.",
            ));
        }
        Ok(path.to_owned())
    }
}

fn named(machines: Vec<MachineSummary>, wanted: &str) -> Result<MachineSummary, Failure> {
    pick("machine", wanted, machines, |machine| {
        (machine.id.as_str(), &machine.name)
    })
}

/// The machine where none is named.
pub(super) fn only(machines: Vec<MachineSummary>) -> Result<MachineSummary, Failure> {
    let names: Vec<String> = machines
        .iter()
        .map(|machine| one_line(&machine.name))
        .collect();
    match <[_; 1]>::try_from(machines) {
        Ok([machine]) => Ok(machine),
        Err(none) if none.is_empty() => Err(Failure::new(
            Exit::NotFound,
            "There is no machine yet. Add one with `orchestrator machines add NAME`.",
        )),
        Err(_) => Err(Failure::new(
            Exit::Usage,
            format!(
                "There are several machines: {}. Name one, as in {}:PATH or with --machine.",
                names.join(", "),
                names[0]
            ),
        )),
    }
}

/// The machine before the colon, if there is one, and the path behind it.
fn split(text: &str) -> (Option<&str>, &str) {
    match text.split_once(':') {
        Some((machine, path)) if !machine.is_empty() && !machine.contains('/') => {
            (Some(machine), path)
        }
        Some(_) | None => (None, text),
    }
}

/// A destination, which is a directory to put something into if it ends like one.
pub(super) fn into(to: &str, what: &str) -> String {
    let is_directory = to.is_empty() || to.ends_with('/') || matches!(to, "." | "./");
    match what.trim_end_matches('/').rsplit('/').next() {
        Some(name) if is_directory && to.is_empty() => name.to_owned(),
        Some(name) if is_directory => format!("{}/{name}", to.trim_end_matches('/')),
        Some(_) | None => to.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_before_the_first_colon_unless_that_is_in_a_path() {
        let cases = [
            ("", (None, "")),
            ("repos/app", (None, "repos/app")),
            ("build-2:", (Some("build-2"), "")),
            ("build-2:repos/a:b", (Some("build-2"), "repos/a:b")),
            ("./a:b", (None, "./a:b")),
            (":x", (None, ":x")),
        ];
        for (text, expected) in cases {
            assert_eq!(split(text), expected, "{text}");
        }
    }

    #[test]
    fn a_slash_at_the_end_means_into_it() {
        let cases = [
            ("b", "b"),
            ("b/", "b/app"),
            ("", "app"),
            (".", "./app"),
            ("x/y/", "x/y/app"),
            ("/", "/app"),
        ];
        for (to, expected) in cases {
            assert_eq!(into(to, "repos/app"), expected, "{to}");
        }
    }
}
