#include <kandinsky/embedding.h>
#include <kandinsky/embedding_file.h>
#include <kandinsky/error.h>

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <system_error>

#include "safetensors.h"

namespace fs = std::filesystem;
namespace v1 = kandinsky::v1;
using kandinsky::EmbeddingFileError;
using kandinsky::Safetensors;

namespace {

// A folder for each test, gone after it.
class EmbeddingFile : public testing::Test {
 protected:
  void SetUp() override {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::path(testing::TempDir()) / ("kandinsky-" + std::string(test->name()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  [[nodiscard]] fs::path file() const { return folder_ / "made" / "file.safetensors"; }

  [[nodiscard]] fs::path holding(const std::string& bytes) const {
    std::ofstream(folder_ / "bytes", std::ios::binary) << bytes;
    return folder_ / "bytes";
  }

 private:
  fs::path folder_;
};

std::string bytes_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

const fs::path kPython = TEST_DATA "/python.safetensors";

v1::EmbeddingResult result(const std::vector<float>& values) {
  v1::EmbeddingResult result;
  *result.mutable_embeddings()->mutable_positive() = kandinsky::make_embedding(values, "prior-1");
  return result;
}

Safetensors of_positive(const std::string& dtype, std::vector<std::int64_t> shape, const std::string& data) {
  Safetensors content;
  content.tensors["positive"] = {dtype, std::move(shape), data};
  return content;
}

std::string with_header(const std::string& header, const std::string& data) {
  std::string length(8, '\0');
  length[0] = static_cast<char>(header.size());
  return length + header + data;
}

}  // namespace

TEST_F(EmbeddingFile, ReadsWhatPythonWrote) {
  const auto results = kandinsky::load_embeddings(kPython);
  ASSERT_EQ(results.size(), 2U);
  EXPECT_EQ(results[1].index(), 1);
  EXPECT_EQ(results[0].embeddings().positive().shape(0), 96);
  EXPECT_EQ(results[0].embeddings().positive().prior_fingerprint(), "5105dd1e92fc9c0311e6add355c20365");
  EXPECT_FLOAT_EQ(kandinsky::to_floats(results[0].embeddings().positive())[0], -0.5960766F);
  EXPECT_TRUE(results[0].embeddings().has_negative());
  EXPECT_EQ(results[0].receipt().seed(), 7);
  EXPECT_TRUE(results[0].receipt().has_negative_prompt());
  EXPECT_EQ(results[1].receipt().prompt(), "zwei B\xc3\xa4lle \xe2\x98\x83\xf0\x9f\x98\x80 \"q\" \\ \n");
  EXPECT_EQ(results[0].receipt().versions().at("server"), "0.1.0");
}

TEST_F(EmbeddingFile, WritesWhatPythonWrote) {
  kandinsky::save_embeddings(file(), kandinsky::load_embeddings(kPython));
  EXPECT_EQ(bytes_of(file()), bytes_of(kPython));
}

TEST_F(EmbeddingFile, WritesWithoutReceiptsAndNegatives) {
  kandinsky::save_embeddings(file(), {result({1.0F, 2.0F})});
  const std::string header = R"({"__metadata__":{"prior_fingerprint":"prior-1","receipts":"[null]"},)"
                             R"("positive":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}})";
  const std::string padding((8 - header.size() % 8) % 8, ' ');
  EXPECT_EQ(bytes_of(file()), with_header(header + padding, std::string("\0\0\x80\x3f\0\0\0\x40", 8)));
  const auto read = kandinsky::load_embeddings(file());
  ASSERT_EQ(read.size(), 1U);
  EXPECT_FALSE(read[0].has_receipt());
  EXPECT_FALSE(read[0].embeddings().has_negative());
}

TEST_F(EmbeddingFile, KeepsHalvesAndWidensBfloat16) {
  v1::EmbeddingResult half = result({});
  half.mutable_embeddings()->mutable_positive()->set_dtype(v1::DTYPE_F16);
  half.mutable_embeddings()->mutable_positive()->set_data(std::string("\x00\x3c", 2));
  half.mutable_embeddings()->mutable_positive()->set_shape(0, 1);
  kandinsky::save_embeddings(file(), {half});
  EXPECT_EQ(kandinsky::load_embeddings(file())[0].embeddings().positive().dtype(), v1::DTYPE_F16);

  v1::EmbeddingResult bfloat = half;
  bfloat.mutable_embeddings()->mutable_positive()->set_dtype(v1::DTYPE_BF16);
  bfloat.mutable_embeddings()->mutable_positive()->set_data(std::string("\x80\x3f", 2));
  kandinsky::save_embeddings(file(), {half, bfloat});
  const auto read = kandinsky::load_embeddings(file());
  EXPECT_EQ(read[1].embeddings().positive().dtype(), v1::DTYPE_F32);
  EXPECT_EQ(kandinsky::to_floats(read[0].embeddings().positive()), std::vector<float>{1.0F});
  EXPECT_EQ(kandinsky::to_floats(read[1].embeddings().positive()), std::vector<float>{1.0F});
}

TEST_F(EmbeddingFile, ReadsOtherFilesOfEmbeddings) {
  Safetensors content = of_positive("F64", {1}, std::string("\0\0\0\0\0\0\xf0\x3f", 8));
  kandinsky::write_safetensors(file(), content);
  EXPECT_EQ(kandinsky::to_floats(kandinsky::load_embeddings(file())[0].embeddings().positive()),
            std::vector<float>{1.0F});
  content = of_positive("BF16", {2, 1}, std::string("\x80\x3f\x20\xc0", 4));
  content.metadata["receipts"] = R"([null, {"rpc": "Prior", "of_the_future": {"a": [1]}, "seed": "9"}])";
  kandinsky::write_safetensors(file(), content);
  const auto read = kandinsky::load_embeddings(file());
  ASSERT_EQ(read.size(), 2U);
  EXPECT_FALSE(read[0].has_receipt());
  EXPECT_EQ(read[1].receipt().seed(), 9);
}

TEST_F(EmbeddingFile, RefusesFilesOfOtherThings) {
  const auto expect_refused = [this](const Safetensors& content) {
    kandinsky::write_safetensors(file(), content);
    EXPECT_THROW(kandinsky::load_embeddings(file()), EmbeddingFileError);
  };
  expect_refused({});
  expect_refused(of_positive("I64", {1}, std::string(8, '\0')));
  expect_refused(of_positive("F32", {}, std::string(4, '\0')));
  expect_refused(of_positive("F32", {0, 4}, ""));
  expect_refused(of_positive("F32", {1, 1, 1}, std::string(4, '\0')));
  expect_refused(of_positive("F32", {2, 2}, std::string(12, '\0')));
  expect_refused(of_positive("F64", {1}, std::string(12, '\0')));
  Safetensors content = of_positive("F32", {1}, std::string(4, '\0'));
  content.tensors["negative"] = {"F32", {2, 1}, std::string(8, '\0')};
  expect_refused(content);
  for (const char* receipts : {"[null, null]", "[1]", "{}", "nonsense", "[{\"seed\": \"x\"}]"}) {
    content = of_positive("F32", {1}, std::string(4, '\0'));
    content.metadata["receipts"] = receipts;
    expect_refused(content);
  }
}

TEST_F(EmbeddingFile, RefusesDamagedFiles) {
  const auto expect_refused = [this](const std::string& bytes) {
    EXPECT_THROW(kandinsky::load_embeddings(holding(bytes)), EmbeddingFileError) << bytes;
  };
  const std::string whole = bytes_of(kPython);
  for (const std::size_t size : {0UL, 4UL, 8UL, 100UL, 1400UL, whole.size() - 1}) {
    expect_refused(whole.substr(0, size));
  }
  expect_refused(whole + "x");
  expect_refused(std::string(8, '\xff') + whole.substr(8));
  expect_refused(with_header("[]", ""));
  expect_refused(with_header("{\"positive\":1}", ""));
  expect_refused(with_header("{\"__metadata__\":{\"a\":1}}", ""));
  const std::string head = R"({"positive":{"dtype":"F32","shape":)";
  expect_refused(with_header(head + R"([1],"data_offsets":[0]}})", "1234"));
  expect_refused(with_header(head + R"([1],"data_offsets":[4,0]}})", "1234"));
  expect_refused(with_header(head + R"([1],"data_offsets":[0,400]}})", "1234"));
  expect_refused(with_header(head + R"([1],"data_offsets":[-4,0]}})", "1234"));
  expect_refused(with_header(head + R"([1.5],"data_offsets":[0,4]}})", "1234"));
  expect_refused(with_header(head + R"([1],"data_offsets":[4,8]}})", "12345678"));
  expect_refused(with_header(head + R"([9007199254740992, 9007199254740992],"data_offsets":[0,4]}})", "1234"));
  EXPECT_NO_THROW(kandinsky::load_embeddings(holding(with_header(head + R"([1],"data_offsets":[0,4]}})", "1234"))));
}

TEST_F(EmbeddingFile, RefusesFilesThatCannotBeRead) {
  EXPECT_THROW(kandinsky::load_embeddings("/no/such/file"), EmbeddingFileError);
  EXPECT_THROW(kandinsky::load_embeddings(fs::temp_directory_path()), EmbeddingFileError);
}

TEST_F(EmbeddingFile, RefusesPairsThatDoNotBelongTogether) {
  v1::EmbeddingResult other_prior = result({1.0F});
  other_prior.mutable_embeddings()->mutable_positive()->set_prior_fingerprint("prior-2");
  v1::EmbeddingResult with_negative = result({1.0F});
  *with_negative.mutable_embeddings()->mutable_negative() = kandinsky::make_embedding({1.0F});
  EXPECT_THROW(kandinsky::save_embeddings(file(), {}), std::invalid_argument);
  EXPECT_THROW(kandinsky::save_embeddings(file(), {result({1.0F}), result({1.0F, 2.0F})}), std::invalid_argument);
  EXPECT_THROW(kandinsky::save_embeddings(file(), {result({1.0F}), other_prior}), std::invalid_argument);
  EXPECT_THROW(kandinsky::save_embeddings(file(), {result({1.0F}), with_negative}), std::invalid_argument);
  EXPECT_THROW(kandinsky::save_embeddings(file(), {v1::EmbeddingResult()}), std::invalid_argument);
  EXPECT_FALSE(fs::exists(file()));
  EXPECT_THROW(kandinsky::save_embeddings("/proc/no/file", {result({1.0F})}), std::system_error);
}
