//! Repaints a picture where a mask is white: `inpaint PICTURE MASK`.

use std::error::Error;
use std::fs;

use kandinsky_client::Client;
use kandinsky_client::v1::{InpaintRequest, InputImage, PriorRequest, PriorSampling, Sampling};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let target = std::env::var("KANDINSKY_TARGET").unwrap_or("localhost:50051".into());
    let client = Client::builder(target).build()?;
    let mut arguments = std::env::args().skip(1);
    let (Some(picture), Some(mask)) = (arguments.next(), arguments.next()) else {
        return Err("usage: inpaint PICTURE MASK".into());
    };

    let request = PriorRequest {
        prompts: vec!["a yellow star".into()],
        sampling: Some(PriorSampling { seed: Some(7), ..Default::default() }),
        ..Default::default()
    };
    let star = client.prior(request).await?;

    let request = InpaintRequest {
        embeddings: star.pairs(),
        image: Some(InputImage { data: fs::read(picture)?.into(), ..Default::default() }),
        mask: Some(InputImage { data: fs::read(mask)?.into(), ..Default::default() }),
        sampling: Some(Sampling {
            seed: Some(7),
            step_count: Some(10),
            width_px: Some(64),
            height_px: Some(64),
            ..Default::default()
        }),
        ..Default::default()
    };
    let images = client.inpaint(request).await?;
    fs::write("inpainted.png", &images.results[0].data)?;
    for warning in &images.completed.warnings {
        eprintln!("{warning}");
    }
    Ok(())
}
