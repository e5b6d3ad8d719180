import type { Duration } from "@bufbuild/protobuf/wkt";

/** Returns a Duration in milliseconds. */
export function milliseconds(duration: Duration): number {
  return Number(duration.seconds) * 1000 + duration.nanos / 1e6;
}
