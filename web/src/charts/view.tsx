// Time charts. Values of the past come from the box, later ones by its events.
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { getJson, ifThere } from '../api';
import { duration, none } from '../format';
import { append, columnsOf, recorder, spans_s, type Columns } from '../history';
import { live } from '../state';
import { useSlice } from '../store';
import type { History } from '../types';
import { Scroll } from '../ui';
import { column, stack, summary, withGaps } from './columns';
import { panels, type Panel } from './panels';
import { Plot } from './plot';

// The recorded columns of a span, and a number that grows when they have changed. One change a frame at most.
function useColumns(span_s: number): { columns: Columns; version: number } {
  const [version, setVersion] = useState(0);
  const columns = useRef<Columns>(recorder.seen(span_s));
  useEffect(() => {
    let gone = false;
    let frame = 0;
    const changed = () =>
      (frame ||= requestAnimationFrame(() => {
        frame = 0;
        setVersion((n) => n + 1);
      }));
    columns.current = recorder.seen(span_s);
    changed();
    const abort = new AbortController();
    ifThere(getJson<History>(`/box/history?seconds=${span_s}`, abort.signal)).then(
      (history) => {
        if (gone || !history || history.at_unix.length === 0) return;
        const seen = columns.current;
        const fetched = columnsOf(history, live.get().state?.memory?.total_bytes ?? null);
        const last = fetched.at_unix.at(-1) as number;
        seen.at_unix.forEach((at, i) => {
          if (at <= last) return;
          append(
            fetched,
            at,
            Object.fromEntries(Object.entries(seen.series).map(([n, c]) => [n, c[i] ?? null])),
            span_s,
          );
        });
        columns.current = fetched;
        changed();
      },
      () => undefined,
    ); // then the charts begin now
    const stop = recorder.watch((at, sample) => {
      append(columns.current, at, sample, span_s);
      if (!document.hidden) changed();
    });
    return () => {
      gone = true;
      abort.abort();
      cancelAnimationFrame(frame);
      stop();
    };
  }, [span_s]);
  return { columns: columns.current, version };
}

interface ChartProps {
  panel: Panel;
  columns: Columns;
  version: number;
  span_s: number;
}

function Chart({ panel, columns, version, span_s }: ChartProps) {
  const [at, setAt] = useState<number | null>(null);
  const drawn = useMemo(() => {
    const own = panel.lines.map((line) => column(columns, line.series));
    const gapped = withGaps(columns.at_unix, own);
    const scaled = gapped.columns.map((values, i) =>
      panel.lines[i]?.scale === 'right' || panel.per === 1
        ? values
        : values.map((v) => (v === null ? null : v / panel.per)),
    );
    if (!panel.stacked) return { at: gapped.at, columns: scaled, values: gapped.columns };
    // Drawn from the tallest to the lowest, so that each covers the foot of the one above.
    return { at: gapped.at, columns: stack(scaled).reverse(), values: gapped.columns };
  }, [columns, version]);
  const lines = panel.lines.map((line) => ({
    label: line.label,
    colour: line.colour,
    right: line.scale === 'right',
    dash: line.dash ?? false,
  }));
  const sayOf = (right: boolean) => (right && panel.sayRight ? panel.sayRight : panel.say);
  const index = at !== null && at < drawn.at.length ? at : drawn.at.length - 1;
  const right = panel.axisRight;
  return (
    <figure class="chart" aria-labelledby={`chart-${panel.id}`}>
      <figcaption>
        <h2 id={`chart-${panel.id}`}>{panel.title}</h2>
        <ul class="legend">
          {lines.map((line, i) => (
            <li>
              <span
                class={`swatch ${line.dash ? 'dash' : ''}`}
                style={{ '--swatch': `var(${line.colour})` }}
                aria-hidden="true"
              />
              {line.label} <b>{sayOf(line.right)(drawn.values[i]?.[index])}</b>
            </li>
          ))}
        </ul>
      </figcaption>
      <Plot
        lines={panel.stacked ? [...lines].reverse() : lines}
        x={drawn.at}
        columns={drawn.columns}
        from0={panel.from0}
        stacked={panel.stacked ?? false}
        time
        axis={panel.axis}
        {...(right ? { axisRight: right } : {})}
        sync="box"
        window_s={span_s}
        onCursor={setAt}
      />
      <Values panel={panel} columns={columns} version={version} />
    </figure>
  );
}

// The same in words, for those who cannot see the lines. Counted only while it is open.
function Values({ panel, columns }: { panel: Panel; columns: Columns; version: number }) {
  const [open, setOpen] = useState(false);
  return (
    <details onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>Values of this time</summary>
      {open && (
        <Scroll label={`${panel.title}: values`}>
          <table>
            <thead>
              <tr>
                <th scope="col">Series</th>
                {['now', 'lowest', 'mean', 'highest'].map((n) => (
                  <th scope="col" class="num">
                    {n}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {panel.lines.map((line) => {
                const { now, low, mean, high } = summary(column(columns, line.series));
                const say = line.scale === 'right' && panel.sayRight ? panel.sayRight : panel.say;
                return (
                  <tr>
                    <th scope="row">{line.label}</th>
                    {[now, low, mean, high].map((v) => (
                      <td class="num">{say(v)}</td>
                    ))}
                  </tr>
                );
              })}
            </tbody>
          </table>
        </Scroll>
      )}
    </details>
  );
}

export function ChartsView() {
  const [span_s, setSpan] = useState<number>(spans_s[0]);
  const { columns, version } = useColumns(span_s);
  const has = useSlice(live, ({ state }) => ({ sensors: Boolean(state?.sensors), memory: Boolean(state?.memory) }));
  const first = columns.at_unix[0];
  const last = columns.at_unix.at(-1);
  return (
    <div class="view charts-view">
      <div class="view-head">
        <fieldset class="spans">
          <legend class="unseen">Time shown</legend>
          {spans_s.map((s) => (
            <label class={s === span_s ? 'on' : ''}>
              <input type="radio" name="span" value={s} checked={s === span_s} onChange={() => setSpan(s)} />
              {s < 3600 ? `${s / 60} min` : `${s / 3600} h`}
            </label>
          ))}
        </fieldset>
        <p class="quiet">{first !== undefined && last !== undefined ? `${duration(last - first)} recorded` : none}</p>
      </div>
      <div class="charts">
        {panels
          .filter(({ needs }) => needs === null || has[needs])
          .map((panel) => (
            <Chart key={panel.id} panel={panel} columns={columns} version={version} span_s={span_s} />
          ))}
      </div>
    </div>
  );
}
