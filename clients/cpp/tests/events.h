// Events of one call, as a server sends them.
#pragma once

#include <kandinsky/api.h>

#include <string>
#include <vector>

namespace v1 = kandinsky::v1;

v1::Event queued(int position = 0);
v1::Event progress(int step);
v1::Event embedding(int index, const std::vector<float>& values = {1.0F, 2.0F});
v1::Event image(int index, const std::string& data);
v1::Event image_header(int index, int size, int chunk_count);
v1::Event chunk(int index, int offset, const std::string& data);
v1::Event checkpoint(const std::string& stage, int index, int step);
v1::Event completed(int embedding_count, int image_count);
// Of a kind that this contract does not have.
v1::Event unknown_event();
