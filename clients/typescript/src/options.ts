import type { Transport } from "@connectrpc/connect";

import { bearer, joinMetadata } from "./callMetadata.js";
import type { Priority } from "./gen/kandinsky_api/v1/types_pb.js";
import { Retry } from "./retry.js";
import { checkTimeout } from "./timeouts.js";

/** A way to a server: what the entry points `/node` and `/web` make, and tests may. */
export interface Connection {
  /** A Connect transport for gRPC or gRPC-Web. */
  readonly transport: Transport;
  /** Closes what the transport holds open. */
  close?(): void;
}

/** How a client speaks to its server, whatever the transport. */
export interface ClientOptions {
  /** Milliseconds for each call, above 0, retries and waits included. Default: no limit, as Infinity. */
  readonly timeoutMs?: number | undefined;
  /** Sent as "authorization: Bearer ...", on an unencrypted connection too. Printable ASCII. */
  readonly token?: string | undefined;
  /** The default of requests that give no `options.priority`. */
  readonly priority?: Priority | undefined;
  /** Metadata of every call, such as `traceparent`; bytes in base64, by a name that ends in "-bin". */
  readonly metadata?: HeadersInit | undefined;
  /**
   * The most retries of a call that the server turned away or that did not reach it. Default 5. Those of a call that has
   * checkpoints count anew when a try brought it further.
   */
  readonly retries?: number | undefined;
}

/** How one call is made. */
export interface CallOptions {
  /** Milliseconds for the whole call, above 0, retries included; Infinity is no limit. Default: the client's. */
  readonly timeoutMs?: number | undefined;
  /** Ends the call, which then rejects with the signal's reason; the server stops within one step. */
  readonly signal?: AbortSignal | undefined;
  /** Metadata sent besides the client's. */
  readonly metadata?: HeadersInit | undefined;
}

const DEFAULT_RETRIES = 5;

/** A client's options, checked: what each call asks of them. */
export class CallDefaults {
  readonly priority: Priority | undefined;
  readonly #timeoutMs: number | undefined;
  readonly #metadata: Headers;
  readonly #retries: number;

  /** @throws RangeError or TypeError, for an option that cannot be. */
  constructor(options: ClientOptions) {
    checkTimeout(options.timeoutMs);
    this.#timeoutMs = options.timeoutMs;
    this.#retries = options.retries ?? DEFAULT_RETRIES;
    if (!Number.isInteger(this.#retries) || this.#retries < 0) {
      throw new RangeError(`retries must be an integer, 0 or more; not ${String(options.retries)}`);
    }
    this.#metadata = joinMetadata(bearer(options.token), options.metadata);
    this.priority = options.priority;
  }

  /** Starts the clock of one call. */
  retry(options: CallOptions): Retry {
    return new Retry(options.timeoutMs ?? this.#timeoutMs, this.#retries);
  }

  /** Returns the client's metadata and the call's. */
  metadata(options: CallOptions): Headers {
    return joinMetadata(this.#metadata, options.metadata);
  }

  /** @throws RangeError or TypeError, for an option that cannot be: before anything is sent. */
  check(options: CallOptions): void {
    checkTimeout(options.timeoutMs);
    joinMetadata(options.metadata);
  }
}
