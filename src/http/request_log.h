// A request that is over, as one line for an operator: never its contents, its query or a key, and nothing in it that
// would break the line or a terminal.
#pragma once

#include <string>

#include "box/state_file.h"

namespace tinderbox {

// "2026-01-31T12:00:00.123Z 200 POST /v1/completions model=m prompt=3 generated=4 ttft=0.120s 1.500s key=ann id=r-1";
// timed: with the time in front.
std::string log_text(const RequestRecord& record, bool timed);
// One JSON object: {"at_unix":...,"status":...,...}; what is unknown is left out.
std::string log_json(const RequestRecord& record);

}  // namespace tinderbox
