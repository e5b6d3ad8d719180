import { readFileSync } from "node:fs";
import * as http2 from "node:http2";
import { createServer, type Socket } from "node:net";

import { Code, VERSION } from "@kandinsky-grpc/client";
import { connect, type NodeOptions } from "@kandinsky-grpc/client/node";
import * as web from "@kandinsky-grpc/client/web";
import { describe, expect, onTestFinished, test } from "vitest";

import { completed, says } from "./support/events.js";
import { fake, listen } from "./support/fakeServer.js";
import { resettingServer } from "./support/resettingServer.js";

const CERTIFICATES = new URL("../../../tests/client/certificates/", import.meta.url);
const certificate = readFileSync(new URL("localhost.pem", CERTIFICATES));
const key = readFileSync(new URL("localhost.key", CERTIFICATES));

function client(target: string, options: NodeOptions = {}): ReturnType<typeof connect> {
  const made = connect(target, options);
  onTestFinished(() => {
    made.close();
  });
  return made;
}

test.each([
  ["REFUSED_STREAM", http2.constants.NGHTTP2_REFUSED_STREAM, Code.Unavailable, 2],
  ["CANCEL", http2.constants.NGHTTP2_CANCEL, Code.Unavailable, 2],
  ["INTERNAL_ERROR", http2.constants.NGHTTP2_INTERNAL_ERROR, Code.Unavailable, 2],
  ["PROTOCOL_ERROR", http2.constants.NGHTTP2_PROTOCOL_ERROR, Code.Unavailable, 2],
  ["ENHANCE_YOUR_CALM", http2.constants.NGHTTP2_ENHANCE_YOUR_CALM, Code.ResourceExhausted, 1],
])("a stream that is reset with %s is that status", async (_, reset, code, tries) => {
  const { target, count } = await resettingServer(reset);
  await expect(client(target, { retries: 1 }).decode({})).rejects.toMatchObject({ code, reason: "" });
  expect(count()).toBe(tries);
});

test("nobody there is UNAVAILABLE, after retries", async () => {
  const server = createServer();
  const target = await listen(server);
  server.close();
  await expect(client(target, { retries: 1 }).info()).rejects.toMatchObject({ code: Code.Unavailable });
  const overWeb = web.connect(`http://${target}`, { retries: 1 });
  await expect(overWeb.info()).rejects.toMatchObject({ code: Code.Unavailable });
});

test("a connection that breaks is UNAVAILABLE, and the next call opens another", async () => {
  let breaks = true;
  const sockets: Socket[] = [];
  const server = http2.createServer();
  server.on("connection", (socket: Socket) => sockets.push(socket));
  server.on("stream", (stream) => {
    stream.on("error", () => undefined);
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    if (breaks) {
      sockets.at(-1)?.destroy();
      return;
    }
    stream.on("wantTrailers", () => {
      stream.sendTrailers({ "grpc-status": "0" });
    });
    stream.end(Buffer.from([0, 0, 0, 0, 0]));
  });
  const made = client(await listen(server), { retries: 0 });
  await expect(made.decode({})).rejects.toMatchObject({ code: Code.Unavailable });
  breaks = false;
  expect((await made.info()).model).toBe("");
});

test("the server sees this client's name, token and metadata", async () => {
  const options = { token: "secret", metadata: { traceparent: "00-1-2-01" } };
  for (const transport of ["grpc", "grpc-web"] as const) {
    const { client: made, seen } = await fake(transport, says(completed(0, 0)), options);
    await made.decode({}, { metadata: { "x-team": "a" } });
    await made.info();
    for (const headers of seen.headers) {
      const agent = headers.get(transport === "grpc" ? "user-agent" : "x-user-agent");
      expect(agent).toBe(`kandinsky-client-typescript/${VERSION}`);
      expect(headers.get("authorization")).toBe("Bearer secret");
      expect(headers.get("traceparent")).toBe("00-1-2-01");
    }
    expect(seen.headers.map((headers) => headers.get("x-team"))).toEqual(["a", null]);
  }
});

describe("TLS", () => {
  async function secure(options: http2.SecureServerOptions = {}): Promise<{ target: string; count: () => number }> {
    let connections = 0;
    const server = http2.createSecureServer({ key, cert: certificate, ...options });
    server.on("connection", () => {
      connections += 1;
    });
    server.on("sessionError", () => undefined);
    server.on("stream", (stream) => {
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.on("wantTrailers", () => {
        stream.sendTrailers({ "grpc-status": "0" });
      });
      stream.end(Buffer.from([0, 0, 0, 0, 0]));
    });
    const target = await listen(server);
    return { target: target.replace("127.0.0.1", "localhost"), count: () => connections };
  }

  test("with its authority, the server is trusted", async () => {
    const { target } = await secure();
    expect((await client(target, { tls: { ca: certificate } }).info()).model).toBe("");
  });

  test("without it, the call is UNAVAILABLE and not tried again", async () => {
    const { target, count } = await secure();
    const call = client(target, { tls: true }).info();
    await expect(call).rejects.toMatchObject({ code: Code.Unavailable, rawMessage: /TLS/ });
    expect(count()).toBe(1);
  });

  test("mutual: with a certificate the client is let in, without it is not", async () => {
    const { target } = await secure({ ca: certificate, requestCert: true, rejectUnauthorized: true });
    const tls = { ca: certificate, cert: certificate, key };
    expect((await client(target, { tls }).info()).model).toBe("");
    const call = client(target, { tls: { ca: certificate }, retries: 0 }).info();
    await expect(call).rejects.toMatchObject({ code: Code.Unavailable });
  });

  test("a plaintext server is UNAVAILABLE and not tried again", async () => {
    const { target } = await resettingServer(0);
    await expect(client(target, { tls: true }).info()).rejects.toMatchObject({ rawMessage: /TLS/ });
  });

  test.each<[NodeOptions["tls"], RegExp]>([
    [{ ca: "nonsense" }, /ca/],
    [{ cert: certificate }, /key is missing/],
    [{ key }, /cert is missing/],
    [{ cert: certificate, key: "nonsense" }, /key/],
  ])("certificates that cannot be are refused: %#", (tls, words) => {
    expect(() => connect("localhost:1", { tls })).toThrow(words);
  });
});

describe("options that cannot be are refused", () => {
  test.each(["http://localhost:50051", "localhost:99999", "a b", "localhost/x"])("target %s", (target) => {
    expect(() => connect(target)).toThrow(TypeError);
  });

  test("a base URL that is none", () => {
    expect(() => web.connect("localhost:50051")).toThrow(TypeError);
    expect(() => web.connect("")).toThrow(TypeError);
  });

  test.each<NodeOptions>([
    { timeoutMs: 0 },
    { timeoutMs: -1 },
    { timeoutMs: NaN },
    { retries: -1 },
    { retries: 0.5 },
    { token: "secret\n" },
    { token: "gehei\u00dfm" },
    { metadata: { "grpc-timeout": "1S" } },
    { metadata: { "x-team": "\u00e9" } },
  ])("%j", (options) => {
    expect(() => connect("localhost:1", options)).toThrow(/timeoutMs|retries|token|metadata/);
  });
});
