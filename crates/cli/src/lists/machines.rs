//! `machines`.

use protocol::functions::{CreateMachine, ListMachines, RenameMachine, RevokeMachine};
use protocol::state::MachineState;
use protocol::wire::{
    CreateMachineArgs, MachineArgs, MachineSummary, NoArgs, Presence, RenameMachineArgs,
};
use serde_json::json;

use super::{done, time};
use crate::api::Api;
use crate::cli::{MachinesArgs, MachinesCommand};
use crate::exit::{Exit, Failure};
use crate::out::{Out, one_line};
use crate::settings::Settings;

pub(crate) async fn machines(
    settings: &Settings,
    args: MachinesArgs,
    out: Out,
) -> Result<Exit, Failure> {
    let api = Api::of(settings)?;
    match args.command.unwrap_or(MachinesCommand::List) {
        MachinesCommand::List => {
            let machines = api.call::<ListMachines>(&NoArgs {}).await?.machines;
            if out.is_json() {
                machines.iter().try_for_each(|machine| out.value(machine))?;
            } else {
                let rows: Vec<_> = machines.iter().map(machine_row).collect();
                out.table(
                    &["NAME", "STATE", "WORKERS", "CHATS", "ASKS", "ROOT", "ID"],
                    &rows,
                )?;
            }
        }
        MachinesCommand::Add { name } => {
            let key = api
                .call::<CreateMachine>(&CreateMachineArgs { name: name.clone() })
                .await?;
            let command = format!(
                "orchestrator machine --backend {} --key {}",
                api.address(),
                key.registration_key.expose()
            );
            if out.is_json() {
                out.value(&json!({
                    "machineId": key.machine_id,
                    "name": name,
                    "registrationKey": key.registration_key,
                    "expiresAt": key.expires_at,
                    "command": command,
                }))?;
            } else {
                out.say(&format!(
                    "Run this on {}, until {}; the key works once and is not shown again:",
                    one_line(&name),
                    time(key.expires_at)
                ));
                out.line(&command)?;
            }
        }
        MachinesCommand::Rename { machine, name } => {
            let machine = api.machine(&machine).await?;
            api.call::<RenameMachine>(&RenameMachineArgs {
                machine_id: machine.id.clone(),
                name: name.clone(),
            })
            .await?;
            done(
                out,
                &format!(
                    "{} is called {} now.",
                    one_line(&machine.name),
                    one_line(&name)
                ),
                &json!({ "machineId": machine.id, "name": name }),
            )?;
        }
        MachinesCommand::Revoke { machine } => {
            let machine = api.machine(&machine).await?;
            api.call::<RevokeMachine>(&MachineArgs {
                machine_id: machine.id.clone(),
            })
            .await?;
            let text = format!(
                "{} is revoked: its credentials are void and its chat sessions closed.",
                one_line(&machine.name)
            );
            done(out, &text, &json!({ "machineId": machine.id }))?;
        }
    }
    Ok(Exit::Done)
}

fn machine_row(machine: &MachineSummary) -> Vec<String> {
    let root = machine
        .info
        .as_ref()
        .map(|info| one_line(&info.root))
        .unwrap_or_default();
    vec![
        one_line(&machine.name),
        presence(machine),
        machine.worker_count.to_string(),
        machine.open_chat_count.to_string(),
        machine.pending_ask_count.to_string(),
        root,
        machine.id.to_string(),
    ]
}

fn presence(machine: &MachineSummary) -> String {
    match (machine.state, &machine.presence) {
        (MachineState::Created, _) => match machine.key_expires_at {
            Some(expires) => format!("waits for its key, until {}", time(expires)),
            None => "its key has expired".to_owned(),
        },
        (MachineState::Registered | MachineState::Revoked | MachineState::Unknown, presence) => {
            match presence {
                Presence::Never => "has never connected".to_owned(),
                Presence::Online { .. } => "online".to_owned(),
                Presence::Draining { .. } => "stopping".to_owned(),
                Presence::Unknown { since } => format!("unknown since {}", time(*since)),
                Presence::Offline { since } => format!("offline since {}", time(*since)),
            }
        }
    }
}
