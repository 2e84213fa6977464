// What two roles and the link between them were like, for people and for programs.
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "box/disaggregate.h"

namespace tinderbox {

std::string transfer_table(const TransferReport& r) {
  Table table({"boxes", format("{} read prompts, {} generate", r.n_prefill, r.n_decode)}, "ll");
  table.add(
      {"in steps", format("{} % of the time those that read, {} % those that generate",
                          human_number(100 * r.prefill_busy), human_number(100 * r.decode_busy))});
  const Bytes mean = r.n > 0 ? r.bytes / static_cast<double>(r.n) : Bytes();
  table.add({"KV sent", format("{} in {} transfers, {} each", human(r.bytes), r.n, human(mean))});
  std::string link = format("mean {}, p99 {}", human(r.link.mean), human(r.link.p99));
  if (r.layerwise) {
    link += format(", layer by layer: {} % of it before the prompt is in", human_number(100 * r.hidden));
  }
  table.add({"on the way", link});
  table.add(
      {"waiting to be sent", format("mean {}, p99 {}", human(r.wait.mean), human(r.wait.p99))});
  table.add({"after the prompt", format("mean {}, p99 {} until all is there", human(r.left.mean), human(r.left.p99))});
  return "\n" + table.str();
}

nlohmann::ordered_json transfer_json(const TransferReport& r) {
  return {{"prefill_boxes", r.n_prefill},
          {"decode_boxes", r.n_decode},
          {"prefill_busy", r.prefill_busy},
          {"decode_busy", r.decode_busy},
          {"kv_transfer", r.layerwise ? "layerwise" : "after"},
          {"transfers", r.n},
          {"transfer_bytes", r.bytes.value()},
          {"transfer_mean_s", r.link.mean.value()},
          {"transfer_p99_s", r.link.p99.value()},
          {"transfer_wait_mean_s", r.wait.mean.value()},
          {"transfer_wait_p99_s", r.wait.p99.value()},
          {"transfer_hidden", r.hidden},
          {"transfer_left_mean_s", r.left.mean.value()},
          {"transfer_left_p99_s", r.left.p99.value()}};
}

}  // namespace tinderbox
