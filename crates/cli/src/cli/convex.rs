//! The arguments of `convex`.

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct ConvexArgs {
    #[command(subcommand)]
    pub(crate) command: ConvexCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConvexCommand {
    /// Make a key, keep it, and print what a deployment has to know of it
    MintKey {
        /// Your name, as tokens of the key say it
        #[arg(long, value_name = "NAME", default_value = "owner")]
        owner: String,
        /// Make a new key in place of the one there is, for the same person
        #[arg(long)]
        replace: bool,
    },
    /// Print what a deployment has to know of the key: the value of its variable ORCHESTRATOR_AUTH
    Auth {
        /// Keep the providers of this value of the variable, as it is now, beside the key
        #[arg(long, value_name = "JSON")]
        beside: Option<String>,
    },
    /// Print a token that signs its bearer in as you
    Token {
        /// How long it is good
        #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=365))]
        days: u32,
    },
}
