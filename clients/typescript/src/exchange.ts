import { Assembly } from "./assembly.js";
import { KandinskyError, type RpcError } from "./errors.js";
import type { Event } from "./events.js";
import type { Event as EventMessage } from "./gen/kandinsky_api/v1/events_pb.js";
import type { RequestOptions } from "./gen/kandinsky_api/v1/types_pb.js";
import { Resumption } from "./resumption.js";
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
 * @param options - Of the request that `send` sends; their `resume` is written between tries.
 */
export async function* events(
  call: RunningCall,
  retry: Retry,
  options: RequestOptions,
  send: Send<AsyncIterable<{ readonly event?: EventMessage | undefined }>>,
): AsyncGenerator<Event, void, undefined> {
  const assembly = new Assembly();
  const resumption = new Resumption(options);
  try {
    for (;;) {
      assembly.begin();
      try {
        for await (const { event: message } of send(call.signal, retry.timeoutMs())) {
          const event = resumption.receive(message, assembly.receive(message));
          if (event) yield event;
        }
        yield resumption.total(assembly.finish());
        return;
      } catch (error) {
        await pause(delayAfter(typed(error, call.signal), retry, resumption), call.signal);
      }
    }
  } finally {
    call.end();
  }
}

/** Returns the milliseconds to wait before the next try, which leaves out what was delivered, or throws `error`. */
function delayAfter(error: RpcError, retry: Retry, resumption: Resumption): number {
  if (resumption.forget(error)) return 0;
  if (resumption.takeProgress()) retry.beginAnew();
  const delay = retry.delayAfter(error);
  resumption.write();
  return delay;
}

/** Returns the error of a try that may be followed by another; throws what ends the call. */
function typed(error: unknown, signal: AbortSignal): RpcError {
  signal.throwIfAborted();
  if (error instanceof KandinskyError) throw error;
  return rpcErrorFrom(error);
}
