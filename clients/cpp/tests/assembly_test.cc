#include "assembly.h"

#include <gtest/gtest.h>
#include <kandinsky/error.h>

#include "events.h"

using kandinsky::Assembly;
using kandinsky::IncompleteStreamError;

namespace {

// Receives all, and returns the events that came of them.
std::vector<kandinsky::Event> receive(Assembly& assembly, const std::vector<v1::Event>& messages) {
  std::vector<kandinsky::Event> events;
  for (const auto& message : messages) {
    if (auto event = assembly.receive(message)) {
      events.push_back(std::move(*event));
    }
  }
  return events;
}

void expect_broken(const std::vector<v1::Event>& messages) {
  EXPECT_THROW(
      {
        Assembly assembly;
        receive(assembly, messages);
        assembly.finish();
      },
      IncompleteStreamError);
}

}  // namespace

TEST(Assembly, JoinsChunks) {
  Assembly assembly;
  const auto events =
      receive(assembly, {image_header(0, 5, 2), chunk(0, 0, "abc"), chunk(0, 3, "de"), completed(0, 1)});
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(std::get<v1::ImageResult>(events[0]).data(), "abcde");
  EXPECT_EQ(assembly.finish().image_count(), 1);
}

TEST(Assembly, PassesOverUnknownKindsAndEnumValues) {
  v1::Event strange = image(0, "abc");
  strange.mutable_image()->set_format(static_cast<v1::ImageFormat>(77));
  Assembly assembly;
  const auto events = receive(assembly, {unknown_event(), strange, unknown_event(), completed(0, 1)});
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(std::get<v1::ImageResult>(events[0]).format(), 77);
  EXPECT_EQ(assembly.finish().image_count(), 1);
}

TEST(Assembly, WantsCompleted) { expect_broken({image(0, "abc")}); }
TEST(Assembly, WantsAsManyImagesAsCompletedSays) { expect_broken({image(0, "abc"), completed(0, 2)}); }
TEST(Assembly, WantsAsManyEmbeddingsAsCompletedSays) { expect_broken({embedding(0), completed(2, 0)}); }
TEST(Assembly, CountsAnIndexOnce) { expect_broken({image(0, "abc"), image(0, "abc"), completed(0, 2)}); }
TEST(Assembly, RefusesNegativeCounts) { expect_broken({completed(-1, 0)}); }
TEST(Assembly, MissesAChunk) { expect_broken({image_header(0, 5, 2), chunk(0, 0, "abc"), completed(0, 1)}); }
TEST(Assembly, MissesTheFirstChunk) { expect_broken({image_header(0, 5, 2), chunk(0, 3, "de")}); }
TEST(Assembly, RefusesSwappedChunks) {
  expect_broken({image_header(0, 5, 2), chunk(0, 3, "de"), chunk(0, 0, "abc"), completed(0, 1)});
}
TEST(Assembly, RefusesARepeatedChunk) {
  expect_broken({image_header(0, 6, 2), chunk(0, 0, "abc"), chunk(0, 0, "abc")});
}
TEST(Assembly, RefusesAChunkTooMany) {
  expect_broken({image_header(0, 3, 1), chunk(0, 0, "abc"), chunk(0, 3, "de"), completed(0, 1)});
}
TEST(Assembly, RefusesAChunkWithoutHeader) { expect_broken({chunk(0, 0, "abc")}); }
TEST(Assembly, RefusesChunksThatAreTooLong) {
  expect_broken({image_header(0, 4, 2), chunk(0, 0, "abc"), chunk(0, 3, "de")});
}
TEST(Assembly, RefusesChunksThatAreTooShort) {
  expect_broken({image_header(0, 9, 2), chunk(0, 0, "abc"), chunk(0, 3, "de")});
}
TEST(Assembly, RefusesAnImageOfAnotherSize) {
  v1::Event short_image = image(0, "abc");
  short_image.mutable_image()->set_size_bytes(4);
  expect_broken({short_image, completed(0, 1)});
}
TEST(Assembly, RefusesAnEmbeddingThatIsCutOff) {
  v1::Event cut = embedding(0);
  cut.mutable_embedding()->mutable_embeddings()->mutable_positive()->mutable_data()->pop_back();
  expect_broken({cut, completed(1, 0)});
}
TEST(Assembly, RefusesAnEmbeddingOfAnUnknownDtype) {
  v1::Event strange = embedding(0);
  strange.mutable_embedding()->mutable_embeddings()->mutable_positive()->set_dtype(static_cast<v1::Dtype>(9));
  expect_broken({strange, completed(1, 0)});
}
