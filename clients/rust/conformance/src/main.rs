//! Carries out the cases of the conformance suite: one JSON object a line from standard input, one report a line to
//! standard output. What the keys mean is told in the repository's `conformance/README.md`.

mod call;
mod connection;
mod report;
mod request;

use std::error::Error;
use std::io;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::report::Report;

type Failure = Box<dyn Error>;

/// The connections live on a thread of their own: this one waits for its input.
#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> Result<(), Failure> {
    for line in io::stdin().lines() {
        println!("{}", carry_out(&serde_json::from_str(&line?)?).await?);
    }
    Ok(())
}

/// Reports one case; fails only where the case itself cannot be read.
async fn carry_out(case: &Value) -> Result<Value, Failure> {
    let mut report = Report::new(&case["case"]);
    if let Err(failure) = with_client(case, &mut report).await {
        report.error(&*failure.downcast::<kandinsky_client::Error>()?);
    }
    Ok(report.into_value())
}

async fn with_client(case: &Value, report: &mut Report) -> Result<(), Failure> {
    let seconds = |key: &str| case[key].as_f64().map(Duration::try_from_secs_f64).transpose();
    let client = connection::client(case)?;
    let began = Instant::now();
    let call = call::call(&client, case, report);
    let ended = match seconds("cancel_after_seconds")? {
        Some(limit) => timeout(limit, call).await.ok(), // at the limit the call is dropped, which cancels it
        None => Some(call.await),
    };
    report.set("elapsed_seconds", json!(began.elapsed().as_secs_f64()));
    if ended.is_none() {
        report.set("cancelled", json!(true));
    }
    if let Some(linger) = seconds("linger_seconds")? {
        sleep(linger).await;
    }
    client.close();
    ended.unwrap_or(Ok(()))
}
