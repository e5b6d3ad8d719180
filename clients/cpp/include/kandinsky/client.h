/// @file
/// The client.
#pragma once

#include <kandinsky/api.h>
#include <kandinsky/error.h>
#include <kandinsky/event.h>
#include <kandinsky/event_stream.h>
#include <kandinsky/options.h>

#include <memory>
#include <string>

namespace kandinsky {

/// The health of a server, or of one of its services.
enum class Health { unknown, serving, not_serving, service_unknown };

/// Calls a Kandinsky 2.2 server. May be shared by threads. Move-only; a client that was moved from may only be
/// destroyed or assigned to.
///
/// Requests are the contract's messages. What they leave unset gets the server's default, except for the seed, which
/// the client draws, so that a call that is tried again is the same call.
///
/// Every call throws `std::invalid_argument` for options that cannot be, `RpcError` when the call failed, and those
/// that return results `IncompleteStreamError` when the answer does not add up. A call that the server turned away, or
/// that did not reach it, is tried again within its timeout, without the results that were delivered. A
/// request with `options.checkpoint_interval_steps` above 0 goes on from its last checkpoints then.
class Client {
 public:
  /// Connects in the background: a server that is not there is told by the first call.
  /// @param target The server's address, such as "localhost:50051" or "dns:///kandinsky.example:443".
  /// @param options How to speak to it.
  /// @throws std::invalid_argument A target or an option that cannot be.
  explicit Client(const std::string& target, ClientOptions options = {});

  Client(Client&& other) noexcept;
  Client& operator=(Client&& other) noexcept;
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  /// Closes the client.
  ~Client();

  /// Starts a call and returns its events as they happen.
  EventStream stream(v1::PriorRequest request, const CallOptions& options = {});
  EventStream stream(v1::InterpolateRequest request, const CallOptions& options = {});
  EventStream stream(v1::DecodeRequest request, const CallOptions& options = {});
  EventStream stream(v1::Img2ImgRequest request, const CallOptions& options = {});
  EventStream stream(v1::InpaintRequest request, const CallOptions& options = {});
  EventStream stream(v1::ControlNetRequest request, const CallOptions& options = {});
  EventStream stream(v1::GenerateRequest request, const CallOptions& options = {});

  // The same calls, which return when all results are there. They ask for no progress unless the request does.

  /// Turns prompts into embeddings.
  Results prior(v1::PriorRequest request, const CallOptions& options = {});
  /// Mixes texts, images and embeddings by weight.
  Results interpolate(v1::InterpolateRequest request, const CallOptions& options = {});
  /// Turns embeddings into images.
  Results decode(v1::DecodeRequest request, const CallOptions& options = {});
  /// Repaints an image towards embeddings.
  Results img2img(v1::Img2ImgRequest request, const CallOptions& options = {});
  /// Repaints the white part of a mask.
  Results inpaint(v1::InpaintRequest request, const CallOptions& options = {});
  /// Turns embeddings into images that follow a hint.
  Results controlnet(v1::ControlNetRequest request, const CallOptions& options = {});
  /// Turns prompts into images in one call.
  Results generate(v1::GenerateRequest request, const CallOptions& options = {});

  /// Returns the embedding of a picture: `interpolate` with it alone, of weight 1.
  /// @param image The bytes of an image file.
  /// @param options How the call is made.
  v1::EmbeddingResult embed_image(std::string image, const CallOptions& options = {});

  /// Predicts what a request would cost if it came now.
  v1::EstimateResponse estimate(v1::EstimateRequest request, const CallOptions& options = {});

  /// Returns the server's stages, limits, defaults and backends.
  v1::GetServerInfoResponse info(const CallOptions& options = {});

  /// Returns the health of the server, or of one service such as "kandinsky_api.v1.ImageService". There is no second
  /// try, and the timeout is 5 s unless `options` says otherwise.
  /// @throws RpcError NOT_FOUND: no such service. UNAVAILABLE: nobody answered.
  Health health(const std::string& service = {}, const CallOptions& options = {});

  /// Cancels what runs; calls end with code CANCELLED, later ones too. May be called from any thread, and again.
  void close() noexcept;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kandinsky
