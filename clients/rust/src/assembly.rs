//! From response messages to events.

use std::collections::{BTreeMap, BTreeSet};

use bytes::BytesMut;

use crate::event::Event;
use crate::v1::event::Kind;
use crate::v1::{Completed, Dtype, EmbeddingResult, ImageChunk, ImageResult};

/// Turns the messages of one stream into events, joins chunks, and checks that all of it came.
#[derive(Default)]
pub(crate) struct Assembly {
    embeddings: BTreeSet<i32>,
    images: BTreeSet<i32>,
    arriving: BTreeMap<i32, Arriving>,
    completed: Option<Completed>,
}

struct Arriving {
    header: ImageResult,
    chunk_count: i32,
    data: BytesMut,
}

impl Assembly {
    /// Returns the event that a message completes, if any. `Completed` is held back until `finish`. Checkpoints are not the
    /// caller's, and `None` is a kind of event that is newer than this client.
    ///
    /// Errors say what is missing.
    pub(crate) fn receive(&mut self, kind: Option<Kind>) -> Result<Option<Event>, String> {
        match kind {
            Some(Kind::Queued(queued)) => Ok(Some(Event::Queued(queued))),
            Some(Kind::Progress(progress)) => Ok(Some(Event::Progress(progress))),
            Some(Kind::Preview(preview)) => Ok(Some(Event::Preview(preview))),
            Some(Kind::Embedding(embedding)) => self.embedding(embedding).map(Some),
            Some(Kind::Image(image)) => self.image(image),
            Some(Kind::Chunk(chunk)) => self.chunk(&chunk),
            Some(Kind::Completed(completed)) => {
                self.completed = Some(completed);
                Ok(None)
            }
            Some(Kind::Checkpoint(_)) | None => Ok(None),
        }
    }

    /// Returns the end of a stream that ended with status OK.
    pub(crate) fn finish(&mut self) -> Result<Completed, String> {
        let completed =
            self.completed.take().ok_or("the stream ended without `completed`: results may be missing")?;
        let came = (self.embeddings.len(), self.images.len());
        let sent = (completed.embedding_count, completed.image_count);
        let whole = (usize::try_from(sent.0), usize::try_from(sent.1)) == (Ok(came.0), Ok(came.1));
        if !whole || !self.arriving.is_empty() {
            return Err(format!(
                "{} embeddings and {} images were sent, {} and {} arrived whole",
                sent.0, sent.1, came.0, came.1
            ));
        }
        Ok(completed)
    }

    fn embedding(&mut self, result: EmbeddingResult) -> Result<Event, String> {
        let index = result.index;
        let pair = result.embeddings.as_ref().ok_or(format!("embedding {index} is empty"))?;
        let positive = pair.positive.as_ref().ok_or(format!("embedding {index} has no positive"))?;
        for embedding in [Some(positive), pair.negative.as_ref()].into_iter().flatten() {
            embedding.value_size().map_err(|error| format!("embedding {index}: {error}"))?;
            if embedding.dtype() != Dtype::F32 {
                return Err(format!("embedding {index} is not of DTYPE_F32"));
            }
        }
        self.embeddings.insert(index);
        Ok(Event::Embedding(result))
    }

    fn image(&mut self, mut header: ImageResult) -> Result<Option<Event>, String> {
        let chunk_count = std::mem::take(&mut header.chunk_count);
        if chunk_count == 0 {
            return self.arrived(header).map(Some);
        }
        let data = BytesMut::from(std::mem::take(&mut header.data));
        let index = header.index;
        self.arriving.insert(index, Arriving { header, chunk_count, data });
        Ok(None)
    }

    fn chunk(&mut self, chunk: &ImageChunk) -> Result<Option<Event>, String> {
        let index = chunk.index;
        let Some(mut image) = self.arriving.remove(&index) else {
            return Err(format!("a chunk of image {index} came without its header, or after its last chunk"));
        };
        if usize::try_from(chunk.offset_bytes) != Ok(image.data.len()) {
            let (next, offset) = (image.data.len(), chunk.offset_bytes);
            return Err(format!("image {index} misses bytes: its next should be {next}, not {offset}"));
        }
        image.data.extend_from_slice(&chunk.data);
        image.chunk_count -= 1;
        if image.chunk_count == 0 {
            image.header.data = image.data.freeze();
            return self.arrived(image.header).map(Some);
        }
        self.arriving.insert(index, image);
        Ok(None)
    }

    fn arrived(&mut self, image: ImageResult) -> Result<Event, String> {
        let came = image.data.len();
        if usize::try_from(image.size_bytes) != Ok(came) {
            return Err(format!("image {} has {came} bytes of {}", image.index, image.size_bytes));
        }
        self.images.insert(image.index);
        Ok(Event::Image(image))
    }
}
