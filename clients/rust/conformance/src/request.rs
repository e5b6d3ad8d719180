//! The request of a case. An `EstimateRequest` has room for each of the seven.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kandinsky_client::EmbeddingFile;
use kandinsky_client::v1::estimate_request::Request;
use kandinsky_client::v1::{self, EmbeddingPair};
use prost::Message;
use prost::bytes::Bytes;
use serde_json::Value;

use crate::Failure;

/// Runs the same code with the request that is there, whatever its type.
macro_rules! with_request {
    ($request:expr, $name:ident => $code:expr) => {{
        use kandinsky_client::v1::estimate_request::Request;
        match $request {
            Request::Prior($name) => $code,
            Request::Interpolate($name) => $code,
            Request::Decode($name) => $code,
            Request::Img2img($name) => $code,
            Request::Inpaint($name) => $code,
            Request::Controlnet($name) => $code,
            Request::Generate($name) => $code,
        }
    }};
}
pub(crate) use with_request;

pub fn bytes(case: &Value, key: &str) -> Result<Bytes, Failure> {
    Ok(STANDARD.decode(case[key].as_str().ok_or(format!("the case has no {key}"))?)?.into())
}

/// The request of a streaming call or of `estimate`, with the pairs of the case's file.
pub fn request(case: &Value) -> Result<Request, Failure> {
    let message = bytes(case, "request")?;
    let mut request = match case["call"].as_str().unwrap_or_default() {
        "prior" => Request::Prior(Message::decode(message)?),
        "interpolate" => Request::Interpolate(Message::decode(message)?),
        "decode" => Request::Decode(Message::decode(message)?),
        "img2img" => Request::Img2img(Message::decode(message)?),
        "inpaint" => Request::Inpaint(Message::decode(message)?),
        "controlnet" => Request::Controlnet(Message::decode(message)?),
        "generate" => Request::Generate(Message::decode(message)?),
        "estimate" => v1::EstimateRequest::decode(message)?.request.ok_or("an estimate of nothing")?,
        other => return Err(format!("no such call: {other}").into()),
    };
    if let (Some(pairs), Some(path)) = (embeddings(&mut request), case["embeddings_file"].as_str()) {
        pairs.extend(EmbeddingFile::load(path)?.pairs);
    }
    Ok(request)
}

fn embeddings(request: &mut Request) -> Option<&mut Vec<EmbeddingPair>> {
    match request {
        Request::Decode(request) => Some(&mut request.embeddings),
        Request::Img2img(request) => Some(&mut request.embeddings),
        Request::Inpaint(request) => Some(&mut request.embeddings),
        Request::Controlnet(request) => Some(&mut request.embeddings),
        Request::Prior(_) | Request::Interpolate(_) | Request::Generate(_) => None,
    }
}
