// A file that says only what differs from another one.
#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/text.h"
#include "machine/sourced.h"

namespace tinderbox {

void SourcedFile::inherit(const SourcedFile& parent) {
  // The section of a point of a curve; nothing for other keys.
  const auto curve_of = [](const SourcedEntry& entry) {
    const std::size_t quote = entry.key.find(".\"");
    return quote == std::string::npos ? std::string() : entry.key.substr(0, quote);
  };
  std::set<std::string> own;
  for (const SourcedEntry& entry : entries_) {
    own.insert(entry.key);
    if (const std::string curve = curve_of(entry); !curve.empty()) own.insert(curve);
  }
  for (const SourcedEntry& entry : parent.entries_) {
    const std::string curve = curve_of(entry);
    if (own.contains(entry.key) || (!curve.empty() && own.contains(curve))) continue;
    entries_.push_back(entry);
    entries_.back().read = false;
  }
  for (const Source& source : parent.sources_) {
    const auto same = std::ranges::find(sources_, source.key, &Source::key);
    if (same == sources_.end()) {
      sources_.push_back(source);
    } else if (same->address != source.address) {
      throw_invalid(format("{}: sources.{}: another address than in {}; use another key", name_,
                           source.key, parent.name_));
    }
  }
}

}  // namespace tinderbox
