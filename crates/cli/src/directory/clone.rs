//! `clone`.

use protocol::git_url::{self, GitProtocol};
use protocol::wire::{CommandResult, Operation};

use super::screen::Screen;
use super::{Asked, Desk, place, shown_at, text};
use crate::cli::CloneArgs;
use crate::exit::{Exit, Failure};
use crate::out::one_line;

pub(super) async fn clone(desk: &mut Desk, args: CloneArgs) -> Result<Exit, Failure> {
    let url = args.url.trim();
    // Before it leaves this computer: a password in it would be sent along.
    git_url::check(url, &GitProtocol::ALL)
        .map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    let place = desk.place(args.on.machine.as_deref(), &args.path).await?;
    let machine = place.machine;
    let path = match name_of(url) {
        Some(name) => place::into(&place.path, name),
        None if place.path.is_empty() || place.path.ends_with('/') => {
            return Err(Failure::new(
                Exit::Usage,
                "The address does not say what the directory should be called. Give it a name: orchestrator clone URL PATH.",
            ));
        }
        None => place.path,
    };
    let operation = Operation::Clone {
        url: url.to_owned(),
        branch: args.branch,
        path,
    };
    let view = desk.request(&machine, operation).await?;
    if args.detach {
        if let Some(away) = text::away(&machine) {
            desk.out.say(&format!("{away}; the clone waits for it."));
        }
        if desk.out.is_json() {
            Screen::live(desk.out).show(&view)?;
        } else {
            desk.left(&view.command)?;
        }
        return Ok(Exit::Done);
    }
    let screen = Screen::live(desk.out);
    match desk.wait(view, Some(&machine), args.wait, screen).await? {
        // As JSON all of it is among the events.
        Asked::Succeeded(_) if desk.out.is_json() => Ok(Exit::Done),
        Asked::Succeeded(succeeded) => {
            let command = succeeded.command;
            let branch = match succeeded.result {
                Some(CommandResult::Cloned {
                    branch: Some(branch),
                }) => format!(", branch {}", one_line(&branch)),
                Some(_) | None => String::new(),
            };
            let took = match (command.started_at, command.ended_at) {
                (Some(from), Some(to)) => text::duration(to.as_ms().saturating_sub(from.as_ms())),
                (_, _) => "an unknown time".to_owned(),
            };
            desk.out.say(&format!(
                "Cloned into {}{branch} ({took}).",
                text::target(&machine, &command)
            ));
            if let Operation::Clone { path, .. } = &command.operation {
                desk.out.say(&format!(
                    "A worker for it: orchestrator workers add {}",
                    shown_at(&machine, path)
                ));
            }
            Ok(Exit::Done)
        }
        Asked::Waits(command) => {
            if !desk.out.is_json() {
                desk.left(&command)?;
            }
            Ok(Exit::Waiting)
        }
    }
}

/// What git would call the directory.
fn name_of(url: &str) -> Option<&str> {
    let path = url.split(['?', '#']).next()?.trim_end_matches('/');
    let path = path.strip_suffix("/.git").unwrap_or(path);
    let name = path.rsplit(['/', ':']).next()?;
    let name = name.strip_suffix(".git").unwrap_or(name);
    (!name.is_empty() && !matches!(name, "." | "..")).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_is_called_as_its_repository() {
        let cases = [
            ("https://example.org/team/app.git", Some("app")),
            ("https://example.org/team/app/", Some("app")),
            ("git@example.org:app.git", Some("app")),
            ("git@example.org:team/app", Some("app")),
            ("file:///srv/app/.git", Some("app")),
            ("https://example.org/a.git?x=/y", Some("a")),
            ("https://example.org/.git", Some("example.org")),
            ("https://example.org/..", None),
        ];
        for (url, expected) in cases {
            assert_eq!(name_of(url), expected, "{url}");
        }
    }
}
