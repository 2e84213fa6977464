// --disaggregate P:D, --decode-machine, --kv-bandwidth, --kv-transfer.
#include "base/error.h"
#include "base/text.h"
#include "cli/commands.h"

namespace tinderbox::cli {

std::optional<Disaggregation> disaggregation_of(const Context& context,
                                                const SimulateOptionsCli& options,
                                                std::optional<StepModel>& decode) {
  const std::string& text = options.disaggregate;
  if (text.empty()) return std::nullopt;
  const std::size_t colon = text.find(':');
  const auto number = [&](std::string_view part) {
    const auto n = parse_int(part);
    if (!n || *n < 1 || *n > 100'000) {
      throw_invalid(
          format("--disaggregate '{}': expected P:D, the boxes that read prompts and those that "
                 "generate, each "
                 "1 to 100000, for example 1:2",
                 text));
    }
    return *n;
  };
  Disaggregation roles{
      .n_prefill = number(std::string_view(text).substr(0, colon)),
      .n_decode =
          number(colon == std::string::npos ? "" : std::string_view(text).substr(colon + 1))};
  roles.layerwise = options.kv_transfer == "layerwise";
  if (!options.kv_bandwidth.empty()) {
    roles.bandwidth = parse_bytes_per_second(options.kv_bandwidth, "--kv-bandwidth");
    if (!(*roles.bandwidth > BytesPerSecond(0))) {
      throw_invalid(format("--kv-bandwidth '{}' must be above 0", options.kv_bandwidth));
    }
  }
  if (options.decode_machine.empty()) return roles;
  if (!roles.bandwidth) {
    throw_invalid(
        format("--decode-machine {}: nobody has measured a link between it and {}; say how fast KV "
               "travels with "
               "--kv-bandwidth \"10 Gb/s\"",
               options.decode_machine, options.twin.machine));
  }
  TwinOptions twin = options.twin;
  twin.machine = options.decode_machine;
  roles.decode = &decode.emplace(make_twin(context, twin));
  return roles;
}

}  // namespace tinderbox::cli
