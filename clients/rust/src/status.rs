//! From tonic's status to this crate's error.

use std::error::Error as StdError;
use std::io;

use prost::Message;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status, TimeoutExpired};
use tonic_types::{ErrorDetail, StatusExt};

use crate::error::{FieldViolation, RpcError};

const DOMAIN: &str = "kandinsky-grpc.github.io";
const REQUEST_ID: &str = "x-request-id";

/// What the server's log knows a request by, from its initial or trailing metadata; empty where it is not there.
pub(crate) fn request_id(metadata: &MetadataMap) -> String {
    metadata.get(REQUEST_ID).map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned()).unwrap_or_default()
}

impl From<Status> for RpcError {
    fn from(status: Status) -> Self {
        let mut error = match status.source() {
            Some(source) => from_transport(status.code(), source),
            None => Self::new(code_of(&status), status.message()),
        };
        error.request_id = request_id(status.metadata());
        for detail in details(&status) {
            add(&mut error, detail);
        }
        // gRPC's servers say so to calls that come as they end; the statuses of this contract have reasons.
        if error.code == Code::Cancelled && error.reason.is_empty() && error.message == "CANCELLED" {
            error.code = Code::Unavailable;
        }
        error
    }
}

/// tonic's code for a message over the limit is `OUT_OF_RANGE`; gRPC's is `RESOURCE_EXHAUSTED`.
fn code_of(status: &Status) -> Code {
    let too_large = status.message().starts_with("Error, decoded message length too large");
    if status.code() == Code::OutOfRange && too_large { Code::ResourceExhausted } else { status.code() }
}

