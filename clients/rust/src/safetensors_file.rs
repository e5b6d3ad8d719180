//! Writes `.safetensors` files whose bytes depend on their content alone.
//!
//! The crate `safetensors`, which reads them here, keeps metadata in a hash map: what it writes differs from run to run.

use std::collections::BTreeMap;

use bytes::Bytes;
use safetensors::tensor::{Dtype, TensorInfo};

pub(crate) struct Tensor {
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Bytes,
}

/// Writes tensors and metadata as the crate does: wide types first, then by name, the header filled up to 8 bytes. The
/// keys of the metadata are in the order of the alphabet.
pub(crate) fn write(
    mut tensors: Vec<(&str, Tensor)>,
    metadata: &BTreeMap<&str, String>,
) -> Result<Vec<u8>, serde_json::Error> {
    tensors.sort_by(|(name, tensor), (other_name, other)| {
        other.dtype.cmp(&tensor.dtype).then_with(|| name.cmp(other_name))
    });
    let mut entries = vec![format!("\"__metadata__\":{}", serde_json::to_string(metadata)?)];
    let mut start = 0;
    for (name, Tensor { dtype, shape, data }) in &tensors {
        let data_offsets = (start, start + data.len());
        start += data.len();
        let info = TensorInfo { dtype: *dtype, shape: shape.clone(), data_offsets };
        entries.push(format!("{}:{}", serde_json::to_string(name)?, serde_json::to_string(&info)?));
    }
    let mut content = format!("{{{}}}", entries.join(",")).into_bytes();
    content.resize(content.len().next_multiple_of(8), b' ');
    let length = content.len() as u64;
    content.splice(0..0, length.to_le_bytes());
    content.extend(tensors.iter().flat_map(|(_, tensor)| tensor.data.iter().copied()));
    Ok(content)
}
