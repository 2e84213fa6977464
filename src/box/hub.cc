#include "box/hub.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"
#include "box/download.h"
#include "box/model_store.h"

namespace tinderbox {
namespace {

constexpr std::size_t kListBytesMax = 16 << 20;
constexpr int kRedirectionsMax = 5;

// %XX for what a path of an address does not take as it is.
std::string escaped(std::string_view path) {
  std::string out;
  for (const char c : path) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       std::string_view("-._~/").find(c) != std::string_view::npos;
    out += plain ? std::string(1, c) : format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

[[noreturn]] void refuse(const HubAccess& access, const HubModel& model, const WebResult& result) {
  const std::string name = "hf:" + model.repo, code = result.reply.header("x-error-code");
  const int status = result.reply.status;
  if (result.end == WebEnd::Broken || result.end == WebEnd::Failed) {
    throw Error(Error::Code::Busy, format("{}: {} does not answer ({})", name, access.endpoint, result.trouble));
  }
  if (code == "GatedRepo" || status == 403) {
    throw_invalid(
        format("{}: its owner lets in only who agreed to terms: do so at {}/{}, then give --token or HF_TOKEN", name,
               access.endpoint, model.repo));
  }
  if (code == "EntryNotFound") throw_not_found(format("{}: no file '{}' at {}", name, model.file, model.revision));
  if (code == "RevisionNotFound") throw_not_found(format("{}: no revision '{}'", name, model.revision));
  if (status == 401 || code == "RepoNotFound") {  // the hub does not tell a private one from none
    throw_not_found(format("{}: no such repository, or a private one: check the name{}", name,
                           access.token.empty() ? ", or give --token or HF_TOKEN" : " and the token"));
  }
  if (status == 404) throw_not_found(format("{}: not at {}", name, access.endpoint));
  throw Error(Error::Code::Busy, format("{}: {} answers {}; try again later", name, access.endpoint, status));
}

std::string file_in(Web& web, const HubAccess& access, const HubModel& model) {
  if (lower(model.file).ends_with(".gguf")) return model.file;
  std::string text;
  const WebResult result = web.text({.url = format("{}/api/models/{}/revision/{}", access.endpoint, model.repo,
                                                   escaped(model.revision)),
                                     .bearer = access.token, .headers = {}},
                                    text, kListBytesMax);
  if (result.end != WebEnd::Whole || result.reply.status != 200) refuse(access, model, result);
  return choose_model_file(model, parse_hub_files(text, "hf:" + model.repo));
}

}  // namespace

std::vector<std::string> parse_hub_files(std::string_view json, std::string_view where) {
  const auto document = nlohmann::json::parse(json, nullptr, false);
  const auto siblings = document.is_object() ? document.find("siblings") : document.end();
  if (!document.is_object() || siblings == document.end() || !siblings->is_array()) {
    throw_invalid(format("{}: the hub's list of files is not what was expected", where));
  }
  std::vector<std::string> files;
  for (const auto& entry : *siblings) {
    const auto name = entry.is_object() ? entry.find("rfilename") : entry.end();
    if (entry.is_object() && name != entry.end() && name->is_string()) files.push_back(name->get<std::string>());
  }
  return files;
}

std::string clean_etag(std::string_view etag) {
  if (etag.starts_with("W/")) etag.remove_prefix(2);
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') etag = etag.substr(1, etag.size() - 2);
  const bool plain = std::ranges::all_of(etag, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
  });
  return plain && etag.size() <= 128 ? std::string(etag) : "";
}

HubFile find_hub_file(Web& web, const HubAccess& access, const HubModel& model) {
  HubFile found;
  found.file = file_in(web, access, model);
  found.url = format("{}/{}/resolve/{}/{}", access.endpoint, model.repo, escaped(model.revision), escaped(found.file));
  WebRequest request{.url = found.url, .bearer = access.token, .headers = {"Accept-Encoding: identity"}};
  request.head = true;
  request.follow = false;
  WebResult result;
  for (int i = 0; i <= kRedirectionsMax; ++i) {
    result = web.fetch(request, [](const WebReply&) { return true; }, [](std::string_view) { return true; });
    // A renamed repository is sent on within the hub; a file, to where its bytes are: that is far enough.
    const std::string to = result.reply.header("location");
    if (result.reply.status < 300 || result.reply.status >= 400 || !to.starts_with('/') || to.starts_with("//")) break;
    request.url = access.endpoint + to;
  }
  if (result.end != WebEnd::Whole || result.reply.status >= 400) {
    HubModel one = model;
    one.file = found.file;
    refuse(access, one, result);
  }
  const WebReply& reply = result.reply;
  const std::string linked = reply.header("x-linked-etag"), size = reply.header("x-linked-size");
  found.commit = reply.header("x-repo-commit");
  found.etag = clean_etag(linked.empty() ? reply.header("etag") : linked);
  found.size = parse_int(size.empty() && reply.status == 200 ? reply.header("content-length") : size);
  found.sha256 = parse_sha256(found.etag);
  if (!is_commit(found.commit) || found.etag.empty()) {
    throw_invalid(format("hf:{}: {} does not say which file this is (X-Repo-Commit, ETag); is it a hub?", model.repo,
                         access.endpoint));
  }
  return found;
}

}  // namespace tinderbox
