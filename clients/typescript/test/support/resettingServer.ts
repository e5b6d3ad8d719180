import { createServer, type Socket } from "node:net";

import { listen } from "./fakeServer.js";

const PREFACE_BYTES = 24;
const HEADERS = 1;
const RST_STREAM = 3;
const SETTINGS = 4;
const ACK = 1;
const END_HEADERS = 4;
// HPACK: ":status: 200" by its index, "content-type" by its index with a literal value.
const RESPONSE = Buffer.concat([Buffer.from([0x88, 0x0f, 0x10, 16]), Buffer.from("application/grpc")]);

/**
 * A server that answers every call with headers and RST_STREAM, frame by frame: Node's own ends a stream before it resets
 * it, which servers of gRPC do not.
 */
export async function resettingServer(code: number): Promise<{ target: string; count: () => number }> {
  let calls = 0;
  const server = createServer((socket) => {
    let read = Buffer.alloc(0);
    let offset = PREFACE_BYTES;
    socket.on("error", () => undefined);
    send(socket, SETTINGS, 0, 0, Buffer.alloc(0));
    socket.on("data", (data) => {
      read = Buffer.concat([read, data]);
      while (read.length >= offset + 9) {
        const [size, type, flags] = [
          read.readUIntBE(offset, 3),
          read.readUInt8(offset + 3),
          read.readUInt8(offset + 4),
        ];
        if (read.length < offset + 9 + size) return;
        const stream = read.readUInt32BE(offset + 5);
        offset += 9 + size;
        if (type === SETTINGS && flags !== ACK) send(socket, SETTINGS, ACK, 0, Buffer.alloc(0));
        if (type !== HEADERS) continue;
        calls += 1;
        const error = Buffer.alloc(4);
        error.writeUInt32BE(code);
        send(socket, HEADERS, END_HEADERS, stream, RESPONSE);
        send(socket, RST_STREAM, 0, stream, error);
      }
    });
  });
  return { target: await listen(server), count: () => calls };
}

function send(socket: Socket, type: number, flags: number, stream: number, payload: Buffer): void {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  socket.write(Buffer.concat([head, payload]));
}
