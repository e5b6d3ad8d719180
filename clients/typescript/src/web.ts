/**
 * The client for browsers, and whatever else has `fetch`: gRPC-Web, through a proxy such as Envoy. Has all of
 * `@kandinsky-grpc/client` besides.
 *
 * @packageDocumentation
 */
import { Kandinsky } from "./client.js";
import { grpcWebConnection } from "./grpcWebConnection.js";
import type { ClientOptions } from "./options.js";

export * from "./index.js";

/** How a client in a browser speaks to its proxy. */
export interface WebOptions extends ClientOptions {
  /** Another `fetch`, such as one that sends credentials. */
  readonly fetch?: typeof globalThis.fetch | undefined;
}

/**
 * Makes a client.
 *
 * @param baseUrl - Where the proxy answers, such as "https://kandinsky.example.com".
 * @param options - See {@link WebOptions}.
 * @throws RangeError or TypeError, for a URL or other option that cannot be.
 */
export function connect(baseUrl: string, options: WebOptions = {}): Kandinsky {
  const { fetch = globalThis.fetch, ...rest } = options;
  return new Kandinsky(grpcWebConnection(baseUrl, fetch), rest);
}
