import { HealthCheckResponse_ServingStatus as Status } from "./gen/health/v1/health_pb.js";

/** How a server, or one service of it, is. */
export type Health = "unknown" | "serving" | "not_serving" | "service_unknown";

const NAMES: Readonly<Record<number, Health>> = {
  [Status.SERVING]: "serving",
  [Status.NOT_SERVING]: "not_serving",
  [Status.SERVICE_UNKNOWN]: "service_unknown",
};

/** Names a grpc.health.v1 status; one that this client does not know is "unknown". */
export function healthOf(status: number): Health {
  return NAMES[status] ?? "unknown";
}
