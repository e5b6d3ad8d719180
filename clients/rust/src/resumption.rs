//! What the tries of one call have brought so far, for the next one to go on from.

use crate::error::RpcError;
use crate::event::Event;
use crate::v1::{Checkpoint, Completed, DeliveredEmbedding, ErrorReason, RequestOptions, Resume};

const RESUME: &str = "options.resume";

/// Collects checkpoints and results, and puts them into the request before it is sent again.
pub(crate) struct Resumption {
    resume: Resume,
    embedding_count: i32,
    image_count: i32,
    /// Whether anything new has come since the last try.
    progressed: bool,
}

impl Resumption {
    /// For the request with these options, which may carry what the caller kept of an earlier call.
    pub(crate) fn new(options: &RequestOptions) -> Self {
        Self {
            resume: options.resume.clone().unwrap_or_default(),
            embedding_count: 0,
            image_count: 0,
            progressed: false,
        }
    }

    /// Keeps the newest of a trajectory. A server that does not go on from it comes through older ones again.
    pub(crate) fn checkpoint(&mut self, newest: Checkpoint) {
        let checkpoints = &mut self.resume.checkpoints;
        let same = |kept: &Checkpoint| kept.stage == newest.stage && kept.index == newest.index;
        match checkpoints.iter().position(same) {
            None => checkpoints.push(newest),
            Some(place) if newest.step > checkpoints[place].step => checkpoints[place] = newest,
            Some(_) => return,
        }
        self.progressed = true;
    }

    /// Notes a result; false when the caller has it from an earlier try. All other events are new.
    pub(crate) fn deliver(&mut self, event: &Event) -> bool {
        let receipt = match event {
            Event::Embedding(result) => {
                if self.resume.embeddings.iter().any(|delivered| delivered.index == result.index) {
                    return false;
                }
                let embeddings = result.embeddings.clone();
                self.resume.embeddings.push(DeliveredEmbedding { index: result.index, embeddings });
                self.embedding_count += 1;
                &result.receipt
            }
            Event::Image(image) => {
                if self.resume.image_indices.contains(&image.index) {
                    return false;
                }
                self.resume.image_indices.push(image.index);
                self.image_count += 1;
                &image.receipt
            }
            _ => return true,
        };
        if let Some(made) = receipt.as_ref().filter(|made| !made.fingerprint.is_empty()) {
            self.resume.stage_fingerprints.insert(made.stage.clone(), made.fingerprint.clone());
        }
        self.progressed = true;
        true
    }

    /// The end of the last try, with what all of them delivered.
    pub(crate) fn total(&self, completed: Completed) -> Completed {
        Completed { embedding_count: self.embedding_count, image_count: self.image_count, ..completed }
    }

    /// Has the next try go on from here. Returns whether the last one brought anything new.
    pub(crate) fn write(&mut self, options: &mut RequestOptions) -> bool {
        let goes_on = std::mem::take(&mut self.progressed);
        if goes_on {
            options.resume = Some(self.resume.clone());
        }
        goes_on
    }

    /// Has the next try begin anew if `error` is the refusal of a replica that cannot go on from here; returns whether it
    /// is. Once a result has been delivered there is no way back: the rest would be of another model.
    pub(crate) fn forget(&mut self, error: &RpcError, options: &mut RequestOptions) -> bool {
        let delivered = !self.resume.embeddings.is_empty() || !self.resume.image_indices.is_empty();
        let forgets = options.resume.is_some() && !delivered && refuses(error);
        if forgets {
            options.resume = None;
            *self = Self::new(options);
        }
        forgets
    }
}

fn refuses(error: &RpcError) -> bool {
    match error.error_reason() {
        ErrorReason::FingerprintMismatch => true,
        ErrorReason::InvalidField => {
            error.field_violations.iter().any(|violation| violation.field.starts_with(RESUME))
        }
        _ => false,
    }
}
