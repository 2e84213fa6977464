// Text as numbers: POST /v1/embeddings (a decoder model's last hidden state of each input, of unit length), /tokenize
// and /detokenize in vLLM's form.
#pragma once

#include "http/http.h"
#include "http/roster.h"
#include "http/route_table.h"

namespace tinderbox {

class TextApi {
 public:
  // roster must outlive it and the responses it gives out.
  explicit TextApi(const Roster& roster) : roster_(roster) {}
  // It must outlive the table.
  void add_to(RouteTable& routes);

 private:
  HttpResponse embed(const Call& call);
  HttpResponse tokenize(const Call& call);
  HttpResponse detokenize(const Call& call);

  const Roster& roster_;
};

std::string base64(std::string_view bytes);

}  // namespace tinderbox
