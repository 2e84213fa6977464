// The models of `serve`: files with weights, or names without, each with what text and scheduler need of it at once and
// a way to load the rest when it is asked for.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "box/body_executor.h"
#include "box/serving_box.h"
#include "box/twin_executor.h"
#include "cli/commands.h"
#include "cli/loaded_model.h"
#include "http/roster.h"

namespace tinderbox::cli {

struct ServeModel {
  ServedModel info;
  std::unique_ptr<const TextCodec> codec;
  Limits limits{};
  std::optional<KvPool> kv;
  Policy policy;
  ModelPool::Model memory{};
  Bytes weights, kv_size;                       // of memory
  std::shared_ptr<const StepModel> step_model;  // with a machine
  std::shared_ptr<LoadedModel> file;            // with weights; its engine is not there until it is loaded
  std::unique_ptr<TwinExecutor> twin;
  Duration request_time{};     // of that machine and stack, before the scheduler hears of a request
  Executor* timing = nullptr;  // the twin, or the body that it works on
  std::string description;
};

// Everything behind the API. It does not move: executors refer to each other.
struct ServeModels {
  std::unique_ptr<Clock> clock = std::make_unique<WallClock>();
  std::vector<ServeModel> models;
  std::unique_ptr<BodyExecutor> body;  // of a modelled machine that has one
  Posted<std::shared_ptr<const Body>> shown;
  std::optional<Machine> machine;  // that is modelled
  std::int64_t bytes = 0;          // for models
  Bytes host;                      // what the system and the stacks hold beside them
  std::string too_large;           // with --freeze: why the real machine would freeze; empty: it would not
};

// Throws Error naming the option that is wrong, Error::TooLarge with numbers and a way out if a model does not fit.
std::unique_ptr<ServeModels> serve_models(const Context& context, const ServeOptions& options);

// What the box is built of. observers: one for each model, or none. The models must outlive it.
std::vector<ServedMember> members_of(ServeModels& models, const std::vector<Observer*>& observers);

}  // namespace tinderbox::cli
