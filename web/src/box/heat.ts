// The colour of a temperature: coal that begins to glow. Lighter is hotter in both themes and for every eye.

type Rgb = readonly [number, number, number];

const stops: readonly [number, Rgb][] = [
  [20, [44, 46, 56]],
  [40, [74, 48, 68]],
  [55, [133, 46, 52]],
  [70, [196, 74, 24]],
  [82, [239, 137, 34]],
  [95, [255, 214, 110]],
];
export const coldest_c = 20;
export const hottest_c = 95;

export function heatRgb(c: number): Rgb {
  const first = stops[0] as [number, Rgb];
  if (c <= first[0]) return first[1];
  for (let i = 1; i < stops.length; ++i) {
    const [high, to] = stops[i] as [number, Rgb];
    const [low, from] = stops[i - 1] as [number, Rgb];
    if (c > high) continue;
    const t = (c - low) / (high - low);
    return [0, 1, 2].map((k) =>
      Math.round((from[k] as number) + t * ((to[k] as number) - (from[k] as number))),
    ) as unknown as Rgb;
  }
  return (stops.at(-1) as [number, Rgb])[1];
}

export const heatColour = (c: number | null): string => (c === null ? 'var(--cold)' : `rgb(${heatRgb(c).join(' ')})`);

// Relative luminance (WCAG 2).
export function luminance(rgb: Rgb): number {
  const [r, g, b] = rgb.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4)) as [
    number,
    number,
    number,
  ];
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

export function contrast(a: Rgb, b: Rgb): number {
  const [light, dark] = [luminance(a), luminance(b)].sort((x, y) => y - x) as [number, number];
  return (light + 0.05) / (dark + 0.05);
}

// Pure: on a colour of middling light nothing less reaches 4.5 : 1.
const pale: Rgb = [255, 255, 255];
const soot: Rgb = [0, 0, 0];

// Ink that can be read on the colour of c.
export function inkOn(c: number | null): string {
  if (c === null) return 'var(--ink)';
  const ground = heatRgb(c);
  return `rgb(${(contrast(ground, pale) >= contrast(ground, soot) ? pale : soot).join(' ')})`;
}
