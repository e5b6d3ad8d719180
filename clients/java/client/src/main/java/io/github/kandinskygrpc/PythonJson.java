package io.github.kandinskygrpc;

import static java.util.stream.Collectors.joining;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonPrimitive;
import java.math.BigDecimal;
import java.math.MathContext;
import java.math.RoundingMode;
import java.util.Map;

/**
 * JSON as Python's {@code json.dumps} writes it, which embedding files hold byte for byte: ASCII,
 * with spaces.
 */
final class PythonJson {
  private static final Map<Character, String> SHORT_ESCAPES =
      Map.of(
          '"', "\\\"", '\\', "\\\\", '\n', "\\n", '\r', "\\r", '\t', "\\t", '\f', "\\f", '\b',
          "\\b");
  private static final int MOST_DIGITS = 17;
  private static final int LEAST_PLAIN_EXPONENT = -4;
  private static final int LEAST_LARGE_EXPONENT = 16;

  private PythonJson() {}

  static String write(JsonElement json) {
    if (json instanceof JsonObject object) {
      return object.entrySet().stream()
          .map(field -> quoted(field.getKey()) + ": " + write(field.getValue()))
          .collect(joining(", ", "{", "}"));
    }
    if (json instanceof JsonArray list) {
      return list.asList().stream().map(PythonJson::write).collect(joining(", ", "[", "]"));
    }
    if (json instanceof JsonPrimitive value && value.isString()) {
      return quoted(value.getAsString());
    }
    return json instanceof JsonPrimitive value && value.isNumber()
        ? number(value.getAsString())
        : json.toString();
  }

  /**
   * An integer stays; a double becomes Python's repr: the shortest text that reads back the same.
   */
  private static String number(String text) {
    if (text.matches("-?[0-9]+")) {
      return text;
    }
    double value = Double.parseDouble(text);
    if (value == 0) {
      return Double.toString(value);
    }
    BigDecimal shortest = shortest(value);
    int exponent = shortest.precision() - shortest.scale() - 1;
    if (exponent < LEAST_PLAIN_EXPONENT || exponent >= LEAST_LARGE_EXPONENT) {
      return scientific(shortest, exponent);
    }
    String plain = shortest.toPlainString();
    return plain.contains(".") ? plain : plain + ".0";
  }

  /** Before Java 19, Double.toString may write a digit too many. */
  private static BigDecimal shortest(double value) {
    BigDecimal exact = new BigDecimal(value);
    for (int digits = 1; digits < MOST_DIGITS; digits++) {
      BigDecimal rounded = exact.round(new MathContext(digits, RoundingMode.HALF_EVEN));
      if (rounded.doubleValue() == value) {
        return rounded.stripTrailingZeros();
      }
    }
    return exact.round(new MathContext(MOST_DIGITS, RoundingMode.HALF_EVEN));
  }

  private static String scientific(BigDecimal number, int exponent) {
    String digits = number.unscaledValue().abs().toString();
    String fraction = digits.length() > 1 ? "." + digits.substring(1) : "";
    String sign = number.signum() < 0 ? "-" : "";
    return "%s%s%se%s%02d"
        .formatted(sign, digits.charAt(0), fraction, exponent < 0 ? "-" : "+", Math.abs(exponent));
  }

  private static String quoted(String text) {
    return text.chars().mapToObj(each -> escaped((char) each)).collect(joining("", "\"", "\""));
  }

  private static String escaped(char each) {
    if (SHORT_ESCAPES.containsKey(each)) {
      return SHORT_ESCAPES.get(each);
    }
    return each >= ' ' && each <= '~' ? String.valueOf(each) : "\\u%04x".formatted((int) each);
  }
}
