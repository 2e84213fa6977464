// The models that a server offers, and for each what HTTP needs of it: where its requests go, how its text becomes
// tokens, what is said of it. The order is the one in which they were named.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "box/mailbox.h"
#include "http/text_codec.h"

namespace tinderbox {

struct ServedModel {
  std::string id;
  std::int64_t created_unix = 0;
  std::int64_t context_max = 0;  // prompt + answer, as the scheduler's limit
  bool weightless = false;       // answers are placeholders
  std::string as = {};           // the machine whose pace is kept; empty: this computer's own
  // What catalogues show; empty or 0: unknown.
  std::string family = {};   // "llama"
  std::string weights = {};  // "q4_1"
  std::int64_t parameters = 0, bytes = 0;
  std::int64_t d_model = 0;  // of an embedding
  std::string digest = {};  // of the file: 64 hexadecimal digits
};

// mailbox and codec must outlive whoever uses the door.
struct ModelDoor {
  ServedModel info;
  Mailbox* mailbox = nullptr;
  const TextCodec* codec = nullptr;
};

class Roster {
 public:
  // Requires at least one, ids that differ, and contexts of two tokens or more.
  explicit Roster(std::vector<ModelDoor> doors);
  // By id, or by an id without its tag ":latest"; nullptr: no such model.
  const ModelDoor* find(std::string_view id) const;
  // Throws RequestError (404, model_not_found) naming what there is.
  const ModelDoor& at(std::string_view id) const;
  std::span<const ModelDoor> doors() const { return doors_; }

 private:
  std::vector<ModelDoor> doors_;
};

}  // namespace tinderbox
