//! The call of a case.

use kandinsky_client::v1::{EmbeddingResult, InterpolateRequest};
use kandinsky_client::{Client, EmbeddingFile, Error, Event, Health, StreamingRequest};
use serde_json::{Value, json};

use crate::Failure;
use crate::report::{self, Report, round_trip};
use crate::request::{bytes, request, with_request};

/// Carries out the call; an error of the client is one of the failures.
pub async fn call(client: &Client, case: &Value, report: &mut Report) -> Result<(), Failure> {
    match text(case, "call") {
        "round_trip" => report.set("message", round_trip(text(case, "type"), bytes(case, "message")?)?),
        "info" => report.message("info", &client.info().await?),
        "health" => report.set("health", health(client.health(text(case, "service")).await?)),
        "estimate" => {
            let estimate = with_request!(request(case)?, request => client.estimate(request).await)?;
            report.message("estimate", &estimate);
        }
        "embedding_file" => save(case, &EmbeddingFile::load(text(case, "embeddings_file"))?)?,
        "embed_image" => {
            events(client, case, InterpolateRequest::of_image(bytes(case, "image")?), report).await?;
        }
        _ => with_request!(request(case)?, request => events(client, case, request, report).await)?,
    }
    Ok(())
}

fn text<'case>(case: &'case Value, key: &str) -> &'case str {
    case[key].as_str().unwrap_or_default()
}

fn health(health: Health) -> Value {
    match health {
        Health::Serving => json!("serving"),
        Health::NotServing => json!("not_serving"),
        Health::ServiceUnknown => json!("service_unknown"),
        _ => json!("unknown"),
    }
}

fn save(case: &Value, file: &EmbeddingFile) -> Result<(), Error> {
    case["save_file"].as_str().map_or(Ok(()), |path| file.save(path))
}

async fn events<R: StreamingRequest>(
    client: &Client,
    case: &Value,
    request: R,
    report: &mut Report,
) -> Result<(), Error> {
    let mut results: Vec<EmbeddingResult> = Vec::new();
    let mut stream = client.stream(request);
    while let Some(event) = stream.next().await {
        let event = event?;
        report.event(&event)?;
        if case["cancel_on"] == report::kind(&event) {
            drop(stream);
            report.set("cancelled", json!(true));
            return Ok(());
        }
        if let Event::Embedding(result) = event {
            results.push(result);
        }
    }
    results.sort_by_key(|result| result.index);
    save(case, &results.into_iter().collect())
}
