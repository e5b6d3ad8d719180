//! Cancels a call at its first preview.

use std::error::Error;

use kandinsky_client::v1::{GenerateRequest, RequestOptions, Sampling};
use kandinsky_client::{Client, Event};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let target = std::env::var("KANDINSKY_TARGET").unwrap_or("localhost:50051".into());
    let client = Client::builder(target).build()?;

    let request = GenerateRequest {
        prompts: vec!["a green ball".into()],
        sampling: Some(Sampling {
            seed: Some(7),
            step_count: Some(100),
            width_px: Some(64),
            height_px: Some(64),
            ..Default::default()
        }),
        options: Some(RequestOptions { preview_interval_steps: 3, ..Default::default() }),
        ..Default::default()
    };
    let mut events = client.stream(request);
    while let Some(event) = events.next().await {
        if let Event::Preview(preview) = event? {
            drop(events); // the server frees what the call held within one step
            println!("cancelled after step {}", preview.step);
            break;
        }
    }
    Ok(())
}
