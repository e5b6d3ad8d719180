//! When to try a call again.

use std::time::Duration;

use tokio::time::Instant;
use tonic::Code;

use crate::error::{Error, RpcError};
use crate::v1::ErrorReason;

const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(10);

/// The patience of one call: until when, and how many retries in a row that bring nothing new.
///
/// Trying again is safe: a request carries all it needs, and its results depend on nothing but that.
pub(crate) struct Retry {
    deadline: Option<Instant>,
    retries: u32,
    tried: u32,
}

impl Retry {
    pub(crate) fn new(deadline: Option<Instant>, retries: u32) -> Self {
        Self { deadline, retries, tried: 0 }
    }

    /// Counts retries from here: the last try brought something.
    pub(crate) fn begin_anew(&mut self) {
        self.tried = 0;
    }

    /// How long to wait before the next try, or the error when that cannot help.
    pub(crate) fn delay_after(&mut self, error: Box<RpcError>) -> Result<Duration, Error> {
        if self.tried >= self.retries || !is_transient(&error) {
            return Err(Error::Rpc(error));
        }
        let delay = jittered(error.retry_delay, self.tried);
        // A delay that no clock can count reaches past any deadline.
        let next = Instant::now().checked_add(delay);
        if next.is_none_or(|next| self.deadline.is_some_and(|deadline| next >= deadline)) {
            return Err(Error::Rpc(error));
        }
        self.tried += 1;
        Ok(delay)
    }
}

fn is_transient(error: &RpcError) -> bool {
    match error.code {
        Code::Unavailable => !error.tls,
        // Without RetryInfo it is no queue that is exhausted: gRPC says the same of a message over the size limit. Where
        // the deadline cannot be met, waiting only brings it closer.
        Code::ResourceExhausted => {
            error.retry_delay.is_some() && error.error_reason() != ErrorReason::DeadlineUnreachable
        }
        _ => false,
    }
}

/// Never earlier than advised; spread, so that clients turned away together do not come back together.
fn jittered(advised: Option<Duration>, tried: u32) -> Duration {
    match advised {
        Some(advised) => {
            spread(advised, 1.0, 1.25).saturating_add(Duration::from_millis(50).mul_f64(fastrand::f64()))
        }
        None => spread(
            LONGEST_DELAY.min(FIRST_DELAY.saturating_mul(1_u32.checked_shl(tried).unwrap_or(u32::MAX))),
            0.5,
            1.0,
        ),
    }
}

fn spread(delay: Duration, least: f64, most: f64) -> Duration {
    let factor = least + (most - least) * fastrand::f64();
    Duration::try_from_secs_f64(delay.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unavailable() -> Box<RpcError> {
        Box::new(RpcError::new(Code::Unavailable, "no"))
    }

    fn busy(reason: &str, delay: u64) -> Box<RpcError> {
        let retry_delay = Some(Duration::from_secs(delay));
        let plain = RpcError::new(Code::ResourceExhausted, "no");
        Box::new(RpcError { reason: reason.into(), retry_delay, ..plain })
    }

    #[test]
    fn delays_double_up_to_ten_seconds() {
        let mut retry = Retry::new(None, 40);
        for most in [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000] {
            let delay = retry.delay_after(unavailable()).unwrap();
            let most = Duration::from_millis(most);
            assert!(most / 2 <= delay && delay <= most, "{delay:?} of {most:?}");
        }
        (0..31).for_each(|_| assert!(retry.delay_after(unavailable()).unwrap() <= LONGEST_DELAY));
        assert!(retry.delay_after(unavailable()).is_err());
    }

    #[test]
    fn advice_is_never_undercut() {
        let delay = Retry::new(None, 1).delay_after(busy("QUEUE_FULL", 2)).unwrap();
        assert!(Duration::from_secs(2) <= delay && delay <= Duration::from_millis(2550));
        assert!(Retry::new(None, 1).delay_after(busy("QUEUE_FULL", u64::MAX)).is_err());
    }

    #[test]
    fn what_cannot_help_is_not_tried() {
        let tls = Box::new(RpcError { tls: true, ..*unavailable() });
        let too_long = Box::new(RpcError::new(Code::ResourceExhausted, "message too long"));
        let internal = Box::new(RpcError::new(Code::Internal, "no"));
        for error in [tls, too_long, internal, busy("DEADLINE_UNREACHABLE", 1)] {
            assert!(Retry::new(None, 5).delay_after(error).is_err());
        }
    }

    #[test]
    fn never_past_the_deadline() {
        let soon = Some(Instant::now() + Duration::from_secs(1));
        assert!(Retry::new(soon, 5).delay_after(busy("QUOTA", 1)).is_err());
        assert!(Retry::new(soon, 5).delay_after(unavailable()).is_ok());
    }
}
