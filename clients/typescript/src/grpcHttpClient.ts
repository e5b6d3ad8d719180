import { type ClientHttp2Session, type ClientHttp2Stream, constants } from "node:http2";

import { Code, ConnectError } from "@connectrpc/connect";
import type { UniversalClientFn, UniversalClientResponse } from "@connectrpc/connect/protocol";
import { createNodeHttpClient, type Http2SessionManager } from "@connectrpc/connect-node";

import { dropUnreadableDetails, STATUS_KEY } from "./status.js";

// By https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#errors. Every other code is INTERNAL or CANCELLED
// there, and UNAVAILABLE here: so ends a stream whose proxy lost the server, or whose server ended.
const RESET_CODES: Readonly<Record<number, Code>> = {
  [constants.NGHTTP2_ENHANCE_YOUR_CALM]: Code.ResourceExhausted,
  [constants.NGHTTP2_INADEQUATE_SECURITY]: Code.PermissionDenied,
};

/** The stream of one request, and the session it belonged to: a stream that is closed has forgotten its own. */
interface Opened {
  readonly stream: ClientHttp2Stream;
  readonly session: ClientHttp2Session | undefined;
}

/**
 * An HTTP/2 client whose streams break as gRPC says: Connect takes a connection that broke for a call that was cancelled,
 * and misses resets that follow the headers.
 */
export function grpcHttpClient(sessions: Http2SessionManager): UniversalClientFn {
  return async (request) => {
    let opened: Opened | undefined;
    const client = createNodeHttpClient({
      httpVersion: "2",
      sessionProvider: () => ({
        authority: sessions.authority,
        request: async (...asked) => {
          const stream = await sessions.request(...asked);
          opened = { stream, session: stream.session as ClientHttp2Session | undefined };
          return stream;
        },
        notifyResponseByteRead: (stream) => {
          sessions.notifyResponseByteRead(stream);
        },
      }),
    });
    const broken = (): ConnectError | undefined => opened && breakOf(opened);
    try {
      const response = await client(request);
      dropUnreadableDetails(response.header);
      return { ...response, body: checkedBody(response, broken) };
    } catch (error) {
      throw broken() ?? error;
    }
  };
}

/** The body; once it has ended the trailers are there. */
async function* checkedBody(
  { body, header, trailer }: UniversalClientResponse,
  broken: () => ConnectError | undefined,
): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } catch (error) {
    throw broken() ?? error;
  }
  dropUnreadableDetails(trailer);
  const failure = header.has(STATUS_KEY) || trailer.has(STATUS_KEY) ? undefined : broken();
  if (failure) throw failure;
}

function breakOf({ stream, session }: Opened): ConnectError | undefined {
  if (session?.destroyed) return new ConnectError("the connection broke", Code.Unavailable);
  const code = stream.rstCode;
  if (!code) return undefined;
  return new ConnectError(
    `the stream was reset with HTTP/2 error ${String(code)}`,
    RESET_CODES[code] ?? Code.Unavailable,
  );
}
