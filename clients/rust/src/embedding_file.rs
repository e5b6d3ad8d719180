//! Embeddings in `.safetensors` files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype as Stored, TensorView};
use serde_json::Value;

use crate::embedding::little_endian;
use crate::v1::{Dtype, Embedding, EmbeddingPair, EmbeddingResult, PriorSampling, Receipt, Timings};
use crate::{Error, json, safetensors_file};

/// The content of a `.safetensors` file of embeddings: what the clients in every language read and write alike.
///
/// The file has the tensors `positive` and `negative`, each `[pairs, width]`: what diffusers takes as `image_embeds` and
/// `negative_image_embeds`. Its metadata has the fingerprint of the prior, and the receipts as JSON.
///
/// ```
/// # fn main() -> Result<(), kandinsky_client::Error> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("mine.safetensors");
/// use kandinsky_client::EmbeddingFile;
/// use kandinsky_client::v1::{Embedding, EmbeddingPair};
///
/// let pair = EmbeddingPair { positive: Some(Embedding::from_f32(&[0.5; 1280])), negative: None };
/// EmbeddingFile::new(vec![pair]).save(&path)?;
/// assert_eq!(EmbeddingFile::load(&path)?.pairs.len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct EmbeddingFile {
    /// The pairs, in order: ready for `embeddings` of a request.
    pub pairs: Vec<EmbeddingPair>,
    /// What made each pair, as many as there are pairs; `None` where that is unknown.
    pub receipts: Vec<Option<Receipt>>,
}

impl EmbeddingFile {
    /// Takes pairs of which it is not known what made them.
    #[must_use]
    pub fn new(pairs: Vec<EmbeddingPair>) -> Self {
        let receipts = vec![None; pairs.len()];
        Self { pairs, receipts }
    }

    /// Reads a file; any that has a tensor `positive` will do. float64 becomes float32.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]: the file cannot be read. [`Error::EmbeddingFile`]: it holds something else, or is damaged.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let content = fs::read(path).map_err(|error| Error::io(path, error))?;
        parse(&content).map_err(|message| Error::EmbeddingFile { path: path.to_owned(), message })
    }

    /// Writes a file, making its folder and replacing what was there.
    ///
    /// float16 is kept; bfloat16 is written as float32, which holds it exactly.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`]: there is no pair, or they differ in width, prior, or in having a negative embedding.
    /// [`Error::Io`]: the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let path = path.as_ref();
        let content = self.serialize()?;
        let folder = path.parent().unwrap_or(Path::new(""));
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(path, content))
            .map_err(|error| Error::io(path, error))
    }

    fn serialize(&self) -> Result<Vec<u8>, Error> {
        let positives: Option<Vec<_>> = self.pairs.iter().map(|pair| pair.positive.as_ref()).collect();
        let negatives: Vec<_> = self.pairs.iter().filter_map(|pair| pair.negative.as_ref()).collect();
        let (Some(positives), true) = (positives, self.receipts.len() == self.pairs.len()) else {
            return Err(Error::argument("every pair needs a positive embedding, and a receipt or None"));
        };
        let (Some(first), true) = (positives.first(), [0, positives.len()].contains(&negatives.len())) else {
            return Err(mixed());
        };
        if positives.iter().any(|each| each.prior_fingerprint != first.prior_fingerprint) {
            return Err(mixed());
        }
        let metadata = BTreeMap::from([
            ("prior_fingerprint", first.prior_fingerprint.clone()),
            ("receipts", receipts_json(&self.receipts)?),
        ]);
        let mut tensors = vec![("positive", stack(&positives)?)];
        if !negatives.is_empty() {
            tensors.push(("negative", stack(&negatives)?));
        }
        safetensors_file::write(tensors, &metadata).map_err(|error| Error::argument(error.to_string()))
    }
}

/// Takes the pairs and receipts of results, in their order.
impl FromIterator<EmbeddingResult> for EmbeddingFile {
    fn from_iter<I: IntoIterator<Item = EmbeddingResult>>(results: I) -> Self {
        let parts = results
            .into_iter()
            .map(|result| (result.embeddings.unwrap_or_default(), Some(result.receipt.unwrap_or_default())));
        let (pairs, receipts) = parts.unzip();
        Self { pairs, receipts }
    }
}

fn mixed() -> Error {
    Error::argument("one file holds pairs of one prior and width, all with a negative embedding or none")
}

fn stack(embeddings: &[&Embedding]) -> Result<safetensors_file::Tensor, Error> {
    let rows: Vec<Vec<f32>> = embeddings.iter().map(|each| each.to_f32()).collect::<Result<_, _>>()?;
    let width = rows[0].len();
    if rows.iter().any(|row| row.len() != width) {
        return Err(mixed());
    }
    let half = embeddings.iter().all(|each| each.dtype() == Dtype::F16);
    let data = if half {
        embeddings.iter().flat_map(|each| each.data.iter().copied()).collect()
    } else {
        little_endian(&rows.concat())
    };
    let dtype = if half { Stored::F16 } else { Stored::F32 };
    Ok(safetensors_file::Tensor { dtype, shape: vec![rows.len(), width], data })
}

