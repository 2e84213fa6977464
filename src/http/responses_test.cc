#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "http/echo_box_test.h"
#include "http/response_store.h"
#include "http/responses_request.h"
#include "http/responses_stream.h"

namespace tinderbox {
namespace {

using nlohmann::json;

HttpResponse respond(EchoBox& box, const std::string& fields) {
  return box.ask("POST", "/v1/responses", R"({"model":"echo",)" + fields + "}");
}

// The events of a stream, each named as its document says.
std::vector<json> events_of(const std::string& body) {
  std::vector<json> events;
  std::size_t at = 0;
  while (at < body.size()) {
    const std::size_t end = body.find("\n\n", at);
    if (end == std::string::npos) {
      ADD_FAILURE() << "an unfinished event: " << body.substr(at);
      break;
    }
    const std::string event = body.substr(at, end - at);
    const std::size_t data = event.find("\ndata: ");
    EXPECT_TRUE(event.starts_with("event: ") && data != std::string::npos) << event;
    events.push_back(json::parse(event.substr(data + 7)));
    EXPECT_EQ(event.substr(7, data - 7), events.back().at("type").get<std::string>());
    EXPECT_EQ(events.back().at("sequence_number"), events.size() - 1);
    at = end + 2;
  }
  return events;
}

std::vector<std::string> types_of(const std::vector<json>& events) {
  std::vector<std::string> out;
  for (const json& event : events) {
    const std::string type = event.at("type");
    if (out.empty() || out.back() != type) out.push_back(type);
  }
  return out;
}

TEST(Responses, AWholeAnswer) {
  EchoBox box;
  const HttpResponse r = respond(box, R"("input":"Hello","instructions":"Be brief.","metadata":{"a":"b"})");
  ASSERT_EQ(r.status, 200) << r.body;
  const json reply = json::parse(r.body);
  EXPECT_EQ(reply.at("object"), "response");
  EXPECT_EQ(reply.at("status"), "completed");
  EXPECT_TRUE(reply.at("id").get<std::string>().starts_with("resp_"));
  EXPECT_EQ(reply.at("model"), "echo");
  EXPECT_EQ(reply.at("instructions"), "Be brief.");
  EXPECT_EQ(reply.at("metadata"), json({{"a", "b"}}));
  EXPECT_EQ(reply.at("error"), nullptr);
  ASSERT_EQ(reply.at("output").size(), 1u);
  const json& message = reply.at("output")[0];
  EXPECT_EQ(message.at("type"), "message");
  EXPECT_EQ(message.at("role"), "assistant");
  EXPECT_EQ(message.at("content")[0].at("type"), "output_text");
  EXPECT_EQ(message.at("content")[0].at("text"), "Hello");
  EXPECT_EQ(reply.at("usage").at("input_tokens"), 6);
  EXPECT_EQ(reply.at("usage").at("output_tokens"), 6);
  EXPECT_EQ(reply.at("usage").at("total_tokens"), 12);
  EXPECT_EQ(r.tally.model, "echo");
}

TEST(Responses, TheStreamSaysTheSame) {
  EchoBox box;
  const json whole = json::parse(respond(box, R"("input":"two words")").body);
  const HttpResponse r = respond(box, R"("input":"two words","stream":true)");
  EXPECT_EQ(r.content_type, "text/event-stream");
  const std::vector<json> events = events_of(r.body);
  EXPECT_EQ(types_of(events),
            (std::vector<std::string>{"response.created", "response.in_progress", "response.output_item.added",
                                      "response.content_part.added", "response.output_text.delta",
                                      "response.output_text.done", "response.content_part.done",
                                      "response.output_item.done", "response.completed"}));
  std::string text;
  for (const json& event : events) {
    if (event.at("type") == "response.output_text.delta") text += event.at("delta");
  }
  EXPECT_EQ(text, "two words");
  const json& last = events.back().at("response");
  EXPECT_EQ(last.at("output")[0].at("content"), whole.at("output")[0].at("content"));
  EXPECT_EQ(last.at("usage"), whole.at("usage"));
  EXPECT_EQ(events.front().at("response").at("id"), last.at("id"));
}

TEST(Responses, AnAnswerThatIsCutIsIncomplete) {
  EchoBox box;
  const json reply = json::parse(respond(box, R"("input":"endless","max_output_tokens":3)").body);
  EXPECT_EQ(reply.at("status"), "incomplete");
  EXPECT_EQ(reply.at("incomplete_details"), json({{"reason", "max_output_tokens"}}));
  EXPECT_EQ(reply.at("output")[0].at("status"), "incomplete");
  EXPECT_EQ(reply.at("output")[0].at("content")[0].at("text"), "aaa");
}

TEST(Responses, CallsOfFunctionsAreItems) {
  EchoBox box;
  const std::string tools =
      R"(,"tools":[{"type":"function","name":"f","parameters":{"type":"object","properties":{}}}])";
  const std::string said = R"(Let me see.<tool_call>{"name":"f","arguments":{"x":1}}</tool_call>)";
  const json reply = json::parse(respond(box, "\"input\":" + json(said).dump() + tools).body);
  ASSERT_EQ(reply.at("output").size(), 2u) << reply;
  const json& call = reply.at("output")[1];
  EXPECT_EQ(call.at("type"), "function_call");
  EXPECT_EQ(call.at("name"), "f");
  EXPECT_EQ(call.at("arguments"), R"({"x":1})");
  EXPECT_EQ(reply.at("tools")[0].at("name"), "f");
  const auto events = events_of(respond(box, "\"stream\":true,\"input\":" + json(said).dump() + tools).body);
  std::string arguments;
  for (const json& event : events) {
    if (event.at("type") == "response.function_call_arguments.delta") arguments += event.at("delta");
    if (event.at("type") == "response.output_text.done") {
      EXPECT_EQ(event.at("text"), "Let me see.");
    }
  }
  EXPECT_EQ(arguments, R"({"x":1})");
}

TEST(Responses, GoOnFromOneThatIsStored) {
  EchoBox box;
  const json first = json::parse(respond(box, R"("input":"one")").body);
  const std::string id = first.at("id");
  EXPECT_EQ(json::parse(box.ask("GET", "/v1/responses/" + id).body), first);
  const json second = json::parse(respond(box, R"("input":"two","previous_response_id":")" + id + "\"").body);
  EXPECT_EQ(second.at("previous_response_id"), id);
  EXPECT_EQ(second.at("output")[0].at("content")[0].at("text"), "two");
  const std::string item = first.at("output")[0].at("id");
  const HttpResponse referred =
      respond(box, R"("input":[{"type":"item_reference","id":")" + item + R"("},{"role":"user","content":"x"}])");
  EXPECT_EQ(referred.status, 200) << referred.body;
  EXPECT_EQ(json::parse(box.ask("DELETE", "/v1/responses/" + id).body).at("deleted"), true);
  EXPECT_EQ(box.ask("GET", "/v1/responses/" + id).status, 404);
  EXPECT_EQ(box.ask("DELETE", "/v1/responses/" + id).status, 404);
  EXPECT_EQ(respond(box, R"("input":"two","previous_response_id":")" + id + "\"").status, 400);
  const json unstored = json::parse(respond(box, R"("input":"one","store":false)").body);
  EXPECT_EQ(box.ask("GET", "/v1/responses/" + unstored.at("id").get<std::string>()).status, 404);
}

