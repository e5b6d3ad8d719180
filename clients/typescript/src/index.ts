/**
 * A client of the Kandinsky 2.2 gRPC model server: what is the same on every transport. `connect` is in
 * `@kandinsky-grpc/client/node` and `@kandinsky-grpc/client/web`, the contract's messages in `@kandinsky-grpc/client/proto`.
 *
 * @packageDocumentation
 */
export { Code } from "@connectrpc/connect";
export { Kandinsky, type Streams } from "./client.js";
export { decodeEmbeddings, encodeEmbeddings } from "./embeddingFile.js";
export { embeddingOf, embeddingValues } from "./embeddings.js";
export {
  codeName,
  EmbeddingFileError,
  type FieldViolation,
  IncompleteStreamError,
  KandinskyError,
  type Reason,
  RpcError,
  type RpcErrorParts,
} from "./errors.js";
export type { EventStream } from "./eventStream.js";
export type { Event } from "./events.js";
export { Dtype, ImageFormat, Priority } from "./gen/kandinsky_api/v1/types_pb.js";
export type { Health } from "./health.js";
export type { CallOptions, ClientOptions, Connection } from "./options.js";
export type {
  ControlNetInput,
  DecodeInput,
  EstimateInput,
  GenerateInput,
  Img2ImgInput,
  InpaintInput,
  Input,
  InterpolateInput,
  PriorInput,
  StreamName,
} from "./requests.js";
export type { EmbeddingResult, EmbeddingSet, ImageResult, ImageSet, StoredEmbedding } from "./results.js";
export { VERSION } from "./version.js";
