import { create } from "@bufbuild/protobuf";
import { IncompleteStreamError, Priority } from "@kandinsky-grpc/client";
import { DecodeRequestSchema, type GenerateRequest, type PriorRequest } from "@kandinsky-grpc/client/proto";
import { describe, expect, test } from "vitest";

import { chunk, completed, embedding, header, image, kindsOf, progress, QUEUED, says } from "./support/events.js";
import { type EventInit, fake } from "./support/fakeServer.js";

const UNKNOWN: EventInit = { kind: { case: undefined }, $unknown: [{ no: 90, wireType: 0, data: Uint8Array.of(1) }] };

describe.each(["grpc", "grpc-web"] as const)("over %s", (transport) => {
  test("events come in order, and unknown kinds are passed over", async () => {
    const { client } = await fake(
      transport,
      says(QUEUED, UNKNOWN, progress(1), embedding(0), image(0), completed(1, 1)),
    );
    expect(await kindsOf(client.stream.generate({ prompts: ["x"] }))).toEqual([
      "queued",
      "progress",
      "embedding",
      "image",
      "completed",
    ]);
  });

  test("chunks are joined, those of two images too", async () => {
    const script = says(header(0, 3, 2), chunk(0, 0, [1, 2]), chunk(0, 2, [3]), header(1, 1, 1), chunk(1, 0, [9]));
    const { client } = await fake(transport, async function* () {
      yield* script();
      yield completed(0, 2);
    });
    const { images } = await client.decode({});
    expect(images.map(({ data }) => [...data])).toEqual([[1, 2, 3], [9]]);
  });

  test("results are gathered in the request's order", async () => {
    const { client } = await fake(transport, says(embedding(1), image(1), embedding(0), image(0), completed(2, 2)));
    const { images, embeddings, completed: end } = await client.generate({ prompts: ["x"] });
    expect(images.map(({ index }) => index)).toEqual([0, 1]);
    expect(embeddings.map(({ positive }) => [...positive])).toEqual([
      [0, 0.5],
      [1, 0.5],
    ]);
    expect(end.seed).toBe(7n);
  });

  const half = embedding(0);
  if (half.kind?.case === "embedding" && half.kind.value.embeddings?.positive) {
    half.kind.value.embeddings.positive = { ...half.kind.value.embeddings.positive, shape: [3] };
  }
  test.each<[string, EventInit[]]>([
    ["no `completed`", [QUEUED, image(0)]],
    ["nothing at all", []],
    ["an image less", [image(0), completed(0, 2)]],
    ["an embedding less", [embedding(0), completed(2, 0)]],
    ["a missing chunk", [header(0, 3, 2), chunk(0, 0, [1, 2]), completed(0, 1)]],
    ["swapped chunks", [header(0, 3, 2), chunk(0, 2, [3]), chunk(0, 0, [1, 2]), completed(0, 1)]],
    ["a chunk too many", [header(0, 1, 1), chunk(0, 0, [1]), chunk(0, 1, [2]), completed(0, 1)]],
    ["a chunk without its header", [chunk(0, 0, [1]), completed(0, 1)]],
    ["too few bytes", [header(0, 4, 2), chunk(0, 0, [1]), chunk(0, 1, [2]), completed(0, 1)]],
    ["fewer bytes than an image says", [{ kind: { case: "image", value: { sizeBytes: 2n } } }, completed(0, 1)]],
    ["an embedding of another length", [half, completed(1, 0)]],
  ])("an incomplete stream is an error: %s", async (_, events) => {
    const { client, seen } = await fake(transport, says(...events));
    await expect(client.decode({})).rejects.toThrow(IncompleteStreamError);
    expect(seen.requests).toHaveLength(1);
  });
});

describe("a request", () => {
  test("is a plain object or a message, which stays as it is", async () => {
    const { client, seen } = await fake("grpc", says(completed(0, 0)), { priority: Priority.LOW });
    const message = create(DecodeRequestSchema, { sampling: { stepCount: 3 } });
    await client.decode(message);
    await client.decode({ sampling: { stepCount: 3 } });
    expect(message.sampling?.seed).toBeUndefined();
    expect(message.options).toBeUndefined();
    for (const request of seen.requests) {
      expect(request).toMatchObject({ sampling: { stepCount: 3 }, options: { priority: Priority.LOW } });
    }
  });

  test("takes int64 as a bigint, or as a number that is safe", async () => {
    const { client, seen } = await fake("grpc", says(completed(0, 0)));
    await client.generate({ prompts: ["x"], sampling: { seed: 2 ** 53 - 1 }, priorSampling: { seed: 3 } });
    await client.generate({ prompts: ["x"], sampling: { seed: 2n ** 63n - 1n } });
    const [first, second] = seen.requests as GenerateRequest[];
    expect(first?.sampling?.seed).toBe(2n ** 53n - 1n);
    expect(first?.priorSampling?.seed).toBe(3n);
    expect(second?.sampling?.seed).toBe(2n ** 63n - 1n);
    expect(second?.priorSampling).toBeUndefined();
  });

  test.each([2 ** 53, 1.5, NaN, 2n ** 63n])("is refused with the seed %s, before it is sent", async (seed) => {
    const { client, seen } = await fake("grpc", says(completed(0, 0)));
    await expect(client.prior({ prompts: ["x"], sampling: { seed } })).rejects.toThrow(/seed/);
    expect(seen.requests).toHaveLength(0);
  });

  test("is refused with a value that its field cannot hold", async () => {
    const { client, seen } = await fake("grpc", says(completed(0, 0)));
    expect(() => client.stream.decode({ sampling: { stepCount: 1.5 } })).toThrow(TypeError);
    expect(seen.requests).toHaveLength(0);
  });

  test("gets a seed of 32 bits where it has none", async () => {
    const { client, seen } = await fake("grpc", says(completed(0, 0)));
    for (let tried = 0; tried < 3; tried += 1) await client.prior({ prompts: ["x"] });
    const seeds = (seen.requests as PriorRequest[]).map(({ sampling }) => sampling?.seed ?? -1n);
    expect(new Set(seeds).size).toBe(3);
    expect(seeds.every((seed) => seed >= 0n && seed < 2n ** 32n)).toBe(true);
  });

  test("asks for no progress where nobody sees it, unless it says so", async () => {
    const { client, seen } = await fake("grpc", says(completed(0, 0)));
    await client.decode({});
    await client.decode({ options: { progressIntervalSteps: 5 } });
    await kindsOf(client.stream.decode({}));
    expect(seen.requests.map(({ options }) => options?.progressIntervalSteps)).toEqual([0, 5, undefined]);
  });

  test("for a picture's embedding is an interpolation of one condition", async () => {
    const { client, seen } = await fake("grpc", says(embedding(0), completed(1, 0)));
    const { positive } = await client.embedImage(Uint8Array.of(1, 2));
    expect([...positive]).toEqual([0, 0.5]);
    expect(seen.requests[0]).toMatchObject({
      conditions: [{ kind: { case: "image", value: { data: Uint8Array.of(1, 2) } } }],
      weights: [{ values: [1] }],
    });
  });
});
