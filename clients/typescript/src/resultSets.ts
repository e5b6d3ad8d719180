import { IncompleteStreamError } from "./errors.js";
import type { Event } from "./events.js";
import type { Completed } from "./gen/kandinsky_api/v1/events_pb.js";
import type { EmbeddingResult, EmbeddingSet, ImageResult, ImageSet } from "./results.js";

/** Collects the embeddings of a whole stream, whose last event is `completed`. */
export function embeddingSet(events: readonly Event[]): EmbeddingSet {
  const embeddings = embeddingsOf(events);
  return { embeddings, pairs: embeddings.map(({ pair }) => pair), completed: endOf(events) };
}

/** Collects the images of a whole stream, whose last event is `completed`. */
export function imageSet(events: readonly Event[]): ImageSet {
  const images = events.flatMap(({ kind, value }): ImageResult[] => (kind === "image" ? [value] : []));
  return { images: images.sort(byIndex), embeddings: embeddingsOf(events), completed: endOf(events) };
}

function embeddingsOf(events: readonly Event[]): EmbeddingResult[] {
  return events.flatMap(({ kind, value }): EmbeddingResult[] => (kind === "embedding" ? [value] : [])).sort(byIndex);
}

function endOf(events: readonly Event[]): Completed {
  const last = events.at(-1);
  if (last?.kind !== "completed") throw new IncompleteStreamError("the stream ended without `completed`");
  return last.value;
}

function byIndex(one: { readonly index: number }, other: { readonly index: number }): number {
  return one.index - other.index;
}
