//! What happens during a call.

use crate::v1;

/// One event of a call's stream.
///
/// The payloads are the contract's messages. Kinds of events and values of enums that are newer than this client are
/// passed over, and read as `Unspecified` by the messages' methods such as `format()`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The request waits for a place in a batch. Comes again when a call is tried again.
    Queued(v1::Queued),
    /// A trajectory advanced.
    Progress(v1::Progress),
    /// What an image looks like so far.
    Preview(v1::Preview),
    /// An embedding is finished: float32, checked to be whole.
    Embedding(v1::EmbeddingResult),
    /// An image is finished: `data` has all its bytes, and `chunk_count` is 0, however it came.
    Image(v1::ImageResult),
    /// All results have come, and the status is OK. Nothing follows.
    Completed(v1::Completed),
}
