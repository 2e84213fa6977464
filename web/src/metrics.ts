// The Prometheus text of a box that has no /box/state: enough for the traffic.
import type { State, Traffic } from './types';
import type { Served } from './state';

// {name: sum over its labels}
export function parseMetrics(text: string): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const line of text.split('\n')) {
    const match = /^([a-zA-Z_:][\w:]*)(?:\{.*\})?\s+(\S+)/.exec(line);
    if (match?.[1]) sums[match[1]] = (sums[match[1]] ?? 0) + Number(match[2]);
  }
  return sums;
}

export interface Earlier {
  at_unix: number;
  traffic: Traffic;
}

// A counter that went back means a restarted server: then there is no rate.
function perSecond(now: number, before: number | undefined, span_s: number): number | null {
  return before === undefined || now < before || span_s <= 0 ? null : (now - before) / span_s;
}

export function trafficOf(sums: Record<string, number>, at_unix: number, earlier: Earlier | null): Traffic {
  const prompt = sums['vllm:prompt_tokens_total'] ?? 0;
  const generated = sums['vllm:generation_tokens_total'] ?? 0;
  const span_s = earlier ? at_unix - earlier.at_unix : 0;
  return {
    running: sums['vllm:num_requests_running'] ?? 0,
    waiting: sums['vllm:num_requests_waiting'] ?? 0,
    kv_ratio: sums['vllm:kv_cache_usage_perc'] ?? 0,
    prompt_tokens_total: prompt,
    generated_tokens_total: generated,
    prompt_tokens_per_s: perSecond(prompt, earlier?.traffic.prompt_tokens_total, span_s),
    generated_tokens_per_s: perSecond(generated, earlier?.traffic.generated_tokens_total, span_s),
    requests_total: sums['vllm:request_success_total'] ?? null,
    refused_total: null,
    preemptions_total: sums['vllm:num_preemptions_total'] ?? null,
    lateness_s_total: sums['tinderbox_lateness_seconds_total'] ?? 0,
  };
}

// What can be told of a box by its metrics and its list of models alone.
export function stateOf(
  sums: Record<string, number>,
  served: Served[],
  at_unix: number,
  before: Earlier | null,
): State {
  const as = served[0]?.tinderbox?.as ?? null;
  const weightless = served[0]?.tinderbox?.weightless ?? false;
  return {
    at_unix,
    version: '',
    uptime_s: null,
    box: {
      as,
      machine_name: as,
      nodes: 1,
      ambient_c: null,
      freeze: false,
      down: false,
      modelled: as ? ['pace'] : [],
      measured: [...(weightless ? [] : ['tokens']), ...(as ? [] : ['pace'])],
    },
    models: served.map((model) => ({
      id: model.id,
      weights: null,
      weightless: model.tinderbox?.weightless ?? false,
      state: 'ready',
      pinned: false,
      context_max: model.max_model_len ?? 0,
      memory_bytes: 0,
      running: 0,
      waiting: 0,
    })),
    traffic: trafficOf(sums, at_unix, before),
    memory: null,
    sensors: null,
    computer: null,
    faults: [],
    requests: [],
  };
}
