/**
 * The client for Node: gRPC over HTTP/2. Has all of `@kandinsky-grpc/client` besides.
 *
 * @packageDocumentation
 */
import { Kandinsky } from "./client.js";
import { grpcConnection } from "./grpcConnection.js";
import type { ClientOptions } from "./options.js";
import type { TlsOptions } from "./tls.js";

export { loadEmbeddings, saveEmbeddings } from "./embeddingFiles.js";
export * from "./index.js";
export type { TlsOptions } from "./tls.js";

/** How a client in Node speaks to its server. */
export interface NodeOptions extends ClientOptions {
  /** true: TLS, with the authorities that Node comes with. Certificates: TLS with these. Default false: unencrypted. */
  readonly tls?: boolean | TlsOptions | undefined;
}

/**
 * Makes a client. The connection is opened by the first call, kept alive, and opened again when it was lost.
 *
 * @param target - The server's address, such as "localhost:50051".
 * @param options - See {@link NodeOptions}.
 * @throws RangeError or TypeError, for a target, certificate or other option that cannot be.
 */
export function connect(target = "localhost:50051", options: NodeOptions = {}): Kandinsky {
  const { tls = false, ...rest } = options;
  return new Kandinsky(grpcConnection(target, tls), rest);
}
