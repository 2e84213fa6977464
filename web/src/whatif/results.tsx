// The answers of predict, compare and soak as tables, with their intervals.
import { useMemo } from 'preact/hooks';
import {
  celsius,
  count,
  digits3,
  duration,
  gibibytes,
  interval as inBetween,
  joules,
  megahertz,
  none,
  percent,
  rate,
  seconds,
  spoken,
  watts,
} from '../format';
import { Plot } from '../charts/plot';
import { Bar, Scroll } from '../ui';
import type { CompareDocument, Interval, PredictDocument, SoakDocument, SoakSample } from './documents';

type Say = (value: number) => string;

function intervalOf(document: PredictDocument, name: string): Interval | null {
  const found = document.interval?.[name];
  return typeof found === 'object' ? found : null;
}

// Where the value lies within its interval.
function Whisker({ value, interval }: { value: number; interval: Interval }) {
  const top = Math.max(interval.high, value) * 1.05;
  const at = (v: number) => `${(100 * v) / top}%`;
  return (
    <span class="whisker" aria-hidden="true">
      <span class="range" style={{ left: at(interval.low), width: at(interval.high - interval.low) }} />
      <span class="point" style={{ left: at(value) }} />
    </span>
  );
}

function Row({
  name,
  value,
  say,
  interval,
  note,
}: {
  name: string;
  value: number;
  say: Say;
  interval: Interval | null;
  note?: string;
}) {
  return (
    <tr>
      <th scope="row">{name}</th>
      <td class="num strong">{say(value)}</td>
      <td class="num quiet">{interval ? inBetween(say(interval.low), say(interval.high)) : ''}</td>
      <td class="bar-cell">{interval && <Whisker value={value} interval={interval} />}</td>
      <td class="quiet">{note ?? ''}</td>
    </tr>
  );
}

export function PredictResult({ document: d }: { document: PredictDocument }) {
  const share = d.interval ? `${percent(d.interval.share)} interval` : '';
  const { memory, power } = d;
  const energy = power ? { low: power.energy_per_token_low_j, high: power.energy_per_token_high_j } : null;
  return (
    <>
      <p class="lead">
        {d.model} in {d.weights} by {d.stack}, KV {d.kv}
      </p>
      <Scroll label="Prediction">
        <table class="predict">
          <thead>
            <tr>
              <th scope="col">Predicted</th>
              <th scope="col" class="num">
                Value
              </th>
              <th scope="col" class="num">
                {share}
              </th>
              <th scope="col">
                <span class="unseen">Drawn</span>
              </th>
              <th scope="col">Bound by</th>
            </tr>
          </thead>
          <tbody>
            <Row
              name="Prefill"
              value={d.prefill_tok_per_s}
              say={rate}
              interval={intervalOf(d, 'prefill_tok_per_s')}
              note={d.prefill_bound}
            />
            <Row
              name="Decode, all streams"
              value={d.decode_tok_per_s}
              say={rate}
              interval={intervalOf(d, 'decode_tok_per_s')}
              note={d.decode_bound}
            />
            <Row name="Time to first token" value={d.ttft_s} say={seconds} interval={intervalOf(d, 'ttft_s')} />
            <Row name="Time per token" value={d.tpot_s} say={seconds} interval={intervalOf(d, 'tpot_s')} />
            <Row name="Whole request" value={d.total_s} say={seconds} interval={null} />
            {power && (
              <Row
                name="Energy of a token"
                value={power.energy_per_token_j}
                say={joules}
                interval={energy}
                note="at the wall, with its prompt"
              />
            )}
          </tbody>
        </table>
      </Scroll>
      <dl class="pairs">
        <div>
          <dt>Memory</dt>
          <dd>
            {gibibytes(memory.total_bytes)} of {gibibytes(memory.safe_bytes)} safe: {spoken(memory.verdict)}
          </dd>
        </div>
        {power && (
          <>
            <div>
              <dt>At the wall, warm</dt>
              <dd>
                prefill {watts(power.prefill_wall_w)}, decode {watts(power.decode_wall_w)}
              </dd>
            </div>
            <div>
              <dt>GPU</dt>
              <dd>
                {celsius(power.gpu_c)}, fans {percent(power.fan_share)}, {megahertz(power.clock_hz)}
              </dd>
            </div>
          </>
        )}
      </dl>
    </>
  );
}

