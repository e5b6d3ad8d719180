import { createEnvelopeReadableStream, type EnvelopedMessage, encodeEnvelope } from "@connectrpc/connect/protocol";
import { trailerFlag, trailerParse, trailerSerialize } from "@connectrpc/connect/protocol-grpc-web";
import { createGrpcWebTransport } from "@connectrpc/connect-web";

import type { Connection } from "./options.js";
import { dropUnreadableDetails } from "./status.js";
import { userAgent } from "./userAgent.js";

/** Opens the way to a proxy that speaks gRPC-Web. */
export function grpcWebConnection(baseUrl: string, fetch: typeof globalThis.fetch): Connection {
  const { protocol } = new URL(baseUrl);
  if (protocol !== "http:" && protocol !== "https:") {
    throw new TypeError(`baseUrl must be a URL such as https://kandinsky.example.com, not ${baseUrl}`);
  }
  const transport = createGrpcWebTransport({
    baseUrl,
    useBinaryFormat: true,
    interceptors: [userAgent("x-user-agent")],
    fetch: async (input, init) => readable(await fetch(input, init)),
  });
  return { transport };
}

function readable(response: Response): Response {
  const headers = new Headers(response.headers);
  dropUnreadableDetails(headers);
  const body = response.body && createEnvelopeReadableStream(response.body).pipeThrough(withReadableTrailer());
  return new Response(body, { status: response.status, statusText: response.statusText, headers });
}

/** gRPC-Web's trailers are the body's last message. */
function withReadableTrailer(): TransformStream<EnvelopedMessage, Uint8Array<ArrayBuffer>> {
  return new TransformStream({
    transform({ flags, data }, controller) {
      if ((flags & trailerFlag) !== trailerFlag) {
        controller.enqueue(encodeEnvelope(flags, data));
        return;
      }
      const trailer = trailerParse(data);
      dropUnreadableDetails(trailer);
      controller.enqueue(encodeEnvelope(flags, trailerSerialize(trailer)));
    },
  });
}
