//! Checks of a git repository's address, before anything is asked to fetch it.
//!
//! git itself runs programs for some addresses (`ext::`), takes others for options, and keeps a password in the
//! repository's configuration. So only plain addresses of allowed protocols pass.

use thiserror::Error;

use crate::limits::URL_MAX_BYTES;

/// How a repository is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GitProtocol {
    /// `https://host/path`
    Https,
    /// `ssh://user@host/path` or `user@host:path`
    Ssh,
    /// `http://host/path`: anybody on the way can read and change it.
    Http,
    /// `file:///path`: a repository on the machine's own disk, also outside the root.
    File,
}

impl GitProtocol {
    /// Those that are allowed unless an operator says otherwise.
    pub const DEFAULT: [Self; 2] = [Self::Https, Self::Ssh];

    /// All that are known.
    pub const ALL: [Self; 4] = [Self::Https, Self::Ssh, Self::Http, Self::File];

    /// Its name, as git has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Ssh => "ssh",
            Self::Http => "http",
            Self::File => "file",
        }
    }

    /// The one with that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|protocol| protocol.name().eq_ignore_ascii_case(name))
    }
}

/// Why an address is refused. No text of it is in the message where it may hold a secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GitUrlError {
    /// It is empty.
    #[error("Give the address of a repository, like https://example.org/team/project.git.")]
    Empty,
    /// It is longer than [`URL_MAX_BYTES`].
    #[error("The address is longer than {URL_MAX_BYTES} bytes.")]
    TooLong,
    /// It has a line break, a blank or another character that no address has.
    #[error("The address has a blank, a line break or another character that no address has.")]
    BadCharacter,
    /// A part of it would be read as an option by git or ssh.
    #[error("A part of the address begins with a dash, which programs would take for an option.")]
    LeadingDash,
    /// It names a protocol that is not allowed.
    #[error("Repositories can't be cloned by {name:?}; use {allowed}.")]
    Protocol {
        /// The protocol's name.
        name: String,
        /// Those that are allowed, for a person.
        allowed: String,
    },
    /// It is a path on a disk.
    #[error("That is a path, not an address. Give an address that begins with {allowed}.")]
    Path {
        /// The protocols that are allowed, for a person.
        allowed: String,
    },
    /// It has a password or a token in it.
    #[error(
        "The address has a password or token in it, which would be kept in the repository and in the history \
         of commands. Take it out, and set up a credential helper (git config --global credential.helper) or an \
         ssh key for the machine's user."
    )]
    Password,
    /// It names no host.
    #[error("The address names no host that can be used.")]
    Host,
    /// It names no repository.
    #[error("The address names a host but no repository on it.")]
    NoRepository,
}

/// Checks an address, and says how it would be fetched.
///
/// # Errors
/// [`GitUrlError`] says why it is refused and what to do.
pub fn check(url: &str, allowed: &[GitProtocol]) -> Result<GitProtocol, GitUrlError> {
    if url.is_empty() {
        return Err(GitUrlError::Empty);
    }
    if url.len() > URL_MAX_BYTES {
        return Err(GitUrlError::TooLong);
    }
    if url.chars().any(|c| c.is_control() || c.is_whitespace())
        || percent_decoded(url).chars().any(char::is_control)
    {
        return Err(GitUrlError::BadCharacter);
    }
    if url.starts_with('-') {
        return Err(GitUrlError::LeadingDash);
    }
    let (protocol, address) = split(url, allowed)?;
    if !allowed.contains(&protocol) {
        return Err(GitUrlError::Protocol {
            name: protocol.name().to_owned(),
            allowed: names(allowed),
        });
    }
    if protocol == GitProtocol::File {
        return if address.path.is_empty() {
            Err(GitUrlError::NoRepository)
        } else {
            Ok(protocol)
        };
    }
    check_user(address.user, protocol)?;
    check_host(address.host)?;
    if address.path.starts_with('-') {
        return Err(GitUrlError::LeadingDash);
    }
    if address.path.trim_matches('/').is_empty() {
        return Err(GitUrlError::NoRepository);
    }
    Ok(protocol)
}

/// The address without what may be a secret, for a log or a message.
#[must_use]
pub fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let tail = tail.split(['?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{tail}")
}

struct Address<'a> {
    user: Option<&'a str>,
    host: &'a str,
    path: &'a str,
}

