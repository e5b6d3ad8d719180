import * as http from "node:http";
import * as http2 from "node:http2";
import type { AddressInfo, Server } from "node:net";

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import type { Kandinsky } from "@kandinsky-grpc/client";
import * as node from "@kandinsky-grpc/client/node";
import {
  type ControlNetRequest,
  type DecodeRequest,
  type EventSchema,
  type GenerateRequest,
  ImageService,
  type Img2ImgRequest,
  type InpaintRequest,
  type InterpolateRequest,
  type PriorRequest,
  PriorService,
  ServerService,
} from "@kandinsky-grpc/client/proto";
import * as web from "@kandinsky-grpc/client/web";
import { onTestFinished } from "vitest";

import { Health } from "../../src/gen/health/v1/health_pb.js";

export type Transport = "grpc" | "grpc-web";
export type EventInit = MessageInitShape<typeof EventSchema>;
export type AnyRequest =
  | PriorRequest
  | InterpolateRequest
  | DecodeRequest
  | Img2ImgRequest
  | InpaintRequest
  | ControlNetRequest
  | GenerateRequest;

/** One try of a call, as a server's author would write it: yields events, or throws a ConnectError. */
export type Script = (request: AnyRequest, context: HandlerContext, tried: number) => AsyncIterable<EventInit>;

/** What a fake server saw. */
export interface Seen {
  readonly requests: AnyRequest[];
  readonly headers: Headers[];
}

/** Starts a server that answers every streaming call as `script` says, and a client of it; both end with the test. */
export async function fake(
  transport: Transport,
  script: Script,
  options: node.NodeOptions = {},
): Promise<{ client: Kandinsky; seen: Seen }> {
  const { target, seen } = await fakeServer(transport, script);
  const client = transport === "grpc" ? node.connect(target, options) : web.connect(`http://${target}`, options);
  onTestFinished(() => {
    client.close();
  });
  return { client, seen };
}

/** As {@link fake}, without a client. */
export async function fakeServer(transport: Transport, script: Script): Promise<{ target: string; seen: Seen }> {
  const seen: Seen = { requests: [], headers: [] };
  async function* answer(request: AnyRequest, context: HandlerContext): AsyncGenerator<{ event: EventInit }> {
    seen.headers.push(context.requestHeader);
    const tried = seen.requests.push(request) - 1;
    for await (const event of script(request, context, tried)) yield { event };
  }
  const routes = (router: ConnectRouter): void => {
    router.service(PriorService, { prior: answer, interpolate: answer });
    router.service(ImageService, {
      decode: answer,
      img2Img: answer,
      inpaint: answer,
      controlNet: answer,
      generate: answer,
    });
    router.service(ServerService, {
      getServerInfo: (_, context) => {
        seen.headers.push(context.requestHeader);
        return { model: "fake" };
      },
      estimate: ({ request }) => ({ trajectoryCount: request.case === "decode" ? 1 : 2 }),
    });
    router.service(Health, { check: ({ service }) => ({ status: service === "" ? 1 : 2 }) });
  };
  const handler = connectNodeAdapter({ routes });
  const server = transport === "grpc" ? http2.createServer(handler) : http.createServer(handler);
  return { target: await listen(server), seen };
}

/** Listens on loopback until the test ends; returns the address. */
export async function listen(server: Server): Promise<string> {
  const sockets = new Set<{ destroy(): void }>();
  server.on("connection", (socket: { destroy(): void }) => {
    sockets.add(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `127.0.0.1:${String((server.address() as AddressInfo).port)}`;
}
