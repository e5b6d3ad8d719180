import * as http2 from "node:http2";

import { create, toBinary } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { Code, codeName, RpcError } from "@kandinsky-grpc/client";
import { connect } from "@kandinsky-grpc/client/node";
import * as web from "@kandinsky-grpc/client/web";
import { describe, expect, onTestFinished, test } from "vitest";

import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../src/gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "../src/gen/google/rpc/status_pb.js";
import { listen } from "./support/fakeServer.js";

const DOMAIN = "kandinsky-grpc.github.io";

function details(code: Code, domain = DOMAIN): Buffer {
  const info = create(ErrorInfoSchema, { domain, reason: "INVALID_FIELD", metadata: { violation_count: "1" } });
  const bad = create(BadRequestSchema, { fieldViolations: [{ field: "prompts", description: "must not be empty" }] });
  const retry = create(RetryInfoSchema, { retryDelay: { seconds: 1n, nanos: 500_000_000 } });
  const status = create(StatusSchema, {
    code,
    message: "no prompts",
    details: [anyPack(ErrorInfoSchema, info), anyPack(BadRequestSchema, bad), anyPack(RetryInfoSchema, retry)],
  });
  return Buffer.from(toBinary(StatusSchema, status));
}

/** The error of a call whose answer has these trailers, in the headers or after a message. */
async function errorOf(trailers: Record<string, string>, trailersOnly: boolean): Promise<RpcError> {
  const server = http2.createServer();
  server.on("stream", (stream) => {
    const headers = { ":status": 200, "content-type": "application/grpc" };
    if (trailersOnly) {
      stream.respond({ ...headers, ...trailers }, { endStream: true });
      return;
    }
    stream.respond(headers, { waitForTrailers: true });
    stream.on("wantTrailers", () => {
      stream.sendTrailers(trailers);
    });
    stream.end(Buffer.from([0, 0, 0, 0, 0])); // one empty message
  });
  const client = connect(await listen(server), { retries: 0 });
  onTestFinished(() => {
    client.close();
  });
  return failure(client.decode({}));
}

async function failure(call: Promise<unknown>): Promise<RpcError> {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof RpcError)) throw new Error("no RpcError came", { cause: error });
  return error;
}

/** As {@link errorOf}, over gRPC-Web. */
async function webErrorOf(trailers: Record<string, string>, trailersOnly: boolean): Promise<RpcError> {
  const text = Object.entries(trailers)
    .map(([key, value]) => `${key}: ${value}\r\n`)
    .join("");
  const frame = Buffer.concat([Buffer.from([0x80, 0, 0, 0, text.length]), Buffer.from(text)]);
  frame.writeUInt32BE(text.length, 1);
  const headers = { "content-type": "application/grpc-web+proto", ...(trailersOnly ? trailers : {}) };
  const body = trailersOnly ? null : Buffer.concat([Buffer.from([0, 0, 0, 0, 0]), frame]);
  const answer = (): Promise<Response> => Promise.resolve(new Response(body, { headers }));
  return failure(web.connect("http://localhost", { fetch: answer, retries: 0 }).decode({}));
}

describe.each([
  ["grpc", errorOf],
  ["grpc-web", webErrorOf],
] as const)("over %s", (_, errorFor) => {
  describe.each([true, false])("trailers only: %s", (trailersOnly) => {
    const plain = { "grpc-status": "3", "grpc-message": "no%20prompts", "x-request-id": "r1" };

    test("all details are there", async () => {
      const trailers = { ...plain, "grpc-status-details-bin": details(3).toString("base64") };
      const error = await errorFor(trailers, trailersOnly);
      expect(error).toMatchObject({
        code: Code.InvalidArgument,
        rawMessage: "no prompts",
        reason: "INVALID_FIELD",
        metadata: { violation_count: "1" },
        fieldViolations: [{ field: "prompts", description: "must not be empty" }],
        retryDelayMs: 1500,
        requestId: "r1",
      });
      expect(error.message).toBe(
        "INVALID_ARGUMENT (INVALID_FIELD): no prompts | prompts: must not be empty | request r1",
      );
    });

    test.each([
      ["cut off", details(3).subarray(0, 40).toString("base64")],
      ["no base64", "%%%"],
      ["of another status", details(5).toString("base64")],
    ])("details that are %s leave code and message", async (__, value) => {
      const error = await errorFor({ ...plain, "grpc-status-details-bin": value }, trailersOnly);
      expect(error).toMatchObject({ code: Code.InvalidArgument, rawMessage: "no prompts", reason: "" });
      expect(error.requestId).toBe("r1");
    });

    test("a reason of another domain is none", async () => {
      const value = details(3, "example.com").toString("base64");
      const error = await errorFor({ ...plain, "grpc-status-details-bin": value }, trailersOnly);
      expect(error).toMatchObject({ code: Code.InvalidArgument, reason: "", metadata: {} });
    });
  });
});

test("codes have gRPC's names", () => {
  expect(codeName(Code.ResourceExhausted)).toBe("RESOURCE_EXHAUSTED");
  expect(codeName(Code.Canceled)).toBe("CANCELLED");
  expect(codeName(Code.DeadlineExceeded)).toBe("DEADLINE_EXCEEDED");
});
