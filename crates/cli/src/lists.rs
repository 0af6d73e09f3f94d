//! `machines`, `workers`, `sessions`: what there is, and changing it.

mod machines;
mod sessions;
mod workers;

use jiff::tz::TimeZone;
use protocol::Timestamp;
use protocol::functions::{ListMachines, ViewMachine};
use protocol::wire::{MachineArgs, MachineView, NoArgs};

use crate::api::Api;
use crate::exit::Failure;
use crate::out::Out;

pub(crate) use machines::machines;
pub(crate) use sessions::sessions;
pub(crate) use workers::workers;

/// Says that something is done, or gives the value that tells it.
pub(crate) fn done(out: Out, text: &str, value: &impl serde::Serialize) -> Result<(), Failure> {
    if out.is_json() {
        return out.value(value);
    }
    out.say(text);
    Ok(())
}

async fn views(api: &Api, machine: Option<&str>) -> Result<Vec<MachineView>, Failure> {
    let machines = match machine {
        Some(machine) => vec![api.machine(machine).await?],
        None => api.call::<ListMachines>(&NoArgs {}).await?.machines,
    };
    let mut views = Vec::new();
    for machine in machines {
        views.push(
            api.call::<ViewMachine>(&MachineArgs {
                machine_id: machine.id,
            })
            .await?,
        );
    }
    Ok(views)
}

/// A moment in the person's own time zone.
pub(crate) fn time(moment: Timestamp) -> String {
    let ms = i64::try_from(moment.as_ms()).unwrap_or(i64::MAX);
    match jiff::Timestamp::from_millisecond(ms) {
        Ok(moment) => moment
            .to_zoned_datetime(TimeZone::system())
            .strftime("%Y-%m-%d %H:%M:%S")
            .to_string(),
        Err(_) => "at an unknown time".to_owned(),
    }
}
