//! Five pictures on the way from one text to another.

use std::error::Error;
use std::fs;

use kandinsky_client::Client;
use kandinsky_client::v1::condition::Kind;
use kandinsky_client::v1::{Condition, DecodeRequest, InterpolateRequest, PriorSampling, Sampling, Weights};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let target = std::env::var("KANDINSKY_TARGET").unwrap_or("localhost:50051".into());
    let client = Client::builder(target).build()?;

    let text = |text: &str| Condition { kind: Some(Kind::Text(text.into())) };
    let shares = [0.0, 0.25, 0.5, 0.75, 1.0];
    let request = InterpolateRequest {
        conditions: vec![text("a red cube"), text("a blue ball")],
        weights: shares.map(|share| Weights { values: vec![1.0 - share, share] }).to_vec(),
        sampling: Some(PriorSampling { seed: Some(7), ..Default::default() }),
        ..Default::default()
    };
    let path = client.interpolate(request).await?;

    for (number, pair) in (1..).zip(path.pairs()) {
        let sampling = Sampling {
            seed: Some(7),
            step_count: Some(10),
            width_px: Some(64),
            height_px: Some(64),
            ..Default::default()
        };
        let request =
            DecodeRequest { embeddings: vec![pair], sampling: Some(sampling), ..Default::default() };
        let images = client.decode(request).await?;
        fs::write(format!("path-{number}.png"), &images.results[0].data)?;
    }
    Ok(())
}
