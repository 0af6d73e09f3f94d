//! The yardstick: the rule by which `@convex-dev/agent` (0.6.4, `DeltaStreamer` and `useDeltaStreams`) streams, over
//! the same functions. Its writer writes when a piece comes and 250 ms have passed since the last write, one write at
//! a time; its reader moves its cursor, which is a new subscription, with every piece that it gets.

use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use protocol::functions::{Connect, ReportSession, TakeTurn, WriteMessage};
use protocol::ids::TurnId;
use protocol::secret::Secret;
use protocol::state::{ChatState, TurnState};
use protocol::wire::{
    Chunk, ChunkOp, ConnectArgs, ReportSessionArgs, TurnArgs, WIRE_VERSION, WriteMessageArgs,
};
use serde_json::json;
use tokio::sync::oneshot;
use tokio::time::Instant;
use transport::{Append, Transport as _, TransportError};
use transport_convex::ConvexTransport;

use super::Cost;
use super::bridge::Bridge;
use super::stage::Stage;
use crate::Failure;
use crate::machines::call;
use crate::replay::{Recording, op};

const THROTTLE: Duration = Duration::from_millis(250);

pub(super) async fn stream(
    bridge: &Bridge,
    recording: &Recording,
    readers: usize,
) -> Result<Cost, Failure> {
    let stage = Stage::set(bridge, "yardstick").await?;
    let (token, epoch) = connect(&stage).await?;
    for (seq, state) in [(1, ChatState::Starting), (2, ChatState::Ready)] {
        let report = ReportSessionArgs {
            chat_session_id: stage.chat.clone(),
            state,
            reason: None,
            agent_session_id: None,
            seq,
        };
        call::<ReportSession>(&stage.transport, &report, Some(&token)).await?;
    }
    bridge.reset_counts().await?;
    let turn = stage.send(bridge).await?;
    let turn_id = turn.clone();
    call::<TakeTurn>(&stage.transport, &TurnArgs { turn_id }, Some(&token)).await?;
    let reader = (readers > 0).then(|| {
        tokio::spawn(read(
            bridge.transport.clone(),
            turn.clone(),
            bridge.person.clone(),
        ))
    });
    let begun = Instant::now();
    let writer = Writer {
        transport: stage.transport.clone(),
        turn: turn.clone(),
        token: token.clone(),
        epoch,
    };
    writer.write(recording).await?;
    let done = WriteMessageArgs {
        turn_id: turn,
        outcome: TurnState::Completed,
        reason: None,
        failure: None,
        answer: recording.answer(),
    };
    call::<WriteMessage>(&stage.transport, &done, Some(&token)).await?;
    let first_word = match reader {
        Some(reader) => Some(reader.await?? - begun),
        None => None,
    };
    let counts = bridge.counts().await?;
    Ok(Cost { counts, first_word })
}

async fn connect(stage: &Stage) -> Result<(Secret, u64), Failure> {
    let args = ConnectArgs {
        machine_id: stage.credentials.machine_id.clone(),
        secret: stage.credentials.secret.clone(),
        wire_version: WIRE_VERSION,
        nonce: Some(transport::new_secret("omn")),
        info: Default::default(),
    };
    let reply = call::<Connect>(&stage.transport, &args, None).await?;
    Ok((reply.connection_token, reply.epoch))
}

struct Writer {
    transport: ConvexTransport,
    turn: TurnId,
    token: Secret,
    epoch: u64,
}

impl Writer {
    async fn write(&self, recording: &Recording) -> Result<(), TransportError> {
        let start = Instant::now();
        let (mut waiting, mut chunk_seq, mut seq) = (Vec::new(), 0, 0);
        let mut written_at: Option<Instant> = None;
        let mut under_way: Option<oneshot::Receiver<Result<(), TransportError>>> = None;
        for (at, text) in &recording.deltas {
            tokio::time::sleep_until(start + *at).await;
            waiting.push(self.chunk(&mut chunk_seq, op(text)));
            if let Some(write) = &mut under_way {
                let Some(result) = write.now_or_never() else {
                    continue;
                };
                result.unwrap_or(Ok(()))?;
                under_way = None;
            }
            if written_at.is_none_or(|at| at.elapsed() >= THROTTLE) {
                written_at = Some(Instant::now());
                under_way = Some(self.send(&mut seq, std::mem::take(&mut waiting)));
            }
        }
        if let Some(write) = under_way {
            write.await.unwrap_or(Ok(()))?;
        }
        let hash = recording.answer().hash;
        let seal = ChunkOp::Seal {
            outcome: TurnState::Completed,
            hash,
        };
        waiting.push(self.chunk(&mut chunk_seq, seal));
        self.send(&mut seq, waiting).await.unwrap_or(Ok(()))
    }

    fn chunk(&self, seq: &mut u64, op: ChunkOp) -> Chunk {
        let chunk = Chunk {
            turn: self.turn.clone(),
            seq: *seq,
            op,
        };
        *seq += 1;
        chunk
    }

    fn send(
        &self,
        seq: &mut u64,
        chunks: Vec<Chunk>,
    ) -> oneshot::Receiver<Result<(), TransportError>> {
        let append = Append {
            turn_id: self.turn.clone(),
            credential: self.token.clone(),
            epoch: self.epoch,
            seq: *seq,
            chunks,
        };
        *seq += 1;
        let (done, wait) = oneshot::channel();
        let transport = self.transport.clone();
        tokio::spawn(async move {
            let _ = done.send(transport.append(append).await.map(drop));
        });
        wait
    }
}

/// Follows to the end; says when the first piece came.
async fn read(
    transport: ConvexTransport,
    turn: TurnId,
    person: Secret,
) -> Result<Instant, Failure> {
    let (mut cursor, mut first) = ("-1".to_owned(), None);
    loop {
        let args = json!({ "turnId": turn, "after": cursor });
        let mut pages = transport.watch("worker.chat.chunks", args, Some(person.clone()));
        loop {
            let page = pages.next().await.ok_or("the watch has ended")??;
            if page["batches"]
                .as_array()
                .is_some_and(|batches| !batches.is_empty())
            {
                first.get_or_insert_with(Instant::now);
                page["next"]
                    .as_str()
                    .unwrap_or("-1")
                    .clone_into(&mut cursor);
                if page["closed"] == true {
                    return first.ok_or_else(|| "nothing came".into());
                }
                break;
            }
            if page["closed"] == true {
                return first.ok_or_else(|| "nothing came".into());
            }
        }
    }
}
