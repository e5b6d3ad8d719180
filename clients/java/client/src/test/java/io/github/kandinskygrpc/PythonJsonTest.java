package io.github.kandinskygrpc;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.google.gson.JsonParser;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PythonJsonTest {
  @ParameterizedTest
  @CsvSource({
    "4.0, 4.0",
    "-0.0, -0.0",
    "25, 25",
    "0.3333333333333333, 0.3333333333333333",
    "2.0E-3, 0.002",
    "1.0E-4, 0.0001",
    "1.0E-5, 1e-05",
    "-1.25E-7, -1.25e-07",
    "1.0E7, 10000000.0",
    "1.2345678901234568E15, 1234567890123456.8",
    "1.0E16, 1e+16",
    "1.0E23, 1e+23",
    "2.0E-322, 2e-322",
    "4.9E-324, 5e-324",
    "1.7976931348623157E308, 1.7976931348623157e+308",
  })
  void writesNumbersAsPythonsRepr(String json, String python) {
    assertEquals(python, PythonJson.write(JsonParser.parseString(json)));
  }

  @Test
  void writesAsciiWithSpaces() {
    String json = "{\"a\":[1,true,null],\"b\":{\"é\":\"\\n\\\"😀\\u007f\\u0001\"}}";
    assertEquals(
        "{\"a\": [1, true, null], \"b\": {\"\\u00e9\": \"\\n\\\"\\ud83d\\ude00\\u007f\\u0001\"}}",
        PythonJson.write(JsonParser.parseString(json)));
  }
}
