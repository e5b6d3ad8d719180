// Receipts as JSON, as embedding files carry them.
#pragma once

#include <kandinsky/api.h>

#include <string>
#include <vector>

namespace kandinsky {

// Writes the receipts of these results as a JSON list, `null` for a result without one: protobuf's JSON form with the
// field names of the contract, as Python's `json.dumps` lays it out, the entries of maps in the order of their keys.
std::string receipts_to_json(const std::vector<v1::EmbeddingResult>& embeddings);

// Reads such a list into the results; an empty text, `null` or an empty list is no receipts. Unknown fields are passed
// over. Throws std::runtime_error when it is no list of as many receipts.
void receipts_from_json(const std::string& text, std::vector<v1::EmbeddingResult>& embeddings);

}  // namespace kandinsky
