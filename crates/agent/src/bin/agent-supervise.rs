//! The supervisor by itself: for tests and for programs that embed the agent without a command line of their own.
//! The product's binary has the same as `orchestrator supervise`.

use std::process::ExitCode;

fn main() -> ExitCode {
    opencode_driver::supervisor::main(std::env::args_os().skip(1))
}
