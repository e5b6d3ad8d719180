#include "json_text.h"

#include <gtest/gtest.h>

using kandinsky::json_number;

TEST(JsonText, WritesNumbersAsPythonDoes) {
  EXPECT_EQ(json_number(4.0), "4.0");
  EXPECT_EQ(json_number(0.0), "0.0");
  EXPECT_EQ(json_number(-0.5), "-0.5");
  EXPECT_EQ(json_number(0.1), "0.1");
  EXPECT_EQ(json_number(1.0 / 3), "0.3333333333333333");
  EXPECT_EQ(json_number(0.0001), "0.0001");
  EXPECT_EQ(json_number(0.00001), "1e-05");
  EXPECT_EQ(json_number(1.5e-7), "1.5e-07");
  EXPECT_EQ(json_number(9999999999999998.0), "9999999999999998.0");
  EXPECT_EQ(json_number(1e16), "1e+16");
  EXPECT_EQ(json_number(1.7976931348623157e308), "1.7976931348623157e+308");
}

TEST(JsonText, EscapesAsPythonDoes) {
  EXPECT_EQ(kandinsky::json_quote_ascii("a \"b\" \\ \n\t\b\f\r\x01\x7f"), R"("a \"b\" \\ \n\t\b\f\r\u0001\u007f")");
  EXPECT_EQ(kandinsky::json_quote_ascii("B\xc3\xa4lle \xe2\x98\x83\xf0\x9f\x98\x80"),
            R"("B\u00e4lle \u2603\ud83d\ude00")");
  EXPECT_EQ(kandinsky::json_quote_ascii("cut \xf0\x9f").substr(0, 5), "\"cut ");
}

TEST(JsonText, EscapesAsSafetensorsDoes) {
  EXPECT_EQ(kandinsky::json_quote("a \"b\" \\ \n\x1f B\xc3\xa4lle"), "\"a \\\"b\\\" \\\\ \\n\\u001f B\xc3\xa4lle\"");
}
