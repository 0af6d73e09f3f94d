//! A directory from the request to the listing at whoever watches it, beside `ls -la`; and a clone through the
//! product beside plain `git clone`.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use clap::Args;
use futures::StreamExt as _;
use protocol::functions::{RequestCommand, ViewCommand, ViewDirectory};
use protocol::ids::MachineId;
use protocol::state::CommandState;
use protocol::wire::{
    CommandArgs, CommandView, DirectoryArgs, DirectoryView, Operation, RequestCommandArgs,
};
use transport::Values;

use crate::figures::{Samples, load_average, print_target};
use crate::product::{Home, Product};
use crate::{Failure, Found};

/// The target.
const CLONE_MAX_RATIO: f64 = 1.1;
/// How long any one step may take.
const LIMIT: Duration = Duration::from_secs(300);
const FILES_OF_REPOSITORY: usize = 100;
const FILE_BYTES: usize = 1024 * 1024;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Entries of the directory
    #[arg(long, default_value_t = 1_000)]
    entries: u32,
    /// Rounds of each kind
    #[arg(long, default_value_t = 15)]
    rounds: u32,
    /// Rounds of clones
    #[arg(long, default_value_t = 7)]
    clones: u32,
}

pub(crate) async fn run(found: &Found, options: &Options) -> Result<(), Failure> {
    let home = Home::new(found.lean).await?;
    let product = Product::start(
        found,
        &home,
        "one",
        &[("ORCHESTRATOR_GIT_PROTOCOLS", "file")],
    )
    .await?;
    listings(&home, &product, options).await?;
    clones(&home, &product, options).await?;
    product.stop().await
}

async fn listings(home: &Home, product: &Product, options: &Options) -> Result<(), Failure> {
    let directory = home.root().join("many");
    std::fs::create_dir(&directory)?;
    for n in 0..options.entries {
        std::fs::write(directory.join(format!("file-{n:06}")), "x")?;
    }
    let args = DirectoryArgs {
        machine_id: product.machine_id.clone(),
        directory: "many".to_owned(),
        hidden: false,
    };
    let mut views = product.person.watch::<ViewDirectory>(&args)?;
    let (mut ours, mut theirs) = (Samples::default(), Samples::default());
    let mut last = None;
    for round in 0..=options.rounds {
        let begun = Instant::now();
        let mut command = home.command(Path::new("ls"));
        command.arg("-la").arg(&directory).stdout(Stdio::piped());
        let listed = command.output().await?;
        if !listed.status.success() {
            return Err("ls failed".into());
        }
        let yardstick = begun.elapsed();

        let begun = Instant::now();
        let operation = Operation::List {
            directory: args.directory.clone(),
            hidden: false,
            filter: None,
            after: None,
        };
        request(product, operation).await?;
        last = Some(shown(&mut views, last).await?);
        // The first finds nothing in memory.
        if round > 0 {
            theirs.add(yardstick);
            ours.add(begun.elapsed());
        }
    }
    println!(
        "listing {} entries, the first page of 500 at a watcher: median {:.1} ms, p99 {:.1} ms; `ls -la` of all: {:.1} ms (load {})",
        options.entries,
        ours.median(),
        ours.quantile(0.99),
        theirs.median(),
        load_average()
    );
    Ok(())
}

/// Waits for a newer listing than the last one; gives when it was made.
async fn shown(
    views: &mut Values,
    last: Option<protocol::Timestamp>,
) -> Result<protocol::Timestamp, Failure> {
    loop {
        let value = tokio::time::timeout(LIMIT, views.next())
            .await?
            .ok_or("the watch ended")??;
        let view: DirectoryView = serde_json::from_value(value)?;
        let is_over = view
            .command
            .is_some_and(|command| command.state == CommandState::Succeeded);
        if let Some(as_of) = view.as_of
            && is_over
            && view.as_of != last
        {
            return Ok(as_of);
        }
    }
}

async fn clones(home: &Home, product: &Product, options: &Options) -> Result<(), Failure> {
    let source = repository(home).await?;
    let url = format!("file://{}", source.display());
    let (mut ours, mut theirs, mut ratios) =
        (Samples::default(), Samples::default(), Samples::default());
    for round in 0..=options.clones {
        let plain = home.root().join(format!("plain-{round}"));
        let begun = Instant::now();
        let mut command = home.command(Path::new("git"));
        command
            .args(["clone", "--quiet", "--", &url])
            .arg(&plain)
            .stderr(Stdio::null());
        if !command.status().await?.success() {
            return Err("git could not clone".into());
        }
        let yardstick = begun.elapsed();

        let begun = Instant::now();
        let operation = Operation::Clone {
            url: url.clone(),
            branch: None,
            path: format!("ours-{round}"),
        };
        let command = request(product, operation).await?;
        ended(product, &command).await?;
        let product_took = begun.elapsed();
        if round > 0 {
            theirs.add(yardstick);
            ours.add(product_took);
            ratios.add_ms(product_took.as_secs_f64() / yardstick.as_secs_f64());
        }
        std::fs::remove_dir_all(&plain)?;
        std::fs::remove_dir_all(home.root().join(format!("ours-{round}")))?;
    }
    print_target(
        "a clone of 100 MB, median of ratios",
        ratios.median(),
        CLONE_MAX_RATIO,
        "",
    );
    println!(
        "  medians: plain {:.0} ms, product {:.0} ms (load {})",
        theirs.median(),
        ours.median(),
        load_average()
    );
    Ok(())
}

/// A repository of about 100 MB that does not compress.
async fn repository(home: &Home) -> Result<PathBuf, Failure> {
    let source = home.root().join("source");
    std::fs::create_dir(&source)?;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for n in 0..FILES_OF_REPOSITORY {
        let bytes: Vec<u8> = (0..FILE_BYTES / 8)
            .flat_map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()
            })
            .collect();
        std::fs::write(source.join(format!("part-{n:03}")), bytes)?;
    }
    home.make_repository(&source).await?;
    Ok(source)
}

async fn request(product: &Product, operation: Operation) -> Result<CommandArgs, Failure> {
    let args = RequestCommandArgs {
        machine_id: MachineId::clone(&product.machine_id),
        operation,
    };
    let view = product.person.call::<RequestCommand>(&args).await?;
    Ok(CommandArgs {
        command_id: view.command.id,
    })
}

async fn ended(product: &Product, command: &CommandArgs) -> Result<(), Failure> {
    let mut views = product.person.watch::<ViewCommand>(command)?;
    loop {
        let value = tokio::time::timeout(LIMIT, views.next())
            .await?
            .ok_or("the watch ended")??;
        let view: CommandView = serde_json::from_value(value)?;
        let state = view.command.state;
        if state == CommandState::Succeeded {
            return Ok(());
        }
        if state.is_terminal() {
            return Err(format!("the clone ended: {:?}", view.command.error).into());
        }
    }
}
