//! The client.

use std::time::Duration;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::builder::ClientBuilder;
use crate::call::Call;
use crate::error::Error;
use crate::exchange::Exchange;
use crate::health::Health;
use crate::limits::{Limits, check_timeout};
use crate::metadata;
use crate::request::{MAX_RECEIVE_BYTES, Rpc, StreamingRequest};
use crate::results::{Embeddings, Gathered, Images, gather};
use crate::retry::Retry;
use crate::stream::EventStream;
use crate::transport::Transport;
use crate::v1::server_service_client::ServerServiceClient;
use crate::v1::{self, Priority};

const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);

/// Calls a Kandinsky 2.2 server. Cheap to clone; clones share one connection, and may be used by any task.
///
/// Fields of a request that are left unset get the server's defaults, which [`info`](Self::info) reports. Where
/// `sampling.seed` is unset the client draws one, so that a call that is tried again is the same call. Dropping the future
/// or the stream of a call cancels it; the server then stops within one step.
///
/// Every call returns [`Error::Rpc`] for a status other than OK; those that make results also
/// [`Error::IncompleteStream`].
#[derive(Clone, Debug)]
pub struct Client {
    channel: Channel,
    closed: CancellationToken,
    settings: Settings,
}

/// What every call of a client shares.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) timeout: Option<Duration>,
    pub(crate) retries: u32,
    pub(crate) priority: Priority,
    pub(crate) metadata: MetadataMap,
}

impl Client {
    /// Starts to describe a client of the server at an address such as "localhost:50051".
    pub fn builder(target: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(target.into())
    }

    pub(crate) fn new(channel: Channel, settings: Settings) -> Self {
        Self { channel, closed: CancellationToken::new(), settings }
    }

    /// Returns this client with another timeout for each call, above 0; `Duration::MAX` is no limit.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`]: it is 0.
    pub fn with_timeout(&self, timeout: Duration) -> Result<Self, Error> {
        let mut client = self.clone();
        client.settings.timeout = Some(check_timeout(timeout)?);
        Ok(client)
    }

    /// Returns this client with one more pair of gRPC metadata for each call, such as `traceparent`.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`]: a key or value that HTTP/2 cannot carry.
    pub fn with_metadata(&self, key: &str, value: &str) -> Result<Self, Error> {
        let mut client = self.clone();
        metadata::append(&mut client.settings.metadata, key, value)?;
        Ok(client)
    }

    /// The events of a call as they happen; `request` says which call it is. The timeout counts from here.
    pub fn stream<R: StreamingRequest>(&self, mut request: R) -> EventStream {
        self.fill(&mut request);
        EventStream::new(Exchange::new(self.call(), request))
    }

    /// Turns prompts into embeddings.
    ///
    /// # Errors
    ///
    /// See [`Client`].
    pub async fn prior(&self, request: v1::PriorRequest) -> Result<Embeddings, Error> {
        self.embeddings(request).await
    }

    /// Mixes texts, images and embeddings by weight.
    ///
    /// # Errors
    ///
    /// See [`Client`].
    pub async fn interpolate(&self, request: v1::InterpolateRequest) -> Result<Embeddings, Error> {
        self.embeddings(request).await
    }

    /// Turns a picture, the bytes of a PNG, JPEG or WebP file, into its embedding.
    ///
    /// # Errors
    ///
    /// See [`Client`].
    pub async fn embed_image(&self, image: impl Into<Bytes>) -> Result<Embeddings, Error> {
        self.interpolate(v1::InterpolateRequest::of_image(image)).await
    }

    /// Turns embeddings into images.
    ///
    /// # Errors
    ///
    /// See [`Client`].
    pub async fn decode(&self, request: v1::DecodeRequest) -> Result<Images, Error> {
        self.images(request).await
    }

    /// Repaints an image towards embeddings.
    ///
    /// # Errors
    ///
    /// See [`Client`].
    pub async fn img2img(&self, request: v1::Img2ImgRequest) -> Result<Images, Error> {
        self.images(request).await
    }