TEST(Responses, BecomeAChat) {
  const ResponseStore none;
  const ResponsesRequest request = parse_responses_request(
      R"({"model":"m","instructions":"Be kind.","input":[
        {"role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_text","text":"b"}]},
        {"type":"reasoning","id":"rs_1","summary":[]},
        {"type":"function_call","call_id":"c1","name":"f","arguments":"{}"},
        {"type":"function_call","call_id":"c2","name":"g","arguments":"{}"},
        {"type":"function_call_output","call_id":"c1","output":"1"},
        {"type":"message","role":"assistant","content":[{"type":"output_text","text":"so","annotations":[]}]}],
        "tools":[{"type":"function","name":"f","description":"d","parameters":{"type":"object"},"strict":true}],
        "tool_choice":{"type":"function","name":"f"},"text":{"format":{"type":"json_object"}},
        "reasoning":{"effort":"low"},"max_output_tokens":9,"top_logprobs":2,"temperature":0.5,"stream":true})",
      none, 0);
  EXPECT_TRUE(request.stream && request.store);
  const json chat = json::parse(request.chat_body);
  const json& messages = chat.at("messages");
  ASSERT_EQ(messages.size(), 5u) << messages;
  EXPECT_EQ(messages[0], json({{"role", "system"}, {"content", "Be kind."}}));
  EXPECT_EQ(messages[1], json({{"role", "user"}, {"content", "ab"}}));
  EXPECT_EQ(messages[2].at("tool_calls").size(), 2u);
  EXPECT_EQ(messages[2].at("tool_calls")[1].at("function").at("name"), "g");
  EXPECT_EQ(messages[3], json({{"role", "tool"}, {"tool_call_id", "c1"}, {"content", "1"}}));
  EXPECT_EQ(messages[4], json({{"role", "assistant"}, {"content", "so"}}));
  EXPECT_EQ(chat.at("tools")[0].at("function").at("description"), "d");
  EXPECT_EQ(chat.at("tool_choice").at("function").at("name"), "f");
  EXPECT_EQ(chat.at("response_format").at("type"), "json_object");
  EXPECT_EQ(chat.at("reasoning_effort"), "low");
  EXPECT_EQ(chat.at("max_completion_tokens"), 9);
  EXPECT_EQ(chat.at("logprobs"), true);
  EXPECT_EQ(chat.at("top_logprobs"), 2);
  EXPECT_EQ(chat.at("temperature"), 0.5);
  EXPECT_EQ(json::parse(request.messages_json).size(), 4u) << "instructions are this answer's only";
}

