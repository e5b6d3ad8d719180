//! What a call can return in place of its results.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tonic::Code;

use crate::v1::ErrorReason;

/// Everything that this crate returns as an error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server, or the way to it, answered with a status other than OK.
    #[error(transparent)]
    Rpc(Box<RpcError>),
    /// The stream ended without `completed`, or what it carried does not add up.
    #[error("incomplete stream: {0}")]
    IncompleteStream(String),
    /// A file that is no `.safetensors` file of embeddings.
    #[error("{} is no file of embeddings: {message}", path.display())]
    EmbeddingFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// An argument that cannot be, refused before anything was sent; the text says what to change.
    #[error("{0}")]
    Argument(String),
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Error {
    /// The status, if it is one: `error.rpc().is_some_and(|error| error.reason == "QUEUE_FULL")`.
    #[must_use]
    pub fn rpc(&self) -> Option<&RpcError> {
        match self {
            Self::Rpc(error) => Some(error),
            _ => None,
        }
    }

    pub(crate) fn argument(message: impl Into<String>) -> Self {
        Self::Argument(message.into())
    }

    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }
}

impl From<RpcError> for Error {
    fn from(error: RpcError) -> Self {
        Self::Rpc(Box::new(error))
    }
}

/// A status other than OK, with the details that the server attached.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{code:?}{}: {message}", in_brackets(reason))]
#[non_exhaustive]
pub struct RpcError {
    /// The canonical code.
    pub code: Code,
    /// The server's sentence; of an error on the way to it, what went wrong, down to its cause.
    pub message: String,
    /// The machine-readable reason, such as `QUEUE_FULL`: a name of [`ErrorReason`] without its prefix, or one that is
    /// newer than this client. Empty when the server did not make the status.
    pub reason: String,
    /// The limits and values that the message speaks of, by the names that [`ErrorReason`] gives at each reason.
    pub metadata: BTreeMap<String, String>,
    /// The fields to change, for `INVALID_ARGUMENT`.
    pub field_violations: Vec<FieldViolation>,
    /// How long to wait before another try, as the server advises.
    pub retry_delay: Option<Duration>,
    /// What the server's log knows the request by; empty when the request never got there.
    pub request_id: String,
    /// Whether both ends do not agree on encryption, or on whom to trust. Such a call is not tried again.
    pub tls: bool,
}

impl RpcError {
    /// The reason as the contract's constant; `Unspecified` where there is none, or one newer than this client.
    #[must_use]
    pub fn error_reason(&self) -> ErrorReason {
        ErrorReason::from_str_name(&format!("ERROR_REASON_{}", self.reason)).unwrap_or_default()
    }

    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            reason: String::new(),
            metadata: BTreeMap::new(),
            field_violations: Vec::new(),
            retry_delay: None,
            request_id: String::new(),
            tls: false,
        }
    }
}

/// One field of the request that broke its range.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FieldViolation {
    /// Its path, such as "`sampling.step_count`".
    pub field: String,
    /// What to change.
    pub description: String,
}

impl FieldViolation {
    pub(crate) fn new(field: String, description: String) -> Self {
        Self { field, description }
    }
}

fn in_brackets(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(" ({reason})") }
}
