import { create, fromJson, type JsonValue, toJson } from "@bufbuild/protobuf";
import { DurationSchema } from "@bufbuild/protobuf/wkt";

import {
  type PriorSampling,
  PriorSamplingSchema,
  type Receipt,
  ReceiptSchema,
  TimingsSchema,
} from "./gen/kandinsky_api/v1/types_pb.js";

// The fields whose numbers are doubles, which Python's JSON writes with a point.
const DOUBLES: ReadonlySet<string> = new Set(["guidance_scale", "strength", "weights"]);

const MAPS: ReadonlySet<string> = new Set(["versions", "input_digests"]);

/** Writes receipts as a JSON list, null where there is none: byte for byte what Python's `json.dumps` makes of them. */
export function receiptsToJson(receipts: readonly (Receipt | undefined)[]): string {
  return pythonJson(receipts.map((receipt) => (receipt ? plain(receipt) : null)));
}

/**
 * Reads what {@link receiptsToJson} wrote; unknown fields are ignored.
 *
 * @returns undefined where the text is null.
 * @throws Error, when it is no list of receipts.
 */
export function receiptsFromJson(text: string): (Receipt | undefined)[] | undefined {
  const list = JSON.parse(text) as JsonValue;
  if (list === null) return undefined;
  if (!Array.isArray(list)) throw new RangeError("its metadata `receipts` is no JSON list");
  return list.map((item) => (item ? fromJson(ReceiptSchema, item, { ignoreUnknownFields: true }) : undefined));
}

/** Protobuf's JSON form, with the field names of the contract; times are there even where they are nothing. */
function plain(receipt: Receipt): JsonValue {
  const { priorSampling, timings, ...rest } = receipt;
  const nothing = create(DurationSchema);
  const { queued = nothing, denoising = nothing, total = nothing } = timings ?? {};
  const whole = create(ReceiptSchema, {
    ...rest,
    timings: create(TimingsSchema, { queued, denoising, total }),
    ...priorPart(priorSampling),
  });
  return sortedMaps(toJson(ReceiptSchema, whole, { useProtoFieldName: true }));
}

/** Maps by key: on the wire their order is one of chance. Keys that are numbers, JavaScript has in order by itself. */
function sortedMaps(receipt: ReturnType<typeof toJson>): JsonValue {
  const fields = Object.entries(receipt as Record<string, JsonValue>);
  return Object.fromEntries(fields.map(([name, value]) => [name, MAPS.has(name) ? sorted(value) : value]));
}

function sorted(map: JsonValue): JsonValue {
  return Object.fromEntries(Object.entries(map as Record<string, JsonValue>).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** A receipt keeps of an embedding its seed, steps and guidance. */
function priorPart({ seed, stepCount, guidanceScale }: Partial<PriorSampling> = {}): Partial<Receipt> {
  if (seed === undefined && stepCount === undefined && guidanceScale === undefined) return {};
  const priorSampling = create(PriorSamplingSchema, {
    ...(seed !== undefined && { seed }),
    ...(stepCount !== undefined && { stepCount }),
    ...(guidanceScale !== undefined && { guidanceScale }),
  });
  return { priorSampling };
}

function pythonJson(value: JsonValue, isDouble = false): string {
  if (typeof value === "string") return pythonText(value);
  if (typeof value === "number") return isDouble ? pythonFloat(value) : String(value);
  if (Array.isArray(value)) return `[${value.map((item) => pythonJson(item, isDouble)).join(", ")}]`;
  if (typeof value !== "object" || value === null) return String(value);
  const members = Object.entries(value).map(
    ([key, item]) => `${pythonText(key)}: ${pythonJson(item, DOUBLES.has(key))}`,
  );
  return `{${members.join(", ")}}`;
}

/** All but printable ASCII is escaped. */
function pythonText(text: string): string {
  return JSON.stringify(text).replace(
    /[\u007f-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Python's `repr`: the shortest digits, as JavaScript's; with an exponent from 1e16 on and below 1e-4. */
function pythonFloat(value: number): string {
  const [digits = "", exponent = "0"] = value.toExponential().split("e");
  const power = Number(exponent);
  if (power < -4 || power >= 16) {
    return `${digits}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
  }
  const text = Object.is(value, -0) ? "-0" : String(value);
  return text.includes(".") ? text : `${text}.0`;
}
