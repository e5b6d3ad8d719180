//! What a client learns when the server's queue is full.

use std::error::Error;
use std::time::Duration;

use kandinsky_client::Client;
use kandinsky_client::v1::{DecodeRequest, Embedding, EmbeddingPair, ErrorReason, Sampling};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let target = std::env::var("KANDINSKY_TARGET").unwrap_or("localhost:50051".into());
    let client = Client::builder(target).retries(0).build()?; // else the client itself would try again

    let zeros = Embedding::from_f32(&[0.0; 1280]); // any numbers will do: the queue is looked at before they are
    let request = DecodeRequest {
        embeddings: vec![EmbeddingPair { positive: Some(zeros.clone()), negative: Some(zeros) }],
        sampling: Some(Sampling {
            seed: Some(7),
            step_count: Some(10),
            width_px: Some(64),
            height_px: Some(64),
            ..Default::default()
        }),
        ..Default::default()
    };
    let error = client.decode(request).await.err().ok_or("the queue is not full")?;
    match error.rpc() {
        Some(refused) if refused.error_reason() == ErrorReason::QueueFull => {
            let delay = refused.retry_delay.unwrap_or(Duration::ZERO);
            println!("the queue is full: try again in {:.1} s", delay.as_secs_f64());
            println!("it has room for {} trajectories", refused.metadata["queue_size"]);
            Ok(())
        }
        _ => Err(error.into()),
    }
}
