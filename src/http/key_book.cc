#include "http/key_book.h"

#include <algorithm>

#include "base/text.h"

namespace tinderbox {
namespace {

KeyBook::Entry entry_of(ApiKey row, bool fixed) {
  KeyBook::Entry entry{.row = std::move(row), .fixed = fixed};
  entry.requests.set(entry.row.requests_per_min);
  entry.tokens.set(entry.row.tokens_per_min);
  return entry;
}

}  // namespace

KeyBook::KeyBook(StateStore* store, std::vector<ApiKey> fixed, Needed needed) : store_(store), needed_(needed) {
  for (ApiKey& row : fixed) {
    if (by_id(row.id) == nullptr) entries_.push_back(entry_of(std::move(row), true));
  }
  refresh();
}

void KeyBook::refresh() {
  if (store_ == nullptr) return;
  const std::shared_ptr<const KeyTable> table = store_->keys();
  if (table->version == version_) return;
  version_ = table->version;
  std::vector<Entry> entries;
  for (Entry& entry : entries_) {
    if (entry.fixed) entries.push_back(std::move(entry));
  }
  const std::size_t n_fixed = entries.size();
  for (const ApiKey& row : table->rows) {
    const auto end = entries.begin() + static_cast<std::ptrdiff_t>(n_fixed);
    if (std::any_of(entries.begin(), end, [&](const Entry& e) { return e.row.id == row.id; })) continue;
    Entry entry = entry_of(row, false);
    // What was used since the table was read is known here only.
    const auto before = std::ranges::find(entries_, row.id, [](const Entry& e) { return e.row.id; });
    if (before != entries_.end() && !before->fixed) {
      std::swap(entry.requests, before->requests);
      std::swap(entry.tokens, before->tokens);
      entry.requests.set(row.requests_per_min);
      entry.tokens.set(row.tokens_per_min);
      entry.row.requests = std::max(row.requests, before->row.requests);
      entry.row.prompt_tokens = std::max(row.prompt_tokens, before->row.prompt_tokens);
      entry.row.generated_tokens = std::max(row.generated_tokens, before->row.generated_tokens);
      entry.row.last_used_unix = std::max(row.last_used_unix, before->row.last_used_unix);
    }
    entries.push_back(std::move(entry));
  }
  entries_ = std::move(entries);
}

KeyBook::Entry* KeyBook::find(std::string_view secret) {
  const Sha256 hash = sha256(secret);
  Entry* found = nullptr;
  for (Entry& entry : entries_) {
    if (same_secret(entry.row.hash, hash)) found = &entry;
  }
  return found;
}

KeyBook::Entry* KeyBook::by_id(std::string_view id) {
  const auto at = std::ranges::find(entries_, id, [](const Entry& e) { return e.row.id; });
  return at == entries_.end() ? nullptr : &*at;
}

void KeyBook::add(ApiKey row, Done done) {
  if (store_ != nullptr) return store_->add_key(std::move(row), std::move(done));
  if (entries_.size() >= kKeysMax) return done(format("there are {} keys, which is the most; remove some", kKeysMax));
  entries_.push_back(entry_of(std::move(row), false));
  done("");
}

void KeyBook::remove(const std::string& id, Done done) {
  if (store_ != nullptr) return store_->remove_key(id, std::move(done));
  std::erase_if(entries_, [&](const Entry& e) { return e.row.id == id && !e.fixed; });
  done("");
}

void KeyBook::count(const RequestRecord& record, TimePoint now) {
  Entry* entry = by_id(record.key_id);
  if (entry == nullptr || !record.metered) return;
  ApiKey& row = entry->row;
  ++row.requests;
  row.prompt_tokens += record.prompt_tokens;
  row.generated_tokens += record.generated_tokens;
  row.last_used_unix = static_cast<std::int64_t>(record.at_unix);
  entry->tokens.take(record.prompt_tokens + record.generated_tokens, now);
}

}  // namespace tinderbox