fn receipts_json(receipts: &[Option<Receipt>]) -> Result<String, Error> {
    let plain: Vec<Option<Receipt>> =
        receipts.iter().cloned().map(|each| each.map(as_python_keeps_it)).collect();
    json::dumps(&plain).map_err(|error| Error::argument(format!("receipts: {error}")))
}

/// The Python client writes all times of a receipt, and of `prior_sampling` what has a meaning there.
fn as_python_keeps_it(mut receipt: Receipt) -> Receipt {
    let timings = receipt.timings.get_or_insert_with(Timings::default);
    for duration in [&mut timings.queued, &mut timings.denoising, &mut timings.total] {
        duration.get_or_insert_with(Default::default);
    }
    if let Some(sampling) = &mut receipt.prior_sampling {
        sampling.image_count = None;
    }
    receipt.prior_sampling = receipt.prior_sampling.filter(|sampling| *sampling != PriorSampling::default());
    receipt
}

fn parse(content: &[u8]) -> Result<EmbeddingFile, String> {
    let (_, header) = SafeTensors::read_metadata(content).map_err(|error| error.to_string())?;
    let tensors = SafeTensors::deserialize(content).map_err(|error| error.to_string())?;
    let metadata = header.metadata().clone().unwrap_or_default();
    let fingerprint = metadata.get("prior_fingerprint").map_or("", String::as_str);

    let Ok(positive) = tensors.tensor("positive") else {
        let mut names = tensors.names();
        names.sort_unstable();
        let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        return Err(format!("it has no tensor `positive`, but {there}"));
    };
    let positives = rows("positive", &positive, fingerprint)?;
    let count = positives.len();
    let negatives = match tensors.tensor("negative") {
        Ok(negative) => rows("negative", &negative, fingerprint)?.into_iter().map(Some).collect(),
        Err(_) => vec![None; count],
    };
    if negatives.len() != count {
        return Err(format!("it has {count} rows of `positive` and {} of `negative`", negatives.len()));
    }
    let receipts = receipts(metadata.get("receipts").map_or("null", String::as_str), count)?;
    let pairs = positives.into_iter().zip(negatives);
    let pairs =
        pairs.map(|(positive, negative)| EmbeddingPair { positive: Some(positive), negative }).collect();
    Ok(EmbeddingFile { pairs, receipts })
}

fn rows(name: &str, tensor: &TensorView<'_>, fingerprint: &str) -> Result<Vec<Embedding>, String> {
    let (dtype, data) = match tensor.dtype() {
        Stored::F32 => (Dtype::F32, Bytes::copy_from_slice(tensor.data())),
        Stored::F16 => (Dtype::F16, Bytes::copy_from_slice(tensor.data())),
        Stored::BF16 => (Dtype::Bf16, Bytes::copy_from_slice(tensor.data())),
        Stored::F64 => (Dtype::F32, narrowed(tensor.data())),
        other => return Err(format!("`{name}` is {other} and must be F32, F16, BF16 or F64")),
    };
    let (count, width) = match *tensor.shape() {
        [width] if width > 0 => (1, width),
        [count, width] if count > 0 && width > 0 => (count, width),
        ref shape => return Err(format!("`{name}` is {shape:?} and must be [pairs, width] or [width]")),
    };
    let row_bytes = data.len() / count;
    let shape = vec![i32::try_from(width).map_err(|_| format!("`{name}` is too wide: {width}"))?];
    let row = |start| Embedding {
        data: data.slice(start..start + row_bytes),
        dtype: dtype.into(),
        shape: shape.clone(),
        prior_fingerprint: fingerprint.to_owned(),
    };
    Ok((0..count).map(|place| row(place * row_bytes)).collect())
}

#[allow(clippy::cast_possible_truncation)] // rounding to float32 is what is asked for
fn narrowed(doubles: &[u8]) -> Bytes {
    let (values, _) = doubles.as_chunks();
    little_endian(&values.iter().map(|&value| f64::from_le_bytes(value) as f32).collect::<Vec<_>>())
}

fn receipts(text: &str, count: usize) -> Result<Vec<Option<Receipt>>, String> {
    let wrong = || format!("its metadata `receipts` is no JSON list of {count}, one a row");
    let kept: Vec<Value> =
        match serde_json::from_str(text).map_err(|error| format!("{}: {error}", wrong()))? {
            Value::Null => return Ok(vec![None; count]),
            Value::Array(kept) if kept.is_empty() => return Ok(vec![None; count]),
            Value::Array(kept) if kept.len() == count => kept,
            _ => return Err(wrong()),
        };
    let receipt = |value: Value| match &value {
        Value::Null => Ok(None),
        Value::Object(fields) if fields.is_empty() => Ok(None),
        _ => serde_json::from_value(value).map(Some).map_err(|error| format!("not a receipt: {error}")),
    };
    kept.into_iter().map(receipt).collect()
}
