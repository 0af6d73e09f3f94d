//! Registration: a key becomes the machine's own credentials.

use protocol::secret::Secret;
use protocol::wire::{MachineCredentials, MachineInfo, RegisterMachineArgs};
use transport::{Call, Transport, TransportError};

/// Exchanges a registration key for the machine's credentials, which the caller stores. `nonce` is a new secret
/// ([`transport::new_secret`]), the same for each try at it: an answer that was lost can be asked for again.
///
/// # Errors
/// [`TransportError::Refused`] when the key is not good (any more), [`TransportError::Lost`] when the
/// backend can't be reached.
pub async fn register(
    transport: &dyn Transport,
    registration_key: Secret,
    nonce: Secret,
    info: MachineInfo,
) -> Result<MachineCredentials, TransportError> {
    let args = serde_json::to_value(RegisterMachineArgs {
        registration_key,
        nonce: Some(nonce),
        info,
    })
    .map_err(|error| TransportError::Lost(error.to_string()))?;
    let call = Call {
        function: "machine.register".to_owned(),
        args,
        key: None,
        credential: None,
    };
    let reply = transport.call(call).await?;
    serde_json::from_value(reply).map_err(|error| {
        TransportError::Lost(format!("the reply does not read as credentials ({error})"))
    })
}
