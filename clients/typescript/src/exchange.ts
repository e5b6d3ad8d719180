import { Assembly } from "./assembly.js";
import { KandinskyError, type RpcError } from "./errors.js";
import type { Event } from "./events.js";
import type { Event as EventMessage } from "./gen/kandinsky_api/v1/events_pb.js";
import type { Retry } from "./retry.js";
import { pause, type RunningCall } from "./runningCalls.js";
import { rpcErrorFrom } from "./status.js";

/** Sends a request once; `timeoutMs` is what is left of the call's. */
export type Send<T> = (signal: AbortSignal, timeoutMs: number | undefined) => T;

/** Makes one unary call over all its tries. */
export async function ask<T>(call: RunningCall, retry: Retry, send: Send<Promise<T>>): Promise<T> {
  try {
    for (;;) {
      try {
        return await send(call.signal, retry.timeoutMs());
      } catch (error) {
        await pause(retry.delayAfter(typed(error, call.signal)), call.signal);
      }
    }
  } finally {
    call.end();
  }
}

/**
 * Makes one streaming call over all its tries.
 *
 * Once a result was delivered there is no next try: it could come twice.
 */
export async function* events(
  call: RunningCall,
  retry: Retry,
  send: Send<AsyncIterable<{ readonly event?: EventMessage | undefined }>>,
): AsyncGenerator<Event, void, undefined> {
  let delivered = false;
  try {
    for (;;) {
      const assembly = new Assembly();
      try {
        for await (const response of send(call.signal, retry.timeoutMs())) {
          const event = assembly.receive(response.event);
          if (!event) continue;
          delivered ||= event.kind === "embedding" || event.kind === "image";
          yield event;
        }
        yield assembly.finish();
        return;
      } catch (error) {
        const failure = typed(error, call.signal);
        if (delivered) throw failure;
        await pause(retry.delayAfter(failure), call.signal);
      }
    }
  } finally {
    call.end();
  }
}

/** Returns the error of a try that may be followed by another; throws what ends the call. */
function typed(error: unknown, signal: AbortSignal): RpcError {
  signal.throwIfAborted();
  if (error instanceof KandinskyError) throw error;
  return rpcErrorFrom(error);
}
