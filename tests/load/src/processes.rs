//! What `/proc` knows of a process.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Failure;

/// A process's memory, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Resident: what of it is in memory, shared pages included.
    pub(crate) rss: u64,
    /// The same with each shared page divided by the number of its users.
    pub(crate) pss: u64,
    /// What no file stands behind: heap and stacks.
    pub(crate) anonymous: u64,
}

/// A process's memory.
pub(crate) fn memory(pid: u32) -> Result<Memory, Failure> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let field = |name: &str| {
        let kib = text.lines().find_map(|line| {
            line.strip_prefix(name)?
                .trim()
                .strip_suffix(" kB")?
                .parse::<u64>()
                .ok()
        });
        kib.map(|kib| kib * 1_024)
            .ok_or_else(|| format!("smaps_rollup has no {name}"))
    };
    Ok(Memory {
        rss: field("Rss:")?,
        pss: field("Pss:")?,
        anonymous: field("Anonymous:")?,
    })
}

/// A process's processor time, in hundredths of a second.
pub(crate) fn processor_ticks(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
}

/// A running opencode of the product, and how to speak to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tap {
    pub(crate) pid: u32,
    pub(crate) port: u16,
    pub(crate) password: String,
}

/// The opencodes whose databases are below a directory, oldest first. Their passwords are in their
/// environments, which only their own user can read.
pub(crate) fn opencodes(machine_dir: &Path) -> Vec<Tap> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut found: Vec<(u64, Tap)> = entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((started(pid)?, tap(pid, machine_dir)?)))
        .collect();
    found.sort_by_key(|(started, tap)| (*started, tap.pid));
    found.into_iter().map(|(_, tap)| tap).collect()
}

fn tap(pid: u32, machine_dir: &Path) -> Option<Tap> {
    // The supervisor has the same environment and names the same program, but is another one.
    let program = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    program.file_name().filter(|name| *name == "opencode")?;
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let variable = |name: &str| {
        let prefix = format!("{name}=");
        let values = environment.split(|byte| *byte == 0);
        values
            .filter_map(|value| std::str::from_utf8(value).ok()?.strip_prefix(&prefix))
            .next()
            .map(str::to_owned)
    };
    PathBuf::from(variable("OPENCODE_DB")?)
        .starts_with(machine_dir)
        .then_some(())?;
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let mut words = line
        .split(|byte| *byte == 0)
        .skip_while(|word| *word != b"--port");
    let port = std::str::from_utf8(words.nth(1)?).ok()?.parse().ok()?;
    Some(Tap {
        pid,
        port,
        password: variable("OPENCODE_SERVER_PASSWORD")?,
    })
}

fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(19)?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_itself() {
        let own = std::process::id();
        let memory = memory(own).unwrap();
        assert!(memory.rss > memory.anonymous && memory.rss >= memory.pss && memory.anonymous > 0);
        assert!(processor_ticks(own).is_some() && started(own).is_some_and(|at| at > 0));
        assert_eq!(opencodes(Path::new("/nonexistent")), []);
    }
}
