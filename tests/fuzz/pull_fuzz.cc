// What pull reads from strangers: sources, pages of indexes and hubs, headers, notes, packed data. The first byte says
// which.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/gzip.h"
#include "box/download.h"
#include "box/hub.h"
#include "box/model_source.h"
#include "box/pull_catalogue.h"
#include "box/python_index.h"

using namespace tinderbox;

namespace {

// Nothing of a repository may name a file outside its folder.
void check_source(std::string_view text) {
  const ModelSource source = parse_model_source(text);
  if (const auto* hub = std::get_if<HubModel>(&source)) {
    for (const std::string& part : {"/" + hub->file + "/", "/" + hub->revision + "/", "/" + hub->repo + "/"}) {
      if (part.find("/../") != std::string::npos) __builtin_trap();
    }
  } else if (const auto* web = std::get_if<WebModel>(&source)) {
    if (file_name_of(web->url).find('/') != std::string::npos) __builtin_trap();
  }
}

void read(std::uint8_t kind, std::string_view text) {
  switch (kind % 8) {
    case 0: return check_source(text);
    case 1: static_cast<void>(parse_index_page(text, "application/json", "https://h/simple/p/")); return;
    case 2: static_cast<void>(parse_index_page(text, "text/html", "https://h/simple/p/")); return;
    case 3: static_cast<void>(parse_hub_files(text, "x")); return;
    case 4: static_cast<void>(read_pull_catalogue(text, "x")); return;
    case 5: static_cast<void>(gunzip(text, 1 << 20)); return;
    case 6:
      static_cast<void>(parse_content_range(text));
      static_cast<void>(index_of_pip_conf(text));
      if (clean_etag(text).find_first_of("/.") != std::string::npos) __builtin_trap();
      return;
    case 7: static_cast<void>(parse_part_note(text)); return;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  try {
    read(data[0], {reinterpret_cast<const char*>(data + 1), size - 1});
  } catch (const Error&) {
  }
  return 0;
}