fn split<'a>(
    url: &'a str,
    allowed: &[GitProtocol],
) -> Result<(GitProtocol, Address<'a>), GitUrlError> {
    let refused = |name: &str| GitUrlError::Protocol {
        name: name.chars().take(32).collect(),
        allowed: names(allowed),
    };
    if let Some((scheme, rest)) = url.split_once("://") {
        // `ext::sh://x` runs a program.
        let protocol = GitProtocol::named(scheme).ok_or_else(|| refused(scheme))?;
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        return Ok((protocol, address(authority, path)));
    }
    let after_name =
        url.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    if after_name.starts_with("::") {
        return Err(refused(&url[..url.len() - after_name.len()]));
    }
    // `user@host:path`; a slash before the colon makes it a path on the disk.
    let after_host = if url.contains('[') {
        url.find("]:").map(|at| at + 1)
    } else {
        url.find(':')
    };
    match after_host.filter(|at| !url[..*at].contains('/')) {
        Some(at) => Ok((GitProtocol::Ssh, address(&url[..at], &url[at + 1..]))),
        None => Err(GitUrlError::Path {
            allowed: names(allowed),
        }),
    }
}

fn address<'a>(authority: &'a str, path: &'a str) -> Address<'a> {
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    Address { user, host, path }
}

fn check_user(user: Option<&str>, protocol: GitProtocol) -> Result<(), GitUrlError> {
    let Some(user) = user else {
        return Ok(());
    };
    let user = percent_decoded(user);
    if user.starts_with('-') {
        return Err(GitUrlError::LeadingDash);
    }
    // Programs do not agree on which of two is the one before the host.
    if user.contains('@') {
        return Err(GitUrlError::Host);
    }
    if user.contains(':') || (protocol != GitProtocol::Ssh && is_token(&user)) {
        return Err(GitUrlError::Password);
    }
    Ok(())
}

/// Whether a user's name is rather a token: many hosts take one in the name's place.
fn is_token(user: &str) -> bool {
    const LONGEST_NAME: usize = 39;
    const TOKENS: [&str; 8] = [
        "ghp_",
        "gho_",
        "ghu_",
        "ghs_",
        "ghr_",
        "github_pat_",
        "glpat-",
        "x-token",
    ];
    user.len() > LONGEST_NAME || TOKENS.iter().any(|prefix| user.starts_with(prefix))
}

fn check_host(host: &str) -> Result<(), GitUrlError> {
    let decoded = percent_decoded(host);
    if decoded.trim_start_matches('[').starts_with('-') {
        return Err(GitUrlError::LeadingDash);
    }
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (name, rest) = rest.split_once(']').ok_or(GitUrlError::Host)?;
            let is_address = name
                .chars()
                .all(|c| c.is_ascii_hexdigit() || matches!(c, ':' | '.'));
            let port = match rest.strip_prefix(':') {
                Some(port) => Some(port),
                None if rest.is_empty() => None,
                None => return Err(GitUrlError::Host),
            };
            (if is_address { name } else { "" }, port)
        }
        None => {
            let (name, port) = host
                .split_once(':')
                .map_or((host, None), |(name, port)| (name, Some(port)));
            let is_name = name
                .chars()
                .all(|c| c.is_alphanumeric() || matches!(c, '-' | '.' | '_'));
            (if is_name { name } else { "" }, port)
        }
    };
    let port_is_fine = port.is_none_or(|port| port.parse::<u16>().is_ok());
    if name.is_empty() || !port_is_fine {
        return Err(GitUrlError::Host);
    }
    Ok(())
}

