import { type Event, embeddingOf } from "@kandinsky-grpc/client";

import type { EventInit } from "./fakeServer.js";

export const QUEUED: EventInit = { kind: { case: "queued", value: { requestId: "r1", seed: 7n } } };

export function progress(step: number): EventInit {
  return { kind: { case: "progress", value: { stage: "decoder", step, stepCount: 10 } } };
}

export function embedding(index: number, values: number[] = [index, 0.5]): EventInit {
  const embeddings = { positive: embeddingOf(values, "abc"), negative: embeddingOf(values, "abc") };
  return { kind: { case: "embedding", value: { index, embeddings, receipt: { seed: 7n } } } };
}

export function image(index: number, bytes: number[] = [index]): EventInit {
  const data = Uint8Array.from(bytes);
  return { kind: { case: "image", value: { index, data, sizeBytes: BigInt(data.length), format: 1 } } };
}

export function header(index: number, sizeBytes: number, chunkCount: number): EventInit {
  return { kind: { case: "image", value: { index, sizeBytes: BigInt(sizeBytes), chunkCount } } };
}

export function chunk(index: number, offset: number, bytes: number[]): EventInit {
  const value = { index, offsetBytes: BigInt(offset), data: Uint8Array.from(bytes) };
  return { kind: { case: "chunk", value } };
}

export function completed(embeddingCount: number, imageCount: number): EventInit {
  return { kind: { case: "completed", value: { embeddingCount, imageCount, seed: 7n } } };
}

/** Reads a whole stream; returns its kinds. */
export async function kindsOf(events: AsyncIterable<Event>): Promise<string[]> {
  const kinds: string[] = [];
  for await (const { kind } of events) kinds.push(kind);
  return kinds;
}

/** A script of one answer. */
export function says(...events: EventInit[]): () => AsyncIterable<EventInit> {
  return async function* () {
    await Promise.resolve();
    yield* events;
  };
}
