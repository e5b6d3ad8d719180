//! One streaming call over all its tries.

use tonic::Streaming;

use crate::assembly::Assembly;
use crate::call::Call;
use crate::error::{Error, RpcError};
use crate::event::Event;
use crate::request::{HasEvent, Rpc};
use crate::resumption::Resumption;
use crate::status::request_id;
use crate::v1::event::Kind;

pub(crate) struct Exchange<R: Rpc> {
    call: Call,
    message: R,
    responses: Option<Streaming<R::Response>>,
    request_id: String,
    assembly: Assembly,
    resumption: Resumption,
    completed: bool,
}

impl<R: Rpc> Exchange<R> {
    /// A try after the first may send the message with `options.resume`.
    pub(crate) fn new(call: Call, mut message: R) -> Self {
        Self {
            resumption: Resumption::new(message.options()),
            call,
            message,
            responses: None,
            request_id: String::new(),
            assembly: Assembly::default(),
            completed: false,
        }
    }

    /// The next event; `None` after `Completed`. Once it has failed it is not to be asked again.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, Error> {
        while !self.completed {
            match self.advance().await {
                Ok(Some(event)) if self.resumption.deliver(&event) => {
                    self.completed = matches!(event, Event::Completed(_));
                    return Ok(Some(event));
                }
                Ok(_) => {}
                Err(Error::Rpc(error)) => self.start_again(error).await?,
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Reads one message, after sending the request if that is not under way.
    async fn advance(&mut self) -> Result<Option<Event>, Error> {
        let responses = if let Some(responses) = &mut self.responses {
            responses
        } else {
            let sent = R::send(self.call.request(self.message.clone()), self.call.transport.clone());
            let response = self.call.run(sent).await?;
            self.request_id = request_id(response.metadata());
            self.responses.insert(response.into_inner())
        };
        match self.call.run(responses.message()).await? {
            Some(response) => {
                let kind = response.event().and_then(|event| event.kind);
                if let Some(Kind::Checkpoint(checkpoint)) = &kind {
                    self.resumption.checkpoint(checkpoint.clone());
                }
                self.assembly.receive(kind)
            }
            None => self.assembly.finish().map(|end| Some(Event::Completed(self.resumption.total(end)))),
        }
        .map_err(Error::IncompleteStream)
    }

    /// Waits before the next try, which leaves out what was delivered and goes on from the last checkpoints, or returns
    /// the error.
    async fn start_again(&mut self, mut error: Box<RpcError>) -> Result<(), Error> {
        self.responses = None;
        self.assembly = Assembly::default();
        let initial = std::mem::take(&mut self.request_id);
        if error.request_id.is_empty() {
            error.request_id = initial;
        }
        if self.resumption.forget(&error, self.message.options()) {
            return Ok(());
        }
        if self.resumption.write(self.message.options()) {
            self.call.retry.begin_anew();
        }
        self.call.wait_after(error).await
    }
}