/// What git makes of `%2d` and the like before it looks at the address.
fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let byte = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(byte.unwrap_or(bytes[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn names(allowed: &[GitProtocol]) -> String {
    let names: Vec<_> = allowed
        .iter()
        .map(|protocol| format!("{}://", protocol.name()))
        .collect();
    names.join(" or ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refusal(url: &str) -> GitUrlError {
        match check(url, &GitProtocol::DEFAULT) {
            Err(error) => error,
            Ok(protocol) => panic!("{url:?} passed as {protocol:?}"),
        }
    }

    #[test]
    fn plain_addresses_pass() {
        for (url, expected) in [
            ("https://github.com/a/b.git", GitProtocol::Https),
            ("HTTPS://me@github.com:8443/a/b", GitProtocol::Https),
            ("https://[::1]:8443/a", GitProtocol::Https),
            (
                "https://example.org/My%20Project/_git/a",
                GitProtocol::Https,
            ),
            ("ssh://git@host:22/~me/a.git", GitProtocol::Ssh),
            ("git@github.com:a/b.git", GitProtocol::Ssh),
            ("host:a", GitProtocol::Ssh),
            ("me@[::1]:a", GitProtocol::Ssh),
        ] {
            assert_eq!(check(url, &GitProtocol::DEFAULT), Ok(expected), "{url}");
        }
    }

    #[test]
    fn what_programs_would_take_for_an_option_is_refused() {
        for url in [
            "--upload-pack=touch x",
            "-u",
            "--upload-pack=x",
            "ssh://-oProxyCommand=x/a",
            "ssh://%2doProxyCommand=x/a",
            "ssh://me@-oProxyCommand=x/a",
            "ssh://-oProxyCommand=x@host/a",
            "ssh://[-oProxyCommand=x]/a",
            "-oProxyCommand=x:a",
            "me@-oProxyCommand=x:a",
            "host:-a",
        ] {
            let error = refusal(url);
            assert!(
                matches!(error, GitUrlError::LeadingDash | GitUrlError::BadCharacter),
                "{url}: {error:?}"
            );
        }
    }

    #[test]
    fn protocols_that_run_programs_or_read_the_disk_are_refused() {
        for url in [
            "ext::sh -c x",
            "ext::x",
            "ext::x://y",
            "fd::17",
            "file:///etc",
            "FILE:///etc",
            "git://host/a",
            "http://host/a",
            "ftp://host/a",
            "https::a",
            "dangerous+ext://x/y",
        ] {
            let error = refusal(url);
            assert!(
                matches!(
                    error,
                    GitUrlError::Protocol { .. } | GitUrlError::BadCharacter
                ),
                "{url}: {error:?}"
            );
        }
        for url in ["/etc", "./x", "../x", "x", "a/b:c", "~/x"] {
            assert!(matches!(refusal(url), GitUrlError::Path { .. }), "{url}");
        }
    }

    #[test]
    fn an_operator_may_allow_more() {
        let allowed = [GitProtocol::File, GitProtocol::Http];
        assert_eq!(check("file:///srv/a", &allowed), Ok(GitProtocol::File));
        assert_eq!(check("http://host/a", &allowed), Ok(GitProtocol::Http));
        assert!(check("https://host/a", &allowed).is_err());
    }

    #[test]
    fn passwords_and_tokens_are_refused_with_advice_and_not_repeated() {
        for url in [
            "https://me:hunter2@host/a",
            "https://:hunter2@host/a",
            "https://me%3ahunter2@host/a",
            "https://ghp_hunter2@github.com/a",
            "ssh://me:hunter2@host/a",
        ] {
            let error = refusal(url);
            assert_eq!(error, GitUrlError::Password, "{url}");
            assert!(error.to_string().contains("credential helper"));
            assert!(!without_credentials(url).contains("hunter2"));
        }
        assert_eq!(
            without_credentials("https://a:b@host/x?token=y#z"),
            "https://host/x"
        );
    }

    #[test]
    fn line_breaks_and_other_odd_characters_are_refused() {
        for url in [
            "https://host/a\nb",
            "https://host/a%0ab",
            "https://host/a b",
            "https://host/\u{0}",
            "https://ho\tst/a",
            "https://host/a%00",
            "https://host/\u{2028}x",
        ] {
            assert_eq!(refusal(url), GitUrlError::BadCharacter, "{url:?}");
        }
    }

    #[test]
    fn what_names_nothing_is_refused() {
        assert_eq!(refusal(""), GitUrlError::Empty);
        assert_eq!(
            refusal(&format!("https://h/{}", "a".repeat(URL_MAX_BYTES))),
            GitUrlError::TooLong
        );
        for url in [
            "https:///a",
            "https://me@/a",
            "https://a b/c",
            "https://h:99999/a",
            "https://h$x/a",
            "ssh://[::1/a",
        ] {
            assert!(
                matches!(refusal(url), GitUrlError::Host | GitUrlError::BadCharacter),
                "{url}"
            );
        }
        for url in ["@-@a:@", "a@-b@c:d", "ssh://a%40-b@c/d"] {
            assert_eq!(refusal(url), GitUrlError::Host, "{url}");
        }
        for url in ["https://host", "https://host/", "host:", "ssh://host//"] {
            assert_eq!(refusal(url), GitUrlError::NoRepository, "{url}");
        }
    }

    proptest! {
        #[test]
        fn no_address_that_passes_can_be_an_option_or_a_program(url in "[-a-z:/@.%0-9\\[\\]]{0,24}") {
            if check(&url, &GitProtocol::DEFAULT).is_ok() {
                prop_assert!(!url.starts_with('-'));
                let helper = url.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || "+-.".contains(c));
                prop_assert!(!helper.starts_with("::"));
                // Whatever is before the path is handed to ssh: no part of it is an option.
                let (_, Address { user, host, .. }) = split(&url, &GitProtocol::DEFAULT).unwrap();
                let authority = format!("{}@{host}", user.unwrap_or("a"));
                prop_assert_eq!(authority.matches('@').count(), 1);
                prop_assert!(!authority.starts_with('-') && !authority.contains("@-"));
            }
        }
    }
}
