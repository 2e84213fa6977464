// The last day of the box as columns of numbers: fetched once for a span, then kept up by the events. Points lie one
// step apart, a step is a two-thousandth of the span; later values of the same step replace earlier ones, so that a
// day costs as much to draw as five minutes.
import type { Column, History, State } from './types';

export const pointsMax = 2000;

export interface Columns {
  at_unix: number[];
  series: Record<string, Column>;
}

export const seriesNames = [
  'wall_w',
  'gpu_w_shown',
  'gpu_c',
  'sm_clock_hz',
  'fan_ratio',
  'generated_tokens_per_s',
  'prompt_tokens_per_s',
  'running',
  'waiting',
  'kv_ratio',
  'memory_used_bytes',
  'weights_bytes',
  'kv_bytes',
  'runtime_bytes',
  'page_cache_bytes',
  'free_bytes',
  'zone_c',
  'memory_c',
  'exhaust_c',
  'lateness_s',
] as const;
export type SeriesName = (typeof seriesNames)[number];
export type Sample = Partial<Record<SeriesName, number | null>>;

export function sampleOf(state: State): Sample {
  const { sensors, traffic, memory } = state;
  return {
    wall_w: sensors?.wall_w ?? null,
    gpu_w_shown: sensors?.gpu_w_shown ?? null,
    gpu_c: sensors?.gpu_c ?? null,
    zone_c: sensors?.zones_c.length ? Math.max(...sensors.zones_c) : null,
    memory_c: sensors?.nodes_c['memory'] ?? null,
    exhaust_c: sensors?.nodes_c['exhaust'] ?? sensors?.nodes_c['air'] ?? null,
    sm_clock_hz: sensors?.sm_clock_hz ?? null,
    fan_ratio: sensors?.fan_ratio ?? null,
    generated_tokens_per_s: traffic.generated_tokens_per_s,
    prompt_tokens_per_s: traffic.prompt_tokens_per_s,
    running: traffic.running,
    waiting: traffic.waiting,
    kv_ratio: traffic.kv_ratio,
    memory_used_bytes: memory ? memory.total_bytes - memory.free_bytes : null,
    weights_bytes: memory?.weights_bytes ?? null,
    kv_bytes: memory?.kv_bytes ?? null,
    runtime_bytes: memory?.runtime_bytes ?? null,
    page_cache_bytes: memory?.page_cache_bytes ?? null,
    free_bytes: memory?.free_bytes ?? null,
    lateness_s: traffic.lateness_s_total,
  };
}

export function emptyColumns(): Columns {
  return { at_unix: [], series: Object.fromEntries(seriesNames.map((name) => [name, []])) };
}

// Adds a sample. In the same step as the point before it replaces that; what is older than the span falls off.
export function append(columns: Columns, at: number, sample: Sample, span_s: number): void {
  const { at_unix, series } = columns;
  const step = span_s / pointsMax;
  const last = at_unix.length - 1;
  const lastAt = at_unix[last];
  if (lastAt !== undefined && at <= lastAt && at > lastAt - 5) return; // told twice, or a clock that stepped a little
  const before = at_unix[last - 1];
  const replace = lastAt !== undefined && before !== undefined && at - before < step;
  if (replace) at_unix[last] = at;
  else at_unix.push(at);
  for (const name of seriesNames) {
    const column = (series[name] ??= []);
    const value = sample[name] ?? null;
    while (column.length < at_unix.length - 1) column.push(null);
    column[at_unix.length - 1] = value;
  }
  dropBefore(columns, at - span_s);
}

function dropBefore(columns: Columns, oldest: number): void {
  let n = 0;
  while (n < columns.at_unix.length && (columns.at_unix[n] as number) < oldest) n += 1;
  if (n === 0) return;
  columns.at_unix.splice(0, n);
  for (const name of seriesNames) columns.series[name]?.splice(0, n);
}

// Columns of /box/history, made whole: every series there, each as long as the times.
// What is free is what the others leave of total_bytes.
export function columnsOf(history: History, total_bytes: number | null = null): Columns {
  const columns = emptyColumns();
  columns.at_unix = [...history.at_unix];
  for (const name of seriesNames) {
    const given = history.series[name] ?? [];
    columns.series[name] = columns.at_unix.map((_, i) => given[i] ?? null);
  }
  const used = history.series['memory_used_bytes'];
  if (!history.series['free_bytes'] && used && total_bytes !== null) {
    columns.series['free_bytes'] = columns.at_unix.map((_, i) =>
      typeof used[i] === 'number' ? total_bytes - used[i] : null,
    );
  }
  return columns;
}

export const spans_s = [300, 3600, 21_600, 86_400] as const;

// Keeps what came by events, for each span, so that charts start with it.
export class Recorder {
  private readonly kept = spans_s.map((span_s) => ({ span_s, columns: emptyColumns() }));
  private readonly listeners = new Set<(at: number, sample: Sample) => void>();

  add(state: State): void {
    const sample = sampleOf(state);
    for (const { columns, span_s } of this.kept) append(columns, state.at_unix, sample, span_s);
    for (const listener of this.listeners) listener(state.at_unix, sample);
  }

  watch(listener: (at: number, sample: Sample) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  // A copy of what was seen of the last span_s seconds.
  seen(span_s: number): Columns {
    return columnsOf(this.kept.find((k) => k.span_s >= span_s)?.columns ?? emptyColumns());
  }
}

export const recorder = new Recorder();
