import { closedError } from "./status.js";

/** One call under way: its signal, which whatever ends the call aborts. */
export interface RunningCall {
  readonly signal: AbortSignal;
  /** Ends the call, and whatever of it still runs. May be called again. */
  readonly end: () => void;
}

/** The calls of one client. */
export class RunningCalls {
  readonly #controllers = new Set<AbortController>();
  #closed = false;

  /**
   * Begins a call.
   *
   * @param signal - The caller's, if any.
   * @throws RpcError `Canceled`, when the client is closed; the signal's reason, when it was aborted before.
   */
  begin(signal: AbortSignal | undefined): RunningCall {
    if (this.#closed) throw closedError();
    signal?.throwIfAborted();
    const controller = new AbortController();
    const abort = (): void => {
      controller.abort(signal?.reason);
    };
    signal?.addEventListener("abort", abort);
    this.#controllers.add(controller);
    return {
      signal: controller.signal,
      end: () => {
        this.#controllers.delete(controller);
        signal?.removeEventListener("abort", abort);
        controller.abort();
      },
    };
  }

  /** Ends all that run, and begins no more. */
  close(): void {
    this.#closed = true;
    for (const controller of this.#controllers) controller.abort(closedError());
  }
}

/** Waits; rejects with the signal's reason once it is aborted. */
export function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const abort = (): void => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", abort);
      resolve();
    }, delayMs);
    signal.addEventListener("abort", abort);
  });
}
