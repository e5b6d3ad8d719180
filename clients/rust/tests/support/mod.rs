//! A real server in this process that speaks the contract and answers as a test's script says.
#![allow(dead_code, missing_docs)] // each test file uses a part of it

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use kandinsky_client::v1::event::Kind;
use kandinsky_client::v1::{self, Completed, Event, ImageChunk, ImageResult, Queued};
use kandinsky_client::{Client, ClientBuilder};
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt};
use tonic::metadata::MetadataMap;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

#[allow(clippy::all, clippy::pedantic)]
#[rustfmt::skip]
mod generated {
    include!("../generated/kandinsky_api.v1.rs");
}
use generated::image_service_server::{ImageService, ImageServiceServer};
use generated::prior_service_server::{PriorService, PriorServiceServer};
use generated::server_service_server::{ServerService, ServerServiceServer};

/// What the server does in answer to one call, step by step; after the last step the stream ends with OK.
#[derive(Clone)]
#[allow(clippy::large_enum_variant)] // the large one is what scripts are made of
pub enum Step {
    Send(Kind),
    /// An event of a kind that this contract does not have.
    SendUnknown,
    Fail(Status),
    /// Says nothing more, for ever.
    Hang,
}

#[derive(Default)]
pub struct Fake {
    scripts: Mutex<VecDeque<Vec<Step>>>,
    /// The metadata and the serialized request of each call that came.
    calls: Mutex<Vec<(MetadataMap, Vec<u8>)>>,
    /// Told whenever the server's end of a call is gone.
    pub dropped: Notify,
}

pub struct Running {
    pub fake: Arc<Fake>,
    pub address: SocketAddr,
    pub task: JoinHandle<()>,
}

impl Running {
    /// Starts a server that answers the first call by the first script, and so on.
    pub async fn start<const N: usize>(scripts: [Vec<Step>; N]) -> Self {
        Self::start_with(Server::builder(), scripts).await
    }

