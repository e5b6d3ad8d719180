import { clone, create } from "@bufbuild/protobuf";

import type { RpcError } from "./errors.js";
import type { Event } from "./events.js";
import type { Completed, Event as EventMessage } from "./gen/kandinsky_api/v1/events_pb.js";
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
  readonly #embeddings = new Map<number, DeliveredEmbedding>();
  readonly #imageIndices = new Set<number>();
  readonly #stageFingerprints: Record<string, string> = {};
  #embeddingCount = 0;
  #imageCount = 0;
  #progressed = false;

  /**
   * Starts from what the caller kept of an earlier call, if anything.
   *
   * @param options - Of the request as it is sent; its `resume` is this class's to write.
   */
  constructor(options: RequestOptions) {
    this.#options = options;
    for (const checkpoint of options.resume?.checkpoints ?? []) this.#keep(checkpoint);
    for (const delivered of options.resume?.embeddings ?? []) this.#embeddings.set(delivered.index, delivered);
    for (const index of options.resume?.imageIndices ?? []) this.#imageIndices.add(index);
    Object.assign(this.#stageFingerprints, options.resume?.stageFingerprints);
  }

  /**
   * Notes what a message brought, and returns `event`, which it makes, if that is new to the caller: a server that does not
   * know `resume` sends again what an earlier try delivered.
   */
  receive(message: EventMessage | undefined, event: Event | undefined): Event | undefined {
    if (message?.kind.case === "checkpoint" && this.#keep(message.kind.value)) this.#progressed = true;
    if (event?.kind !== "embedding" && event?.kind !== "image") return event;
    const { index, receipt } = event.value;
    const delivered = event.kind === "image" ? this.#imageIndices : this.#embeddings;
    if (delivered.has(index)) return undefined;
    this.#progressed = true;
    if (receipt.fingerprint !== "") this.#stageFingerprints[receipt.stage] = receipt.fingerprint;
    if (event.kind === "image") {
      this.#imageIndices.add(index);
      this.#imageCount += 1;
    } else {
      const embeddings = clone(EmbeddingPairSchema, event.value.pair); // the caller may change theirs
      this.#embeddings.set(index, create(DeliveredEmbeddingSchema, { index, embeddings }));
      this.#embeddingCount += 1;
    }
    return event;
  }

  /** Returns the end of the last try, with the counts of all. */
  total(completed: Completed): Event {
    completed.embeddingCount = this.#embeddingCount;
    completed.imageCount = this.#imageCount;
    return { kind: "completed", value: completed };
  }

  /** Whether the last try, now over, brought anything new; from here on the next one's count. */
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
      embeddings: [...this.#embeddings.values()],
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
    return this.#embeddings.size > 0 || this.#imageIndices.size > 0;
  }

  /**
   * Keeps the newest of each trajectory; returns whether this is it. A server that does not go on from it comes through older
   * ones again.
   */
  #keep(checkpoint: Checkpoint): boolean {
    const trajectory = `${checkpoint.stage} ${String(checkpoint.index)}`;
    const kept = this.#checkpoints.get(trajectory);
    if (kept && kept.step >= checkpoint.step) return false;
    this.#checkpoints.set(trajectory, checkpoint);
    return true;
  }
}

function refusesResume({ reason, fieldViolations }: RpcError): boolean {
  if (reason === "FINGERPRINT_MISMATCH") return true;
  return reason === "INVALID_FIELD" && fieldViolations.some(({ field }) => field.startsWith(RESUME));
}
