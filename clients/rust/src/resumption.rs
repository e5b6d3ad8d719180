//! What the tries of one call have brought so far, for the next one to go on from.

use crate::error::RpcError;
use crate::event::Event;
use crate::v1::{Checkpoint, Completed, DeliveredEmbedding, ErrorReason, RequestOptions, Resume};

const RESUME: &str = "options.resume";

/// Collects checkpoints and results, and puts them into the request before it is sent again.
pub(crate) struct Resumption {
    /// Whether the request asks for checkpoints. If not, this only counts what was delivered.
    active: bool,
    /// What the caller gave: an earlier call's.
    given: Option<Resume>,
    resume: Resume,
    embedding_count: i32,
    image_count: i32,
    /// Whether anything has come since the last try.
    progressed: bool,
    /// Whether the request goes on from something that the caller did not give.
    written: bool,
}

impl Resumption {
    /// For the request with these options.
    pub(crate) fn new(options: &RequestOptions) -> Self {
        Self {
            active: options.checkpoint_interval_steps > 0,
            given: options.resume.clone(),
            resume: options.resume.clone().unwrap_or_default(),
            embedding_count: 0,
            image_count: 0,
            progressed: false,
            written: false,
        }
    }

    /// Keeps the newest of a trajectory.
    pub(crate) fn checkpoint(&mut self, newest: Checkpoint) {
        let older = |kept: &Checkpoint| kept.stage == newest.stage && kept.index == newest.index;
        self.resume.checkpoints.retain(|kept| !older(kept));
        self.resume.checkpoints.push(newest);
        self.progressed = true;
    }

    /// Notes a result that the caller gets.
    pub(crate) fn deliver(&mut self, event: &Event) {
        match event {
            Event::Embedding(result) => {
                let embeddings = result.embeddings.clone();
                self.resume.embeddings.push(DeliveredEmbedding { index: result.index, embeddings });
                self.embedding_count += 1;
            }
            Event::Image(image) => {
                self.resume.image_indices.push(image.index);
                self.image_count += 1;
            }
            _ => return,
        }
        self.progressed = true;
    }

    /// The end of the last try, with what all of them delivered.
    pub(crate) fn total(&self, completed: Completed) -> Completed {
        Completed { embedding_count: self.embedding_count, image_count: self.image_count, ..completed }
    }

    /// Whether another try could deliver a result twice.
    pub(crate) fn is_over(&self) -> bool {
        !self.active && self.delivered()
    }

    /// Has the next try go on from here. Returns whether the last one brought anything.
    pub(crate) fn write(&mut self, options: &mut RequestOptions) -> bool {
        let goes_on = self.active && std::mem::take(&mut self.progressed);
        if goes_on {
            options.resume = Some(self.resume.clone());
            self.written = true;
        }
        goes_on
    }

    /// Has the next try begin anew if `error` is the refusal of a replica that cannot go on from here; returns whether it
    /// is. Once a result has been delivered there is no way back: the rest would be of another model.
    pub(crate) fn forget(&mut self, error: &RpcError, options: &mut RequestOptions) -> bool {
        let forgets = self.written && !self.delivered() && refuses(error);
        if forgets {
            options.resume.clone_from(&self.given);
            *self = Self::new(options);
        }
        forgets
    }

    fn delivered(&self) -> bool {
        self.embedding_count + self.image_count > 0
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
