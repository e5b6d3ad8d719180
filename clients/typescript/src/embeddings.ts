import { create } from "@bufbuild/protobuf";

import { Dtype, type Embedding, EmbeddingSchema } from "./gen/kandinsky_api/v1/types_pb.js";

const VALUE_BYTES: Readonly<Record<number, number>> = { [Dtype.F32]: 4, [Dtype.F16]: 2, [Dtype.BF16]: 2 };

/**
 * Returns the values of an embedding as float32, which holds each dtype's exactly: a copy, since bytes of a message may
 * begin anywhere in memory.
 *
 * @param embedding - Of any dtype.
 * @returns As many numbers as `shape` says, `[width]` or `[1, width]`.
 * @throws RangeError, when `data` is not as long as `shape` and `dtype` say, or the dtype is not known.
 */
export function embeddingValues(embedding: Embedding): Float32Array<ArrayBuffer> {
  const { data, dtype, shape } = embedding;
  const size = VALUE_BYTES[dtype];
  if (size === undefined) throw new RangeError(`an embedding of dtype ${String(dtype)} needs a newer client`);
  const count = shape.reduce((product, side) => product * side, 1);
  if (data.byteLength !== count * size) {
    const expected = `${String(count)} values of ${String(size)} bytes`;
    throw new RangeError(`an embedding has ${String(data.byteLength)} bytes, not ${expected}`);
  }
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  return Float32Array.from({ length: count }, (_, place) => valueAt(view, place * size, dtype));
}

/**
 * Makes an embedding of numbers.
 *
 * @param values - `width` numbers, rounded to float32.
 * @param priorFingerprint - The fingerprint of the prior that made it; "" is not checked by the server.
 */
export function embeddingOf(values: ArrayLike<number>, priorFingerprint = ""): Embedding {
  const data = new Uint8Array(values.length * 4);
  const view = new DataView(data.buffer);
  Array.from(values).forEach((value, place) => {
    view.setFloat32(place * 4, value, true);
  });
  return create(EmbeddingSchema, { data, dtype: Dtype.F32, shape: [values.length], priorFingerprint });
}

function valueAt(view: DataView, offset: number, dtype: Dtype): number {
  if (dtype === Dtype.F32) return view.getFloat32(offset, true);
  const bits = view.getUint16(offset, true);
  return dtype === Dtype.F16 ? half(bits) : brainFloat(bits);
}

/** IEEE 754 half precision: 1 bit of sign, 5 of exponent, 10 of fraction. */
function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction ? NaN : sign * Infinity;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** bfloat16: the upper half of a single. */
function brainFloat(bits: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, bits * 0x10000);
  return view.getFloat32(0);
}
