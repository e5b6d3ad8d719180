//! What goes wrong, and what is tried again.

mod support;

use std::time::{Duration, Instant};

use kandinsky_client::v1::{self, Dtype, ErrorReason};
use kandinsky_client::{Code, Error, Event, RpcError};
use support::{Running, Step, chunk, completed, embedding, header, image, queued};
use tonic::Status;
use tonic::metadata::MetadataMap;
use tonic_types::{ErrorDetails, StatusExt};

const DOMAIN: &str = "kandinsky-grpc.github.io";

fn refusal(reason: &str, delay: Option<Duration>) -> Status {
    let mut details =
        ErrorDetails::with_error_info(reason, DOMAIN, [("queue_size".to_owned(), "4".to_owned())]);
    details.set_retry_info(delay);
    Status::with_error_details(Code::ResourceExhausted, "busy", details)
}

fn rpc(result: Result<impl std::fmt::Debug, Error>) -> RpcError {
    match result {
        Err(Error::Rpc(error)) => *error,
        other => panic!("expected a status, not {other:?}"),
    }
}

#[tokio::test]
async fn what_does_not_add_up_is_an_incomplete_stream() {
    let half = v1::EmbeddingResult {
        embeddings: Some(v1::EmbeddingPair {
            positive: Some(v1::Embedding {
                dtype: Dtype::F16.into(),
                data: vec![0; 4].into(),
                shape: vec![2],
                ..Default::default()
            }),
            negative: None,
        }),
        ..Default::default()
    };
    let half = Step::Send(v1::event::Kind::Embedding(half));
    let scripts = [
        (vec![queued(), image(0, b"a")], "without `completed`"),
        (vec![image(0, b"a"), completed(0, 2)], "2 images were sent"),
        (vec![embedding(0, &[1.0]), completed(2, 0)], "2 embeddings"),
        (vec![header(0, 4, 2), chunk(0, 0, b"ab"), completed(0, 1)], "arrived whole"),
        (vec![header(0, 4, 2), chunk(0, 2, b"cd"), chunk(0, 0, b"ab")], "should be 0, not 2"),
        (vec![header(0, 2, 1), chunk(0, 0, b"ab"), chunk(0, 2, b"cd")], "after its last chunk"),
        (vec![header(0, 3, 1), chunk(0, 0, b"ab")], "2 bytes of 3"),
        (vec![header(0, 2, 2), chunk(0, 0, b"ab"), completed(0, 1)], "arrived whole"),
        (vec![chunk(0, 0, b"ab")], "without its header"),
        (vec![header(0, 4, 0)], "0 bytes of 4"),
        (vec![half, completed(1, 0)], "not of DTYPE_F32"),
    ];
    for (script, said) in scripts {
        let server = Running::start([script, vec![completed(0, 0)]]).await;
        let error = server.client().generate(v1::GenerateRequest::default()).await.unwrap_err();
        assert!(
            matches!(&error, Error::IncompleteStream(message) if message.contains(said)),
            "{error:?}: {said}"
        );
        assert_eq!(server.call_count(), 1);
    }
}

#[tokio::test]
async fn what_can_be_tried_again_is_the_same_request() {
    let scripts = [
        vec![Step::Fail(Status::unavailable("draining"))],
        vec![queued(), header(0, 4, 2), chunk(0, 0, b"ab"), Step::Fail(Status::unavailable("gone"))],
        vec![Step::Fail(refusal("QUEUE_FULL", Some(Duration::from_millis(10))))],
        vec![queued(), image(0, b"a"), completed(0, 1)],
    ];
    let server = Running::start(scripts).await;
    let images = server.client().decode(v1::DecodeRequest::default()).await.unwrap();
    assert_eq!(images.results.len(), 1);
    assert_eq!(server.call_count(), 4);
    assert_eq!(server.request::<v1::DecodeRequest>(0), server.request::<v1::DecodeRequest>(3));
}

