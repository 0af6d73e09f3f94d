//! A value that is watched, over connections that are lost and found again.

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use protocol::functions::Function;
use transport::{TransportError, Values};

use super::Api;
use crate::exit::{Exit, Failure};

/// The pause before a lost connection is opened again.
const PAUSE: Duration = Duration::from_secs(1);

/// What has come of a watched value.
#[derive(Debug)]
pub(crate) enum News<T> {
    /// It is this now.
    Value(T),
    /// The backend can't be reached, which is told once; it is tried again.
    Lost(String),
}

/// A query that is watched for as long as this lives.
pub(crate) struct Live<F: Function> {
    api: Api,
    args: F::Args,
    values: Values,
    is_lost: bool,
}

impl<F: Function> Live<F> {
    pub(crate) fn new(api: &Api, args: F::Args) -> Self {
        Self {
            api: api.clone(),
            values: api.watch::<F>(&args),
            args,
            is_lost: false,
        }
    }

    /// Waits for the next news. Nothing is lost if this is given up and called again.
    ///
    /// # Errors
    /// The backend's refusal, or an answer that can't be read.
    pub(crate) async fn next(&mut self) -> Result<News<F::Reply>, Failure> {
        loop {
            match self.values.next().await {
                Some(Ok(value)) => {
                    self.is_lost = false;
                    return serde_json::from_value(value).map(News::Value).map_err(|error| {
                        Failure::new(
                            Exit::Upgrade,
                            format!("The backend's answer can't be read ({error}). Its version may be another one: see `orchestrator doctor`."),
                        )
                    });
                }
                Some(Err(TransportError::Refused(refused))) if !refused.is_retryable() => {
                    return Err(self.api.failure(TransportError::Refused(refused)));
                }
                Some(Err(TransportError::Lost(why))) => {
                    self.again();
                    if !std::mem::replace(&mut self.is_lost, true) {
                        return Ok(News::Lost(why));
                    }
                }
                Some(Err(TransportError::Refused(_))) | None => self.again(),
            }
        }
    }

    fn again(&mut self) {
        let later: BoxStream<'static, _> = self.api.watch::<F>(&self.args);
        self.values = stream::once(tokio::time::sleep(PAUSE))
            .filter_map(|()| async { None })
            .chain(later)
            .boxed();
    }
}
