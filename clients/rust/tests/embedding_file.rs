//! Files of embeddings, held against what the Python client wrote (`tests/data`).

use std::fs;

use kandinsky_client::v1::{Dtype, Embedding, EmbeddingPair};
use kandinsky_client::{EmbeddingFile, Error};

const F32: &str = "tests/data/python-f32.safetensors";
const F16: &str = "tests/data/python-f16.safetensors";

fn pair(values: &[f32]) -> EmbeddingPair {
    EmbeddingPair { positive: Some(Embedding::from_f32(values)), negative: None }
}

/// A file of one tensor, spelt out.
fn written(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

#[test]
fn what_python_wrote_is_read_and_written_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    for path in [F32, F16] {
        let copy = folder.path().join("made/on/the/way/copy.safetensors");
        EmbeddingFile::load(path).unwrap().save(&copy).unwrap();
        assert!(fs::read(copy).unwrap() == fs::read(path).unwrap(), "{path}");
    }
}

#[test]
fn pairs_and_receipts_are_read() {
    let file = EmbeddingFile::load(F32).unwrap();
    let receipt = file.receipts[0].as_ref().unwrap();
    assert_eq!((receipt.seed, receipt.weights[0], receipt.negative_prompt()), ((1 << 53) - 1, 1e-5, ""));
    assert_eq!(receipt.condition_texts[&10], "b");
    assert_eq!(receipt.timings.as_ref().unwrap().total.unwrap().nanos, 1000);
    assert_eq!(receipt.prior_sampling.unwrap().seed, Some(0));
    assert_eq!(file.receipts[1], None);
    let positive = file.pairs[1].positive.as_ref().unwrap();
    assert_eq!((positive.shape.as_slice(), positive.dtype()), ([6].as_slice(), Dtype::F32));
    assert_eq!(positive.prior_fingerprint, "5105dd1e92fc9c0311e6add355c20365");
    assert!(file.pairs[1].negative.is_some());

    let half = EmbeddingFile::load(F16).unwrap();
    assert_eq!(half.pairs[0].positive.as_ref().unwrap().dtype(), Dtype::F16);
    assert_eq!(half.pairs[0].negative, None);
}

#[test]
fn bfloat16_is_written_as_float32() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("brain.safetensors");
    let data = vec![0x00, 0x3f, 0x00, 0xc0].into();
    let brain = Embedding { data, dtype: Dtype::Bf16.into(), shape: vec![1, 2], ..Default::default() };
    EmbeddingFile::new(vec![EmbeddingPair { positive: Some(brain), negative: None }]).save(&path).unwrap();
    assert_eq!(EmbeddingFile::load(&path).unwrap().pairs, [pair(&[0.5, -2.0])]);
}

#[test]
fn float64_and_a_single_row_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("double.safetensors");
    let header = r#"{"positive":{"dtype":"F64","shape":[2],"data_offsets":[0,16]}}"#;
    let data = [0.5_f64.to_le_bytes(), (-2.0_f64).to_le_bytes()].concat();
    fs::write(&path, written(header, &data)).unwrap();
    assert_eq!(EmbeddingFile::load(&path).unwrap().pairs, [pair(&[0.5, -2.0])]);
}

#[test]
fn what_holds_no_embeddings_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wrong.safetensors");
    let whole = fs::read(F32).unwrap();
    let one = |name: &str, dtype: &str, shape: &str| {
        let header = format!(r#"{{"{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[0,4]}}}}"#);
        written(&header, &[0; 4])
    };
    let receipts = r#"{"__metadata__":{"receipts":"[null,null]"},"positive":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    let cases = [
        (b"no such file".to_vec(), ""),
        (whole[..whole.len() - 1].to_vec(), ""),
        (one("other", "F32", "[1]"), "but other"),
        (one("positive", "I32", "[1]"), "is I32"),
        (one("positive", "F32", "[1,1,1]"), "must be [pairs, width]"),
        (written(receipts, &[0; 4]), "no JSON list of 1"),
    ];
    for (content, said) in cases {
        fs::write(&path, content).unwrap();
        let error = EmbeddingFile::load(&path).unwrap_err();
        assert!(matches!(error, Error::EmbeddingFile { .. }), "{error:?}");
        assert!(error.to_string().contains(said), "{error}");
    }
    assert!(matches!(EmbeddingFile::load(folder.path().join("none")), Err(Error::Io { .. })));
}

#[test]
fn pairs_that_do_not_belong_together_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mixed.safetensors");
    let both = EmbeddingPair { negative: pair(&[1.0]).positive, ..pair(&[1.0]) };
    let mut of_another_prior = pair(&[1.0]);
    of_another_prior.positive.as_mut().unwrap().prior_fingerprint = "another".into();
    let refused = [
        vec![],
        vec![EmbeddingPair::default()],
        vec![pair(&[1.0]), pair(&[1.0, 2.0])],
        vec![pair(&[1.0]), both],
        vec![pair(&[1.0]), of_another_prior],
    ];
    for pairs in refused {
        assert!(matches!(EmbeddingFile::new(pairs).save(&path), Err(Error::Argument(_))));
    }
    assert!(!path.exists());
}
