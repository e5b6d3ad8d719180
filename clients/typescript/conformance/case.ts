import { readFileSync } from "node:fs";

import type { CallOptions, ClientOptions, Kandinsky } from "@kandinsky-grpc/client";
import * as node from "@kandinsky-grpc/client/node";
import * as web from "@kandinsky-grpc/client/web";

/** One case, as conformance/README.md says. */
export interface Case {
  readonly case: string;
  readonly target: string;
  readonly transport?: "grpc" | "grpc-web";
  readonly tls?: { readonly ca?: string; readonly certificate?: string; readonly key?: string };
  readonly token?: string;
  readonly metadata?: Record<string, string>;
  readonly timeout_seconds?: number | "inf";
  readonly retries?: number;
  readonly call: string;
  readonly request?: string;
  readonly image?: string;
  readonly service?: string;
  readonly embeddings_file?: string;
  readonly save_file?: string;
  readonly cancel_on?: string;
  readonly cancel_after_seconds?: number;
  readonly linger_seconds?: number;
  readonly type?: string;
  readonly message?: string;
}

/** Makes the case's client. */
export function clientOf(asked: Case): Kandinsky {
  const options: ClientOptions = { token: asked.token, metadata: asked.metadata, retries: asked.retries };
  if (asked.transport === "grpc-web") {
    return web.connect(`${asked.tls ? "https" : "http"}://${asked.target}`, options);
  }
  return node.connect(asked.target, { ...options, tls: asked.tls && tlsOf(asked.tls) });
}

/** Returns the options of the case's call. */
export function callOptionsOf(asked: Case, signal?: AbortSignal): CallOptions {
  const seconds = asked.timeout_seconds;
  const timeoutMs = seconds === undefined ? undefined : seconds === "inf" ? Infinity : seconds * 1000;
  return { timeoutMs, signal };
}

/** Reads base64; absent is empty. */
export function bytesOf(base64 = ""): Uint8Array {
  return Buffer.from(base64, "base64");
}

function tlsOf({ ca, certificate, key }: NonNullable<Case["tls"]>): node.TlsOptions {
  return { ca: contents(ca), cert: contents(certificate), key: contents(key) };
}

function contents(path: string | undefined): Buffer | undefined {
  return path === undefined ? undefined : readFileSync(path);
}
