// What the program writes of what the client gave.
#pragma once

#include <kandinsky/client.h>

#include <nlohmann/json.hpp>
#include <string>

using Json = nlohmann::json;

// Adds an event to the report; returns the name of its kind.
std::string report_event(const kandinsky::Event& event, Json& report);
void report_embedding(const kandinsky::v1::EmbeddingResult& embedding, Json& report);
Json rpc_error(const kandinsky::RpcError& error);
