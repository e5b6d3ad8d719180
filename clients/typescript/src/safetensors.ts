/** One tensor as it is stored. */
export interface Tensor {
  /** safetensors' name for the number type, such as "F32" or "BF16". */
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/** What a `.safetensors` file holds. */
export interface Tensors {
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

const ALIGNMENT = 8;
const VALUE_BYTES: Readonly<Record<string, number>> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  U16: 2,
  I16: 2,
  F16: 2,
  BF16: 2,
  U32: 4,
  I32: 4,
  F32: 4,
  U64: 8,
  I64: 8,
  F64: 8,
}; // prettier-ignore

/**
 * Writes a file as the `safetensors` library does: metadata by name, then tensors by the size of their numbers, largest
 * first, and by name; the header filled up with spaces to a multiple of 8 bytes.
 */
export function writeTensors({ tensors, metadata }: Tensors): Uint8Array<ArrayBuffer> {
  const ordered = [...tensors].sort(
    ([name, tensor], [otherName, other]) => valueBytes(other) - valueBytes(tensor) || (name < otherName ? -1 : 1),
  );
  const header: Record<string, unknown> = { __metadata__: Object.fromEntries(Object.entries(metadata).sort()) };
  let end = 0;
  for (const [name, { dtype, shape, data }] of ordered) {
    const begin = end;
    end += data.byteLength;
    header[name] = { dtype, shape, data_offsets: [begin, end] };
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const length = Math.ceil(text.byteLength / ALIGNMENT) * ALIGNMENT;
  const file = new Uint8Array(8 + length + end);
  new DataView(file.buffer).setBigUint64(0, BigInt(length), true);
  file.fill(0x20, 8, 8 + length);
  file.set(text, 8);
  let offset = 8 + length;
  for (const [, { data }] of ordered) {
    file.set(data, offset);
    offset += data.byteLength;
  }
  return file;
}

/**
 * Reads a file's tensors and metadata.
 *
 * @throws RangeError or SyntaxError, when it is no such file, or is damaged.
 */
export function readTensors(file: Uint8Array): Tensors {
  const { header, body } = split(file);
  const { __metadata__: metadata = {}, ...entries } = header;
  if (!isRecord(metadata) || !Object.values(metadata).every((value) => typeof value === "string")) {
    throw new RangeError("its metadata is not made of texts");
  }
  const tensors = new Map(Object.entries(entries).map(([name, entry]) => [name, tensorOf(name, entry, body)]));
  const size = [...tensors.values()].reduce((sum, { data }) => sum + data.byteLength, 0);
  if (size !== body.byteLength) {
    throw new RangeError(`its tensors take ${String(size)} bytes, and ${String(body.byteLength)} follow the header`);
  }
  return { tensors, metadata: metadata as Record<string, string> };
}

function split(file: Uint8Array): { header: Record<string, unknown>; body: Uint8Array } {
  if (file.byteLength < 8) throw new RangeError(`it has ${String(file.byteLength)} bytes, too few for a header`);
  const length = new DataView(file.buffer, file.byteOffset).getBigUint64(0, true);
  if (length > BigInt(file.byteLength - 8)) throw new RangeError("its header is cut off");
  const end = 8 + Number(length);
  const header: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(file.subarray(8, end)));
  if (!isRecord(header)) throw new RangeError("its header is no JSON object");
  return { header, body: file.subarray(end) };
}

function tensorOf(name: string, entry: unknown, body: Uint8Array): Tensor {
  if (isRecord(entry)) {
    const { dtype, shape, data_offsets: offsets } = entry;
    if (typeof dtype === "string" && isCounts(shape) && isCounts(offsets) && offsets.length === 2) {
      const [begin = 0, end = 0] = offsets;
      const tensor = { dtype, shape, data: body.subarray(begin, end) };
      const size = shape.reduce((product, side) => product * side, valueBytes(tensor));
      if (begin <= end && end <= body.byteLength && end - begin === size) return tensor;
    }
  }
  throw new RangeError(`its tensor ${name} is not where, or not what, the header says`);
}

function valueBytes({ dtype }: Tensor): number {
  const bytes = VALUE_BYTES[dtype];
  if (bytes === undefined) throw new RangeError(`its dtype ${dtype} is not known`);
  return bytes;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && (item as number) >= 0);
}
