//! Machines that are set up without an agent, as an agent would be.

use agent::register;
use protocol::functions::{Connect, CreateMachine, Function, Kind, RegisterWorker};
use protocol::ids::WorkerId;
use protocol::secret::Secret;
use protocol::wire::{
    ConnectArgs, ConnectReply, CreateMachineArgs, MachineCredentials, MachineInfo,
    RegisterWorkerArgs, WIRE_VERSION, WorkerSettings,
};
use transport::{Call, Transport, new_key, new_secret};
use transport_http::HttpTransport;

use crate::Failure;
use crate::person::Person;

/// A machine that is registered and has one worker.
#[derive(Debug, Clone)]
pub(crate) struct Registered {
    pub(crate) credentials: MachineCredentials,
    pub(crate) worker: WorkerId,
}

/// Registers a machine, with a worker for a directory below its root.
pub(crate) async fn registered(
    person: &Person,
    http: &HttpTransport,
    name: String,
    directory: &str,
) -> Result<Registered, Failure> {
    let key = person
        .call::<CreateMachine>(&CreateMachineArgs { name })
        .await?;
    let worker = RegisterWorkerArgs {
        machine_id: key.machine_id,
        directory: directory.to_owned(),
        name: None,
        settings: WorkerSettings::default(),
    };
    let worker = person.call::<RegisterWorker>(&worker).await?.id;
    let nonce = new_secret("omn");
    let credentials = register(http, key.registration_key, nonce, MachineInfo::default()).await?;
    Ok(Registered {
        credentials,
        worker,
    })
}

/// Connects as the machine.
pub(crate) async fn connect(
    http: &HttpTransport,
    machine: &Registered,
) -> Result<ConnectReply, Failure> {
    let args = ConnectArgs {
        machine_id: machine.credentials.machine_id.clone(),
        secret: machine.credentials.secret.clone(),
        wire_version: WIRE_VERSION,
        nonce: Some(new_secret("omn")),
        info: MachineInfo::default(),
    };
    call::<Connect>(http, &args, None).await
}

/// A call with a credential.
pub(crate) async fn call<F: Function>(
    transport: &impl Transport,
    args: &F::Args,
    credential: Option<&Secret>,
) -> Result<F::Reply, Failure> {
    let call = Call {
        function: F::NAME.to_owned(),
        args: serde_json::to_value(args)?,
        key: (F::KIND == Kind::Mutation).then(new_key),
        credential: credential.cloned(),
    };
    Ok(serde_json::from_value(transport.call(call).await?)?)
}
