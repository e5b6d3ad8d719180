//! The channel, made safe against details that are no base64.
//!
//! tonic 0.14 panics on a `grpc-status-details-bin` that it cannot decode; here such a header is left out, so that the
//! call ends with its code and message.

use std::pin::Pin;
use std::task::{Context, Poll};

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use tonic::Status;
use tonic::body::Body;
use tonic::transport::{Channel, Error};
use tower_service::Service;

/// As tonic decodes it: padded or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[derive(Clone)]
pub struct Transport(pub(crate) Channel);

impl Service<Request<Body>> for Transport {
    type Response = Response<Body>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let response = self.0.call(request);
        Box::pin(async move {
            let (mut parts, body) = response.await?.into_parts();
            drop_broken_details(&mut parts.headers);
            let body = body.map_frame(|mut frame| {
                if let Some(trailers) = frame.trailers_mut() {
                    drop_broken_details(trailers);
                }
                frame
            });
            Ok(Response::from_parts(parts, Body::new(body)))
        })
    }
}

fn drop_broken_details(headers: &mut HeaderMap) {
    let details = headers.get(Status::GRPC_STATUS_DETAILS);
    if details.is_some_and(|details| BASE64.decode(details.as_bytes()).is_err()) {
        headers.remove(Status::GRPC_STATUS_DETAILS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_no_base64_is_left_out() {
        for (details, kept) in
            [("CAgSBGZ1bGw", true), ("CAgSBGZ1bGw=", true), ("@@@", false), ("CAgSB", false)]
        {
            let mut headers = HeaderMap::new();
            headers.insert(Status::GRPC_STATUS_DETAILS, details.parse().unwrap());
            drop_broken_details(&mut headers);
            assert_eq!(headers.contains_key(Status::GRPC_STATUS_DETAILS), kept, "{details}");
        }
    }
}
