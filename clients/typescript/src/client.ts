import {
  create,
  type DescMessage,
  type DescMethodServerStreaming,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createAsyncIterable } from "@connectrpc/connect/protocol";

import { IncompleteStreamError } from "./errors.js";
import { EventStream } from "./eventStream.js";
import type { Event } from "./events.js";
import { ask, events } from "./exchange.js";
import { Health as HealthService } from "./gen/health/v1/health_pb.js";
import type { Event as EventMessage } from "./gen/kandinsky_api/v1/events_pb.js";
import { InterpolateRequestSchema } from "./gen/kandinsky_api/v1/prior_pb.js";
import { type EstimateResponse, type GetServerInfoResponse, ServerService } from "./gen/kandinsky_api/v1/server_pb.js";
import { type Health, healthOf } from "./health.js";
import { CallDefaults, type CallOptions, type ClientOptions, type Connection } from "./options.js";
import {
  type ControlNetInput,
  type DecodeInput,
  type EstimateInput,
  type GenerateInput,
  type Img2ImgInput,
  type InpaintInput,
  type Input,
  type InterpolateInput,
  type PriorInput,
  prepare,
  prepareEstimate,
  type RequestDefaults,
  STREAMS,
  type StreamName,
} from "./requests.js";
import { embeddingSet, imageSet } from "./resultSets.js";
import type { EmbeddingResult, EmbeddingSet, ImageSet } from "./results.js";
import { Retry } from "./retry.js";
import { RunningCalls } from "./runningCalls.js";

/** The seven calls as streams of events. */
export type Streams = {
  readonly [Name in StreamName]: (
    request: Input<(typeof STREAMS)[Name]["input"]>,
    options?: CallOptions,
  ) => EventStream;
};

type Message<Name extends StreamName> = MessageShape<(typeof STREAMS)[Name]["input"]>;

const HEALTH_TIMEOUT_MS = 5000;

/**
 * Calls a Kandinsky 2.2 server. Make one with `connect` of `@kandinsky-grpc/client/node` or `/web`, share it, and `close`
 * it.
 *
 * A request is a generated message, or a plain object of its fields; fields that are left out get the server's defaults.
 * Every call can reject with an {@link RpcError}, and the streaming ones with an {@link IncompleteStreamError}; a value
 * that cannot be sent is a `TypeError` or `RangeError`; a call whose `signal` is aborted rejects with the signal's reason.
 *
 * A call that loses its server goes on elsewhere without the results that were delivered, and with
 * `options.checkpointIntervalSteps` also from its last checkpoints.
 */
export class Kandinsky {
  /** The same calls as they happen: `for await (const { kind, value } of client.stream.decode(request))`. */
  readonly stream: Streams;
  readonly #connection: Connection;
  readonly #defaults: CallDefaults;
  readonly #calls = new RunningCalls();

  /**
   * @param connection - The way to the server.
   * @param options - See {@link ClientOptions}.
   * @throws RangeError or TypeError, for an option that cannot be.
   */
  constructor(connection: Connection, options: ClientOptions = {}) {
    this.#connection = connection;
    this.#defaults = new CallDefaults(options);
    const names = Object.keys(STREAMS) as StreamName[];
    const streams = names.map((name) => [
      name,
      (request: never, options: CallOptions = {}): EventStream => this.#stream(name, request, options),
    ]);
    this.stream = Object.freeze(Object.fromEntries(streams)) as Streams;
  }

