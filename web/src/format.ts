// How numbers are said. Everything on the page that has a unit goes through here.

export const none = '–';

export function decimals(value: number, digits: number): string {
  return value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

// Three significant digits, without an exponent: 4,690, 47.5, 0.78.
export function digits3(value: number): string {
  const size = Math.abs(value);
  if (size >= 99.95 || size === 0) return decimals(value, 0);
  if (size >= 9.995) return decimals(value, 1);
  return decimals(value, 2);
}

type Maybe = number | null | undefined;
const known = (value: Maybe): value is number => value !== null && value !== undefined && Number.isFinite(value);

export function seconds(s: Maybe): string {
  if (!known(s)) return none;
  if (s < 1) return `${decimals(s * 1000, s < 0.01 ? 1 : 0)} ms`;
  if (s < 100) return `${digits3(s)} s`;
  return `${decimals(s, 0)} s`;
}

// For ages and spans of hours: "4 min 10 s", "2 h 5 min", "3 d 1 h".
export function duration(s: Maybe): string {
  if (!known(s)) return none;
  const units: [number, string][] = [
    [86_400, 'd'],
    [3_600, 'h'],
    [60, 'min'],
    [1, 's'],
  ];
  const whole = Math.round(s);
  const first = units.findIndex(([size]) => whole >= size);
  if (first < 0) return '0 s';
  const [size, name] = units[first] as [number, string];
  const next = units[first + 1];
  const rest = whole % size;
  const head = `${Math.floor(whole / size)} ${name}`;
  const tail = next ? Math.floor(rest / next[0]) : 0;
  return next && tail > 0 ? `${head} ${tail} ${next[1]}` : head;
}

export function bytes(value: Maybe): string {
  if (!known(value)) return none;
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let size = value;
  let at = 0;
  while (Math.abs(size) >= 999.5 && at < units.length - 1) {
    size /= 1000;
    at += 1;
  }
  return `${at === 0 ? decimals(size, 0) : digits3(size)} ${units[at]}`;
}

// Both ends of an interval; the unit once if both have it.
export function interval(low: string, high: string): string {
  const [number, ...unit] = low.split(' ');
  return high.endsWith(` ${unit.join(' ')}`) && unit.length ? `${number} to ${high}` : `${low} to ${high}`;
}

export const gibibytes = (value: Maybe): string => (known(value) ? `${decimals(value / 2 ** 30, 1)} GiB` : none);
export const rate = (perSecond: Maybe): string => (known(perSecond) ? `${digits3(perSecond)} tokens/s` : none);
export const celsius = (c: Maybe): string => (known(c) ? `${decimals(c, 0)} °C` : none);
export const watts = (w: Maybe): string => (known(w) ? `${decimals(w, w < 9.95 ? 1 : 0)} W` : none);
export const joules = (j: Maybe): string =>
  known(j) ? (j < 1000 ? `${digits3(j)} J` : `${digits3(j / 1000)} kJ`) : none;
export const percent = (ratio: Maybe): string =>
  known(ratio) ? `${decimals(ratio * 100, ratio > 0 && ratio < 0.095 ? 1 : 0)} %` : none;
export const megahertz = (hz: Maybe): string => (known(hz) ? `${decimals(hz / 1e6, 0)} MHz` : none);
export const count = (n: Maybe): string => (known(n) ? decimals(n, 0) : none);
export const plural = (n: number, word: string): string => `${count(n)} ${word}${n === 1 ? '' : 's'}`;

// "3 s ago", "in 10 s": how far a moment is from now.
export function since(unix: number | null, nowUnix: number): string {
  if (unix === null) return 'never';
  return `${duration(Math.max(0, nowUnix - unix))} ago`;
}

// The name of a thing as people say it: "page_cache" -> "page cache".
export const spoken = (name: string): string => name.replace(/[_-]/g, ' ');
