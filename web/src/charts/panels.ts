// Which charts there are: what each draws and how it says its values.
import { celsius, count, decimals, gibibytes, megahertz, percent, rate, watts } from '../format';
import type { SeriesName } from '../history';

export interface Line {
  series: SeriesName;
  label: string;
  colour: string; // a custom property of the theme
  scale?: 'right';
  dash?: boolean;
}

type Say = (value: number | null | undefined) => string;

export interface Panel {
  id: string;
  title: string;
  lines: Line[];
  stacked?: boolean;
  say: Say;
  sayRight?: Say;
  per: number; // the axis counts in these
  axis: (value: number) => string;
  axisRight?: (value: number) => string;
  from0: boolean;
  needs: 'sensors' | 'memory' | null;
}

export const panels: Panel[] = [
  {
    id: 'power',
    title: 'Power',
    say: watts,
    per: 1,
    axis: (v) => `${decimals(v, 0)} W`,
    from0: true,
    needs: 'sensors',
    lines: [
      { series: 'wall_w', label: 'at the wall', colour: '--s1' },
      { series: 'gpu_w_shown', label: 'GPU, as nvidia-smi shows it', colour: '--s2' },
    ],
  },
  {
    id: 'heat',
    title: 'Temperatures',
    say: celsius,
    per: 1,
    axis: celsius,
    from0: false,
    needs: 'sensors',
    lines: [
      { series: 'zone_c', label: 'hottest zone', colour: '--s1' },
      { series: 'gpu_c', label: 'GPU', colour: '--s2' },
      { series: 'memory_c', label: 'memory', colour: '--s3' },
      { series: 'exhaust_c', label: 'exhaust', colour: '--s4' },
    ],
  },
  {
    id: 'clock',
    title: 'Clock and fans',
    say: megahertz,
    sayRight: percent,
    from0: true,
    needs: 'sensors',
    per: 1e9,
    axis: (v) => `${decimals(v, 1)} GHz`,
    axisRight: percent,
    lines: [
      { series: 'sm_clock_hz', label: 'SM clock', colour: '--s1' },
      { series: 'fan_ratio', label: 'fans', colour: '--s2', scale: 'right', dash: true },
    ],
  },
  {
    id: 'speed',
    title: 'Tokens',
    say: rate,
    sayRight: rate,
    from0: true,
    needs: null,
    per: 1,
    axis: (v) => `${count(v)}/s`,
    axisRight: (v) => `${count(v)}/s`,
    lines: [
      { series: 'generated_tokens_per_s', label: 'generated', colour: '--s1' },
      { series: 'prompt_tokens_per_s', label: 'prompts read', colour: '--s2', scale: 'right', dash: true },
    ],
  },
  {
    id: 'requests',
    title: 'Requests',
    say: count,
    sayRight: percent,
    from0: true,
    needs: null,
    per: 1,
    axis: (v) => (Number.isInteger(v) ? count(v) : ''),
    axisRight: percent,
    lines: [
      { series: 'running', label: 'running', colour: '--s1' },
      { series: 'waiting', label: 'waiting', colour: '--s3' },
      { series: 'kv_ratio', label: 'KV in use', colour: '--s2', scale: 'right', dash: true },
    ],
  },
  {
    id: 'memory',
    title: 'Memory by owner',
    say: gibibytes,
    from0: true,
    needs: 'memory',
    stacked: true,
    per: 2 ** 30,
    axis: (v) => `${decimals(v, 0)} GiB`,
    lines: [
      { series: 'weights_bytes', label: 'weights', colour: '--own-weights' },
      { series: 'kv_bytes', label: 'KV', colour: '--own-kv' },
      { series: 'runtime_bytes', label: 'runtime', colour: '--own-runtime' },
      { series: 'page_cache_bytes', label: 'page cache', colour: '--own-cache' },
      { series: 'free_bytes', label: 'free', colour: '--own-free' },
    ],
  },
];
