#![doc = include_str!("../README.md")]

mod assembly;
mod builder;
mod call;
mod client;
mod embedding;
mod embedding_file;
mod error;
mod event;
mod exchange;
mod health;
mod json;
mod limits;
mod metadata;
mod request;
mod results;
mod resumption;
mod retry;
mod safetensors_file;
mod status;
mod stream;
#[cfg(feature = "tls-ring")]
mod tls;
mod transport;

/// The contract `kandinsky_api.v1`: its messages, and the stubs for calls without [`Client`].
#[allow(clippy::all, clippy::pedantic, missing_docs, rustdoc::all)]
#[rustfmt::skip]
pub mod v1 {
    include!("generated/kandinsky_api.v1.rs");
}

pub use builder::ClientBuilder;
pub use client::Client;
pub use embedding_file::EmbeddingFile;
pub use error::{Error, FieldViolation, RpcError};
pub use event::Event;
pub use health::Health;
pub use request::StreamingRequest;
pub use results::{Embeddings, Images};
pub use stream::EventStream;
#[cfg(feature = "tls-ring")]
pub use tls::Tls;
pub use tonic::Code;
