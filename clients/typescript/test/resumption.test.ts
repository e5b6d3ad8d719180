import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { IncompleteStreamError } from "@kandinsky-grpc/client";
import { type GenerateRequest, GenerateRequestSchema } from "@kandinsky-grpc/client/proto";
import { describe, expect, test } from "vitest";

import { BadRequestSchema, ErrorInfoSchema } from "../src/gen/google/rpc/error_details_pb.js";
import { DOMAIN } from "../src/status.js";
import { chunk, completed, embedding, header, image, kindsOf, QUEUED } from "./support/events.js";
import { type EventInit, fake, type Script, type Seen } from "./support/fakeServer.js";

const GONE = new ConnectError("draining", Code.Unavailable);
const ASKING = { prompts: ["x"], options: { checkpointIntervalSteps: 5 } };

function checkpoint(stage: string, index: number, step: number): EventInit {
  const value = { version: 1, stage, index, step, latents: Uint8Array.of(step) };
  return { kind: { case: "checkpoint", value } };
}

function refusal(reason: string, field?: string): ConnectError {
  const info = { desc: ErrorInfoSchema, value: { domain: DOMAIN, reason } };
  if (field === undefined) return new ConnectError("no", Code.FailedPrecondition, undefined, [info]);
  const fields = { desc: BadRequestSchema, value: { fieldViolations: [{ field, description: "no" }] } };
  return new ConnectError("no", Code.InvalidArgument, undefined, [info, fields]);
}

/** Answers each try by what stands in its place: events, at the end of which an error may stand. */
function tries(...answers: (EventInit | ConnectError)[][]): Script {
  return async function* (_request, _context, tried) {
    await Promise.resolve();
    for (const event of answers[tried] ?? []) {
      if (event instanceof ConnectError) throw event;
      yield event;
    }
  };
}

/** What each try was asked to go on from, in short. */
function resumes(seen: Seen): unknown[] {
  return seen.requests.map(({ options }) => {
    const resume = options?.resume;
    return (
      resume && {
        checkpoints: resume.checkpoints.map(({ stage, index, step }) => `${stage} ${String(index)}: ${String(step)}`),
        embeddings: resume.embeddings.map(({ index }) => index),
        images: resume.imageIndices,
      }
    );
  });
}

describe.each(["grpc", "grpc-web"] as const)("over %s", (transport) => {
  test("a broken call goes on from the newest checkpoints, twice in a row", async () => {
    const { client, seen } = await fake(
      transport,
      tries(
        [QUEUED, checkpoint("decoder", 0, 5), checkpoint("decoder", 1, 5), checkpoint("decoder", 0, 10), GONE],
        [QUEUED, checkpoint("decoder", 1, 10), GONE],
        [image(0), image(1), completed(0, 2)],
      ),
    );
    const request = create(GenerateRequestSchema, ASKING);
    expect(await kindsOf(client.stream.generate(request))).toEqual(["queued", "queued", "image", "image", "completed"]);
    expect(resumes(seen)).toEqual([
      undefined,
      { checkpoints: ["decoder 0: 10", "decoder 1: 5"], embeddings: [], images: [] },
      { checkpoints: ["decoder 0: 10", "decoder 1: 10"], embeddings: [], images: [] },
    ]);
    expect(seen.requests[1]?.options?.resume?.checkpoints[0]).toMatchObject({ version: 1, latents: Uint8Array.of(10) });
    expect(new Set(seen.requests.map(({ sampling }) => sampling?.seed)).size).toBe(1);
    expect(request).toEqual(create(GenerateRequestSchema, ASKING));
  });

  test("delivered results are left out of the next try, and counted", async () => {
    const { client, seen } = await fake(
      transport,
      tries(
        [embedding(0), embedding(1), image(1), header(0, 4, 2), chunk(0, 0, [1, 2]), GONE],
        [image(0, [1, 2, 3, 4]), completed(0, 1)],
      ),
    );
    const { images, embeddings, completed: end } = await client.generate(ASKING);
    expect(images.map(({ data }) => [...data])).toEqual([[1, 2, 3, 4], [1]]);
    expect(embeddings.map(({ index }) => index)).toEqual([0, 1]);
    expect(end).toMatchObject({ embeddingCount: 2, imageCount: 2 });
    expect(resumes(seen)).toEqual([undefined, { checkpoints: [], embeddings: [0, 1], images: [1] }]);
    const sent = seen.requests[1]?.options?.resume?.embeddings.map(({ embeddings: pair }) => pair?.positive?.data);
    expect(sent).toEqual(embeddings.map(({ pair }) => pair.positive?.data));
  });

  test.each([
    ["another model", refusal("FINGERPRINT_MISMATCH")],
    ["another dtype", refusal("INVALID_FIELD", "options.resume.checkpoints[0].dtype")],
  ])("a replica that cannot go on begins anew at once: %s", async (_, refused) => {
    const script = tries([checkpoint("decoder", 0, 5), GONE], [refused], [completed(0, 0)]);
    const { client, seen } = await fake(transport, script, { retries: 1 }); // beginning anew is no retry
    await client.generate(ASKING);
    const [first, second, third] = resumes(seen);
    expect([first, third]).toEqual([undefined, undefined]);
    expect(second).toBeDefined();
  });
});

test.each<[string, (EventInit | ConnectError)[][]]>([
  ["after a result", [[embedding(0), GONE], [refusal("FINGERPRINT_MISMATCH")]]],
  ["after an image", [[image(0), GONE], [refusal("INVALID_FIELD", "options.resume.checkpoints[0].dtype")]]],
  ["of another field", [[checkpoint("decoder", 0, 5), GONE], [refusal("INVALID_FIELD", "sampling.step_count")]]],
  ["of what was not resumed", [[refusal("FINGERPRINT_MISMATCH")]]],
])("a refusal ends the call: %s", async (_, answers) => {
  const { client, seen } = await fake("grpc", tries(...answers, [completed(0, 0)]));
  await expect(client.generate(ASKING)).rejects.toMatchObject({ reason: /FINGERPRINT_MISMATCH|INVALID_FIELD/ });
  expect(seen.requests).toHaveLength(answers.length);
});

test("a resumed try's own results are counted", async () => {
  const { client } = await fake("grpc", tries([image(1), GONE], [completed(0, 1)]));
  await expect(client.generate(ASKING)).rejects.toThrow(IncompleteStreamError);
});

test("retries count anew once a try brought something", async () => {
  const script = tries([GONE], [checkpoint("decoder", 0, 5), GONE], [image(0), GONE], [GONE], [completed(0, 0)]);
  const { client, seen } = await fake("grpc", script, { retries: 1 });
  await expect(client.generate(ASKING)).rejects.toMatchObject({ code: Code.Unavailable });
  expect(seen.requests).toHaveLength(4);
});

test("what the caller kept is gone on from", async () => {
  const { client, seen } = await fake("grpc", tries([checkpoint("decoder", 1, 10), GONE], [image(1), completed(0, 1)]));
  const kept = { checkpoints: [{ stage: "decoder", index: 1, step: 5 }], imageIndices: [0] };
  const request: GenerateRequest = create(GenerateRequestSchema, { options: { ...ASKING.options, resume: kept } });
  await client.generate(request);
  expect(resumes(seen)).toEqual([
    { checkpoints: ["decoder 1: 5"], embeddings: [], images: [0] },
    { checkpoints: ["decoder 1: 10"], embeddings: [], images: [0] },
  ]);
  expect(request.options?.resume).toMatchObject(kept);
});
