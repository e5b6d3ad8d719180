//! The client that a case wants.

use std::fs;
use std::time::Duration;

use kandinsky_client::{Client, Error, Tls};
use serde_json::Value;

use crate::Failure;

pub fn client(case: &Value) -> Result<Client, Failure> {
    let mut builder = Client::builder(case["target"].as_str().unwrap_or_default());
    if case["tls"].is_object() {
        builder = builder.tls(tls(&case["tls"])?);
    }
    if let Some(token) = case["token"].as_str() {
        builder = builder.token(token);
    }
    for (key, value) in case["metadata"].as_object().into_iter().flatten() {
        builder = builder.metadata(key, value.as_str().ok_or("metadata must be text")?);
    }
    if let Some(timeout) = timeout(&case["timeout_seconds"])? {
        builder = builder.timeout(timeout);
    }
    if let Some(retries) = case["retries"].as_u64() {
        builder = builder.retries(retries.try_into()?);
    }
    Ok(builder.build()?)
}

fn tls(paths: &Value) -> Result<Tls, Failure> {
    let pem = |name: &str| paths[name].as_str().map(fs::read).transpose();
    let mut tls = Tls::new();
    if let Some(ca) = pem("ca")? {
        tls = tls.ca_certificate(ca);
    }
    Ok(match (pem("certificate")?, pem("key")?) {
        (None, None) => tls,
        (certificate, key) => tls.identity(certificate.unwrap_or_default(), key.unwrap_or_default()),
    })
}

/// A `Duration` cannot be negative or NaN: what makes one of a number says so.
fn timeout(seconds: &Value) -> Result<Option<Duration>, Error> {
    let number = match seconds {
        Value::Null => return Ok(None),
        Value::String(text) => text.parse().unwrap_or(f64::NAN),
        other => other.as_f64().unwrap_or(f64::NAN),
    };
    if number == f64::INFINITY {
        return Ok(Some(Duration::MAX));
    }
    Duration::try_from_secs_f64(number).map(Some).map_err(|error| Error::Argument(error.to_string()))
}
