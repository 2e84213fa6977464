// What the box answers at /box/*. Names and units as on the wire.

export interface BoxIdentity {
  as: string | null;
  machine_name: string | null;
  nodes: number;
  ambient_c: number | null;
  freeze: boolean;
  down: boolean;
  modelled: string[];
  measured: string[];
}

export interface ModelEntry {
  id: string;
  weights: string | null;
  weightless: boolean;
  state: 'absent' | 'loading' | 'ready' | 'closed';
  pinned: boolean;
  context_max: number;
  memory_bytes: number;
  trouble?: string | null; // why it could not be loaded
  running: number;
  waiting: number;
}

export interface Traffic {
  running: number;
  waiting: number;
  kv_ratio: number;
  prompt_tokens_total: number;
  generated_tokens_total: number;
  prompt_tokens_per_s: number | null;
  generated_tokens_per_s: number | null;
  requests_total: number | null;
  refused_total: number | null;
  preemptions_total: number | null;
  lateness_s_total: number;
}

export interface Memory {
  total_bytes: number;
  safe_bytes: number;
  weights_bytes: number;
  kv_bytes: number;
  kv_used_bytes: number;
  runtime_bytes: number;
  page_cache_bytes: number;
  free_bytes: number;
}

export interface Sensors {
  gpu_c: number;
  gpu_w_shown: number;
  sm_clock_hz: number;
  gpu_utilisation: number;
  fan_ratio: number;
  wall_w: number;
  energy_j_total: number;
  zones_c: number[];
  rails_w: Record<string, number>;
  nodes_c: Record<string, number>;
  limit: string;
  not_available: string[];
}

export interface Computer {
  cpu_ratio: number;
  rss_bytes: number;
  memory_total_bytes: number;
  memory_available_bytes: number;
}

export interface ActiveFault {
  name: string;
  from_unix: number;
  until_unix: number | null;
}

export interface InFlight {
  id: string;
  model: string;
  key: string | null;
  age_s: number;
  prompt_tokens: number;
  generated_tokens: number;
  state: 'waiting' | 'running';
}

export interface State {
  at_unix: number;
  version: string;
  uptime_s: number | null;
  box: BoxIdentity;
  models: ModelEntry[];
  traffic: Traffic;
  memory: Memory | null;
  sensors: Sensors | null;
  computer: Computer | null;
  faults: ActiveFault[];
  requests: InFlight[];
}

export type Column = (number | null)[];

export interface History {
  at_unix: number[];
  series: Record<string, Column>;
}

export interface FaultKind {
  name: string;
  signature: string;
  ends?: string;
  source: string;
}

export interface Key {
  id: string;
  name: string;
  priority: number | null;
  requests_per_min: number | null;
  tokens_per_min: number | null;
  created_unix: number;
  last_used_unix: number | null;
  requests: number;
  prompt_tokens: number;
  generated_tokens: number;
  manager: boolean;
}

export interface Catalogue {
  machines: { id: string; name?: string }[];
  models: { id: string }[];
  stacks: { id: string }[];
  weights?: string[];
}
