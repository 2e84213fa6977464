#include "http/refusal.h"

#include "base/check.h"

namespace tinderbox {

HttpResponse refusal_of(Admission admission) {
  HttpResponse refusal;
  switch (admission) {
    case Admission::QueueFull:
      refusal = error_response(429, "the queue of waiting requests is full; try again in a second",
                               {}, "queue_full");
      refusal.headers.push_back({"retry-after", "1"});
      break;
    case Admission::TooLong:
      refusal = error_response(
          400, "the prompt leaves no room for an answer in the context; send a shorter one", {},
          "context_length_exceeded");
      break;
    case Admission::NeverFits:
      refusal = error_response(
          400,
          "prompt and answer need more KV memory than this server has; send a shorter prompt "
          "or a smaller max_tokens",
          {}, "kv_memory_exceeded");
      break;
    case Admission::Unavailable:
      refusal = error_response(503, "the model could not be loaded; /box/models says why", {}, "model_unavailable");
      break;
    case Admission::Accepted:
    case Admission::Duplicate:
      CHECK(false && "a refusal without a reason");  // ids are given out by the mailbox, once each
  }
  return refusal;
}

HttpResponse box_down() {
  return error_response(503, "the box went down before the answer was complete; ask again", {}, "box_down");
}

}  // namespace tinderbox
