import type { SecureClientSessionOptions } from "node:http2";
import { createTransport } from "@connectrpc/connect/protocol-grpc";
import { Http2SessionManager } from "@connectrpc/connect-node";

import { grpcHttpClient } from "./grpcHttpClient.js";
import type { Connection } from "./options.js";
import { checkTls, type TlsOptions } from "./tls.js";
import { userAgent } from "./userAgent.js";

// An answer's messages stay below 2 MiB by contract; the room above is for servers with other limits, and still bounds
// what a stray server can make this process hold. What may be sent is the server's to limit.
const MAX_RECEIVE_BYTES = 64 * 2 ** 20;
const MAX_SEND_BYTES = 0xffffffff;
// A request may wait in the queue without a word for longer than NAT tables and proxies remember.
const KEEPALIVE = { pingIntervalMs: 60_000, pingTimeoutMs: 20_000 };
// Node refuses further calls of a connection that holds more than this many MB which are not sent yet; its default, 10,
// is less than two requests with photos.
const MAX_SESSION_MEMORY_MB = 1024;

/** Opens the way to a server over HTTP/2. */
export function grpcConnection(target: string, tls: boolean | TlsOptions): Connection {
  const certificates = typeof tls === "object" ? tls : {};
  checkTls(certificates);
  const baseUrl = baseUrlOf(target, tls !== false);
  const session: SecureClientSessionOptions = { ...certificates, maxSessionMemory: MAX_SESSION_MEMORY_MB };
  const sessions = new Http2SessionManager(baseUrl, KEEPALIVE, session);
  const transport = createTransport({
    baseUrl,
    httpClient: grpcHttpClient(sessions),
    interceptors: [userAgent("user-agent")],
    useBinaryFormat: true,
    acceptCompression: [],
    sendCompression: null,
    compressMinBytes: 0,
    readMaxBytes: MAX_RECEIVE_BYTES,
    writeMaxBytes: MAX_SEND_BYTES,
  });
  return {
    transport,
    close: () => {
      sessions.abort();
    },
  };
}

function baseUrlOf(target: string, isTls: boolean): string {
  const baseUrl = `${isTls ? "https" : "http"}://${target}`;
  if (/[/?#@]/.test(target) || !URL.canParse(baseUrl)) {
    throw new TypeError(`target must be an address such as localhost:50051, not ${target}`);
  }
  return new URL(baseUrl).origin;
}
