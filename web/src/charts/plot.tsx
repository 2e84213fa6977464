// One uPlot canvas. It is made once and given new data; colours follow the theme.
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { decimals } from '../format';
import { themeChanged } from '../theme';
import type { Column } from '../types';

export interface PlotLine {
  label: string;
  colour: string;
  right?: boolean;
  dash?: boolean;
}

export interface PlotProps {
  lines: PlotLine[];
  x: number[];
  columns: Column[];
  stacked?: boolean;
  from0: boolean;
  time: boolean; // x is unix time; otherwise minutes
  axis: (value: number) => string;
  axisRight?: (value: number) => string;
  sync?: string;
  height?: number;
  window_s?: number; // always show so much, ending at the last point
  onCursor?: (index: number | null) => void;
}

// A colour of the theme as the canvas takes it: the properties hold one for each theme.
function property(name: string): string {
  const probe = document.createElement('span');
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

function axes(props: PlotProps, ink: string, grid: string): uPlot.Axis[] {
  const font = '11px system-ui, sans-serif';
  const line = { stroke: ink, font, grid: { stroke: grid, width: 1 }, ticks: { show: false } };
  const bottom: uPlot.Axis = { ...line, size: 26, gap: 4, grid: { show: false } };
  if (!props.time) bottom.values = (_u, marks) => marks.map((v) => `${decimals(v, 0)} min`);
  else {
    bottom.values = [
      [3600, '{HH}:{mm}', null, null, null, null, null, null, 1],
      [60, '{HH}:{mm}', null, null, null, null, null, null, 1],
      [1, '{HH}:{mm}:{ss}', null, null, null, null, null, null, 1],
    ];
  }
  const left: uPlot.Axis = { ...line, size: 56, gap: 6, values: (_u, marks) => marks.map((v) => props.axis(v)) };
  const list = [bottom, left];
  const { axisRight } = props;
  if (axisRight) {
    list.push({
      ...line,
      scale: 'right',
      side: 1,
      size: 48,
      gap: 6,
      grid: { show: false },
      values: (_u, m) => m.map(axisRight),
    });
  }
  return list;
}

function optionsOf(props: PlotProps, width: number): uPlot.Options {
  const still = (low: number | null, high: number | null): [number, number] => {
    const top = high ?? 1;
    const bottom = props.from0 ? 0 : (low ?? 0);
    const room = (top - bottom) * 0.08 || Math.abs(top) * 0.1 || 1;
    return [props.from0 ? 0 : bottom - room, top + room];
  };
  const x: uPlot.Scale = { time: props.time };
  const { window_s } = props;
  if (window_s) x.range = (_u, _low, high) => [(high ?? 0) - window_s, high ?? 0];
  const options: uPlot.Options = {
    width,
    height: props.height ?? 170,
    scales: {
      x,
      y: { range: (_u, low, high) => still(low, high) },
      right: { range: (_u, _low, high) => [0, Math.max(1.05, (high ?? 1) * 1.08)] },
    },
    series: [
      {},
      ...props.lines.map((line): uPlot.Series => {
        const stroke = property(line.colour);
        const series: uPlot.Series = {
          label: line.label,
          stroke,
          width: props.stacked ? 1 : 1.5,
          scale: line.right ? 'right' : 'y',
          points: { show: false },
        };
        if (line.dash) series.dash = [5, 4];
        if (props.stacked) series.fill = stroke;
        return series;
      }),
    ],
    axes: axes(props, property('--quiet'), property('--hair')),
    legend: { show: false },
    cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false } },
    hooks: { setCursor: [(u) => props.onCursor?.(u.cursor.idx ?? null)] },
  };
  if (props.sync && options.cursor) options.cursor.sync = { key: props.sync };
  return options;
}

export function Plot(props: PlotProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(props);
  latest.current = props;
  const data = (): uPlot.AlignedData => [latest.current.x, ...latest.current.columns] as uPlot.AlignedData;
  useEffect(() => {
    const home = place.current as HTMLDivElement;
    const make = () => {
      plot.current?.destroy();
      const options = optionsOf(
        { ...latest.current, onCursor: (i) => latest.current.onCursor?.(i) },
        home.clientWidth || 300,
      );
      plot.current = new uPlot(options, data(), home);
    };
    make();
    const resized = new ResizeObserver(() => {
      const { clientWidth } = home;
      if (plot.current && clientWidth > 0 && clientWidth !== plot.current.width) {
        plot.current.setSize({ width: clientWidth, height: plot.current.height });
      }
    });
    resized.observe(home);
    themeChanged.addEventListener('change', make);
    return () => {
      themeChanged.removeEventListener('change', make);
      resized.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [props.window_s, props.lines.length]);
  useEffect(() => {
    plot.current?.setData(data());
  }, [props.x, props.columns]);
  return <div class="plot" ref={place} aria-hidden="true" />;
}
