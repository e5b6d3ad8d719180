import { create } from "@bufbuild/protobuf";

import { embeddingValues } from "./embeddings.js";
import { IncompleteStreamError } from "./errors.js";
import type {
  Completed,
  EmbeddingResult as EmbeddingMessage,
  TruncatedText,
} from "./gen/kandinsky_api/v1/events_pb.js";
import {
  type EmbeddingPair,
  EmbeddingPairSchema,
  type ImageFormat,
  type Receipt,
  ReceiptSchema,
} from "./gen/kandinsky_api/v1/types_pb.js";

/** An embedding pair, and what made it: what a file keeps. An {@link EmbeddingResult} is one. */
export interface StoredEmbedding {
  /** The pair, as requests take it. */
  readonly pair: EmbeddingPair;
  /** What made it; undefined when that is unknown. */
  readonly receipt?: Receipt | undefined;
}

/** A finished embedding pair. */
export interface EmbeddingResult extends StoredEmbedding {
  /** Its place among the results, from 0. */
  readonly index: number;
  /** The index of the prompt, or of the weight vector, it was made for. */
  readonly sourceIndex: number;
  /** What the picture should be: `width` numbers, 1280 for Kandinsky 2.2. */
  readonly positive: Float32Array<ArrayBuffer>;
  /** What the picture is guided away from. */
  readonly negative: Float32Array<ArrayBuffer> | undefined;
  /** The fingerprint of the prior that made it. */
  readonly fingerprint: string;
  /** What made it. */
  readonly receipt: Receipt;
  /** What was cut off the prompts. */
  readonly truncatedTexts: readonly TruncatedText[];
  /** Whether it came from the server's prior cache. */
  readonly cached: boolean;
}

/** A finished image. */
export interface ImageResult {
  /** Its place among the results, from 0. */
  readonly index: number;
  /** The index of the embedding pair it was made from. */
  readonly sourceIndex: number;
  /** How `data` is encoded. */
  readonly format: ImageFormat;
  /** Width in pixels. */
  readonly widthPx: number;
  /** Height in pixels. */
  readonly heightPx: number;
  /** The bytes as the server sent them. */
  readonly data: Uint8Array<ArrayBuffer>;
  /** What made it; its `seed` is that of this very image. */
  readonly receipt: Receipt;
}

/** What `prior` and `interpolate` return. */
export interface EmbeddingSet {
  /** The embeddings, in the request's order. */
  readonly embeddings: readonly EmbeddingResult[];
  /** Their pairs, as the image calls take them. */
  readonly pairs: EmbeddingPair[];
  /** The end of the stream: seed, counts, times, warnings. */
  readonly completed: Completed;
}

/** What the image calls return. */
export interface ImageSet {
  /** The images, in the request's order. */
  readonly images: readonly ImageResult[];
  /** The embeddings that `generate` made on the way, in the request's order. */
  readonly embeddings: readonly EmbeddingResult[];
  /** The end of the stream: seed, counts, times, warnings. */
  readonly completed: Completed;
}

/**
 * Reads the wire's form.
 *
 * @throws IncompleteStreamError, when the numbers of an embedding are not as many as it says.
 */
export function embeddingResult(message: EmbeddingMessage): EmbeddingResult {
  const pair = message.embeddings ?? create(EmbeddingPairSchema);
  if (!pair.positive) throw new IncompleteStreamError(`embedding ${String(message.index)} is empty`);
  try {
    return {
      index: message.index,
      sourceIndex: message.sourceIndex,
      pair,
      positive: embeddingValues(pair.positive),
      negative: pair.negative && embeddingValues(pair.negative),
      fingerprint: pair.positive.priorFingerprint,
      receipt: message.receipt ?? create(ReceiptSchema),
      truncatedTexts: message.truncatedTexts,
      cached: message.cached,
    };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new IncompleteStreamError(`embedding ${String(message.index)}: ${error.message}`, { cause: error });
  }
}
