//! Makes cargo notice when the page that is built into the hub has changed.

fn main() -> std::io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        // A folder that is missing counts as changed each time, so that the page is found as soon as it is there.
        println!("cargo::rerun-if-changed=../../webapp/out");
        return Ok(());
    }
    // A debug build reads the page when it runs, from the folder's path; a folder that is missing now has none.
    std::fs::create_dir_all("../../webapp/out")
}