TEST(Responses, AllowedToolsAreThoseThatAreTold) {
  const ResponseStore none;
  const json chat = json::parse(
      parse_responses_request(
          R"({"model":"m","input":"x","tools":[{"type":"function","name":"f"},{"type":"function","name":"g"}],
        "tool_choice":{"type":"allowed_tools","mode":"required","tools":[{"type":"function","name":"g"}]}})",
          none, 0)
          .chat_body);
  ASSERT_EQ(chat.at("tools").size(), 1u);
  EXPECT_EQ(chat.at("tools")[0].at("function").at("name"), "g");
  EXPECT_EQ(chat.at("tool_choice"), "required");
}

TEST(Responses, BadInputIsRefusedByName) {
  EchoBox box;
  struct Bad {
    std::string fields, param;
  };
  const Bad bad[] = {
      {R"("inputs":"x")", "input"},
      {R"("input":7)", "input"},
      {R"("input":[])", "input"},
      {R"("input":[7])", "input[0]"},
      {R"("input":[{"role":"user"}])", "input[0].content"},
      {R"("input":[{"role":"tool","content":"x"}])", "input[0].role"},
      {R"("input":[{"role":"user","content":[{"type":"input_image","image_url":"x"}]}])", "input[0].content[0].type"},
      {R"("input":[{"type":"function_call","name":"f","arguments":"{}"}])", "input[0].call_id"},
      {R"("input":[{"type":"function_call_output","call_id":"c"}])", "input[0].output"},
      {R"("input":[{"type":"item_reference","id":"msg_0"}])", "input[0]"},
      {R"("input":[{"type":"web_search_call"}])", "input[0].type"},
      {R"("input":"x","previous_response_id":"resp_0")", "previous_response_id"},
      {R"("input":"x","instructions":[])", "instructions"},
      {R"("input":"x","background":true)", "background"},
      {R"("input":"x","truncation":"auto")", "truncation"},
      {R"("input":"x","conversation":"conv_1")", "conversation"},
      {R"("input":"x","metadata":{"a":1})", "metadata"},
      {R"("input":"x","reasoning":"low")", "reasoning"},
      {R"("input":"x","tools":[{"type":"web_search"}])", "tools[0].type"},
      {R"("input":"x","tools":[{"type":"function"}])", "tools[0].name"},
      {R"("input":"x","tool_choice":{"type":"file_search"})", "tool_choice"},
      {R"("input":"x","tool_choice":{"type":"allowed_tools"})", "tool_choice"},
      {R"("input":"x","text":{"format":{"type":"json_schema","name":"n"}})", "text.format.schema"},
      {R"("input":"x","text":{"format":{"type":"xml"}})", "text.format"},
      {R"("input":"x","max_output_tokens":0)", "max_output_tokens"},
      {R"("input":"x","max_output_tokens":99999999)", "max_output_tokens"},
      {R"("input":"x","temperature":3)", "temperature"},
      {R"("input":"x","stream":1)", "stream"},
      {R"("input":"x","store":1)", "store"},
  };
  for (const Bad& b : bad) {
    const HttpResponse r = respond(box, b.fields);
    EXPECT_EQ(r.status, 400) << b.fields << r.body;
    const json error = json::parse(r.body).at("error");
    EXPECT_EQ(error.at("param").get<std::string>(), b.param) << b.fields << error;
    EXPECT_EQ(error.at("type"), "invalid_request_error");
    EXPECT_FALSE(error.at("code").is_null() || error.at("message").get<std::string>().empty()) << error;
  }
  const HttpResponse long_one = respond(box, "\"input\":\"" + std::string(20000, 'x') + "\"");
  EXPECT_EQ(json::parse(long_one.body).at("error").at("param"), "input") << long_one.body;
  EXPECT_EQ(box.ask("POST", "/v1/responses", R"({"model":"nobody","input":"x"})").status, 404);
  EXPECT_EQ(box.ask("POST", "/v1/responses", "{").status, 400);
  EXPECT_EQ(respond(box, R"("input":"still serving")").status, 200);
}

