// A chat's answer in the words of /v1/responses: one object, or events as they come. Made from the chat's chunks either
// way, so that both say the same.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/event_reader.h"
#include "http/http.h"

namespace tinderbox {

class ResponsesStream final : public ResponseStream {
 public:
  struct Options {
    bool streamed = false;
    std::string id;  // "resp_..."
    std::int64_t created_unix = 0;
    std::string model;
    std::string echo_json;  // as ResponsesRequest
    // Told of an answer that is complete: the object and its items, ids and documents. Optional.
    std::function<void(const std::string& response_json, std::vector<std::pair<std::string, std::string>> items)> done =
        {};
  };
  // inner: a streamed chat of one answer, with usage.
  ResponsesStream(HttpResponse inner, Options options);
  State poll(HttpResponse& response) override;

 private:
  enum class Kind : std::uint8_t { Reasoning, Message, Call };
  struct Item {
    Kind kind = Kind::Message;
    std::string id;
    std::string text;                   // of a call: its arguments
    std::string call_id = {}, name = {};
    std::string logprobs = {};  // JSON objects with commas between
    bool done = false;
  };
  bool chunk(std::string_view data, HttpResponse& response);
  void error(std::string_view data, HttpResponse& response);
  Item& item_of(Kind kind, std::string& out);
  void say(Kind kind, const std::string& delta, std::string_view logprobs, std::string_view logprobs_without_bytes,
           std::string& out);
  void close_item(std::string_view status, std::string& out);
  void last(HttpResponse& response);

  void event(std::string& out, std::string_view type, std::string_view members);
  std::string place(const Item& item, bool has_part) const;  // "item_id":...,"output_index":...
  static std::string part(const Item& item, bool begins);
  static std::string object(const Item& item, std::string_view status, bool begins);
  // The Response object.
  std::string whole(std::string_view status, std::string_view error) const;

  HttpResponse inner_;
  Options options_;
  EventReader reader_;
  std::vector<Item> items_;
  std::string usage_ = "null";
  bool cut_ = false;  // by its length
  std::int64_t n_events_ = 0;
  State state_ = State::Waiting;
};

}  // namespace tinderbox
