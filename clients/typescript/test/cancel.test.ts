import { setTimeout as sleep } from "node:timers/promises";

import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";

import { RetryInfoSchema } from "../src/gen/google/rpc/error_details_pb.js";
import { completed, progress, QUEUED, says } from "./support/events.js";
import { type EventInit, fake, type Script } from "./support/fakeServer.js";

/** Runs until its caller goes away, and tells when it begins and when it does. */
function endless(): { script: Script; begun: Promise<void>; gone: Promise<void> } {
  const begun = withResolvers();
  const gone = withResolvers();
  const script: Script = async function* (_request, context): AsyncGenerator<EventInit> {
    context.signal.addEventListener("abort", gone.resolve);
    yield QUEUED;
    yield progress(1);
    begun.resolve();
    await gone.promise;
  };
  return { script, begun: begun.promise, gone: gone.promise };
}

function withResolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

describe.each(["grpc", "grpc-web"] as const)("over %s", (transport) => {
  test("a signal ends the call at both ends, with its reason", async () => {
    const { script, gone } = endless();
    const { client } = await fake(transport, script);
    const controller = new AbortController();
    const kinds: string[] = [];
    const read = async (): Promise<void> => {
      for await (const { kind } of client.stream.decode({}, { signal: controller.signal })) {
        kinds.push(kind);
        if (kind === "progress") controller.abort();
      }
    };
    await expect(read()).rejects.toMatchObject({ name: "AbortError" });
    await gone;
    expect(kinds).toEqual(["queued", "progress"]);
  });

  test("a signal ends a call that gathers, with its reason", async () => {
    const { script, begun, gone } = endless();
    const { client } = await fake(transport, script);
    const controller = new AbortController();
    const call = client.decode({}, { signal: controller.signal });
    const reason = new Error("enough");
    void begun.then(() => {
      controller.abort(reason);
    });
    await expect(call).rejects.toBe(reason);
    await gone;
  });

  test("leaving the loop ends the call", async () => {
    const { script, gone } = endless();
    const { client } = await fake(transport, script);
    for await (const { kind } of client.stream.decode({})) if (kind === "progress") break;
    await gone;
  });

  test("`return` ends a call that waits for a message", async () => {
    const { script, gone } = endless();
    const { client } = await fake(transport, script);
    const stream = client.stream.decode({});
    await stream.next();
    await stream.next();
    const waiting = stream.next();
    await stream.return();
    expect(await waiting).toEqual({ done: true, value: undefined });
    expect(await stream.next()).toEqual({ done: true, value: undefined });
    await gone;
  });

  test("`close` ends what runs, and begins no more", async () => {
    const { script, gone } = endless();
    const { client } = await fake(transport, script);
    const stream = client.stream.decode({});
    await stream.next();
    await stream.next();
    const waiting = stream.next();
    client.close();
    await expect(waiting).rejects.toMatchObject({ code: Code.Canceled, rawMessage: "the client was closed" });
    await expect(client.decode({})).rejects.toMatchObject({ code: Code.Canceled });
    await expect(client.info()).rejects.toMatchObject({ code: Code.Canceled });
    await gone;
  });

  test("the deadline ends the call", async () => {
    const { script, gone } = endless();
    const { client, seen } = await fake(transport, script);
    const call = client.decode({}, { timeoutMs: 500.5 });
    await expect(call).rejects.toMatchObject({ code: Code.DeadlineExceeded, reason: "" });
    expect(seen.headers[0]?.get("grpc-timeout")).toMatch(/^\d+m$/);
    await gone;
  });
});

test("a call of an aborted signal is not begun", async () => {
  const { client, seen } = await fake("grpc", says(completed(0, 0)));
  await expect(client.decode({}, { signal: AbortSignal.abort() })).rejects.toMatchObject({ name: "AbortError" });
  expect(seen.requests).toHaveLength(0);
});

test("a stream that nobody reads is not begun", async () => {
  const { client, seen } = await fake("grpc", says(completed(0, 0)));
  client.stream.decode({});
  await sleep(50);
  expect(seen.requests).toHaveLength(0);
});

test("a signal ends the wait for the next try", async () => {
  const controller = new AbortController();
  const { client, seen } = await fake("grpc", () => {
    setTimeout(() => {
      controller.abort(new Error("enough"));
    }, 100);
    const advice = { desc: RetryInfoSchema, value: { retryDelay: { seconds: 60n } } };
    throw new ConnectError("busy", Code.ResourceExhausted, undefined, [advice]);
  });
  await expect(client.decode({}, { signal: controller.signal })).rejects.toThrow("enough");
  expect(seen.requests).toHaveLength(1);
});

test("infinity is no deadline", async () => {
  const { client, seen } = await fake("grpc", says(completed(0, 0)), { timeoutMs: 60_000 });
  await client.decode({}, { timeoutMs: Infinity });
  await client.decode({}, { timeoutMs: 1e12 });
  await client.decode({});
  expect(seen.headers.map((headers) => headers.has("grpc-timeout"))).toEqual([false, false, true]);
});

test.each([0, -1, NaN])("a timeout of %s is refused", async (timeoutMs) => {
  const { client, seen } = await fake("grpc", says(completed(0, 0)));
  await expect(client.decode({}, { timeoutMs })).rejects.toThrow(RangeError);
  await expect(client.info({ timeoutMs })).rejects.toThrow(RangeError);
  await expect(client.health("", { timeoutMs })).rejects.toThrow(RangeError);
  expect(seen.requests).toHaveLength(0);
});
