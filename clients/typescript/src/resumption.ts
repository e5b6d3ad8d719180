import { clone, create } from "@bufbuild/protobuf";

import type { RpcError } from "./errors.js";
import type { Event } from "./events.js";
import type { Event as EventMessage } from "./gen/kandinsky_api/v1/events_pb.js";
import {
  type Checkpoint,
  type DeliveredEmbedding,
  DeliveredEmbeddingSchema,
  EmbeddingPairSchema,
  type RequestOptions,
  ResumeSchema,
} from "./gen/kandinsky_api/v1/types_pb.js";

/** How the server names what it does not go on from. */
const RESUME = "options.resume";

/** What the tries of one call have brought so far, for the next one to go on from. */
export class Resumption {
  readonly #options: RequestOptions;
  readonly #checkpoints = new Map<string, Checkpoint>();
  readonly #embeddings: DeliveredEmbedding[] = [];
  readonly #imageIndices: number[] = [];
  readonly #stageFingerprints: Record<string, string> = {};
  #progressed = false;

  /**
   * Starts from what the caller kept of an earlier call, if anything.
   *
   * @param options - Of the request as it is sent; its `resume` is this class's to write.
   */
  constructor(options: RequestOptions) {
    this.#options = options;
    for (const checkpoint of options.resume?.checkpoints ?? []) this.#keep(checkpoint);
    this.#embeddings.push(...(options.resume?.embeddings ?? []));
    this.#imageIndices.push(...(options.resume?.imageIndices ?? []));
    Object.assign(this.#stageFingerprints, options.resume?.stageFingerprints);
  }

  /** Notes what a message brought; `event` is what the caller gets for it, if anything. */
  receive(message: EventMessage | undefined, event: Event | undefined): void {
    if (message?.kind.case === "checkpoint") {
      this.#keep(message.kind.value);
      this.#progressed = true;
    }
    if (event?.kind !== "embedding" && event?.kind !== "image") return;
    this.#progressed = true;
    const { index, receipt } = event.value;
    if (receipt.fingerprint !== "") this.#stageFingerprints[receipt.stage] = receipt.fingerprint;
    if (event.kind === "image") {
      this.#imageIndices.push(index);
    } else {
      const embeddings = clone(EmbeddingPairSchema, event.value.pair); // the caller may change theirs
      this.#embeddings.push(create(DeliveredEmbeddingSchema, { index, embeddings }));
    }
  }

  /** Whether the last try, now over, brought anything; from here on the next one's count. */
  takeProgress(): boolean {
    const progressed = this.#progressed;
    this.#progressed = false;
    return progressed;
  }

  /** Has the next try go on from here, if there is anything to go on from. */
  write(): void {
    if (this.#checkpoints.size === 0 && !this.#isBegun) return;
    this.#options.resume = create(ResumeSchema, {
      checkpoints: [...this.#checkpoints.values()],
      embeddings: [...this.#embeddings],
      imageIndices: [...this.#imageIndices],
      stageFingerprints: { ...this.#stageFingerprints },
    });
  }

  /**
   * Whether `error` is the refusal of a replica that cannot go on from here, and all can begin anew.
   *
   * Once a result was delivered it cannot: the rest would be of another model.
   */
  forget(error: RpcError): boolean {
    if (!this.#options.resume || this.#isBegun || !refusesResume(error)) return false;
    this.#checkpoints.clear();
    this.#options.resume = undefined;
    return true;
  }

  get #isBegun(): boolean {
    return this.#embeddings.length > 0 || this.#imageIndices.length > 0;
  }

  /** Keeps the newest of each trajectory. */
  #keep(checkpoint: Checkpoint): void {
    this.#checkpoints.set(`${checkpoint.stage} ${String(checkpoint.index)}`, checkpoint);
  }
}

function refusesResume({ reason, fieldViolations }: RpcError): boolean {
  if (reason === "FINGERPRINT_MISMATCH") return true;
  return reason === "INVALID_FIELD" && fieldViolations.some(({ field }) => field.startsWith(RESUME));
}
