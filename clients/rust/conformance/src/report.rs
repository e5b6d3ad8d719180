//! What the program reports.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kandinsky_client::{Error, Event, v1};
use prost::Message;
use prost::bytes::Bytes;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::Failure;

pub struct Report(Map<String, Value>);

impl Report {
    pub fn new(case: &Value) -> Self {
        Self(Map::from_iter([("case".to_owned(), case.clone())]))
    }

    pub fn into_value(self) -> Value {
        self.0.into()
    }

    pub fn set(&mut self, key: &str, value: Value) {
        self.0.insert(key.to_owned(), value);
    }

    pub fn message(&mut self, key: &str, message: &impl Message) {
        self.set(key, json!(STANDARD.encode(message.encode_to_vec())));
    }

    fn add(&mut self, key: &str, value: Value) {
        let list = self.0.entry(key).or_insert_with(|| json!([]));
        list.as_array_mut().expect("made a list above").push(value);
    }

    pub fn event(&mut self, event: &Event) -> Result<(), Error> {
        self.add("events", json!(kind(event)));
        match event {
            Event::Queued(queued) => self.queued(queued),
            Event::Progress(at) => self.add("progress", json!([at.stage, at.index, at.step, at.step_count])),
            Event::Preview(preview) => self.preview(preview),
            Event::Embedding(result) => self.embedding(result)?,
            Event::Image(image) => self.image(image),
            Event::Completed(completed) => self.completed(completed),
            _ => {}
        }
        Ok(())
    }

    fn queued(&mut self, queued: &v1::Queued) {
        let report = json!({
            "position": queued.position,
            "request_id": queued.request_id,
            "seed": queued.seed,
            "trajectory_count": queued.trajectory_count,
        });
        self.set("queued", report);
    }

    fn preview(&mut self, preview: &v1::Preview) {
        let report = json!({
            "index": preview.index,
            "step": preview.step,
            "step_count": preview.step_count,
            "format": preview.format,
            "sha256": sha256(&preview.data),
        });
        self.add("previews", report);
    }

    fn image(&mut self, image: &v1::ImageResult) {
        let report = json!({
            "index": image.index,
            "source_index": image.source_index,
            "format": image.format,
            "width_px": image.width_px,
            "height_px": image.height_px,
            "size_bytes": image.size_bytes,
            "sha256": sha256(&image.data),
            "seed": image.receipt.as_ref().map_or(0, |receipt| receipt.seed),
        });
        self.add("images", report);
    }

    fn embedding(&mut self, result: &v1::EmbeddingResult) -> Result<(), Error> {
        let pair = result.embeddings.clone().unwrap_or_default();
        let positive = pair.positive.unwrap_or_default();
        let values = positive.to_f32()?;
        let negative = pair.negative.map(|negative| negative.to_f32()).transpose()?;
        let mut report = json!({
            "index": result.index,
            "source_index": result.source_index,
            "fingerprint": positive.prior_fingerprint,
            "width": values.len(),
            "positive_sha256": sha256_of_numbers(&values),
            "first": values.first(),
        });
        if let Some(negative) = negative {
            report["negative_sha256"] = json!(sha256_of_numbers(&negative));
        }
        self.add("embeddings", report);
        Ok(())
    }

    fn completed(&mut self, completed: &v1::Completed) {
        let report = json!({
            "embedding_count": completed.embedding_count,
            "image_count": completed.image_count,
            "step_count": completed.step_count,
            "seed": completed.seed,
            "warnings": completed.warnings,
        });
        self.set("completed", report);
    }

    pub fn error(&mut self, error: &Error) {
        let report = match error {
            Error::Rpc(error) => json!({
                "kind": "rpc",
                "code": code_name(error.code),
                "reason": error.reason,
                "metadata": error.metadata,
                "violations": error.field_violations.iter().map(|v| (&v.field, &v.description)).collect::<Vec<_>>(),
                "retry_delay_seconds": error.retry_delay.map(|delay| delay.as_secs_f64()),
                "request_id": error.request_id,
            }),
            Error::IncompleteStream(_) => json!({ "kind": "incomplete_stream" }),
            Error::EmbeddingFile { .. } => json!({ "kind": "embedding_file" }),
            _ => json!({ "kind": "argument" }),
        };
        self.set("error", report);
        eprintln!("{error}");
    }
}

pub fn kind(event: &Event) -> &'static str {
    match event {
        Event::Queued(_) => "queued",
        Event::Progress(_) => "progress",
        Event::Preview(_) => "preview",
        Event::Embedding(_) => "embedding",
        Event::Image(_) => "image",
        Event::Completed(_) => "completed",
        _ => "unknown",
    }
}

/// `ResourceExhausted` as the suite writes it: `RESOURCE_EXHAUSTED`.
fn code_name(code: kandinsky_client::Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

fn sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

fn sha256_of_numbers(values: &[f32]) -> String {
    sha256(&values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())
}

macro_rules! round_trip {
    ($kind:expr, $bytes:expr, $($name:ident)*) => {
        match $kind {
            $(stringify!($name) => v1::$name::decode($bytes)?.encode_to_vec(),)*
            other => return Err(format!("no such message: {other}").into()),
        }
    };
}

/// Parses a message and writes it again.
pub fn round_trip(kind: &str, bytes: Bytes) -> Result<Value, Failure> {
    let written = round_trip!(kind, bytes,
        PriorRequest PriorResponse InterpolateRequest InterpolateResponse DecodeRequest DecodeResponse
        Img2ImgRequest Img2ImgResponse InpaintRequest InpaintResponse ControlNetRequest ControlNetResponse
        GenerateRequest GenerateResponse EstimateRequest EstimateResponse GetServerInfoRequest GetServerInfoResponse
        Event Queued Progress Preview EmbeddingResult ImageResult ImageChunk Completed
        EmbeddingPair Embedding InputImage Receipt);
    Ok(json!(STANDARD.encode(written)))
}
