//! Which request goes to which RPC, and what comes back.

use bytes::Bytes;
use tonic::{Response, Status, Streaming};

use crate::transport::Transport;
use crate::v1::condition::Kind;
use crate::v1::estimate_request::Request as Estimated;
use crate::v1::image_service_client::ImageServiceClient;
use crate::v1::prior_service_client::PriorServiceClient;
use crate::v1::{self, RequestOptions};

/// An answer's messages stay below 2 MiB by contract; the room above is for servers with other limits, and still bounds
/// what a stray server can make this process hold.
pub(crate) const MAX_RECEIVE_BYTES: usize = 64 << 20;

/// The request of a call that answers with a stream of events: the contract's seven.
pub trait StreamingRequest: Rpc {}

/// How a request is filled in and sent; out of reach, so that no other crate has requests of its own.
pub trait Rpc: Clone + Send + Sync + 'static {
    type Response: HasEvent;

    fn seed(&mut self) -> &mut Option<i64>;
    fn options(&mut self) -> &mut RequestOptions;
    fn estimated(self) -> Estimated;
    fn send(
        request: tonic::Request<Self>,
        transport: Transport,
    ) -> impl Future<Output = Result<Response<Streaming<Self::Response>>, Status>> + Send;
}

pub trait HasEvent: Send + 'static {
    fn event(self) -> Option<v1::Event>;
}

impl v1::InterpolateRequest {
    /// Asks for the embedding of a picture, the bytes of a PNG, JPEG or WebP file: one condition, of weight 1.
    #[must_use]
    pub fn of_image(image: impl Into<Bytes>) -> Self {
        let image = v1::InputImage { data: image.into(), ..Default::default() };
        Self {
            conditions: vec![v1::Condition { kind: Some(Kind::Image(image)) }],
            weights: vec![v1::Weights { values: vec![1.0] }],
            ..Default::default()
        }
    }
}

macro_rules! streaming {
    ($request:ident => $response:ident by $client:ident::$method:ident, estimated as $estimated:ident) => {
        impl StreamingRequest for v1::$request {}

        impl Rpc for v1::$request {
            type Response = v1::$response;

            fn seed(&mut self) -> &mut Option<i64> {
                &mut self.sampling.get_or_insert_default().seed
            }

            fn options(&mut self) -> &mut RequestOptions {
                self.options.get_or_insert_default()
            }

            fn estimated(self) -> Estimated {
                Estimated::$estimated(self)
            }

            async fn send(
                request: tonic::Request<Self>,
                transport: Transport,
            ) -> Result<Response<Streaming<Self::Response>>, Status> {
                $client::new(transport).max_decoding_message_size(MAX_RECEIVE_BYTES).$method(request).await
            }
        }

        impl HasEvent for v1::$response {
            fn event(self) -> Option<v1::Event> {
                self.event
            }
        }
    };
}

streaming!(PriorRequest => PriorResponse by PriorServiceClient::prior, estimated as Prior);
streaming!(InterpolateRequest => InterpolateResponse by PriorServiceClient::interpolate, estimated as Interpolate);
streaming!(DecodeRequest => DecodeResponse by ImageServiceClient::decode, estimated as Decode);
streaming!(Img2ImgRequest => Img2ImgResponse by ImageServiceClient::img2_img, estimated as Img2img);
streaming!(InpaintRequest => InpaintResponse by ImageServiceClient::inpaint, estimated as Inpaint);
streaming!(ControlNetRequest => ControlNetResponse by ImageServiceClient::control_net, estimated as Controlnet);
streaming!(GenerateRequest => GenerateResponse by ImageServiceClient::generate, estimated as Generate);
