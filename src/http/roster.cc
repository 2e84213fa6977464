#include "http/roster.h"

#include "base/check.h"
#include "base/text.h"
#include "http/route_table.h"

namespace tinderbox {

Roster::Roster(std::vector<ModelDoor> doors) : doors_(std::move(doors)) {
  CHECK(!doors_.empty());
  for (const ModelDoor& door : doors_) {
    CHECK(door.mailbox != nullptr && door.codec != nullptr && door.info.context_max >= 2);
    CHECK(find(door.info.id) == &door);
  }
}

const ModelDoor* Roster::find(std::string_view id) const {
  constexpr std::string_view kLatest = ":latest";
  for (const ModelDoor& door : doors_) {
    if (door.info.id == id) return &door;
  }
  if (id.ends_with(kLatest)) return find(id.substr(0, id.size() - kLatest.size()));
  return nullptr;
}

const ModelDoor& Roster::at(std::string_view id) const {
  if (const ModelDoor* door = find(id)) return *door;
  std::string known;
  for (const ModelDoor& door : doors_) known += (known.empty() ? "'" : ", '") + door.info.id + "'";
  throw RequestError(404, format("the model '{}' does not exist; this server has {}", id, known), "model",
                     "model_not_found");
}

}  // namespace tinderbox