/// The status of a call that the server did not answer: tonic's code often is `UNKNOWN`, and its message leaves out the
/// causes.
fn from_transport(code: Code, source: &(dyn StdError + 'static)) -> RpcError {
    let chain: Vec<_> = std::iter::successors(Some(source), |&error| error.source()).collect();
    let mut causes: Vec<String> = chain.iter().map(ToString::to_string).collect();
    causes.dedup();
    let tls = chain.iter().any(|error| is_tls(*error));
    let code =
        if tls { Some(Code::Unavailable) } else { chain.iter().find_map(|error| transport_code(*error)) }
            .unwrap_or(code);
    RpcError { tls, ..RpcError::new(code, causes.join(": ")) }
}

fn transport_code(error: &(dyn StdError + 'static)) -> Option<Code> {
    if error.is::<TimeoutExpired>() {
        return Some(Code::DeadlineExceeded);
    }
    if let Some(error) = error.downcast_ref::<h2::Error>() {
        // Where the stream was not reset, it is the connection that has ended.
        return Some(error.reason().filter(|_| error.is_reset()).map_or(Code::Unavailable, reset_code));
    }
    let cut = error
        .downcast_ref::<hyper::Error>()
        .is_some_and(|error| error.is_canceled() || error.is_closed() || error.is_incomplete_message());
    (cut || error.is::<io::Error>()).then_some(Code::Unavailable)
}

/// The codes that gRPC gives to the reasons of HTTP/2, but for INTERNAL and CANCELLED: so ends a stream whose proxy lost the
/// server, or whose server ended.
fn reset_code(reason: h2::Reason) -> Code {
    match reason {
        h2::Reason::ENHANCE_YOUR_CALM => Code::ResourceExhausted,
        h2::Reason::INADEQUATE_SECURITY => Code::PermissionDenied,
        _ => Code::Unavailable,
    }
}

#[cfg(feature = "tls-ring")]
fn is_tls(error: &(dyn StdError + 'static)) -> bool {
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    // Of an alert that comes after the handshake, such as for want of a client certificate, the words alone are left.
    let alert = error.to_string().contains("received fatal alert");
    let from_rustls = wrapped.and_then(|error| error.downcast_ref::<rustls::Error>()).is_some();
    alert || from_rustls || error.is::<rustls::Error>()
}

#[cfg(not(feature = "tls-ring"))]
fn is_tls(_: &(dyn StdError + 'static)) -> bool {
    false
}

/// The details that can be read. None where they are cut off, or contradict the status, which a proxy may have rewritten.
fn details(status: &Status) -> Vec<ErrorDetail> {
    let agrees = tonic_types::Status::decode(status.details())
        .is_ok_and(|inner| inner.code == status.code() as i32 && inner.message == status.message());
    if agrees { status.check_error_details_vec().unwrap_or_default() } else { Vec::new() }
}

fn add(error: &mut RpcError, detail: ErrorDetail) {
    match detail {
        ErrorDetail::ErrorInfo(info) if info.domain == DOMAIN => {
            error.reason = info.reason;
            error.metadata = info.metadata.into_iter().collect();
        }
        ErrorDetail::BadRequest(request) => {
            let violations = request.field_violations.into_iter();
            error
                .field_violations
                .extend(violations.map(|each| FieldViolation::new(each.field, each.description)));
        }
        ErrorDetail::RetryInfo(info) => error.retry_delay = info.retry_delay,
        ErrorDetail::RequestInfo(info) if error.request_id.is_empty() => error.request_id = info.request_id,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tonic_types::{ErrorDetails, Status as Inner};

    use super::*;

    fn refused() -> Status {
        let mut details =
            ErrorDetails::with_error_info("QUEUE_FULL", DOMAIN, [("queue_size".into(), "4".into())]);
        details.set_retry_info(Some(Duration::from_millis(1500)));
        details.add_bad_request_violation("sampling.step_count", "at most 100");
        let metadata = MetadataMap::from_headers(
            [(REQUEST_ID.parse().unwrap(), "r1".parse().unwrap())].into_iter().collect(),
        );
        Status::with_error_details_and_metadata(Code::ResourceExhausted, "full", details, metadata)
    }

    #[test]
    fn every_detail_is_read() {
        let error = RpcError::from(refused());
        assert_eq!(error.to_string(), "ResourceExhausted (QUEUE_FULL): full");
        assert_eq!(error.error_reason(), crate::v1::ErrorReason::QueueFull);
        assert_eq!(error.metadata["queue_size"], "4");
        assert_eq!(
            error.field_violations,
            [FieldViolation::new("sampling.step_count".into(), "at most 100".into())]
        );
        assert_eq!(error.retry_delay, Some(Duration::from_millis(1500)));
        assert_eq!(error.request_id, "r1");
    }

    #[test]
    fn details_that_are_cut_off_or_contradict_leave_code_and_message() {
        let whole = refused();
        let cut = Status::with_details(whole.code(), "full", whole.details()[..30].to_vec().into());
        let other = Status::with_details(Code::Internal, "full", whole.details().to_vec().into());
        let garbled = Inner {
            code: 8,
            message: "full".into(),
            details: vec![prost_types::Any {
                type_url: "type.googleapis.com/google.rpc.ErrorInfo".into(),
                value: vec![0xff],
            }],
        };
        let garbled = Status::with_details(Code::ResourceExhausted, "full", garbled.encode_to_vec().into());
        for status in [cut, other, garbled] {
            let code = status.code();
            assert_eq!(RpcError::from(status), RpcError::new(code, "full"));
        }
    }

    #[test]
    fn another_domain_has_no_reason() {
        let details =
            ErrorDetails::with_error_info("QUEUE_FULL", "example.com", [("a".to_owned(), "b".to_owned())]);
        let error = RpcError::from(Status::with_error_details(Code::Internal, "no", details));
        assert_eq!(error, RpcError::new(Code::Internal, "no"));
    }

    #[test]
    fn a_message_over_the_limit_has_grpc_s_code() {
        let status = Status::out_of_range(
            "Error, decoded message length too large: found 9 bytes, the limit is: 8 bytes",
        );
        assert_eq!(RpcError::from(status).code, Code::ResourceExhausted);
    }
}