export function CompareResult({ document }: { document: CompareDocument }) {
  const fastest = Math.max(...document.machines.map((m) => m.decode_tok_per_s ?? 0), 1);
  const show = (value: number | null, say: Say) => (value === null || value === undefined ? none : say(value));
  return (
    <Scroll label="Machines side by side">
      <table>
        <thead>
          <tr>
            <th scope="col">Machine</th>
            <th scope="col">Weights, stack</th>
            <th scope="col">Fits</th>
            <th scope="col" class="num">
              Prefill
            </th>
            <th scope="col" class="num">
              Decode
            </th>
            <th scope="col">
              <span class="unseen">Drawn</span>
            </th>
            <th scope="col" class="num">
              First token
            </th>
            <th scope="col" class="num">
              Watts
            </th>
            <th scope="col" class="num">
              Price
            </th>
            <th scope="col" class="num">
              {document.currency} a million tokens
            </th>
          </tr>
        </thead>
        <tbody>
          {document.machines.map((m) => (
            <tr>
              <th scope="row">{m.name || m.machine}</th>
              <td class="quiet">
                {m.weights}, {m.stack}
              </td>
              <td>{m.verdict === 'fits' ? 'yes' : m.reason || spoken(m.verdict)}</td>
              <td class="num">{show(m.prefill_tok_per_s, (v) => `${digits3(v)}/s`)}</td>
              <td class="num strong">{show(m.decode_tok_per_s, (v) => `${digits3(v)}/s`)}</td>
              <td class="bar-cell">
                <Bar ratio={(m.decode_tok_per_s ?? 0) / fastest} />
              </td>
              <td class="num">{show(m.ttft_s, seconds)}</td>
              <td class="num">{show(m.load_power_w, watts)}</td>
              <td class="num">{show(m.price_usd, (v) => `$${count(v)}`)}</td>
              <td class="num">{show(m.total_per_mtok, digits3)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

const soakLines: { label: string; colour: string; of: (s: SoakSample) => number }[] = [
  { label: 'hottest zone', colour: '--s1', of: (s) => Math.max(...s.zones_c) },
  { label: 'GPU', colour: '--s2', of: (s) => s.nodes_c['gpu'] ?? NaN },
  { label: 'SSD', colour: '--s3', of: (s) => s.nodes_c['drive'] ?? NaN },
  { label: 'air out', colour: '--s4', of: (s) => s.air_c },
];

function limitedBy(limited: Record<string, number>): string {
  const held = Object.entries(limited).filter(([name, s]) => s > 0.5 && name !== 'none_s' && name !== 'idle_s');
  if (held.length === 0) return 'nothing';
  return held.map(([name, s]) => `${spoken(name.replace(/_s$/, ''))} for ${duration(s)}`).join(', ');
}

export function SoakResult({ document: d }: { document: SoakDocument }) {
  const { x, columns } = useMemo(
    () => ({
      x: d.samples.map((s) => s.t_s / 60),
      columns: soakLines.map(({ of }) =>
        d.samples.map((s) => {
          const v = of(s);
          return Number.isFinite(v) ? v : null;
        }),
      ),
    }),
    [d],
  );
  const end = d.samples.at(-1);
  return (
    <>
      <p class="lead">{d.load}</p>
      <figure
        class="chart"
        aria-label={`Temperatures over ${duration(d.total_s)}: the hottest zone reaches ${celsius(d.zone_max_c)}`}
      >
        <ul class="legend">
          {soakLines.map(({ label, colour }, i) => (
            <li>
              <span class="swatch" style={{ '--swatch': `var(${colour})` }} aria-hidden="true" />
              {label} <b>{celsius(columns[i]?.at(-1))}</b>
            </li>
          ))}
        </ul>
        <Plot lines={soakLines} x={x} columns={columns} from0={false} time={false} axis={celsius} height={220} />
      </figure>
      <dl class="pairs">
        <div>
          <dt>Highest</dt>
          <dd>
            GPU {celsius(d.gpu_max_c)}, zone {celsius(d.zone_max_c)}
            {d.tripped ? ': the box went off' : ''}
          </dd>
        </div>
        <div>
          <dt>Clock held down by</dt>
          <dd>{limitedBy(d.limited)}</dd>
        </div>
        <div>
          <dt>At the wall</dt>
          <dd>
            {(d.wall_energy_j / 3600).toFixed(1)} Wh, mean {watts(d.wall_energy_j / d.total_s)}
          </dd>
        </div>
        {end && (
          <div>
            <dt>At the end</dt>
            <dd>
              {megahertz(end.clock_hz)}, fans {percent(end.fan_share)}, speed {percent(end.speed)}
            </dd>
          </div>
        )}
        {d.output_tokens ? (
          <div>
            <dt>Tokens</dt>
            <dd>
              {count(d.output_tokens)}, {joules(d.wall_energy_j / d.output_tokens)} each at the wall
            </dd>
          </div>
        ) : null}
      </dl>
    </>
  );
}
