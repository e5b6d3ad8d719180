//! Calls that ask for checkpoints outlive their server.

mod support;

use kandinsky_client::v1::{self, Checkpoint, DeliveredEmbedding, RequestOptions, Resume};
use kandinsky_client::{Code, Event, EventStream};
use support::{Running, Step, checkpoint, completed, embedding, image, queued};
use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt};

const DOMAIN: &str = "kandinsky-grpc.github.io";

fn asking() -> v1::GenerateRequest {
    let options = RequestOptions { checkpoint_interval_steps: 5, ..Default::default() };
    v1::GenerateRequest { prompts: vec!["a cat".into()], options: Some(options), ..Default::default() }
}

fn gone() -> Step {
    Step::Fail(Status::unavailable("gone"))
}

fn refusal(code: Code, reason: &str, field: &str) -> Step {
    let mut details = ErrorDetails::with_error_info(reason, DOMAIN, []);
    details.add_bad_request_violation(field, "no");
    Step::Fail(Status::with_error_details(code, "no", details))
}

fn another_model() -> Step {
    refusal(Code::FailedPrecondition, "FINGERPRINT_MISMATCH", "embeddings[0]")
}

fn resume(server: &Running, call: usize) -> Option<Resume> {
    server.request::<v1::GenerateRequest>(call).options.unwrap().resume
}

fn kept(step: &Step) -> Checkpoint {
    let Step::Send(v1::event::Kind::Checkpoint(checkpoint)) = step else { panic!("expected a checkpoint") };
    checkpoint.clone()
}

fn delivered(index: i32, values: &[f32]) -> DeliveredEmbedding {
    let pair = v1::EmbeddingPair { positive: Some(v1::Embedding::from_f32(values)), negative: None };
    DeliveredEmbedding { index, embeddings: Some(pair) }
}

async fn rest(mut stream: EventStream) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some(event) = stream.next().await {
        events.push(event.unwrap());
    }
    events
}

#[tokio::test]
async fn a_retry_goes_on_from_the_newest_checkpoint_of_each_trajectory() {
    let newest = [checkpoint("prior", 0, 5), checkpoint("decoder", 0, 10), checkpoint("decoder", 1, 5)];
    let [prior, newer, other] = newest.clone();
    let scripts = [
        vec![queued(), prior, checkpoint("decoder", 0, 5), other, newer, gone()],
        vec![queued(), image(0, b"a"), completed(0, 1)],
    ];
    let server = Running::start(scripts).await;
    let events = rest(server.client().stream(asking())).await;
    assert!(
        matches!(&events[..], [Event::Queued(_), Event::Queued(_), Event::Image(_), Event::Completed(_)]),
        "{events:?}"
    );
    let checkpoints = newest.iter().map(kept).collect();
    let mut expected: v1::GenerateRequest = server.request(0);
    let options = expected.options.as_mut().unwrap();
    assert_eq!(options.resume.replace(Resume { checkpoints, ..Default::default() }), None);
    assert_eq!(server.request::<v1::GenerateRequest>(1), expected);
}

#[tokio::test]
async fn a_retry_leaves_out_what_was_delivered() {
    let scripts = [
        vec![
            embedding(0, &[0.5]),
            embedding(1, &[-1.0]),
            checkpoint("decoder", 1, 5),
            image(0, b"a"),
            gone(),
        ],
        vec![checkpoint("decoder", 1, 10), gone()],
        vec![image(1, b"b"), completed(0, 1)],
    ];
    let server = Running::start(scripts).await;
    let images = server.client().generate(asking()).await.unwrap();
    assert_eq!(images.results.iter().map(|image| &image.data[..]).collect::<Vec<_>>(), [b"a", b"b"]);
    assert_eq!(images.embeddings.len(), 2);
    assert_eq!((images.completed.embedding_count, images.completed.image_count), (2, 2));
    let expected = |step| Resume {
        checkpoints: vec![kept(&checkpoint("decoder", 1, step))],
        embeddings: vec![delivered(0, &[0.5]), delivered(1, &[-1.0])],
        image_indices: vec![0],
        ..Default::default()
    };
    assert_eq!((resume(&server, 1), resume(&server, 2)), (Some(expected(5)), Some(expected(10))));
}

#[tokio::test]
async fn a_replica_that_cannot_go_on_begins_anew() {
    let another_dtype =
        refusal(Code::InvalidArgument, "INVALID_FIELD", "options.resume.checkpoints[0].dtype");
    for refused in [another_model(), another_dtype] {
        let scripts = [
            vec![checkpoint("decoder", 0, 5), gone()],
            vec![refused],
            vec![gone()],
            vec![image(0, b"a"), completed(0, 1)],
        ];
        let server = Running::start(scripts).await;
        let client = server.builder().retries(2).build().unwrap();
        client.generate(asking()).await.unwrap();
        assert!(resume(&server, 1).is_some());
        assert_eq!((resume(&server, 2), resume(&server, 3)), (None, None));
    }
}

#[tokio::test]
async fn a_refusal_ends_the_call_where_it_cannot_begin_anew() {
    let another_field = refusal(Code::InvalidArgument, "INVALID_FIELD", "prompts[0]");
    let scripts = [
        vec![vec![checkpoint("decoder", 0, 5), image(0, b"a"), gone()], vec![another_model()]],
        vec![vec![checkpoint("decoder", 0, 5), gone()], vec![another_field]],
        vec![vec![gone()], vec![another_model()]],
        vec![vec![checkpoint("decoder", 0, 5), gone()], vec![another_model()], vec![another_model()]],
    ];
    for script in scripts {
        let calls = script.len();
        let mut all = script.into_iter().chain(std::iter::repeat_n(vec![completed(0, 0)], 4 - calls));
        let server = Running::start::<4>(std::array::from_fn(|_| all.next().unwrap())).await;
        let error = server.client().generate(asking()).await.unwrap_err();
        assert_eq!((error.rpc().unwrap().message.as_str(), server.call_count()), ("no", calls));
    }
}

#[tokio::test]
async fn retries_count_anew_when_a_try_brought_something() {
    let scripts = [
        vec![checkpoint("decoder", 0, 5), gone()],
        vec![checkpoint("decoder", 0, 10), gone()],
        vec![embedding(0, &[1.0]), gone()],
        vec![gone()],
        vec![completed(0, 0)],
    ];
    let server = Running::start(scripts).await;
    let client = server.builder().retries(1).build().unwrap();
    let error = client.generate(asking()).await.unwrap_err();
    assert_eq!((error.rpc().unwrap().code, server.call_count()), (Code::Unavailable, 4));
}

#[tokio::test]
async fn what_the_caller_resumes_from_is_kept() {
    let given = Resume { image_indices: vec![7], ..Default::default() };
    let mut request = asking();
    request.options.as_mut().unwrap().resume = Some(given.clone());
    let scripts = [vec![image(0, b"a"), gone()], vec![completed(0, 0)]];
    let server = Running::start(scripts).await;
    let images = server.client().generate(request).await.unwrap();
    assert_eq!(images.completed.image_count, 1);
    assert_eq!(resume(&server, 0), Some(given.clone()));
    assert_eq!(resume(&server, 1), Some(Resume { image_indices: vec![7, 0], ..given }));
}
