import type { Completed, Preview, Progress, Queued } from "./gen/kandinsky_api/v1/events_pb.js";
import type { EmbeddingResult, ImageResult } from "./results.js";

/**
 * One event of a stream: `queued` comes first, again when a call is tried again, and `completed` last. Kinds that are newer than this client
 * are passed over.
 */
export type Event =
  /** The request has been taken, and waits. */
  | { readonly kind: "queued"; readonly value: Queued }
  /** A trajectory advanced. */
  | { readonly kind: "progress"; readonly value: Progress }
  /** What an image looks like so far. */
  | { readonly kind: "preview"; readonly value: Preview }
  /** An embedding is finished. */
  | { readonly kind: "embedding"; readonly value: EmbeddingResult }
  /** An image is finished and complete. */
  | { readonly kind: "image"; readonly value: ImageResult }
  /** All results have come. */
  | { readonly kind: "completed"; readonly value: Completed };
