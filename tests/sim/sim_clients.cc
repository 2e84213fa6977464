#include "sim_clients.h"

#include <algorithm>
#include <cmath>

#include <nlohmann/json.hpp>

#include "sim_answers.h"
#include "sim_replies.h"

namespace tinderbox::sim {

Clients::Clients(const Plan& plan, SimClock& clock, Box box, Log& log, bool at_once)
    : plan_(plan), clock_(clock), box_(box), log_(log), at_once_(at_once) {
  for (const Visit& visit : plan.visits) {
    Client& client = *clients_.emplace_back(std::make_unique<Client>());
    client.visit = &visit;
    clock.at(visit.at, [this, &client] { come(client); });
    if (visit.vanishes) clock.at(visit.at + *visit.vanishes, [this, &client] { vanish(client); });
  }
}

Clients::~Clients() = default;

std::string Clients::body_of(const Visit& visit) const {
  nlohmann::json body = {{"model", "sim"}, {"stream", visit.streamed}};
  if (visit.kind == Visit::Kind::Chat) {
    body["messages"] = {{{"role", "user"}, {"content", visit.text}}};
  } else {
    body["prompt"] = visit.text;
  }
  if (visit.n_gen_max > 0) body["max_tokens"] = visit.n_gen_max;
  if (visit.usage) body["stream_options"] = {{"include_usage", true}};
  if (!visit.stops.empty()) body["stop"] = visit.stops;
  return body.dump();
}

void Clients::come(Client& client) {
  switch (client.visit->kind) {
    case Visit::Kind::Chat:
    case Visit::Kind::Completions:
      return ask(client);
    case Visit::Kind::Direct:
      return ask_directly(client);
    case Visit::Kind::Wrong:
      check_error(box_.api.handle(client.visit->wrong), client.visit->status, client.visit->code);
      client.over = true;
      return;
    case Visit::Kind::Metrics:
      look(client);
      client.over = true;
  }
}

void Clients::ask(Client& client) {
  const Visit& visit = *client.visit;
  const bool chat = visit.kind == Visit::Kind::Chat;
  const HttpRequest request{.method = "POST",
                            .path = chat ? "/v1/chat/completions" : "/v1/completions",
                            .query = {},
                            .headers = {},
                            .body = body_of(visit)};
  client.refused_at_door = closed_;
  client.begun = true;
  // The stream tells that it is refused from within, if the mailbox is closed.
  client.seq = next_seq_;
  HttpResponse response = box_.api.handle(request, [this, &client, ear = client.ear] { hear(client); });
  const std::int64_t context = plan_.limits.context_max;
  const EncodedPrompt prompt = chat ? box_.codec.encode_chat({{"user", visit.text}}, context - 1)
                                    : box_.codec.encode_text(visit.text, context - 1);
  if (visit.n_gen_max > context || prompt.n_tokens > context - 1) {
    check_error(response, 400,
                visit.n_gen_max > context ? "invalid_value" : "context_length_exceeded");
    client.over = true;
    return;
  }
  require(response.stream != nullptr, "a good request is taken", [&] { return response.body; });
  ++next_seq_;
  log_.note("posts", clock_.now(), {client.seq});
  client.response = std::move(response);
  if (client.news) read(client);
}

void Clients::ask_directly(Client& client) {
  Request request = client.visit->direct;
  if (!client.visit->text.empty()) {
    request.prompt = box_.codec.encode_text(client.visit->text, plan_.limits.context_max).tokens;
    if (!request.prompt.empty())
      request.n_prompt = static_cast<std::int32_t>(request.prompt.size());
    request.end_tokens = box_.codec.end_tokens();
  }
  client.stream = std::make_shared<TokenStream>([this, &client, ear = client.ear] { hear(client); });
  client.refused_at_door = closed_;
  client.begun = true;
  client.seq = next_seq_;
  const SeqId seq = box_.mailbox.submit(std::move(request), client.stream);
  require(seq == next_seq_++, "numbers follow one another");
  log_.note("posts", clock_.now(), {client.seq});
}

// From within the push of an event.
void Clients::hear(Client& client) {
  if (client.gone) {
    ++client.n_news_gone;
    require(client.n_news_gone <= 2, "who is gone is told no more than a step's token and the end");
    return;
  }
  require(!client.over || client.visit->kind != Visit::Kind::Direct, "nothing follows the end");
  if (client.over || client.news) return;
  client.news = true;
  if (!client.stream && !client.response.stream) return;  // still asking
  const Duration delay = at_once_ ? Duration(0) : client.visit->read_delay;
  if (plan_.eager && delay == Duration(0)) return read(client);
  clock_.at(clock_.now() + delay, [this, &client] {
    if (!client.gone && !client.over) read(client);
  });
}

void Clients::read(Client& client) {
  client.news = false;
  if (client.stream) return read_directly(client);
  const std::size_t n_before = client.response.body.size();
  const auto state = client.response.stream->poll(client.response);
  log_.note("reads", clock_.now(), {client.seq},
            std::string_view(client.response.body).substr(n_before));
  if (state == ResponseStream::State::Open)
    require(client.response.status == 200 && client.visit->streamed, "only streams are open");
  if (state != ResponseStream::State::Finished) return;
  client.over = true;
  check_api(client, client.response);
  ++n_answers_;
  box_.laws.vanished(client.seq);  // after a stop string
  client.response.stream.reset();
}

void Clients::check_api(const Client& client, const HttpResponse& reply) const {
  const Told* told = box_.laws.told(client.seq);
  if (client.refused_at_door) {
    require(told == nullptr, "a closed mailbox takes nothing");
    return check_error(reply, 429, "queue_full");
  }
  require(told != nullptr, "nobody is answered before the box knows of him");
  check_reply(*client.visit, reply, outcome_of(*told, box_.codec, client.visit->stops),
              told->n_prompt);
}

void Clients::read_directly(Client& client) {
  for (const StreamEvent& event : client.stream->take()) {
    require(!client.over, "nothing follows the end");
    require(client.events.empty() || event.at >= client.events.back().at, "time never goes back");
    log_.note("reads", clock_.now(),
              {client.seq, static_cast<std::int64_t>(event.kind), event.token});
    client.events.push_back(event);
    client.over = event.kind != StreamEvent::Kind::Token;
  }
  if (!client.over) return;
  check_direct(client);
  ++n_answers_;
}

// Each event is the one that the box told of.
void Clients::check_direct(const Client& client) const {
  const Told* told = box_.laws.told(client.seq);
  using Kind = StreamEvent::Kind;
  if (client.events.back().kind == Kind::Refused) {
    const Admission expected = told == nullptr ? Admission::QueueFull : told->admission;
    require(client.refused_at_door == (told == nullptr), "only a closed mailbox refuses by itself");
    require(client.events.size() == 1 && client.events.back().admission == expected,
            "refused once, for its reason");
    return;
  }
  require(told != nullptr && client.events.size() == told->events.size(), "every token once",
          [&] { return format("{} events for sequence {}", client.events.size(), client.seq); });
  for (std::size_t i = 0; i < client.events.size(); ++i) {
    const StreamEvent& got = client.events[i];
    const TokenEvent& sent = told->events[i];
    require(got.token == sent.token && got.finish == sent.finish,
            "the whole answer, once, in order", [&] {
              return format("sequence {}, event {}: {} for {}", client.seq, i, got.token,
                            sent.token);
            });
  }
}

void Clients::vanish(Client& client) {
  if (!client.begun || client.over || client.gone) return;
  log_.note("vanishes", clock_.now(), {client.seq});
  client.gone = true;
  ++n_vanished_;
  box_.laws.vanished(client.seq);
  if (client.stream) {
    box_.mailbox.cancel(client.seq);
  } else {
    client.response.stream.reset();
  }
}

void Clients::look(const Client&) {
  const HttpResponse reply = box_.api.handle(
      {.method = "GET", .path = "/metrics", .query = {}, .headers = {}, .body = {}});
  require(reply.status == 200, "metrics are there");
  const Shown& shown = box_.shown;
  const auto expect = [&](const std::string& name, double value) {
    const double got = metric(reply.body, name);
    require(std::abs(got - value) < 1e-9, "metrics agree with what happened",
            [&] { return format("{}: {} instead of {}", name, got, value); });
  };
  const auto count = [&](const std::string& name, std::int64_t value) {
    expect(name, static_cast<double>(value));
  };
  const Tally& t = shown.tally;
  const std::string ended =
      R"(vllm:request_success_total{engine="0",finished_reason=)";
  count(ended + R"("stop")", t.stops);
  count(ended + R"("length")", t.lengths);
  count(ended + R"("abort")", t.cancelled + t.expired);
  count("tinderbox_requests_refused_total", t.refused);
  count("tinderbox_steps_total", t.steps);
  count("vllm:generation_tokens_total", t.tokens);
  count("vllm:prompt_tokens_total", t.prompt_tokens);
  count("vllm:num_preemptions_total", shown.counters.preemptions);
  count("vllm:prefix_cache_queries_total", shown.counters.prefix_tokens);
  count("vllm:prefix_cache_hits_total", shown.counters.prefix_hit_tokens);
  count("vllm:num_requests_running", shown.n_running);
  count("vllm:num_requests_waiting", shown.n_waiting);
  expect("vllm:kv_cache_usage_perc",
         1.0 - static_cast<double>(shown.n_free) / static_cast<double>(shown.n_blocks));
}

bool Clients::any_unread() const {
  return std::ranges::any_of(clients_,
                             [](const auto& c) { return c->news && !c->gone && !c->over; });
}

void Clients::check_end(bool lost) const {
  for (const auto& client : clients_) {
    const bool never_taken = lost && box_.laws.told(client->seq) == nullptr;
    require(never_taken || client->ear.use_count() == (client->stream ? 2 : 1), "the mailbox forgets who is through",
            [&] { return format("sequence {}", client->seq); });
    if (client->stream) require(never_taken || client->stream.use_count() == 1, "the mailbox forgets streams");
    if (client->gone || client->over) continue;
    require(client->begun, "everybody has come");
    const Told* told = box_.laws.told(client->seq);
    require(lost && told == nullptr, "who stays gets his whole answer",
            [&] { return format("sequence {} waits for ever", client->seq); });
  }
}

}  // namespace tinderbox::sim
