#include "base/catalogue.h"

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/text.h"

namespace tinderbox {

Catalogue Catalogue::from_folder(std::string kind, const std::filesystem::path& folder,
                                 std::string_view extension) {
  Catalogue catalogue(std::move(kind));
  std::error_code ec;
  std::filesystem::directory_iterator it(folder, ec);
  if (ec) throw_not_found(format("{}: cannot list the folder: {}", folder.string(), ec.message()));
  for (const auto& entry : it) {
    if (entry.path().extension() == extension) {
      catalogue.add(entry.path().stem().string(), read_file(entry.path()));
    }
  }
  return catalogue;
}

void Catalogue::add(std::string id, std::string text) { texts_[std::move(id)] = std::move(text); }

std::vector<std::string> Catalogue::ids() const {
  std::vector<std::string> out;
  for (const auto& [id, text] : texts_) out.push_back(id);
  return out;
}

bool Catalogue::has(std::string_view id) const { return texts_.find(id) != texts_.end(); }

const std::string& Catalogue::text(std::string_view id) const {
  const auto it = texts_.find(id);
  if (it == texts_.end()) {
    throw_not_found(format("no {0} '{1}'{2}; `tinderbox {0}s` lists them", kind_, id,
                           did_you_mean(id, ids())));
  }
  return it->second;
}

}  // namespace tinderbox
