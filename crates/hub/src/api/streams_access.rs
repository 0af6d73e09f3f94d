//! Who may use the chunk streams: a turn's machine appends, its owner and its machine read, nobody else does anything.

use std::sync::Arc;

use async_trait::async_trait;
use axum::response::Response;
use protocol::{CallError, ErrorCode, ids::TurnId};

use super::{
    auth::Credential,
    core::{Core, entropy},
};
use crate::{
    refusal,
    streams::{Access, AccessRequest, Action, Fence, Grant, StreamError},
};

/// How often a check that met a revocation is repeated; each one was of somebody else but for the last.
const CHECKS_MAX: usize = 100;

#[derive(Debug)]
pub(crate) struct TurnStreams(pub(crate) Core);

#[async_trait]
impl Access for TurnStreams {
    async fn check(&self, request: AccessRequest<'_>) -> Result<Grant, Response> {
        let credential = request
            .parts
            .extensions
            .get()
            .cloned()
            .unwrap_or(Credential::None);
        self.grant(request, credential)
            .await
            .map_err(refusal::response)
    }
}

impl TurnStreams {
    async fn grant(
        &self,
        request: AccessRequest<'_>,
        credential: Credential,
    ) -> Result<Grant, CallError> {
        let turn = request
            .path
            .strip_prefix("turn/")
            .and_then(|id| TurnId::parse(id).ok());
        match request.action {
            Action::Create | Action::Delete => Err(CallError::new(
                ErrorCode::Forbidden,
                "Streams are made and removed by the backend itself: take the turn, and its stream is there.",
            )),
            Action::Append => {
                let turn = turn.ok_or_else(no_stream)?;
                self.append(turn, credential).map(|fence| Grant {
                    fence: Some(fence),
                    until: None,
                })
            }
            Action::Read | Action::Inspect => {
                if matches!(credential, Credential::None) {
                    return Err(super::auth::not_signed_in());
                }
                self.read(turn.ok_or_else(no_stream)?, credential).await
            }
        }
    }

    fn append(&self, turn: TurnId, credential: Credential) -> Result<Fence, CallError> {
        let token = match credential {
            Credential::Machine(token) => token,
            Credential::None => {
                return Err(CallError::new(
                    ErrorCode::Unauthenticated,
                    "This needs a machine's connection token. Connect first.",
                ));
            }
            Credential::Cookie(_) | Credential::Token(_) => {
                return Err(CallError::new(
                    ErrorCode::Forbidden,
                    "Only a turn's machine appends to its stream.",
                ));
            }
        };
        let core = self.0.clone();
        Ok(Arc::new(move |transaction, producer| {
            let producer = producer.ok_or_else(|| {
                StreamError::Refused(CallError::new(
                    ErrorCode::Invalid,
                    "An append needs Producer-Id, Producer-Epoch and Producer-Seq. Send all three.",
                ))
            })?;
            entropy()
                .and_then(|entropy| {
                    core.apply(transaction, entropy, |backend| {
                        backend.accept_append(&token, &turn, producer.epoch, producer.seq)
                    })
                })
                .map(drop)
                .map_err(StreamError::Refused)
        }))
    }

    async fn read(&self, turn: TurnId, credential: Credential) -> Result<Grant, CallError> {
        let core = &self.0;
        for _ in 0..CHECKS_MAX {
            let generation = core.cuts.generation();
            let (asked, turn, now_ms) = (credential.clone(), turn.clone(), core.clock.now_ms());
            let actor = core
                .look(move |connection, mut backend| {
                    let caller = asked.caller(connection, now_ms)?;
                    backend.accept_read(&caller, &turn)?;
                    backend.recognise(&caller)
                })
                .await??;
            let Some(holder) = credential.holder(&actor) else {
                return Err(super::auth::not_signed_in());
            };
            if let Some(until) = core.cuts.register(holder, generation) {
                credential.note_use(core).await;
                return Ok(Grant {
                    fence: None,
                    until: Some(until),
                });
            }
        }
        Err(CallError::new(
            ErrorCode::Unavailable,
            "Too much is being revoked at this moment. Try again.",
        ))
    }
}

fn no_stream() -> CallError {
    CallError::not_found("stream")
}
