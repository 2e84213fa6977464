// A box in the words of `nvidia-smi --query-gpu`: fields, their units, and "[N/A]" for what the driver of the modelled
// machine does not answer.
#pragma once

#include <string>
#include <vector>

#include "http/state_document.h"

namespace tinderbox::cli {

// What the state of a box does not tell.
struct SmiFacts {
  std::string name, uuid, bus, driver, timestamp;
};

// Of the labels that /metrics gives the GPU in DCGM's families; empty where there are none.
SmiFacts smi_facts(const std::string& metrics);

struct SmiFormat {
  bool header = true, units = true;
};
// "csv,noheader,nounits". Throws Error::Invalid.
SmiFormat parse_smi_format(const std::string& text);

// CSV as nvidia-smi writes it, header and one GPU. Throws Error::Invalid for a field that is none.
std::string smi_csv(const BoxState& state, const SmiFacts& facts, const std::string& query, const SmiFormat& format);

}  // namespace tinderbox::cli
