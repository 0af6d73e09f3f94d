//! Output: data on standard output, talk on standard error.

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

use crate::exit::Failure;

/// Where and how a command talks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Out {
    json: bool,
    /// Whether standard output is a terminal.
    is_terminal: bool,
    /// Whether standard error is a terminal that can draw a line anew.
    is_talk_live: bool,
    /// Whether standard output is a person's terminal that shows colours.
    is_rich: bool,
    /// The same of standard error.
    is_talk_rich: bool,
}

/// How a text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    Plain,
    Dim,
    Bold,
    Good,
    Bad,
    Warn,
}

impl Look {
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Dim => "\u{1b}[2m",
            Self::Bold => "\u{1b}[1m",
            Self::Good => "\u{1b}[32m",
            Self::Bad => "\u{1b}[31m",
            Self::Warn => "\u{1b}[33m",
        }
    }
}

const PLAIN: &str = "\u{1b}[0m";

impl Out {
    pub(crate) fn new(json: bool) -> Self {
        let allows = |is_terminal: bool| {
            is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        };
        let is_dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self {
            json,
            is_terminal: io::stdout().is_terminal(),
            is_talk_live: io::stderr().is_terminal() && !is_dumb,
            is_rich: allows(io::stdout().is_terminal()),
            is_talk_rich: allows(io::stderr().is_terminal()),
        }
    }

    /// Whether data is written as JSON.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Whether standard output is a terminal.
    pub(crate) fn is_terminal(self) -> bool {
        self.is_terminal
    }

    /// Whether standard error is a terminal that can draw a line anew.
    pub(crate) fn is_talk_live(self) -> bool {
        self.is_talk_live
    }

    /// A line of data.
    pub(crate) fn line(self, text: &str) -> Result<(), Failure> {
        writeln!(io::stdout().lock(), "{text}")?;
        Ok(())
    }

    /// A value as one line of JSON.
    pub(crate) fn value(self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(value).map_err(io::Error::from)?;
        self.line(&text)
    }

    /// A piece of data, at once.
    pub(crate) fn piece(self, text: &str) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()?;
        Ok(())
    }

    /// A line for a person. Nobody reading it is not an error.
    pub(crate) fn say(self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// A piece of talk, at once.
    pub(crate) fn say_piece(self, text: &str) {
        let mut stderr = io::stderr().lock();
        let _ = stderr.write_all(text.as_bytes());
        let _ = stderr.flush();
    }

    /// A text as it looks on standard error.
    pub(crate) fn talk(self, look: Look, text: &str) -> String {
        painted(self.is_talk_rich, look, text)
    }

    /// A text as it looks on standard output.
    pub(crate) fn paint(self, look: Look, text: &str) -> String {
        painted(self.is_rich, look, text)
    }

    /// Rows below their headings, or nothing but the headings when there are none.
    pub(crate) fn table(self, headings: &[&str], rows: &[Vec<String>]) -> Result<(), Failure> {
        let width = |column: usize| {
            let cells = rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count());
            cells
                .chain([headings[column].chars().count()])
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..headings.len()).map(width).collect();
        let line = |cells: &[String]| {
            let padded = cells
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:width$}"));
            padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        let headings: Vec<String> = headings
            .iter()
            .map(|heading| (*heading).to_owned())
            .collect();
        self.line(&self.paint(Look::Dim, &line(&headings)))?;
        rows.iter().try_for_each(|row| self.line(&line(row)))
    }

    /// Says why a command failed.
    pub(crate) fn fail(self, failure: &Failure) {
        if failure.is_reader_gone() {
            return;
        }
        if self.json {
            let error = serde_json::json!({ "error": { "code": failure.exit.name(), "exit": failure.exit.code(), "message": failure.message } });
            self.say(&error.to_string());
        } else {
            // A machine, or a server that it talked to, may have written it.
            self.say(&format!(
                "{} {}",
                self.talk(Look::Bad, "error:"),
                printable(&failure.message)
            ));
        }
    }
}

fn painted(is_rich: bool, look: Look, text: &str) -> String {
    if is_rich && look != Look::Plain {
        format!("{}{text}{PLAIN}", look.code())
    } else {
        text.to_owned()
    }
}

/// Takes out what could steer a terminal: everything a model or a tool wrote goes through here.
pub(crate) fn printable(text: &str) -> String {
    let is_harmless = |character: &char| {
        !(character.is_control() || is_steering(*character)) || matches!(character, '\n' | '\t')
    };
    text.chars().filter(is_harmless).collect()
}

/// The same on one line.
pub(crate) fn one_line(text: &str) -> String {
    printable(text)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// A name as it is: blanks stay, and nothing of it breaks the line or steers the terminal.
pub(crate) fn name_text(name: &str) -> String {
    printable(name).replace(['\n', '\t'], " ")
}

/// Characters that change the order or the place of what follows without being seen.
const fn is_steering(character: char) -> bool {
    matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_models_text_steers_the_terminal() {
        let hostile = "a\u{1b}[2Jb\u{7}c\r\u{8}d\u{9b}31me\u{202e}f\tg\nh\u{0}";
        assert_eq!(printable(hostile), "a[2Jbcd31mef\tg\nh");
        assert_eq!(one_line("  a \n\n b\u{1b} "), "a b");
    }
}
