//! Calls that are given up.

mod support;

use std::time::Duration;

use kandinsky_client::{Code, Error, Event, v1};
use support::{Running, Step, queued};

#[tokio::test]
async fn dropping_a_stream_cancels_the_call() {
    let server = Running::start([vec![queued(), Step::Hang]]).await;
    let mut events = server.client().stream(v1::DecodeRequest::default());
    assert!(matches!(events.next().await, Some(Ok(Event::Queued(_)))));
    drop(events);
    server.fake.dropped.notified().await;
}

#[tokio::test]
async fn dropping_a_future_cancels_the_call() {
    let server = Running::start([vec![queued(), Step::Hang]]).await;
    let client = server.client();
    let call = client.decode(v1::DecodeRequest::default());
    tokio::time::timeout(Duration::from_millis(300), call).await.unwrap_err();
    server.fake.dropped.notified().await;
}

#[tokio::test]
async fn closing_a_client_cancels_what_its_clones_run() {
    let server = Running::start([vec![queued(), Step::Hang]]).await;
    let client = server.client();
    let mut events = client.clone().stream(v1::DecodeRequest::default());
    assert!(matches!(events.next().await, Some(Ok(Event::Queued(_)))));
    let waiting = tokio::spawn(async move { events.next().await });
    client.close();
    for error in [waiting.await.unwrap().unwrap().unwrap_err(), client.info().await.unwrap_err()] {
        assert!(matches!(&error, Error::Rpc(error) if error.code == Code::Cancelled), "{error:?}");
    }
    server.fake.dropped.notified().await;
    assert_eq!(server.call_count(), 1);
}
