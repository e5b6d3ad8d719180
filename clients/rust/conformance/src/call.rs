//! The call of a case.

use kandinsky_client::{Client, EmbeddingFile, Error, Health, StreamingRequest};
use serde_json::{Value, json};

use crate::report::{Report, round_trip};
use crate::request::{bytes, request, with_request};
use crate::{Failure, report};

/// Carries out the call; the inner error is what it returned.
pub async fn call(client: &Client, case: &Value, report: &mut Report) -> Result<Result<(), Error>, Failure> {
    Ok(match case["call"].as_str().unwrap_or_default() {
        "round_trip" => {
            let message = round_trip(case["type"].as_str().unwrap_or_default(), bytes(case, "message")?)?;
            report.set("message", message);
            Ok(())
        }
        "info" => client.info().await.map(|info| report.message("info", &info)),
        "health" => health(client, case).await.map(|health| report.set("health", health)),
        "estimate" => with_request!(request(case)?, request => client.estimate(request).await)
            .map(|estimate| report.message("estimate", &estimate)),
        "embedding_file" => copy(case),
        "embed_image" => embed_image(client, case, bytes(case, "image")?, report).await,
        _ => with_request!(request(case)?, request => events(client, case, request, report).await),
    })
}

async fn health(client: &Client, case: &Value) -> Result<Value, Error> {
    Ok(match client.health(case["service"].as_str().unwrap_or_default()).await? {
        Health::Serving => json!("serving"),
        Health::NotServing => json!("not_serving"),
        Health::ServiceUnknown => json!("service_unknown"),
        _ => json!("unknown"),
    })
}

fn copy(case: &Value) -> Result<(), Error> {
    let file = EmbeddingFile::load(case["embeddings_file"].as_str().unwrap_or_default())?;
    case["save_file"].as_str().map_or(Ok(()), |path| file.save(path))
}

async fn embed_image(
    client: &Client,
    case: &Value,
    image: prost::bytes::Bytes,
    report: &mut Report,
) -> Result<(), Error> {
    let embeddings = client.embed_image(image).await?;
    for result in &embeddings.results {
        report.embedding(result)?;
    }
    report.completed(&embeddings.completed);
    case["save_file"].as_str().map_or(Ok(()), |path| embeddings.save(path))
}

async fn events<R: StreamingRequest>(
    client: &Client,
    case: &Value,
    request: R,
    report: &mut Report,
) -> Result<(), Error> {
    let mut file = EmbeddingFile::default();
    let mut stream = client.stream(request);
    while let Some(event) = stream.next().await {
        let event = event?;
        report.event(&event, &mut file)?;
        if case["cancel_on"] == report::kind(&event) {
            drop(stream);
            report.set("cancelled", json!(true));
            return Ok(());
        }
    }
    case["save_file"].as_str().map_or(Ok(()), |path| file.save(path))
}