StoredResponse stored(const std::string& id, std::uint64_t key, std::size_t n_bytes = 1) {
  return {.id = id, .key = key, .response_json = std::string(n_bytes, 'x'), .messages_json = "[]",
          .items = {{"msg_" + id, "{}"}}};
}

TEST(ResponseStore, KeepsWhatIsNewestForWhoAsked) {
  ResponseStore store(10'000);
  store.put(stored("a", 1));
  store.put(stored("b", 2));
  EXPECT_NE(store.find("a", 1), nullptr);
  EXPECT_EQ(store.find("a", 2), nullptr) << "another key's";
  EXPECT_NE(store.find_item("msg_b", 2), nullptr);
  EXPECT_EQ(store.find_item("msg_b", 1), nullptr);
  EXPECT_FALSE(store.erase("a", 2));
  store.put(stored("huge", 1, 20'000));
  EXPECT_EQ(store.find("huge", 1), nullptr);
  EXPECT_NE(store.find("a", 1), nullptr) << "nothing goes for what has no room";
  for (int i = 0; i < 100; ++i) {
    store.put(stored("n" + std::to_string(i), 1, 900));
    EXPECT_LE(store.n_bytes(), 10'000u);
  }
  EXPECT_EQ(store.find("a", 1), nullptr);
  EXPECT_NE(store.find("n99", 1), nullptr);
  EXPECT_TRUE(store.erase("n99", 1));
  EXPECT_EQ(store.find("n99", 1), nullptr);
}

}  // namespace
}  // namespace tinderbox
