//! Opening a link in the person's browser.

use std::process::{Command, Stdio};

use crate::out::Out;

/// Opens a link; where that does not work, the person opens it.
pub(super) fn open(link: &str, out: Out) {
    let program = if cfg!(target_os = "macos") {
        "open"
    } else {
        "xdg-open"
    };
    let started = Command::new(program)
        .arg(link)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    match started {
        // Waited for in a thread of its own, so that it does not stay as a zombie.
        Ok(mut child) => drop(std::thread::spawn(move || child.wait())),
        Err(error) => out.say(&format!(
            "The browser could not be opened ({program}: {error}). Open the link yourself."
        )),
    }
}
