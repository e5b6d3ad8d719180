#include <kandinsky/embedding.h>

#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>

namespace v1 = kandinsky::v1;

namespace {

v1::Embedding embedding(v1::Dtype dtype, const std::string& data, const std::vector<int>& shape) {
  v1::Embedding embedding;
  embedding.set_dtype(dtype);
  embedding.set_data(data);
  embedding.mutable_shape()->Add(shape.begin(), shape.end());
  return embedding;
}

}  // namespace

TEST(Embedding, IsLittleEndianFloat32) {
  const auto made = kandinsky::make_embedding({1.0F, -2.5F}, "prior-1");
  EXPECT_EQ(made.data(), std::string("\0\0\x80\x3f\0\0\x20\xc0", 8));
  EXPECT_EQ(made.dtype(), v1::DTYPE_F32);
  ASSERT_EQ(made.shape_size(), 1);
  EXPECT_EQ(made.shape(0), 2);
  EXPECT_EQ(made.prior_fingerprint(), "prior-1");
  EXPECT_EQ(kandinsky::to_floats(made), (std::vector<float>{1.0F, -2.5F}));
}

TEST(Embedding, ReadsHalves) {
  // 1, -2, the largest, the smallest, the smallest of the usual form, -0
  const std::string data("\x00\x3c\x00\xc0\xff\x7b\x01\x00\x00\x04\x00\x80", 12);
  const auto values = kandinsky::to_floats(embedding(v1::DTYPE_F16, data, {1, 6}));
  EXPECT_EQ(values, (std::vector<float>{1.0F, -2.0F, 65504.0F, 0x1p-24F, 0x1p-14F, -0.0F}));
  EXPECT_TRUE(std::signbit(values[5]));
}

TEST(Embedding, ReadsHalvesThatAreNotFinite) {
  const auto values = kandinsky::to_floats(embedding(v1::DTYPE_F16, std::string("\x00\x7c\x00\xfc\x01\x7e", 6), {3}));
  EXPECT_EQ(values[0], INFINITY);
  EXPECT_EQ(values[1], -INFINITY);
  EXPECT_TRUE(std::isnan(values[2]));
}

TEST(Embedding, ReadsBfloat16) {
  EXPECT_EQ(kandinsky::to_floats(embedding(v1::DTYPE_BF16, std::string("\x80\x3f\x20\xc0", 4), {2})),
            (std::vector<float>{1.0F, -2.5F}));
}

TEST(Embedding, RefusesWhatDoesNotAddUp) {
  const std::string eight(8, '\0');
  EXPECT_THROW(kandinsky::to_floats(embedding(v1::DTYPE_F32, eight, {})), std::invalid_argument);
  EXPECT_THROW(kandinsky::to_floats(embedding(v1::DTYPE_F32, eight, {3})), std::invalid_argument);
  EXPECT_THROW(kandinsky::to_floats(embedding(v1::DTYPE_F32, eight, {-2})), std::invalid_argument);
  EXPECT_THROW(kandinsky::to_floats(embedding(v1::DTYPE_F32, eight, {0, 2})), std::invalid_argument);
  EXPECT_THROW(kandinsky::to_floats(embedding(v1::DTYPE_F32, "", {0})), std::invalid_argument);
  EXPECT_THROW(kandinsky::to_floats(embedding(v1::DTYPE_F32, eight, {1 << 30, 1 << 30, 16})), std::invalid_argument);
  EXPECT_THROW(kandinsky::to_floats(embedding(v1::DTYPE_UNSPECIFIED, eight, {2})), std::invalid_argument);
}