#[tokio::test]
async fn a_failure_after_a_result_ends_the_call() {
    let script = vec![image(0, b"a"), Step::Fail(Status::internal("no"))];
    let server = Running::start([script, vec![completed(0, 0)]]).await;
    let mut events = server.client().stream(v1::DecodeRequest::default());
    assert!(matches!(events.next().await, Some(Ok(Event::Image(_)))));
    let error = rpc(events.next().await.unwrap());
    assert_eq!((error.code, server.call_count()), (Code::Internal, 1));
    assert_eq!(error.request_id, "initial");
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn what_cannot_be_tried_again_ends_the_call() {
    let soon = Some(Duration::from_millis(10));
    for status in [refusal("QUEUE_FULL", None), refusal("DEADLINE_UNREACHABLE", soon), Status::internal("no")]
    {
        let server = Running::start([vec![Step::Fail(status)], vec![completed(0, 0)]]).await;
        rpc(server.client().decode(v1::DecodeRequest::default()).await);
        assert_eq!(server.call_count(), 1);
    }
}

#[tokio::test]
async fn retries_have_a_limit_and_a_deadline() {
    let unavailable = || vec![Step::Fail(Status::unavailable("no"))];
    let server = Running::start([unavailable(), unavailable(), unavailable()]).await;
    rpc(server.builder().retries(1).build().unwrap().info().await);
    assert_eq!(server.call_count(), 2);

    let later = || vec![Step::Fail(refusal("QUOTA", Some(Duration::from_secs(60))))];
    let server = Running::start([later(), later()]).await;
    let error = rpc(server.builder().timeout(Duration::from_secs(30)).build().unwrap().info().await);
    assert_eq!((error.error_reason(), server.call_count()), (ErrorReason::Quota, 1));
}

#[tokio::test]
async fn an_error_has_all_that_the_server_attached() {
    let mut metadata = MetadataMap::new();
    metadata.insert("x-request-id", "r7".parse().unwrap());
    let mut details =
        ErrorDetails::with_error_info("INVALID_FIELD", DOMAIN, [("violation_count".into(), "1".into())]);
    details.add_bad_request_violation("sampling.step_count", "at most 100");
    let status = Status::with_error_details_and_metadata(Code::InvalidArgument, "no", details, metadata);
    let server = Running::start([vec![queued(), Step::Fail(status)]]).await;
    let error = rpc(server.client().decode(v1::DecodeRequest::default()).await);
    assert_eq!(error.to_string(), "InvalidArgument (INVALID_FIELD): no");
    assert_eq!(error.metadata["violation_count"], "1");
    assert_eq!(error.field_violations[0].field, "sampling.step_count");
    assert_eq!((error.request_id.as_str(), error.retry_delay), ("r7", None));
}

#[tokio::test]
async fn details_that_are_no_base64_leave_code_and_message() {
    let mut headers = http::HeaderMap::new();
    headers.insert("grpc-status-details-bin", "@@@".parse().unwrap());
    let status = || Status::with_metadata(Code::Internal, "no", MetadataMap::from_headers(headers.clone()));
    let server = Running::start([vec![Step::Fail(status())], vec![queued(), Step::Fail(status())]]).await;
    for _ in 0..2 {
        let error = rpc(server.client().decode(v1::DecodeRequest::default()).await);
        assert_eq!((error.code, error.message.as_str(), error.reason.as_str()), (Code::Internal, "no", ""));
    }
}

#[tokio::test]
async fn a_deadline_ends_a_server_that_says_nothing() {
    for script in [vec![Step::Hang], vec![queued(), Step::Hang]] {
        let server = Running::start([script]).await;
        let client = server.builder().timeout(Duration::from_millis(300)).build().unwrap();
        let began = Instant::now();
        let error = rpc(client.decode(v1::DecodeRequest::default()).await);
        assert_eq!(error.code, Code::DeadlineExceeded);
        assert!(began.elapsed() >= Duration::from_millis(290));
        server.fake.dropped.notified().await;
    }
}

#[tokio::test]
async fn a_call_to_nobody_is_unavailable_with_its_cause() {
    let server = Running::start([]).await;
    let client = server.builder().retries(0).build().unwrap();
    server.task.abort();
    while tokio::net::TcpStream::connect(server.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let error = rpc(client.info().await);
    assert_eq!((error.code, error.tls), (Code::Unavailable, false));
    assert!(error.message.contains("onnection refused"), "{error}");
}

#[tokio::test]
async fn a_connection_that_breaks_is_unavailable() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let mut first = [0; 100];
            connection.readable().await.unwrap();
            let _ = connection.try_read(&mut first);
        }
    });
    let client = kandinsky_client::Client::builder(address.to_string()).retries(1).build().unwrap();
    assert_eq!(rpc(client.info().await).code, Code::Unavailable);
}
