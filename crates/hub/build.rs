//! Makes cargo notice when the page that is built into the hub has changed.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // A debug build reads the page's folder when it runs. For the others a folder that is missing counts as
    // changed each time, so that the page is found as soon as it is there.
    if std::env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        println!("cargo::rerun-if-changed=../../webapp/out");
    }
}
