package io.github.kandinskygrpc;

/** IEEE 754 half precision, which Java has from version 20 on only. */
final class HalfFloats {
  private static final int EXPONENT_BIAS = 15;
  private static final int FRACTION_BITS = 10;
  private static final int FRACTION_MASK = (1 << FRACTION_BITS) - 1;
  private static final int EXPONENT_MASK = 0x1f;

  private HalfFloats() {}

  /** Returns the number that the bits of a half hold; float32 holds each exactly. */
  static float toFloat(short half) {
    int exponent = (half >> FRACTION_BITS) & EXPONENT_MASK;
    int fraction = half & FRACTION_MASK;
    float size;
    if (exponent == EXPONENT_MASK) {
      size = fraction == 0 ? Float.POSITIVE_INFINITY : Float.NaN;
    } else if (exponent == 0) { // subnormal, or zero
      size = Math.scalb((float) fraction, 1 - EXPONENT_BIAS - FRACTION_BITS);
    } else {
      size =
          Math.scalb(
              (float) (fraction | (1 << FRACTION_BITS)), exponent - EXPONENT_BIAS - FRACTION_BITS);
    }
    return half < 0 ? -size : size;
  }
}
