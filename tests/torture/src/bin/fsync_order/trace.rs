//! What `strace -f -y` wrote, as calls in order, and whether an ack came after its sync.

use std::collections::BTreeMap;

/// A system call; the lines are where it began and ended.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Call {
    begun: usize,
    ended: usize,
    name: String,
    /// Its file as `9</tmp/hub.db-wal>` or `12<socket:[4711]>`.
    file: String,
    text: String,
}

/// When the ack of one request went out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ack {
    /// The lines of the trace: the request's arrival, its write to the log, the log's sync, the answer.
    pub(crate) received: usize,
    pub(crate) written: usize,
    pub(crate) synced: usize,
    pub(crate) answered: usize,
}

const RECEIVES: &[&str] = &["read", "readv", "recvfrom", "recvmsg"];
const ANSWERS: &[&str] = &["write", "writev", "sendto", "sendmsg"];
const SYNCS: &[&str] = &["fsync", "fdatasync"];
/// How SQLite's write-ahead log is called.
const LOG: &str = ".db-wal>";

/// Finds the request that holds a text, and sees that what it wrote was synced before it was answered.
pub(crate) fn check(trace: &str, text: &str) -> Result<Ack, String> {
    let calls = calls(trace);
    let find = |what: &str, is_it: &dyn Fn(&Call) -> bool| {
        let found = calls.iter().find(|call| is_it(call));
        found.ok_or_else(|| format!("{what} is not in the trace"))
    };
    let received = find("the request", &|call| {
        RECEIVES.contains(&call.name.as_str())
            && call.file.contains("<socket:")
            && call.text.contains(text)
    })?;
    let answered = find("the answer", &|call| {
        ANSWERS.contains(&call.name.as_str())
            && call.file == received.file
            && call.begun > received.ended
            && call.text.contains("HTTP/1.1 2")
    })?;
    let written = find("the write to the log", &|call| {
        call.name == "pwrite64" && call.file.ends_with(LOG) && call.text.contains(text)
    })?;
    let synced = calls.iter().find(|call| {
        SYNCS.contains(&call.name.as_str())
            && call.file.ends_with(LOG)
            && call.begun > written.ended
            && call.text.ends_with("= 0")
    });
    let Some(synced) = synced else {
        return Err("it was answered and its write never synced".to_owned());
    };
    if synced.ended > answered.begun {
        return Err(format!(
            "it was answered in line {} and synced only in line {}",
            answered.begun, synced.ended
        ));
    }
    Ok(Ack {
        received: received.begun,
        written: written.begun,
        synced: synced.ended,
        answered: answered.begun,
    })
}

/// The calls in the order of their beginnings. A call that others overtook stands in two lines.
fn calls(trace: &str) -> Vec<Call> {
    let mut open: BTreeMap<&str, (usize, String)> = BTreeMap::new();
    let mut calls = Vec::new();
    for (line, text) in (1..).zip(trace.lines()) {
        let Some((process, text)) = text.split_once(' ') else {
            continue;
        };
        let text = text.trim();
        if let Some(begun) = text.strip_suffix("<unfinished ...>") {
            open.insert(process, (line, begun.to_owned()));
        } else if text.starts_with("<... ") {
            let end = text.split_once(" resumed>").map_or("", |(_, end)| end);
            if let Some((begun, beginning)) = open.remove(process) {
                calls.extend(call(begun, line, beginning + end));
            }
        } else {
            calls.extend(call(line, line, text.to_owned()));
        }
    }
    calls.sort_by_key(|call| call.begun);
    calls
}

fn call(begun: usize, ended: usize, text: String) -> Option<Call> {
    let (name, rest) = text.split_once('(')?;
    let end = rest.find('>').map_or(0, |end| end + 1);
    Some(Call {
        begun,
        ended,
        name: name.to_owned(),
        file: rest[..end].to_owned(),
        text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"7 recvfrom(12<socket:[55]>, "POST /x HTTP/1.1 marker-1", 8192, 0, NULL, NULL) = 25
8 pwrite64(9</t/hub.db-wal>, "\0\0marker-1", 4096, 32) = 4096
8 fdatasync(9</t/hub.db-wal> <unfinished ...>
7 recvfrom(13<socket:[56]>, 0x7f, 8192, 0, NULL, NULL) = -1 EAGAIN (Resource temporarily unavailable)
8 <... fdatasync resumed>)              = 0
7 sendto(12<socket:[55]>, "HTTP/1.1 204 No Content\r\n", 99, MSG_NOSIGNAL, NULL, 0) = 99"#;

    fn without(trace: &str, what: &str) -> String {
        let lines = trace.lines().filter(|line| !line.contains(what));
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn an_ack_after_its_sync_is_well() {
        let ack = check(GOOD, "marker-1");
        assert_eq!(
            ack,
            Ok(Ack {
                received: 1,
                written: 2,
                synced: 5,
                answered: 6
            })
        );
    }

    #[test]
    fn an_ack_without_a_sync_is_found() {
        let wrong = check(&without(GOOD, "fdatasync"), "marker-1");
        assert_eq!(
            wrong,
            Err("it was answered and its write never synced".to_owned())
        );
    }

    #[test]
    fn an_ack_before_its_sync_is_found() {
        let mut lines: Vec<&str> = GOOD.lines().collect();
        lines.swap(4, 5);
        let wrong = check(&lines.join("\n"), "marker-1");
        assert_eq!(
            wrong,
            Err("it was answered in line 5 and synced only in line 6".to_owned())
        );
    }

    #[test]
    fn a_sync_of_another_write_does_not_count() {
        let early = format!(
            "8 fdatasync(9</t/hub.db-wal>) = 0\n{}",
            without(GOOD, "fdatasync")
        );
        assert!(check(&early, "marker-1").is_err());
        let failed = GOOD.replace(")              = 0", ") = -1 EIO (Input/output error)");
        assert!(check(&failed, "marker-1").is_err());
    }
}
