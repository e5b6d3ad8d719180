// What grpc-timeout can say in milliseconds: eight digits, some 27 hours.
const LONGEST_MS = 99_999_999;

/**
 * Checks a timeout.
 *
 * @param timeoutMs - Milliseconds, or undefined.
 * @returns Milliseconds; undefined is no limit, as is anything that the wire cannot say.
 * @throws RangeError, when it is 0, negative or NaN. TypeError, when it is no number.
 */
export function checkTimeout(timeoutMs: number | undefined): number | undefined {
  if (timeoutMs === undefined) return undefined;
  if (typeof timeoutMs !== "number") {
    throw new TypeError(`timeoutMs must be a number of milliseconds, not ${typeof timeoutMs}`);
  }
  if (!(timeoutMs > 0)) {
    throw new RangeError(`timeoutMs must be above 0, or Infinity for no limit; not ${String(timeoutMs)}`);
  }
  return timeoutMs > LONGEST_MS ? undefined : timeoutMs;
}
