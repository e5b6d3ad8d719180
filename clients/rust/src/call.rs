//! What the tries of one call share.

use tonic::metadata::MetadataMap;
use tonic::{Extensions, Response, Status};

use crate::error::{Error, RpcError};
use crate::limits::Limits;
use crate::retry::Retry;
use crate::transport::Transport;

pub(crate) struct Call {
    pub(crate) transport: Transport,
    pub(crate) metadata: MetadataMap,
    pub(crate) limits: Limits,
    pub(crate) retry: Retry,
}

impl Call {
    /// Makes the request of one try.
    pub(crate) fn request<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::from_parts(self.metadata.clone(), Extensions::default(), message);
        if let Some(left) = self.limits.left() {
            request.set_timeout(left);
        }
        request
    }

    /// Waits for what one try sends.
    pub(crate) async fn run<T>(&self, sent: impl Future<Output = Result<T, Status>>) -> Result<T, Error> {
        self.limits.run(async { sent.await.map_err(|status| RpcError::from(status).into()) }).await
    }

    /// Waits before the next try, or returns the error when that cannot help.
    pub(crate) async fn wait_after(&mut self, error: Box<RpcError>) -> Result<(), Error> {
        let delay = self.retry.delay_after(error)?;
        self.limits.sleep(delay).await
    }

    /// Carries out a call that answers with one message.
    pub(crate) async fn ask<M, T, F, S>(mut self, message: M, send: F) -> Result<T, Error>
    where
        M: Clone,
        F: Fn(tonic::Request<M>, Transport) -> S,
        S: Future<Output = Result<Response<T>, Status>>,
    {
        loop {
            let answer = Box::pin(send(self.request(message.clone()), self.transport.clone()));
            match self.run(answer).await {
                Ok(response) => return Ok(response.into_inner()),
                Err(Error::Rpc(error)) => self.wait_after(error).await?,
                Err(error) => return Err(error),
            }
        }
    }
}