    /// Repaints the white part of a mask.
    ///
    /// # Errors
    ///
    /// See [`Client`].
    pub async fn inpaint(&self, request: v1::InpaintRequest) -> Result<Images, Error> {
        self.images(request).await
    }

    /// Turns embeddings into images that follow a depth hint.
    ///
    /// # Errors
    ///
    /// See [`Client`].
    pub async fn controlnet(&self, request: v1::ControlNetRequest) -> Result<Images, Error> {
        self.images(request).await
    }

    /// Turns prompts into images in one call: `prior`, then `decode`, `img2img` or `inpaint`.
    ///
    /// # Errors
    ///
    /// See [`Client`].
    pub async fn generate(&self, request: v1::GenerateRequest) -> Result<Images, Error> {
        self.images(request).await
    }

    /// What a call would cost if it came now.
    ///
    /// # Errors
    ///
    /// See [`Client`].
    pub async fn estimate(&self, mut request: impl StreamingRequest) -> Result<v1::EstimateResponse, Error> {
        self.fill(&mut request);
        let request = v1::EstimateRequest { request: Some(request.estimated()) };
        self.call()
            .ask(request, |request, transport| async { server(transport).estimate(request).await })
            .await
    }

    /// The server's stages, limits, defaults and backends.
    ///
    /// # Errors
    ///
    /// See [`Client`].
    pub async fn info(&self) -> Result<v1::GetServerInfoResponse, Error> {
        let request = v1::GetServerInfoRequest {};
        self.call()
            .ask(request, |request, transport| async { server(transport).get_server_info(request).await })
            .await
    }

    /// The health of a service such as "`kandinsky_api.v1.ImageService`"; "" is the whole server. Asked once, for 5 seconds
    /// or the client's timeout, whichever is shorter.
    ///
    /// # Errors
    ///
    /// [`Error::Rpc`]: nobody answered, or `NOT_FOUND`, where there is no such service.
    pub async fn health(&self, service: &str) -> Result<Health, Error> {
        let mut client = self.clone();
        client.settings.timeout = Some(self.settings.timeout.unwrap_or(HEALTH_TIMEOUT).min(HEALTH_TIMEOUT));
        client.settings.retries = 0;
        let request = HealthCheckRequest { service: service.to_owned() };
        let send = |request, transport| async { HealthClient::new(transport).check(request).await };
        client.call().ask(request, send).await.map(Health::from)
    }

    /// Cancels what still runs, of all clones: it ends with the code `CANCELLED`, and so does every later call.
    pub fn close(&self) {
        self.closed.cancel();
    }

    fn call(&self) -> Call {
        let limits = Limits::new(self.settings.timeout, self.closed.clone());
        Call {
            transport: Transport(self.channel.clone()),
            metadata: self.settings.metadata.clone(),
            retry: Retry::new(limits.deadline, self.settings.retries),
            limits,
        }
    }

    /// Sets what the caller left unset: the seed, and the client's priority.
    fn fill(&self, request: &mut impl Rpc) {
        request.seed().get_or_insert_with(|| i64::from(fastrand::u32(..)));
        let priority = &mut request.options().priority;
        if *priority == Priority::Unspecified as i32 {
            *priority = self.settings.priority.into();
        }
    }

    async fn embeddings(&self, request: impl StreamingRequest) -> Result<Embeddings, Error> {
        self.gather(request)
            .await
            .map(|(embeddings, _, completed)| Embeddings { results: embeddings, completed })
    }

    async fn images(&self, request: impl StreamingRequest) -> Result<Images, Error> {
        self.gather(request).await.map(|(embeddings, results, completed)| Images {
            results,
            embeddings,
            completed,
        })
    }

    /// Without progress, which nobody would see, unless the caller wants the server to send it.
    async fn gather(&self, mut request: impl StreamingRequest) -> Result<Gathered, Error> {
        request.options().progress_interval_steps.get_or_insert(0);
        gather(self.stream(request)).await
    }
}

fn server(transport: Transport) -> ServerServiceClient<Transport> {
    ServerServiceClient::new(transport).max_decoding_message_size(MAX_RECEIVE_BYTES)
}
