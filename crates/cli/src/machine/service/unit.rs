//! What a service manager reads: a systemd unit, or a property list of launchd.

use std::path::{Path, PathBuf};

use crate::exit::Exit;

/// Ends that another start would only repeat.
pub(crate) const FINAL: &[Exit] = &[
    Exit::Usage,
    Exit::Settings,
    Exit::Upgrade,
    Exit::Fenced,
    Exit::Unregistered,
    Exit::BadKey,
];
/// The pause before a machine process that has died is started again.
const RESTART_AFTER_S: u64 = 5;
/// How much longer than its turns a machine process may take to stop.
const STOP_MARGIN_S: u64 = 30;

/// How the machine process is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Service {
    pub(super) program: PathBuf,
    pub(super) args: Vec<String>,
    /// Never a secret: the file can be read by more than the person.
    pub(super) variables: Vec<(String, String)>,
    /// How long running turns may go on.
    pub(super) drain_s: u64,
}

impl Service {
    /// How long the process may take to stop.
    fn stop_limit_s(&self) -> u64 {
        self.drain_s.saturating_add(STOP_MARGIN_S)
    }

    pub(super) fn systemd(&self) -> String {
        // The program is taken as it is; variables are put into the arguments alone.
        let mut command = quoted(&self.program.display().to_string());
        for arg in &self.args {
            command.push(' ');
            command.push_str(&quoted(arg).replace('$', "$$"));
        }
        let variables: String = self
            .variables
            .iter()
            .map(|(name, value)| format!("Environment={}\n", quoted(&format!("{name}={value}"))))
            .collect();
        let codes: Vec<String> = FINAL.iter().map(|exit| exit.code().to_string()).collect();
        format!(
            "# Written by `orchestrator machine install`, which replaces it.\n\
             [Unit]\n\
             Description=Opencode Orchestrator: this computer as a machine\n\
             StartLimitIntervalSec=0\n\
             \n\
             [Service]\n\
             ExecStart={command}\n\
             {variables}\
             Restart=always\n\
             RestartSec={RESTART_AFTER_S}\n\
             # Ends that another start would only repeat: docs/cli.md names them.\n\
             RestartPreventExitStatus={}\n\
             # The first SIGTERM lets running turns finish.\n\
             KillMode=mixed\n\
             TimeoutStopSec={}\n\
             \n\
             [Install]\n\
             WantedBy=default.target\n",
            codes.join(" "),
            self.stop_limit_s(),
        )
    }

    pub(super) fn launchd(&self, label: &str, log: &Path) -> String {
        let mut args = vec![self.program.display().to_string()];
        args.extend(self.args.iter().cloned());
        // launchd can't tell exit codes apart: what is final has to look like success.
        args.push("--final-is-done".to_owned());
        let args: String = args
            .iter()
            .map(|arg| format!("    <string>{}</string>\n", escaped(arg)))
            .collect();
        let variables: String = self
            .variables
            .iter()
            .map(|(name, value)| {
                format!(
                    "    <key>{}</key><string>{}</string>\n",
                    escaped(name),
                    escaped(value)
                )
            })
            .collect();
        let (label, log) = (escaped(label), escaped(&log.display().to_string()));
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
             <plist version=\"1.0\">\n<dict>\n\
             \x20 <key>Label</key><string>{label}</string>\n\
             \x20 <key>ProgramArguments</key>\n  <array>\n{args}  </array>\n\
             \x20 <key>EnvironmentVariables</key>\n  <dict>\n{variables}  </dict>\n\
             \x20 <key>RunAtLoad</key><true/>\n\
             \x20 <key>KeepAlive</key>\n  <dict>\n    <key>SuccessfulExit</key><false/>\n  </dict>\n\
             \x20 <key>ThrottleInterval</key><integer>{RESTART_AFTER_S}</integer>\n\
             \x20 <key>ExitTimeOut</key><integer>{}</integer>\n\
             \x20 <key>StandardErrorPath</key><string>{log}</string>\n\
             </dict>\n</plist>\n",
            self.stop_limit_s(),
        )
    }
}

/// A word as systemd reads it: systemd.syntax(7) for quotes, systemd.unit(5) for percent signs.
fn quoted(text: &str) -> String {
    let mut word = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => word.push_str("\\\""),
            '\\' => word.push_str("\\\\"),
            '\n' => word.push_str("\\n"),
            '%' => word.push_str("%%"),
            other => word.push(other),
        }
    }
    word.push('"');
    word
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service() -> Service {
        Service {
            program: PathBuf::from("/home/me/my 100% $things/orchestrator"),
            args: vec![
                "machine".to_owned(),
                "--machine-dir".to_owned(),
                "/a b/50%/$HOME/back\\slash".to_owned(),
            ],
            variables: vec![("ORCHESTRATOR_LOG".to_owned(), "100% \"<&>\" $x".to_owned())],
            drain_s: 60,
        }
    }

    #[test]
    fn what_systemd_would_read_otherwise_is_escaped() {
        let unit = service().systemd();
        assert!(unit.contains(
            r#"ExecStart="/home/me/my 100%% $things/orchestrator" "machine" "--machine-dir" "/a b/50%%/$$HOME/back\\slash""#
        ), "{unit}");
        assert!(
            unit.contains(r#"Environment="ORCHESTRATOR_LOG=100%% \"<&>\" $x""#),
            "{unit}"
        );
        assert!(unit.contains("TimeoutStopSec=90\n"), "{unit}");
        assert!(
            unit.contains("RestartPreventExitStatus=2 3 8 20 21 22\n"),
            "{unit}"
        );
    }

    #[test]
    fn a_property_list_is_xml() {
        let list = service().launchd("orchestrator-machine", Path::new("/a&b/log"));
        assert!(list.contains("<string>/home/me/my 100% $things/orchestrator</string>"));
        assert!(list.contains("100% \"&lt;&amp;&gt;\" $x"), "{list}");
        assert!(list.contains("<string>/a&amp;b/log</string>"));
    }
}
