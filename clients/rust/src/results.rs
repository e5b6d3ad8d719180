//! The results of one call as a whole.

use std::path::Path;

use crate::v1::{Completed, EmbeddingPair, EmbeddingResult, ImageResult};
use crate::{EmbeddingFile, Error, Event, EventStream};

/// What [`prior`](crate::Client::prior) and [`interpolate`](crate::Client::interpolate) return.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Embeddings {
    /// The embeddings, in the request's order.
    pub results: Vec<EmbeddingResult>,
    /// The end of the stream: counts, seed, times, warnings.
    pub completed: Completed,
}

impl Embeddings {
    /// The pairs, in the request's order: ready for `embeddings` of a request for images.
    #[must_use]
    pub fn pairs(&self) -> Vec<EmbeddingPair> {
        self.results.iter().filter_map(|result| result.embeddings.clone()).collect()
    }

    /// Writes one `.safetensors` file of all pairs and their receipts; see [`EmbeddingFile`].
    ///
    /// # Errors
    ///
    /// As [`EmbeddingFile::save`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        self.results.iter().cloned().collect::<EmbeddingFile>().save(path)
    }
}

/// What the calls for images return.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Images {
    /// The images, in the request's order; `data` of each has all its bytes.
    pub results: Vec<ImageResult>,
    /// The embeddings that [`generate`](crate::Client::generate) made on the way: that of an image has its index.
    pub embeddings: Vec<EmbeddingResult>,
    /// The end of the stream: counts, seed, times, warnings.
    pub completed: Completed,
}

pub(crate) type Gathered = (Vec<EmbeddingResult>, Vec<ImageResult>, Completed);

/// Reads a stream to its end, and puts the results into the request's order.
pub(crate) async fn gather(mut stream: EventStream) -> Result<Gathered, Error> {
    let (mut embeddings, mut images, mut completed) = (Vec::new(), Vec::new(), Completed::default());
    while let Some(event) = stream.next().await {
        match event? {
            Event::Embedding(embedding) => embeddings.push(embedding),
            Event::Image(image) => images.push(image),
            Event::Completed(end) => completed = end,
            Event::Queued(_) | Event::Progress(_) | Event::Preview(_) => {}
        }
    }
    embeddings.sort_by_key(|result| result.index);
    images.sort_by_key(|result| result.index);
    Ok((embeddings, images, completed))
}
