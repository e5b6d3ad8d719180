import { Code, ConnectError } from "@connectrpc/connect";

import { connectionFault } from "./connectionFaults.js";
import type { RpcError } from "./errors.js";
import { checkTimeout } from "./timeouts.js";

const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 10_000;

/**
 * The patience of one call: how much of its timeout is left, and how many retries.
 *
 * Trying again is safe: a request carries all it needs, and its results depend on nothing but that.
 */
export class Retry {
  readonly #deadline: number | undefined;
  readonly #retries: number;
  #tried = 0;

  /**
   * @param timeoutMs - Milliseconds for the whole call, retries and waits included; undefined is no limit.
   * @param retries - The most retries in a row that bring nothing new.
   * @throws RangeError, when the timeout is 0, negative or NaN.
   */
  constructor(timeoutMs: number | undefined, retries: number) {
    const checked = checkTimeout(timeoutMs);
    this.#deadline = checked === undefined ? undefined : performance.now() + checked;
    this.#retries = retries;
  }

  /** Whole milliseconds left, at least 1, which is what the wire can say; undefined is no limit. */
  timeoutMs(): number | undefined {
    return this.#deadline === undefined ? undefined : Math.max(1, Math.ceil(this.#deadline - performance.now()));
  }

  /** Counts retries from here: the last try brought something. */
  beginAnew(): void {
    this.#tried = 0;
  }

  /** Returns the milliseconds to wait before the next try, or throws `error` when that cannot help. */
  delayAfter(error: RpcError): number {
    if (this.#tried >= this.#retries || !isTransient(error)) throw error;
    const delay = jittered(error.retryDelayMs, this.#tried);
    if (this.#deadline !== undefined && performance.now() + delay >= this.#deadline) throw error;
    this.#tried += 1;
    return delay;
  }
}

function isTransient(error: RpcError): boolean {
  if (error.code === Code.Unavailable) {
    return !(error.cause instanceof ConnectError && connectionFault(error.cause)?.isTls);
  }
  // Without RetryInfo it is no queue that is exhausted: gRPC says the same of a message over the size limit. And waiting
  // only brings an unreachable deadline closer.
  return (
    error.code === Code.ResourceExhausted && error.retryDelayMs !== undefined && error.reason !== "DEADLINE_UNREACHABLE"
  );
}

/** Never earlier than advised; spread, so that clients turned away together do not come back together. */
function jittered(advisedMs: number | undefined, tried: number): number {
  if (advisedMs !== undefined) return advisedMs * between(1, 1.25) + between(0, 50);
  return Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** tried) * between(0.5, 1);
}

function between(least: number, most: number): number {
  return least + Math.random() * (most - least);
}
