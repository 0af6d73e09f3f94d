use crate::{cli::ChatArgs, exit::*, out::Out, settings::Settings};
pub(crate) async fn run(_: &Settings, _: ChatArgs, _: Out) -> Result<Exit, Failure> { Ok(Exit::Done) }
