/**
 * The contract's generated messages, enums and services, for protobuf-es and Connect.
 *
 * @packageDocumentation
 */
export * from "./gen/kandinsky_api/v1/errors_pb.js";
export * from "./gen/kandinsky_api/v1/events_pb.js";
export * from "./gen/kandinsky_api/v1/image_pb.js";
export * from "./gen/kandinsky_api/v1/prior_pb.js";
export * from "./gen/kandinsky_api/v1/server_pb.js";
export * from "./gen/kandinsky_api/v1/types_pb.js";
