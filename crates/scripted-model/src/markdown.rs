//! The longer texts that the script answers with.

use std::fmt::Write as _;

/// What one can type, for people.
pub(crate) const HELP: &str = "\
- `count 20` streams numbers
- `long` shows headings, a table and code
- `think about tea` thinks first
- `run ls -l` runs a command, after asking you
- `write hello.txt Hello there` writes a file, after asking you
- `read hello.txt` reads it back
- `ask` asks you two questions
- `task run pwd` hands work to a sub-agent
- `slow 300` goes on until you stop it
- `recall` tells what you wrote before
- `say anything` says it back
- `hostile` tries to break the page, harmlessly
- `fail 400` fails, `cut` breaks off once and tries again
";

/// The answer to a message that is not a directive.
pub(crate) fn greeting(message: &str) -> String {
    let mut quote = String::new();
    for line in message.lines().take(5) {
        let _ = writeln!(quote, "> {line}");
    }
    format!(
        "Hello! I am a **scripted demo model**: there is no intelligence here, only a small program on this \
         machine that follows a script. Everything around me is real: opencode, its tools, and the way this \
         answer reached you.\n\nYou wrote:\n\n{quote}\nHere is what I can do:\n\n{HELP}\nTo talk to a real \
         model, start without `--demo` and sign in to a provider with `opencode auth login`.\n"
    )
}

/// A long answer with one of everything.
pub(crate) fn long() -> String {
    let mut text = String::from(
        "# A long answer\n\nThis one has **headings**, a list, a table and some `code`, so that you can watch \
         Markdown take shape while it streams.\n\n## A list\n\n1. First things first\n2. Then the second thing\n   \
         - with a detail\n   - and another\n3. And a third\n\n## A table\n\n| Planet | Moons | Day in hours |\n\
         | --- | ---: | ---: |\n| Earth | 1 | 24 |\n| Mars | 2 | 24.6 |\n| Jupiter | 95 | 9.9 |\n\n## Some code\n\n\
         ```rust\nfn main() {\n    for planet in [\"Earth\", \"Mars\", \"Jupiter\"] {\n        println!(\"Hello, {planet}!\");\n    }\n}\n```\n\n",
    );
    for number in 1..=12 {
        let _ = write!(
            text,
            "## Paragraph {number}\n\nA scripted model has no opinions, but it has patience. This is paragraph \
             {number} of twelve; it is here so that the page has something to scroll, and so that you can reload \
             in the middle and see that nothing is lost and nothing is doubled.\n\n"
        );
    }
    text.push_str("> That was all.\n");
    text
}

/// An answer that attacks whoever shows it.
pub(crate) fn hostile() -> String {
    format!(
        "# Hostile\n\n<script>document.title = 'pwned'</script>\n\n<img src=\"x\" onerror=\"document.title='pwned'\">\n\n\
         <iframe src=\"https://example.com\"></iframe>\n\n<svg onload=\"document.title='pwned'\"><circle r=\"9\"/></svg>\n\n\
         [a script link](javascript:document.title='pwned') and [a data link](data:text/html,<script>alert(1)</script>) \
         and [a file link](file:///etc/passwd)\n\n![a tracker](https://example.com/pixel.png)\n\n\
         Control bytes: bell \u{7} escape \u{1b}[31mred\u{1b}[0m \u{1b}]0;title\u{7} backspace \u{8} right-to-left \u{202e}txt.exe\u{202c} \
         zero-width \u{200b} delete \u{7f}\n\n```html\n<script>alert('in a code block')</script>\n```\n\n{}\n\nThe end.\n",
        "x".repeat(20_000)
    )
}

/// Words for an answer without an end.
pub(crate) const SLOW_WORDS: &[&str] = &[
    "still", "here,", "still", "counting", "sheep,", "one", "after", "another,", "until", "you",
    "stop", "me,",
];
