import { create, type DescMessage, type MessageInitShape, type MessageShape, toBinary } from "@bufbuild/protobuf";
import type { GenMessage } from "@bufbuild/protobuf/codegenv2";

import {
  type ControlNetRequestSchema,
  type DecodeRequestSchema,
  type GenerateRequestSchema,
  ImageService,
  type Img2ImgRequestSchema,
  type InpaintRequestSchema,
} from "./gen/kandinsky_api/v1/image_pb.js";
import {
  type InterpolateRequestSchema,
  type PriorRequestSchema,
  PriorService,
} from "./gen/kandinsky_api/v1/prior_pb.js";
import { type EstimateRequest, EstimateRequestSchema } from "./gen/kandinsky_api/v1/server_pb.js";
import {
  type Priority,
  PriorSamplingSchema,
  type RequestOptions,
  RequestOptionsSchema,
} from "./gen/kandinsky_api/v1/types_pb.js";

/** A generated message, or a plain object of its fields; int64 as bigint, or as a number up to 2^53 - 1. */
export type Input<Desc extends DescMessage> = NumbersToo<MessageInitShape<Desc>>;

type NumbersToo<T> = T extends bigint
  ? bigint | number
  : T extends string | number | boolean | Uint8Array | undefined
    ? T
    : { [Key in keyof T]: NumbersToo<T[Key]> };

/** Asks for a Prior: prompts to embeddings. */
export type PriorInput = Input<typeof PriorRequestSchema>;
/** Asks for a Interpolate: conditions and weights to embeddings. */
export type InterpolateInput = Input<typeof InterpolateRequestSchema>;
/** Asks for a Decode: embeddings to images. */
export type DecodeInput = Input<typeof DecodeRequestSchema>;
/** Asks for a Img2Img: embeddings and an image to images. */
export type Img2ImgInput = Input<typeof Img2ImgRequestSchema>;
/** Asks for a Inpaint: embeddings, an image and a mask to images. */
export type InpaintInput = Input<typeof InpaintRequestSchema>;
/** Asks for a ControlNet: embeddings and a hint to images. */
export type ControlNetInput = Input<typeof ControlNetRequestSchema>;
/** Asks for a Generate: prompts to images. */
export type GenerateInput = Input<typeof GenerateRequestSchema>;
/** Asks what one of these would cost. */
export type EstimateInput = Input<typeof EstimateRequestSchema>;

/** The streaming RPCs, by the names that this client and `EstimateRequest` give them. */
export const STREAMS = {
  prior: PriorService.method.prior,
  interpolate: PriorService.method.interpolate,
  decode: ImageService.method.decode,
  img2img: ImageService.method.img2Img,
  inpaint: ImageService.method.inpaint,
  controlnet: ImageService.method.controlNet,
  generate: ImageService.method.generate,
} as const;

/** The name of a streaming call. */
export type StreamName = keyof typeof STREAMS;

/** What a call's request gets where its caller left it unset. */
export interface RequestDefaults {
  readonly priority?: Priority | undefined;
  readonly progressIntervalSteps?: number | undefined;
}

/** A request as it is sent. */
export type Prepared<Name extends StreamName> = MessageShape<(typeof STREAMS)[Name]["input"]> & {
  readonly options: RequestOptions;
};

interface Fillable {
  readonly sampling?: { readonly seed?: bigint | number | undefined } | undefined;
  readonly priorSampling?: { readonly seed?: bigint | number | undefined } | undefined;
  readonly options?: Partial<RequestDefaults> | undefined;
}

/**
 * Makes the message that is sent: `input`, which stays as it is, with a seed and the client's defaults where it sets
 * none. The seed is drawn here and not by the server, so that a call that is tried again is the same call.
 *
 * @throws TypeError or RangeError, when a field holds what its type cannot, such as 1.5 where an int32 is expected.
 */
export function prepare<Name extends StreamName>(
  name: Name,
  input: Input<(typeof STREAMS)[Name]["input"]>,
  defaults: RequestDefaults,
): Prepared<Name> {
  const desc: DescMessage = STREAMS[name].input;
  const { sampling, priorSampling, options }: Fillable = input;
  const filled = {
    ...input,
    sampling: create(messageOf(desc, "sampling"), {
      ...sampling,
      seed: asInt64("sampling.seed", sampling?.seed) ?? drawnSeed(),
    }),
    options: create(RequestOptionsSchema, withDefaults(options ?? {}, defaults)),
    ...(priorSampling && {
      priorSampling: create(
        PriorSamplingSchema,
        withSeed(priorSampling, asInt64("priorSampling.seed", priorSampling.seed)),
      ),
    }),
  };
  const message = create(desc as GenMessage<Prepared<Name>>, filled as never);
  checkFields(desc, message);
  return message;
}

/** As {@link prepare}, for the request within a question of what it would cost. */
export function prepareEstimate(input: EstimateInput, defaults: RequestDefaults): EstimateRequest {
  const { request } = input;
  if (!request?.case) return create(EstimateRequestSchema);
  const value = prepare(request.case, request.value as never, defaults);
  return create(EstimateRequestSchema, { request: { case: request.case, value } as EstimateRequest["request"] });
}

/** The transport checks fields too, but reports them as a status INTERNAL, as if the server had answered. */
function checkFields(desc: DescMessage, message: MessageShape<DescMessage>): void {
  try {
    toBinary(desc, message);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new TypeError(`the request cannot be sent: ${why}`, { cause: error });
  }
}

function messageOf(desc: DescMessage, fieldName: string): DescMessage {
  const message = desc.field[fieldName]?.message;
  if (!message) throw new TypeError(`${desc.typeName} has no message field ${fieldName}`);
  return message;
}

function withSeed<T extends object>(sampling: T, seed: bigint | undefined): T & { seed?: bigint } {
  return seed === undefined ? sampling : { ...sampling, seed };
}

function withDefaults(options: Partial<RequestDefaults>, defaults: RequestDefaults): object {
  const { priority, progressIntervalSteps } = defaults;
  return {
    ...options,
    ...(!options.priority && priority !== undefined && { priority }),
    ...(options.progressIntervalSteps === undefined &&
      progressIntervalSteps !== undefined && { progressIntervalSteps }),
  };
}

/** From 0 to 2^32 - 1. */
function drawnSeed(): bigint {
  return BigInt(crypto.getRandomValues(new Uint32Array(1))[0] ?? 0);
}

function asInt64(field: string, value: bigint | number | undefined): bigint | undefined {
  if (value === undefined || typeof value === "bigint") return value;
  if (!Number.isSafeInteger(value)) {
    throw new RangeError(`${field} must be an integer up to 2^53 - 1, or a bigint; not ${String(value)}`);
  }
  return BigInt(value);
}
