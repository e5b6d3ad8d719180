//! What calls send, and what they return.

mod support;

use std::time::Duration;

use kandinsky_client::v1::estimate_request::Request;
use kandinsky_client::v1::{self, Priority, condition};
use kandinsky_client::{Client, Error, Event};
use support::{Running, Step, chunk, completed, embedding, header, image, queued};

#[tokio::test]
async fn a_stream_gives_events_in_order_and_passes_over_kinds_it_does_not_know() {
    let script = vec![
        queued(),
        Step::SendUnknown,
        header(0, 5, 2),
        Step::SendUnknown,
        chunk(0, 0, b"abc"),
        chunk(0, 3, b"de"),
        completed(0, 1),
    ];
    let server = Running::start([script]).await;
    let mut events = server.client().stream(v1::DecodeRequest::default());
    assert!(matches!(events.next().await, Some(Ok(Event::Queued(queued))) if queued.position == 3));
    let Some(Ok(Event::Image(image))) = events.next().await else { panic!("expected the image") };
    assert_eq!((&image.data[..], image.chunk_count), (&b"abcde"[..], 0));
    assert!(matches!(events.next().await, Some(Ok(Event::Completed(_)))));
    assert!(events.next().await.is_none());
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn results_are_gathered_in_the_request_s_order() {
    let script = vec![queued(), image(1, b"b"), image(0, b"a"), completed(0, 2)];
    let server = Running::start([script]).await;
    let images = server.client().decode(v1::DecodeRequest::default()).await.unwrap();
    assert_eq!(images.results.iter().map(|image| &image.data[..]).collect::<Vec<_>>(), [b"a", b"b"]);
    assert_eq!(images.completed.image_count, 2);
    let asked: v1::DecodeRequest = server.request(0);
    assert_eq!(asked.options.unwrap().progress_interval_steps, Some(0));
}

#[tokio::test]
async fn generate_returns_the_embeddings_made_on_the_way() {
    let script = vec![embedding(0, &[0.5, -1.0]), image(0, b"a"), completed(1, 1)];
    let server = Running::start([script]).await;
    let images = server.client().generate(v1::GenerateRequest::default()).await.unwrap();
    let pair = images.embeddings[0].embeddings.as_ref().unwrap();
    assert_eq!(pair.positive.as_ref().unwrap().to_f32().unwrap(), [0.5, -1.0]);
}

#[tokio::test]
async fn a_request_is_filled_in_where_the_caller_left_room() {
    let server = Running::start([vec![completed(0, 0)], vec![completed(0, 0)]]).await;
    let client = server.builder().priority(Priority::Low).build().unwrap();
    client.decode(v1::DecodeRequest::default()).await.unwrap();
    let drawn: v1::DecodeRequest = server.request(0);
    assert!((0..1 << 32).contains(&drawn.sampling.unwrap().seed.unwrap()));
    assert_eq!(drawn.options.unwrap().priority(), Priority::Low);

    let options = v1::RequestOptions {
        priority: Priority::High.into(),
        progress_interval_steps: Some(2),
        ..Default::default()
    };
    let sampling = v1::Sampling { seed: Some(0), ..Default::default() };
    let request =
        v1::DecodeRequest { sampling: Some(sampling), options: Some(options), ..Default::default() };
    client.decode(request.clone()).await.unwrap();
    assert_eq!(server.request::<v1::DecodeRequest>(1), request);
}

#[tokio::test]
async fn a_picture_is_embedded_by_one_condition_of_weight_one() {
    let server = Running::start([vec![embedding(0, &[1.0]), completed(1, 0)]]).await;
    let embeddings = server.client().embed_image(&b"png"[..]).await.unwrap();
    assert_eq!(embeddings.pairs().len(), 1);
    let asked: v1::InterpolateRequest = server.request(0);
    assert_eq!(asked.weights, [v1::Weights { values: vec![1.0] }]);
    let Some(condition::Kind::Image(image)) = &asked.conditions[0].kind else { panic!("expected an image") };
    assert_eq!(&image.data[..], b"png");
}

#[tokio::test]
async fn info_and_estimates() {
    let server = Running::start([]).await;
    let client = server.client();
    assert_eq!(client.info().await.unwrap().model, "toy");
    let request = v1::PriorRequest { prompts: vec!["a cat".into()], ..Default::default() };
    assert_eq!(client.estimate(request).await.unwrap().step_count, 35);
    let Some(Request::Prior(asked)) = server.request::<v1::EstimateRequest>(1).request else {
        panic!("expected a request of Prior");
    };
    assert_eq!(asked.prompts, ["a cat"]);
    assert!(asked.sampling.unwrap().seed.is_some());
}

#[tokio::test]
async fn metadata_reaches_the_server() {
    let server = Running::start([]).await;
    let client = server.builder().token("secret").metadata("x-team", "a").timeout(Duration::from_secs(30));
    let client = client.build().unwrap().with_metadata("traceparent", "00-1-2-01").unwrap();
    client.info().await.unwrap();
    let metadata = server.metadata(0);
    let sent = |key| metadata.get(key).unwrap().to_str().unwrap();
    assert_eq!(
        (sent("authorization"), sent("x-team"), sent("traceparent")),
        ("Bearer secret", "a", "00-1-2-01")
    );
    assert!(sent("user-agent").contains("kandinsky-client-rust/0.1.0"));
    assert!(metadata.contains_key("grpc-timeout"));
}

#[tokio::test]
async fn arguments_that_cannot_be_are_refused_before_anything_is_sent() {
    let builder = || Client::builder("localhost:1");
    let refused = [
        Client::builder("http://localhost:1").build(),
        Client::builder("local host").build(),
        Client::builder("").build(),
        builder().timeout(Duration::ZERO).build(),
        builder().token("secret\n").build(),
        builder().metadata("X-Team", "a").build(),
        builder().build().unwrap().with_timeout(Duration::ZERO),
        builder().build().unwrap().with_metadata("x", "a\n"),
    ];
    for client in refused {
        assert!(matches!(client, Err(Error::Argument(_))), "{client:?}");
    }
    builder().timeout(Duration::MAX).build().unwrap();
    Client::builder("[::1]:50051").build().unwrap();
}

#[test]
fn a_client_without_a_runtime_is_refused() {
    let error = Client::builder("localhost:1").build().unwrap_err();
    assert!(error.to_string().contains("Tokio runtime"));
}
