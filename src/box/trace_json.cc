#include <array>
#include <optional>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"
#include "box/trace_rows.h"

namespace tinderbox {
namespace {

using Json = nlohmann::json;

constexpr std::int32_t kMooncakeBlock = 512;  // tokens of a hash id
constexpr std::size_t kHashesMax = 1 << 16;   // of a request
constexpr double kBytesPerToken = 4;          // of text, when only text is there

const Json* member(const Json& json, const char* key) {
  if (!json.is_object()) return nullptr;
  const auto it = json.find(key);
  return it == json.end() ? nullptr : &*it;
}

std::optional<double> number(const Json* json) {
  if (json == nullptr || !json->is_number()) return std::nullopt;
  return json->get<double>();
}

// A row, or what is wrong with it.
struct Parsed {
  TraceRow row;
  std::string problem;
};

Parsed mooncake(const Json& json) {
  const auto time = number(member(json, "timestamp"));
  const auto prompt = number(member(json, "input_length")), gen = number(member(json, "output_length"));
  if (!time || !prompt || !gen) {
    return {.row = {}, .problem = "timestamp, input_length and output_length must be numbers"};
  }
  Parsed parsed{.row = {.time_ns = *time * 1e6, .prompt = *prompt, .gen = *gen}, .problem = ""};
  const Json* ids = member(json, "hash_ids");
  if (ids == nullptr) return parsed;
  if (!ids->is_array() || ids->size() > kHashesMax) {
    return {.row = {}, .problem = format("hash_ids must be a list of at most {} numbers", kHashesMax)};
  }
  const double block = number(member(json, "block_length")).value_or(kMooncakeBlock);
  if (!(block >= 1 && block <= kMooncakeBlock * 64)) {
    return {.row = {}, .problem = format("block_length must be a number of tokens from 1 to {}", kMooncakeBlock * 64)};
  }
  double n_left = *prompt;
  for (const Json& id : *ids) {
    if (!id.is_number_integer()) return {.row = {}, .problem = "hash_ids must be whole numbers"};
    const double n = std::min<double>(n_left, block);
    if (n < 1) break;
    parsed.row.contents.push_back(
        {.id = static_cast<std::uint64_t>(id.get<std::int64_t>()), .n_tokens = static_cast<std::int32_t>(n)});
    n_left -= n;
  }
  return parsed;
}

Parsed aiperf(const Json& json) {
  const Json* metadata = member(json, "metadata");
  const Json* metrics = member(json, "metrics");
  const auto value = [&](const char* name) {
    const Json* metric = metrics == nullptr ? nullptr : member(*metrics, name);
    return metric == nullptr ? std::nullopt : number(member(*metric, "value"));
  };
  const auto time = metadata == nullptr ? std::nullopt : number(member(*metadata, "request_start_ns"));
  const auto prompt = value("input_sequence_length");
  const auto gen = value("output_sequence_length");
  if (!time) return {.row = {}, .problem = "metadata.request_start_ns must be a number"};
  if (!prompt || !gen) {
    return {.row = {}, .problem = "no input_sequence_length and output_sequence_length: the request failed"};
  }
  return {.row = {.time_ns = *time, .prompt = *prompt, .gen = *gen}, .problem = ""};
}

Parsed sharegpt(const Json& json) {
  const Json* turns = member(json, "conversations");
  const auto text_of = [&](std::size_t i) -> std::optional<double> {
    const Json* text = member((*turns)[i], "value");
    if (text == nullptr || !text->is_string()) return std::nullopt;
    return static_cast<double>(text->get_ref<const std::string&>().size());
  };
  if (turns == nullptr || !turns->is_array() || turns->size() < 2) {
    return {.row = {}, .problem = "conversations must be a list of a question and an answer or more"};
  }
  const auto prompt = text_of(0), gen = text_of(1);
  if (!prompt || !gen) return {.row = {}, .problem = "a turn without its text as value"};
  const auto tokens = [](double bytes) { return std::ceil(bytes / kBytesPerToken); };
  return {.row = {.time_ns = std::nullopt, .prompt = tokens(*prompt), .gen = tokens(*gen)}, .problem = ""};
}

struct JsonFormat {
  const char *name, *key;
  Parsed (*parse)(const Json&);
};
constexpr std::array<JsonFormat, 3> kFormats = {{{"Mooncake", "input_length", mooncake},
                                                 {"aiperf", "metadata", aiperf},
                                                 {"ShareGPT", "conversations", sharegpt}}};

const JsonFormat& format_of(const Json& json, std::string_view name, std::int64_t line) {
  for (const JsonFormat& f : kFormats) {
    if (member(json, f.key) != nullptr) return f;
  }
  throw_invalid(format("{}:{}: keys of no known trace; expected those of Mooncake (timestamp, input_length, "
                       "output_length), aiperf's profile_export.jsonl (metadata, metrics), ShareGPT "
                       "(conversations) or vLLM's detailed result (input_lens, output_lens)",
                       name, line));
}

// The arrays of `vllm bench serve --save-result --save-detailed`; failed requests have no output.
Trace vllm_result(const Json& json, std::string_view name, const TraceOptions& options) {
  const Json* prompts = member(json, "input_lens");
  const Json* gens = member(json, "output_lens");
  const Json* starts = member(json, "start_times");
  if (prompts == nullptr || gens == nullptr || !prompts->is_array() || !gens->is_array() ||
      prompts->size() != gens->size()) {
    throw_invalid(format("{}: input_lens and output_lens must be lists of the same length; was the benchmark "
                         "run with --save-detailed?",
                         name));
  }
  if (starts != nullptr && (!starts->is_array() || starts->size() != prompts->size())) starts = nullptr;
  TraceRows rows(name, "vllm bench serve", options);
  for (std::size_t i = 0; i < prompts->size(); ++i) {
    const auto request = static_cast<std::int64_t>(i) + 1;
    const auto prompt = number(&(*prompts)[i]), gen = number(&(*gens)[i]);
    const auto start = starts == nullptr ? std::nullopt : number(&(*starts)[i]);
    if (!prompt || !gen || (starts != nullptr && !start)) {
      rows.skip(request, "lengths and start times must be numbers");
    } else {
      rows.add(request, {.time_ns = starts == nullptr ? std::nullopt : std::optional(*start * 1e9),
                         .prompt = *prompt,
                         .gen = *gen});
    }
  }
  if (const auto rate = number(member(json, "request_rate")); rate && *rate > 0) rows.set_rate(*rate);
  return rows.finish();
}

Json parse(std::string_view text, std::string_view name, std::int64_t line) {
  try {
    return Json::parse(text);
  } catch (const Json::exception& error) {
    throw_invalid(format("{}:{}: {}", name, line, to_valid_utf8(error.what())));
  }
}

void add(TraceRows& rows, std::int64_t line, const Parsed& parsed) {
  if (parsed.problem.empty()) {
    rows.add(line, parsed.row);
  } else {
    rows.skip(line, parsed.problem);
  }
}

Trace read_list(const Json& list, std::string_view name, const TraceOptions& options) {
  if (list.empty()) throw_invalid(format("{}: an empty list; expected requests", name));
  const JsonFormat& f = format_of(list[0], name, 1);
  TraceRows rows(name, f.name, options);
  std::int64_t element = 0;
  for (const Json& json : list) add(rows, ++element, f.parse(json));
  return rows.finish();
}

Trace read_lines(std::string_view text, std::string_view name, const TraceOptions& options) {
  std::optional<TraceRows> rows;
  const JsonFormat* f = nullptr;
  std::int64_t line = 0;
  while (!text.empty()) {
    const std::string_view row = trim(text.substr(0, text.find('\n')));
    text.remove_prefix(std::min(text.size(), text.find('\n') == std::string_view::npos ? text.size()
                                                                                      : text.find('\n') + 1));
    ++line;
    if (row.empty()) continue;
    if (f == nullptr) {
      f = &format_of(parse(row, name, line), name, line);
      rows.emplace(name, f->name, options);
    }
    const Json json = Json::parse(row, nullptr, false);
    if (json.is_discarded()) {
      rows->skip(line, "not JSON; expected one object a line");
    } else {
      add(*rows, line, f->parse(json));
    }
  }
  return rows->finish();
}

}  // namespace

Trace read_json_trace(std::string_view text, std::string_view name, const TraceOptions& options) {
  const Json whole = Json::parse(text, nullptr, false);
  if (whole.is_array()) return read_list(whole, name, options);
  if (whole.is_object() && (member(whole, "input_lens") != nullptr || member(whole, "total_input_tokens") != nullptr)) {
    return vllm_result(whole, name, options);
  }
  return read_lines(text, name, options);
}

}  // namespace tinderbox
