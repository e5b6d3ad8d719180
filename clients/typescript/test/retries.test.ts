import { Code, ConnectError } from "@connectrpc/connect";
import type { RpcError } from "@kandinsky-grpc/client";
import { describe, expect, test } from "vitest";

import { ErrorInfoSchema, RetryInfoSchema } from "../src/gen/google/rpc/error_details_pb.js";
import { DOMAIN } from "../src/status.js";
import { completed, says } from "./support/events.js";
import { type EventInit, fake, type Script } from "./support/fakeServer.js";

function refusal(code: Code, reason = "", delayMs?: number): ConnectError {
  const details = [
    { desc: ErrorInfoSchema, value: { domain: DOMAIN, reason } },
    ...(delayMs === undefined
      ? []
      : [
          {
            desc: RetryInfoSchema,
            value: { retryDelay: { seconds: BigInt(Math.floor(delayMs / 1000)), nanos: (delayMs % 1000) * 1e6 } },
          },
        ]),
  ];
  return new ConnectError("no", code, undefined, details);
}

/** Refuses the first tries, then answers. */
function after(refusals: number, error: ConnectError, events: EventInit[] = [completed(0, 0)]): Script {
  return async function* (_request, _context, tried) {
    await Promise.resolve();
    if (tried < refusals) throw error;
    yield* events;
  };
}

describe.each(["grpc", "grpc-web"] as const)("over %s", (transport) => {
  test.each([
    ["UNAVAILABLE", refusal(Code.Unavailable, "DRAINING")],
    ["RESOURCE_EXHAUSTED with RetryInfo", refusal(Code.ResourceExhausted, "QUEUE_FULL", 20)],
  ])("%s is tried again, as the same request", async (_, error) => {
    const { client, seen } = await fake(transport, after(2, error));
    await client.decode({});
    expect(seen.requests).toHaveLength(3);
    expect(new Set(seen.requests.map(({ sampling }) => sampling?.seed)).size).toBe(1);
  });

  test.each([
    ["RESOURCE_EXHAUSTED without RetryInfo", refusal(Code.ResourceExhausted, "MESSAGE_TOO_LONG")],
    ["DEADLINE_UNREACHABLE", refusal(Code.ResourceExhausted, "DEADLINE_UNREACHABLE", 20)],
    ["INTERNAL", refusal(Code.Internal, "NON_FINITE")],
    ["INVALID_ARGUMENT", refusal(Code.InvalidArgument, "INVALID_FIELD", 20)],
  ])("%s is not tried again", async (_, error) => {
    const { client, seen } = await fake(transport, after(1, error));
    await expect(client.decode({})).rejects.toMatchObject({ code: error.code });
    expect(seen.requests).toHaveLength(1);
  });

  test("what was queued begins anew", async () => {
    const { client } = await fake(transport, async function* (_request, _context, tried) {
      yield* says({ kind: { case: "queued", value: { requestId: String(tried) } } })();
      if (tried === 0) throw refusal(Code.Unavailable);
      yield completed(0, 0);
    });
    await client.decode({});
  });
});

test("there are as many retries as the client allows", async () => {
  const error = refusal(Code.ResourceExhausted, "QUEUE_FULL", 1);
  const { client, seen } = await fake("grpc", after(9, error), { retries: 2 });
  const failure = await client.decode({}).catch((thrown: unknown) => thrown as RpcError);
  expect(failure).toMatchObject({ reason: "QUEUE_FULL", retryDelayMs: 1 });
  expect(seen.requests).toHaveLength(3);
});

test("there are five retries by default", async () => {
  const { client, seen } = await fake("grpc", after(9, refusal(Code.ResourceExhausted, "QUEUE_FULL", 1)));
  await expect(client.decode({})).rejects.toMatchObject({ reason: "QUEUE_FULL" });
  expect(seen.requests).toHaveLength(6);
});

test("a retry that would come after the deadline is not waited for", async () => {
  const { client, seen } = await fake("grpc", after(9, refusal(Code.ResourceExhausted, "QUEUE_FULL", 60_000)));
  await expect(client.decode({}, { timeoutMs: 20_000 })).rejects.toMatchObject({ reason: "QUEUE_FULL" });
  expect(seen.requests).toHaveLength(1);
});
