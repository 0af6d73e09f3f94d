//! `docs/protocol.md` shows the state tables as they are in the code.
//! `UPDATE_DOCS=1 cargo test -p protocol --test docs` writes them anew.

use std::fmt::Write as _;

use protocol::state::TABLES;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/protocol.md");
const BEGIN: &str = "<!-- tables: made by `UPDATE_DOCS=1 cargo test -p protocol --test docs` -->\n";
const END: &str = "<!-- end of tables -->";

fn tables() -> String {
    let mut text = String::new();
    for table in TABLES {
        let _ = writeln!(
            text,
            "\n### {}\n\n| state | may become |\n| --- | --- |",
            table.thing
        );
        for (state, next) in table.rows {
            let next: Vec<String> = next.iter().map(|name| format!("`{name}`")).collect();
            let next = if next.is_empty() {
                "nothing: it is over".to_owned()
            } else {
                next.join(", ")
            };
            let _ = writeln!(text, "| `{state}` | {next} |");
        }
    }
    text.push('\n');
    text
}

#[test]
fn the_page_shows_the_tables_of_the_code() {
    let page = std::fs::read_to_string(PAGE).expect("docs/protocol.md");
    let (before, rest) = page
        .split_once(BEGIN)
        .expect("the marker before the tables");
    let (shown, after) = rest.split_once(END).expect("the marker after the tables");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(PAGE, format!("{before}{BEGIN}{}{END}{after}", tables()))
            .expect("the page can be written");
        return;
    }
    assert!(
        shown == tables(),
        "docs/protocol.md is stale: run UPDATE_DOCS=1 cargo test -p protocol --test docs"
    );
}
