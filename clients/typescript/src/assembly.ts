import { create } from "@bufbuild/protobuf";

import { IncompleteStreamError } from "./errors.js";
import type { Event } from "./events.js";
import type {
  Completed,
  Event as EventMessage,
  ImageChunk,
  ImageResult as ImageHeader,
} from "./gen/kandinsky_api/v1/events_pb.js";
import { ReceiptSchema } from "./gen/kandinsky_api/v1/types_pb.js";
import { embeddingResult, type ImageResult } from "./results.js";

/** An image of which chunks are missing. */
interface Arriving {
  readonly header: ImageHeader;
  readonly parts: Uint8Array[];
  byteCount: number;
}

/** Turns the messages of one call into events, joins chunks, and checks that all of it came. */
export class Assembly {
  readonly #arriving = new Map<number, Arriving>();
  readonly #embeddingIndexes = new Set<number>();
  readonly #imageIndexes = new Set<number>();
  #completed: Completed | undefined;

  /** Begins a try: what an earlier one left unfinished does not count. */
  begin(): void {
    this.#embeddingIndexes.clear();
    this.#imageIndexes.clear();
    this.#completed = undefined;
    this.#arriving.clear();
  }

  /**
   * Returns the event that one message completes, if any. `completed` is held back until {@link Assembly.finish}, when the
   * status is known to be OK.
   *
   * @throws IncompleteStreamError, when bytes of an image or embedding are missing.
   */
  receive(message: EventMessage | undefined): Event | undefined {
    const kind = message?.kind;
    switch (kind?.case) {
      case "queued":
        return { kind: "queued", value: kind.value };
      case "progress":
        return { kind: "progress", value: kind.value };
      case "preview":
        return { kind: "preview", value: kind.value };
      case "embedding":
        this.#embeddingIndexes.add(kind.value.index);
        return { kind: "embedding", value: embeddingResult(kind.value) };
      case "image":
        return this.#begin(kind.value);
      case "chunk":
        return this.#append(kind.value);
      case "completed":
        this.#completed = kind.value;
        return undefined;
      default: // a kind of event that is newer than this client
        return undefined;
    }
  }

  /**
   * Returns the end of a try that ended with status OK, with its counts.
   *
   * @throws IncompleteStreamError, when it did not say `completed`, or less came than it says.
   */
  finish(): Completed {
    const completed = this.#completed;
    if (!completed) throw new IncompleteStreamError("the stream ended without `completed`: results may be missing");
    const [embeddings, images] = [this.#embeddingIndexes.size, this.#imageIndexes.size];
    if (completed.embeddingCount !== embeddings || completed.imageCount !== images || this.#arriving.size) {
      const sent = `${String(completed.embeddingCount)} embeddings and ${String(completed.imageCount)} images were sent`;
      throw new IncompleteStreamError(`${sent}, ${String(embeddings)} and ${String(images)} arrived whole`);
    }
    return completed;
  }

  #begin(header: ImageHeader): Event | undefined {
    const arriving: Arriving = { header, parts: [], byteCount: 0 };
    if (header.chunkCount === 0) {
      arriving.parts.push(header.data);
      arriving.byteCount = header.data.byteLength;
      return this.#whole(arriving);
    }
    this.#arriving.set(header.index, arriving);
    return undefined;
  }

  #append(chunk: ImageChunk): Event | undefined {
    const arriving = this.#arriving.get(chunk.index);
    if (!arriving) throw new IncompleteStreamError(`a chunk of image ${String(chunk.index)} came without its header`);
    if (chunk.offsetBytes !== BigInt(arriving.byteCount)) {
      const offsets = `its next should be ${String(arriving.byteCount)}, not ${String(chunk.offsetBytes)}`;
      throw new IncompleteStreamError(`image ${String(chunk.index)} misses bytes: ${offsets}`);
    }
    arriving.parts.push(chunk.data);
    arriving.byteCount += chunk.data.byteLength;
    if (arriving.parts.length < arriving.header.chunkCount) return undefined;
    this.#arriving.delete(chunk.index);
    return this.#whole(arriving);
  }

  #whole({ header, parts, byteCount }: Arriving): Event {
    if (header.sizeBytes !== BigInt(byteCount)) {
      const sizes = `${String(byteCount)} bytes of ${String(header.sizeBytes)}`;
      throw new IncompleteStreamError(`image ${String(header.index)} has ${sizes}`);
    }
    this.#imageIndexes.add(header.index);
    const { index, sourceIndex, format, widthPx, heightPx, receipt } = header;
    const value: ImageResult = {
      index,
      sourceIndex,
      format,
      widthPx,
      heightPx,
      data: joined(parts, byteCount),
      receipt: receipt ?? create(ReceiptSchema),
    };
    return { kind: "image", value };
  }
}

/** A copy, so that an image does not keep the whole of a network buffer in memory. */
function joined(parts: readonly Uint8Array[], byteCount: number): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(byteCount);
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.byteLength;
  }
  return whole;
}
