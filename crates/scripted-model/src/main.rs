//! Runs the scripted model by itself: `scripted-model [PORT [MILLISECONDS BETWEEN WORDS]]`.

use std::process::ExitCode;
use std::time::Duration;

use scripted_model::{ModelConfig, ScriptedModel};

const USAGE: &str = "usage: scripted-model [PORT [MILLISECONDS_BETWEEN_WORDS]]";
/// The exit code for a command line that is not understood, as in `sysexits.h`.
const EXIT_USAGE: u8 = 64;
/// The exit code for a port that can't be had.
const EXIT_UNAVAILABLE: u8 = 69;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(config) = parse(&arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::from(EXIT_USAGE);
    };
    match ScriptedModel::start(config).await {
        Ok(model) => {
            eprintln!("The scripted model is at {}", model.base_url());
            model.run().await;
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!(
                "Port {} can't be used: {error}. Choose another one.",
                config.port
            );
            ExitCode::from(EXIT_UNAVAILABLE)
        }
    }
}

fn parse(arguments: &[String]) -> Option<ModelConfig> {
    let mut config = ModelConfig::demo();
    match arguments {
        [] => {}
        [port] => config.port = port.parse().ok()?,
        [port, pace] => {
            config.port = port.parse().ok()?;
            config.pace = Duration::from_millis(pace.parse().ok()?);
        }
        _ => return None,
    }
    Some(config)
}