  /** Turns prompts into embeddings. */
  async prior(request: PriorInput, options: CallOptions = {}): Promise<EmbeddingSet> {
    return embeddingSet(await this.#gather("prior", request, options));
  }

  /** Mixes texts, images and embeddings by weight; several weight vectors make a path. */
  async interpolate(request: InterpolateInput, options: CallOptions = {}): Promise<EmbeddingSet> {
    return embeddingSet(await this.#gather("interpolate", request, options));
  }

  /** Turns embeddings into images. */
  async decode(request: DecodeInput, options: CallOptions = {}): Promise<ImageSet> {
    return imageSet(await this.#gather("decode", request, options));
  }

  /** Repaints an image towards embeddings. */
  async img2img(request: Img2ImgInput, options: CallOptions = {}): Promise<ImageSet> {
    return imageSet(await this.#gather("img2img", request, options));
  }

  /** Repaints the white part of a mask; `completed.warnings` tells of one that repaints nothing, or everything. */
  async inpaint(request: InpaintInput, options: CallOptions = {}): Promise<ImageSet> {
    return imageSet(await this.#gather("inpaint", request, options));
  }

  /** Turns embeddings into images that follow a depth hint. */
  async controlnet(request: ControlNetInput, options: CallOptions = {}): Promise<ImageSet> {
    return imageSet(await this.#gather("controlnet", request, options));
  }

  /** Turns prompts into images in one call: `prior`, then `decode`, `img2img` or `inpaint`. */
  async generate(request: GenerateInput, options: CallOptions = {}): Promise<ImageSet> {
    return imageSet(await this.#gather("generate", request, options));
  }

  /**
   * Turns a picture into an embedding: `interpolate` with one condition of weight 1.
   *
   * @param image - The bytes of an encoded picture, such as a PNG or JPEG file's.
   * @param options - See {@link CallOptions}.
   */
  async embedImage(image: Uint8Array, options: CallOptions = {}): Promise<EmbeddingResult> {
    const request = create(InterpolateRequestSchema, {
      conditions: [{ kind: { case: "image", value: { data: image } } }],
      weights: [{ values: [1] }],
    });
    const { embeddings } = await this.interpolate(request, options);
    const [embedding] = embeddings;
    if (!embedding) throw new IncompleteStreamError("no embedding came for the picture");
    return embedding;
  }

  /**
   * Predicts when a request would start and finish if it came now.
   *
   * @param question - Such as `{ request: { case: "decode", value: { embeddings } } }`.
   * @param options - See {@link CallOptions}.
   */
  async estimate(question: EstimateInput, options: CallOptions = {}): Promise<EstimateResponse> {
    const request = prepareEstimate(question, { priority: this.#defaults.priority });
    const server = createClient(ServerService, this.#connection.transport);
    return this.#ask(options, this.#defaults.retry(options), (call) => server.estimate(request, call));
  }

  /** Returns the server's stages, limits, defaults and backends. */
  async info(options: CallOptions = {}): Promise<GetServerInfoResponse> {
    const server = createClient(ServerService, this.#connection.transport);
    return this.#ask(options, this.#defaults.retry(options), (call) => server.getServerInfo({}, call));
  }

  /**
   * Returns the health of the server, or of one service such as "kandinsky_api.v1.ImageService". There is no second try,
   * and 5 seconds unless `options.timeoutMs` says otherwise.
   *
   * @throws RpcError `NotFound`: no such service.
   */
  async health(service = "", options: CallOptions = {}): Promise<Health> {
    const health = createClient(HealthService, this.#connection.transport);
    const retry = new Retry(options.timeoutMs ?? HEALTH_TIMEOUT_MS, 0);
    return healthOf((await this.#ask(options, retry, (call) => health.check({ service }, call))).status);
  }

  /** Cancels what still runs and closes the connection. May be called again. */
  close(): void {
    this.#calls.close();
    this.#connection.close?.();
  }

  async #ask<T>(
    options: CallOptions,
    retry: Retry,
    send: (call: { signal: AbortSignal; headers: Headers; timeoutMs?: number }) => Promise<T>,
  ): Promise<T> {
    const headers = this.#defaults.metadata(options);
    return ask(this.#calls.begin(options.signal), retry, (signal, timeoutMs) =>
      send({ signal, headers, ...(timeoutMs !== undefined && { timeoutMs }) }),
    );
  }

  async #gather<Name extends StreamName>(
    name: Name,
    request: Input<(typeof STREAMS)[Name]["input"]>,
    options: CallOptions,
  ): Promise<Event[]> {
    const gathered: Event[] = [];
    for await (const event of this.#stream(name, request, options, { progressIntervalSteps: 0 })) gathered.push(event);
    return gathered;
  }

  #stream<Name extends StreamName>(
    name: Name,
    request: Input<(typeof STREAMS)[Name]["input"]>,
    options: CallOptions,
    defaults: RequestDefaults = {},
  ): EventStream {
    this.#defaults.check(options);
    const message = prepare(name, request, { priority: this.#defaults.priority, ...defaults });
    return new EventStream(() => {
      const headers = this.#defaults.metadata(options);
      const call = this.#calls.begin(options.signal);
      const send = (signal: AbortSignal, timeoutMs: number | undefined): AsyncIterable<Response> =>
        this.#send(name, message, signal, timeoutMs, headers);
      return { events: events(call, this.#defaults.retry(options), message.options, send), end: call.end };
    });
  }

  async *#send<Name extends StreamName>(
    name: Name,
    message: Message<Name>,
    signal: AbortSignal,
    timeoutMs: number | undefined,
    headers: Headers,
  ): AsyncGenerator<Response> {
    const method: DescMethodServerStreaming = STREAMS[name];
    const requests = createAsyncIterable<MessageInitShape<DescMessage>>([message]);
    const response = await this.#connection.transport.stream(method, signal, timeoutMs, headers, requests);
    yield* response.message as AsyncIterable<Response>;
  }
}

/** What every streaming RPC answers. */
interface Response {
  readonly event?: EventMessage | undefined;
}
