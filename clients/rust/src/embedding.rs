//! Embeddings as numbers.

use bytes::Bytes;
use half::{bf16, f16};

use crate::Error;
use crate::v1::{Dtype, Embedding};

impl Embedding {
    /// Makes an embedding of float32 numbers, of shape `[width]` and without the fingerprint of its prior, which a
    /// server then does not check.
    #[must_use]
    pub fn from_f32(values: &[f32]) -> Self {
        Self {
            data: little_endian(values),
            dtype: Dtype::F32.into(),
            shape: vec![i32::try_from(values.len()).unwrap_or(i32::MAX)],
            prior_fingerprint: String::new(),
        }
    }

    /// The values in float32, which holds those of each dtype exactly.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`]: a dtype that this client does not know, or bytes that do not fit dtype and shape.
    pub fn to_f32(&self) -> Result<Vec<f32>, Error> {
        let size = self.value_size().map_err(Error::Argument)?;
        Ok(self.data.chunks_exact(size).map(|value| number(self.dtype(), value)).collect())
    }

    /// The bytes of one value, once dtype, shape and data have been held against each other.
    pub(crate) fn value_size(&self) -> Result<usize, String> {
        let size = match self.dtype() {
            Dtype::F32 => 4,
            Dtype::F16 | Dtype::Bf16 => 2,
            Dtype::Unspecified => {
                return Err(format!("an embedding of dtype {} needs a newer client", self.dtype));
            }
        };
        let sides = self.shape.iter().map(|&side| usize::try_from(side).ok());
        let expected =
            sides.chain([Some(size)]).try_fold(1_usize, |product, side| product.checked_mul(side?));
        if expected != Some(self.data.len()) {
            let (shape, dtype, bytes) = (&self.shape, self.dtype().as_str_name(), self.data.len());
            return Err(format!("an embedding of shape {shape:?} and {dtype} does not have {bytes} bytes"));
        }
        Ok(size)
    }
}

/// The bytes of float32 numbers, as the wire and files have them.
pub(crate) fn little_endian(values: &[f32]) -> Bytes {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn number(dtype: Dtype, value: &[u8]) -> f32 {
    match (dtype, value) {
        (Dtype::F16, &[low, high]) => f16::from_le_bytes([low, high]).to_f32(),
        (Dtype::Bf16, &[low, high]) => bf16::from_le_bytes([low, high]).to_f32(),
        (_, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]),
        _ => unreachable!("value_size checked the dtype"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        let embedding = Embedding::from_f32(&[0.5, -2.0]);
        assert_eq!(embedding.shape, [2]);
        assert_eq!(embedding.to_f32().unwrap(), [0.5, -2.0]);
    }

    #[test]
    fn halves_are_widened() {
        let data = Bytes::from_static(&[0x00, 0x38, 0x00, 0xc0]);
        let half = Embedding { data, dtype: Dtype::F16.into(), shape: vec![1, 2], ..Default::default() };
        assert_eq!(half.to_f32().unwrap(), [0.5, -2.0]);
        let data = Bytes::from_static(&[0x00, 0x3f, 0x00, 0xc0]);
        let brain = Embedding { data, dtype: Dtype::Bf16.into(), ..half };
        assert_eq!(brain.to_f32().unwrap(), [0.5, -2.0]);
    }

    #[test]
    fn what_does_not_add_up_is_refused() {
        let whole = Embedding::from_f32(&[0.5, -2.0]);
        let later = Embedding { dtype: 77, ..whole.clone() };
        let short = Embedding { shape: vec![3], ..whole.clone() };
        let negative = Embedding { shape: vec![-1, -2], ..whole };
        for (embedding, said) in [(later, "newer client"), (short, "[3]"), (negative, "[-1, -2]")] {
            assert!(embedding.to_f32().unwrap_err().to_string().contains(said));
        }
    }
}
