//! What ends a call from this side: its deadline, and the client's close.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tonic::Code;

use crate::error::{Error, RpcError};

/// Three years: beyond it, a timeout is none.
const LONGEST: Duration = Duration::from_secs(100_000_000);

/// Refuses a timeout that has passed before anything is sent.
pub(crate) fn check_timeout(timeout: Duration) -> Result<Duration, Error> {
    if timeout.is_zero() {
        return Err(Error::argument("timeout must be above 0, or Duration::MAX for no limit"));
    }
    Ok(timeout)
}

pub(crate) struct Limits {
    pub(crate) deadline: Option<Instant>,
    closed: CancellationToken,
}

impl Limits {
    /// Starts the clock of one call.
    pub(crate) fn new(timeout: Option<Duration>, closed: CancellationToken) -> Self {
        let timeout = timeout.filter(|timeout| *timeout <= LONGEST);
        Self { deadline: timeout.map(|timeout| Instant::now() + timeout), closed }
    }

    /// How long is left; `None` without a deadline.
    pub(crate) fn left(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Waits for a part of the call. What tonic knows of the deadline bounds no stream on this side.
    pub(crate) async fn run<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let in_time = async {
            match self.deadline {
                Some(deadline) if deadline <= Instant::now() => Err(too_late()),
                Some(deadline) => timeout_at(deadline, work).await.unwrap_or_else(|_| Err(too_late())),
                None => work.await,
            }
        };
        tokio::select! {
            biased;
            () = self.closed.cancelled() => Err(RpcError::new(Code::Cancelled, "the client was closed").into()),
            result = in_time => result,
        }
    }

    pub(crate) async fn sleep(&self, delay: Duration) -> Result<(), Error> {
        self.run(async {
            tokio::time::sleep(delay).await;
            Ok(())
        })
        .await
    }
}

fn too_late() -> Error {
    RpcError::new(Code::DeadlineExceeded, "the call's timeout passed").into()
}
