//! The events of one call, as a stream.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_util::stream::try_unfold;

use crate::error::Error;
use crate::event::Event;
use crate::exchange::Exchange;
use crate::request::Rpc;

/// The events of one call. Ends after [`Event::Completed`], or after an error.
///
/// The request is sent when the stream is first polled. Dropping the stream cancels the call; the server then stops within
/// one step.
#[must_use = "the request is sent when the stream is polled"]
pub struct EventStream(Pin<Box<dyn Stream<Item = Result<Event, Error>> + Send>>);

impl EventStream {
    pub(crate) fn new<R: Rpc>(exchange: Exchange<R>) -> Self {
        Self(Box::pin(try_unfold(exchange, |mut exchange| async {
            Ok(exchange.next().await?.map(|event| (event, exchange)))
        })))
    }

    /// The next event: `StreamExt::next` without the need to bring that trait.
    pub async fn next(&mut self) -> Option<Result<Event, Error>> {
        std::future::poll_fn(|context| self.0.as_mut().poll_next(context)).await
    }
}

impl Stream for EventStream {
    type Item = Result<Event, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context)
    }
}

impl fmt::Debug for EventStream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("EventStream")
    }
}
