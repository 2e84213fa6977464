// The documents that predict, fit, compare and soak print with --json, as far as the page shows them.

export interface Interval {
  low: number;
  high: number;
}

export interface PredictDocument {
  machine: string;
  model: string;
  weights: string;
  kv: string;
  stack: string;
  prefill_tok_per_s: number;
  decode_tok_per_s: number;
  ttft_s: number;
  tpot_s: number;
  total_s: number;
  prefill_bound: string;
  decode_bound: string;
  interval: ({ share: number } & Record<string, Interval | number>) | null;
  memory: { total_bytes: number; safe_bytes: number; weights_bytes: number; kv_bytes: number; verdict: string };
  power: {
    prefill_wall_w: number;
    decode_wall_w: number;
    energy_per_token_j: number;
    energy_per_token_low_j: number;
    energy_per_token_high_j: number;
    gpu_c: number;
    fan_share: number;
    clock_hz: number;
  } | null;
}

export interface FitPhase {
  phase: string;
  weights_bytes: number;
  kv_bytes: number;
  activations_bytes: number;
  graphs_bytes: number;
  runtime_bytes: number;
  host_bytes: number;
  page_cache_bytes: number;
  total_bytes: number;
}

export interface FitDocument {
  machine: string;
  model: string;
  weights: string;
  stack: string;
  verdict: string;
  peak_phase: string | null;
  peak_bytes: number;
  safe_bytes: number;
  freeze_bytes: number;
  visible_bytes: number;
  phases: FitPhase[];
  context_max_tokens: number;
  concurrency_max: number;
  flags: string | null;
}

export interface CompareRow {
  machine: string;
  name: string;
  stack: string;
  weights: string;
  verdict: string;
  reason: string;
  context_tokens_max: number | null;
  prefill_tok_per_s: number | null;
  decode_tok_per_s: number | null;
  ttft_s: number | null;
  load_power_w: number | null;
  price_usd: number | null;
  tokens_per_j: number | null;
  total_per_mtok: number | null;
}

export interface CompareDocument {
  currency: string;
  machines: CompareRow[];
}

export interface SoakSample {
  t_s: number;
  clock_hz: number;
  speed: number;
  limit: string;
  fan_share: number;
  nodes_c: Record<string, number>;
  zones_c: number[];
  air_c: number;
  wall_w: number;
}

export interface SoakDocument {
  load: string;
  total_s: number;
  wall_energy_j: number;
  tripped: boolean;
  gpu_max_c: number;
  zone_max_c: number;
  limited: Record<string, number>;
  events: { t_s?: number; what?: string }[];
  samples: SoakSample[];
  output_tokens: number | null;
}
