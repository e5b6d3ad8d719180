//! A picture as it comes into being.

use std::error::Error;
use std::fs;

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
            step_count: Some(10),
            width_px: Some(64),
            height_px: Some(64),
            ..Default::default()
        }),
        options: Some(RequestOptions { preview_interval_steps: 3, ..Default::default() }),
        ..Default::default()
    };
    let mut events = client.stream(request);
    while let Some(event) = events.next().await {
        match event? {
            Event::Queued(queued) => println!("{} trajectories go first", queued.position),
            Event::Progress(at) => println!("{}: step {} of {}", at.stage, at.step, at.step_count),
            Event::Preview(preview) => fs::write(format!("preview-{}.jpg", preview.step), &preview.data)?,
            Event::Image(image) => fs::write("generated.png", &image.data)?,
            _ => {}
        }
    }
    Ok(())
}
