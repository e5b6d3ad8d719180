//! Uses the packaged crate as any project would: a file of embeddings, and a call that nobody answers.

use std::error::Error;

use kandinsky_client::v1::{DecodeRequest, Embedding, EmbeddingPair};
use kandinsky_client::{Client, Code, EmbeddingFile};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let pair = EmbeddingPair { positive: Some(Embedding::from_f32(&[0.5, -2.0])), negative: None };
    EmbeddingFile::new(vec![pair]).save("trial.safetensors")?;
    let embeddings = EmbeddingFile::load("trial.safetensors")?.pairs;

    let client = Client::builder("localhost:1").retries(0).build()?;
    let call = client.decode(DecodeRequest { embeddings, ..Default::default() });
    let error = call.await.err().ok_or("somebody answers at port 1")?;
    assert_eq!(error.rpc().map(|status| status.code), Some(Code::Unavailable));
    println!("the packaged crate works");
    Ok(())
}
