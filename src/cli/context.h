// What every command gets: the embedded data as catalogues, and the choices shared by the twin's
// verbs resolved into values. Built once by main().
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/catalogue.h"
#include "base/siphash.h"
#include "model/config.h"
#include "twin/step_model.h"

namespace tinderbox::cli {

struct Context {
  Catalogue machines, stacks, models;
  // Packed: see unpacked().
  std::string_view measurements;          // data/measurements/inference.csv
  std::string_view machine_measurements;  // machines.csv beside it
  std::string_view cluster_measurements;  // cluster.csv
  Catalogue trainers, speculation;
};

Context load_context();
// The text of such a file.
std::string unpacked(std::string_view measurements);

// The options that select what is predicted.
struct TwinOptions {
  std::string machine = "dgx-spark";
  std::string model;
  std::string weights;  // empty: the stack's default, or bf16
  std::string stack;    // empty: by weights format
  std::string stack_version;  // build or version, "b8657", "0.23"; empty: before all that changed it
  std::string kernel_path;    // of the stack's [paths], "marlin"; empty: the usual one
  std::optional<std::int64_t> ubatch{};  // tokens of a step computed at a time; none: the stack's number
  std::string kv;       // empty: the stack's default
  std::optional<std::int64_t> nodes{};  // boxes; none: as many as `parallel` needs
  std::string parallel;  // "tp2+ep2"; empty: the stack's usual way
  std::string link;      // between the boxes; empty: the machine's usual one
  std::string speculation;                 // method; empty: none
  std::optional<std::int64_t> draft_tokens;  // none: the method's own number
  std::optional<double> accepted;            // ditto
  bool operator==(const TwinOptions&) const = default;
};

// --model: a catalogue id, a config.json, a folder with one, or a GGUF file. Throws Error::NotFound
// with near names.
ModelConfig find_model(const Context& context, const std::string& name);
Machine find_machine(const Context& context, const std::string& name);
Stack find_stack(const Context& context, const std::string& name);

// Throws Error naming the option that is wrong.
TwinModel make_twin(const Context& context, const TwinOptions& options);
// Throws Error::Unsupported for replicas (dp): what replays traffic replays one of them.
void require_one_replica(const TwinModel& twin);
// "NVIDIA DGX Spark", "2 x NVIDIA DGX Spark (tp2)".
std::string boxes_text(const TwinModel& twin);

// UTC seconds; the one place that reads the calendar.
std::int64_t now_unix();
// From the system's entropy: what no client can guess. Throws Error::Unsupported if there is none.
SipKey secret_key();

}  // namespace tinderbox::cli
