//! One embedding, saved, and four pictures of it.

use std::error::Error;
use std::fs;

use kandinsky_client::Client;
use kandinsky_client::v1::{DecodeRequest, PriorRequest, PriorSampling, Sampling};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let target = std::env::var("KANDINSKY_TARGET").unwrap_or("localhost:50051".into());
    let client = Client::builder(target).build()?;

    let request = PriorRequest {
        prompts: vec!["a red cube on a blue table".into()],
        sampling: Some(PriorSampling { seed: Some(7), ..Default::default() }),
        ..Default::default()
    };
    let cube = client.prior(request).await?;
    cube.save("embedding.safetensors")?; // 5 KB worth keeping: any call for images takes it again

    for seed in 1..=4 {
        let sampling = Sampling {
            seed: Some(seed),
            step_count: Some(10),
            width_px: Some(64),
            height_px: Some(64),
            ..Default::default()
        };
        let request =
            DecodeRequest { embeddings: cube.pairs(), sampling: Some(sampling), ..Default::default() };
        let images = client.decode(request).await?;
        fs::write(format!("decoded-{seed}.png"), &images.results[0].data)?;
    }
    Ok(())
}
