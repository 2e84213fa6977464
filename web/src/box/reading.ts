// What the drawing shows of the sensors: each part with its temperature and its rail, if there is one.
import type { Sensors } from '../types';

export interface Part {
  label: string;
  c: number | null;
  w: number | null;
}

export type PartName =
  | 'gpu'
  | 'cpu'
  | 'memory'
  | 'fins'
  | 'board'
  | 'drive'
  | 'network'
  | 'exhaust'
  | 'inlet'
  | 'spreader';

// A machine file may name a node or rail by either word.
const nodes: Record<PartName, string[]> = {
  gpu: ['gpu'],
  cpu: ['cpu', 'soc'],
  memory: ['memory'],
  fins: ['fins', 'sink'],
  board: ['board'],
  drive: ['drive', 'ssd'],
  network: ['network', 'nic'],
  exhaust: ['exhaust', 'air', 'air_out'],
  inlet: ['inlet', 'ambient'],
  spreader: ['spreader', 'package'],
};
const rails: Partial<Record<PartName, string[]>> = {
  gpu: ['gpu'],
  cpu: ['cpu_p', 'cpu_e'],
  memory: ['memory'],
  drive: ['drive', 'ssd'],
  network: ['network', 'nic'],
  board: ['board', 'soc', 'soc_rest'],
};
const labels: Record<PartName, string> = {
  gpu: 'GPU',
  cpu: 'CPU',
  memory: 'memory',
  fins: 'fins',
  board: 'board',
  drive: 'SSD',
  network: 'ConnectX-7',
  exhaust: 'exhaust',
  inlet: 'inlet',
  spreader: 'heat spreader',
};

const firstOf = (values: Record<string, number>, names: string[]): number | null =>
  names.map((name) => values[name]).find((v) => v !== undefined) ?? null;

function sumOf(values: Record<string, number>, names: string[]): number | null {
  const there = names.map((name) => values[name]).filter((v): v is number => v !== undefined);
  return there.length ? there.reduce((a, b) => a + b, 0) : null;
}

export type Reading = Record<PartName, Part>;

export function readingOf(sensors: Sensors | null, ambient_c: number | null): Reading {
  const parts = (Object.keys(nodes) as PartName[]).map((name): [PartName, Part] => {
    const c = sensors ? firstOf(sensors.nodes_c, nodes[name]) : null;
    const w = sensors ? sumOf(sensors.rails_w, rails[name] ?? []) : null;
    return [name, { label: labels[name], c, w }];
  });
  const reading = Object.fromEntries(parts) as Reading;
  if (sensors) reading.gpu.c ??= sensors.gpu_c;
  reading.inlet.c ??= sensors ? ambient_c : null;
  return reading;
}

const railLabels: Record<string, string> = {
  gpu: 'GPU',
  cpu_p: 'CPU, fast cores',
  cpu_e: 'CPU, small cores',
  memory: 'Memory',
  soc: 'Rest of the chip',
  soc_rest: 'Rest of the chip',
  nic: 'Network',
  network: 'Network',
  ssd: 'SSD',
  drive: 'SSD',
  board: 'Board and fans',
};

export interface Rail {
  name: string;
  label: string;
  w: number;
}

// Highest first would jump about: the order of the machine file stays.
export const railsOf = (sensors: Sensors): Rail[] =>
  Object.entries(sensors.rails_w).map(([name, w]) => ({
    name,
    label: railLabels[name] ?? name.replace(/_/g, ' '),
    w,
  }));
