// From the recorded columns to what a chart draws.
import type { Columns, SeriesName } from '../history';
import type { Column } from '../types';

// Each series on top of those before it; null where any part is unknown.
export function stack(columns: Column[]): Column[] {
  const tops: Column[] = [];
  for (const column of columns) {
    const below = tops.at(-1);
    tops.push(
      column.map((value, i) => {
        const base = below ? below[i] : 0;
        return value === null || base === null || base === undefined ? null : value + base;
      }),
    );
  }
  return tops;
}

// A hole longer than four usual steps is a time when nobody looked: the line breaks there.
export function withGaps(at_unix: number[], columns: Column[]): { at: number[]; columns: Column[] } {
  const steps = at_unix
    .slice(1)
    .map((t, i) => t - (at_unix[i] as number))
    .sort((a, b) => a - b);
  const usual = steps[Math.floor(steps.length / 2)] ?? 1;
  const at: number[] = [];
  const out: Column[] = columns.map(() => []);
  at_unix.forEach((t, i) => {
    const before = at_unix[i - 1];
    if (before !== undefined && t - before > Math.max(4 * usual, 5)) {
      at.push(before + usual);
      for (const column of out) column.push(null);
    }
    at.push(t);
    columns.forEach((column, k) => out[k]?.push(column[i] ?? null));
  });
  return { at, columns: out };
}

export interface Summary {
  now: number | null;
  low: number | null;
  high: number | null;
  mean: number | null;
}

export function summary(column: Column): Summary {
  const known = column.filter((v): v is number => v !== null);
  if (known.length === 0) return { now: null, low: null, high: null, mean: null };
  let low = Infinity;
  let high = -Infinity;
  let sum = 0;
  for (const v of known) {
    low = Math.min(low, v);
    high = Math.max(high, v);
    sum += v;
  }
  return { now: column.at(-1) ?? null, low, high, mean: sum / known.length };
}

export const column = (columns: Columns, name: SeriesName): Column => columns.series[name] ?? [];