    pub async fn start_with<const N: usize>(mut server: Server, scripts: [Vec<Step>; N]) -> Self {
        let fake = Arc::new(Fake { scripts: Mutex::new(scripts.into()), ..Fake::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = server
            .add_service(ImageServiceServer::new(Service(fake.clone())))
            .add_service(PriorServiceServer::new(Service(fake.clone())))
            .add_service(ServerServiceServer::new(Service(fake.clone())));
        let task = tokio::spawn(async move {
            router.serve_with_incoming(TcpListenerStream::new(listener)).await.unwrap();
        });
        Self { fake, address, task }
    }

    pub fn builder(&self) -> ClientBuilder {
        Client::builder(format!("localhost:{}", self.address.port()))
    }

    pub fn client(&self) -> Client {
        self.builder().build().unwrap()
    }

    pub fn call_count(&self) -> usize {
        self.fake.calls.lock().unwrap().len()
    }

    pub fn metadata(&self, call: usize) -> MetadataMap {
        self.fake.calls.lock().unwrap()[call].0.clone()
    }

    pub fn request<M: Message + Default>(&self, call: usize) -> M {
        M::decode(&*self.fake.calls.lock().unwrap()[call].1).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub fn queued() -> Step {
    Step::Send(Kind::Queued(Queued { position: 3, ..Queued::default() }))
}

pub fn image(index: i32, data: &'static [u8]) -> Step {
    let size_bytes = data.len().try_into().unwrap();
    Step::Send(Kind::Image(ImageResult { index, size_bytes, data: data.into(), ..ImageResult::default() }))
}

pub fn header(index: i32, size_bytes: i64, chunk_count: i32) -> Step {
    Step::Send(Kind::Image(ImageResult { index, size_bytes, chunk_count, ..ImageResult::default() }))
}

pub fn chunk(index: i32, offset_bytes: i64, data: &'static [u8]) -> Step {
    Step::Send(Kind::Chunk(ImageChunk { index, offset_bytes, data: data.into() }))
}

pub fn embedding(index: i32, values: &[f32]) -> Step {
    let pair = v1::EmbeddingPair { positive: Some(v1::Embedding::from_f32(values)), negative: None };
    Step::Send(Kind::Embedding(v1::EmbeddingResult {
        index,
        embeddings: Some(pair),
        ..v1::EmbeddingResult::default()
    }))
}

pub fn checkpoint(stage: &str, index: i32, step: i32) -> Step {
    let latents = vec![u8::try_from(step).unwrap()].into();
    let stage = stage.to_owned();
    Step::Send(Kind::Checkpoint(v1::Checkpoint { stage, index, step, latents, ..v1::Checkpoint::default() }))
}

pub fn completed(embedding_count: i32, image_count: i32) -> Step {
    Step::Send(Kind::Completed(Completed { embedding_count, image_count, ..Completed::default() }))
}

/// A stream of answers that tells when it was dropped: when its call has ended.
pub struct Answers<R> {
    steps: Pin<Box<dyn Stream<Item = Result<R, Status>> + Send>>,
    fake: Arc<Fake>,
}

impl<R> Stream for Answers<R> {
    type Item = Result<R, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.steps.as_mut().poll_next(context)
    }
}

impl<R> Drop for Answers<R> {
    fn drop(&mut self) {
        self.fake.dropped.notify_one();
    }
}

#[derive(Clone)]
struct Service(Arc<Fake>);

impl Service {
    fn note(&self, request: Request<impl Message>) {
        let (metadata, _, message) = request.into_parts();
        self.0.calls.lock().unwrap().push((metadata, message.encode_to_vec()));
    }

    fn answer<R: 'static>(&self, response: fn(Option<Event>) -> R) -> Result<Response<Answers<R>>, Status> {
        let script =
            self.0.scripts.lock().unwrap().pop_front().ok_or(Status::internal("no script is left"))?;
        if let [Step::Fail(status)] = &script[..] {
            return Err(status.clone()); // trailers alone
        }
        let steps = tokio_stream::iter(script).then(move |step| async move {
            match step {
                Step::Send(kind) => Ok(response(Some(Event { kind: Some(kind) }))),
                Step::SendUnknown => Ok(response(Some(Event { kind: None }))),
                Step::Fail(status) => Err(status),
                Step::Hang => std::future::pending().await,
            }
        });
        let mut response = Response::new(Answers { steps: Box::pin(steps), fake: self.0.clone() });
        response.metadata_mut().insert("x-request-id", "initial".parse().unwrap());
        Ok(response)
    }
}

macro_rules! service {
    ($service:ident: $($method:ident $stream:ident $request:ident $response:ident,)*) => {
        #[tonic::async_trait]
        impl $service for Service {
            $(
                type $stream = Answers<v1::$response>;

                async fn $method(&self, request: Request<v1::$request>) -> Result<Response<Self::$stream>, Status> {
                    self.note(request);
                    self.answer(|event| v1::$response { event })
                }
            )*
        }
    };
}

service!(PriorService:
    prior PriorStream PriorRequest PriorResponse,
    interpolate InterpolateStream InterpolateRequest InterpolateResponse,
);
service!(ImageService:
    decode DecodeStream DecodeRequest DecodeResponse,
    img2_img Img2ImgStream Img2ImgRequest Img2ImgResponse,
    inpaint InpaintStream InpaintRequest InpaintResponse,
    control_net ControlNetStream ControlNetRequest ControlNetResponse,
    generate GenerateStream GenerateRequest GenerateResponse,
);

#[tonic::async_trait]
impl ServerService for Service {
    async fn get_server_info(
        &self,
        request: Request<v1::GetServerInfoRequest>,
    ) -> Result<Response<v1::GetServerInfoResponse>, Status> {
        self.note(request);
        match self.0.scripts.lock().unwrap().pop_front().as_deref() {
            Some([Step::Fail(status)]) => Err(status.clone()),
            _ => Ok(Response::new(v1::GetServerInfoResponse { model: "toy".into(), ..Default::default() })),
        }
    }

    async fn estimate(
        &self,
        request: Request<v1::EstimateRequest>,
    ) -> Result<Response<v1::EstimateResponse>, Status> {
        self.note(request);
        Ok(Response::new(v1::EstimateResponse { step_count: 35, ..Default::default() }))
    }
}
