// The box: a drawing that lives, its watts by rail, its memory by owner.
import { bytes, celsius, gibibytes, megahertz, percent, spoken, watts } from '../format';
import { live } from '../state';
import { useSlice } from '../store';
import type { Memory, Sensors, State } from '../types';
import { Bar, Section } from '../ui';
import { Plan } from './chassis';
import { FoamPattern, Front, Rear } from './elevations';
import { coldest_c, heatColour, hottest_c } from './heat';
import { railsOf, readingOf, type Reading } from './reading';

function Legend() {
  const ticks = [20, 40, 60, 80, 95];
  const stops = Array.from({ length: 16 }, (_, i) => heatColour(coldest_c + ((hottest_c - coldest_c) * i) / 15));
  return (
    <div class="heat-legend">
      <span class="ramp" aria-hidden="true" style={{ background: `linear-gradient(90deg, ${stops.join(',')})` }} />
      <ul aria-label="Colours of the drawing, from cold to hot">
        {ticks.map((c) => (
          <li style={{ left: `${(100 * (c - coldest_c)) / (hottest_c - coldest_c)}%` }}>{celsius(c)}</li>
        ))}
      </ul>
    </div>
  );
}

export function inWords(reading: Reading, sensors: Sensors | null): string {
  if (!sensors) return 'The box from above. This computer shows no temperatures of it.';
  const parts = Object.values(reading)
    .filter((part) => part.c !== null)
    .map((part) => `${part.label} ${celsius(part.c)}${part.w === null ? '' : ` ${watts(part.w)}`}`);
  return `The box from above: ${parts.join(', ')}; fans at ${percent(sensors.fan_ratio)}.`;
}

function NoSensors() {
  return (
    <p class="note">
      This computer shows the box no temperatures and no watts. A modelled machine has them: start it with{' '}
      <code>tinderbox serve MODEL --as dgx-spark</code>.
    </p>
  );
}

const limits: Record<string, string> = {
  none: 'nothing',
  power: 'its power limit',
  thermal: 'heat',
  heat: 'heat',
  idle: 'nothing to do',
  fault: 'a fault',
  'user-cap': 'a clock cap',
  off: 'it is off',
};

function Power({ sensors }: { sensors: Sensors }) {
  const rails = railsOf(sensors);
  const inside = rails.reduce((sum, rail) => sum + rail.w, 0);
  const top = Math.max(40, ...rails.map((rail) => rail.w));
  return (
    <Section title="Power by rail" class="rails" note={`${watts(sensors.wall_w)} at the wall`}>
      <table>
        <caption class="unseen">Watts of each rail</caption>
        <tbody>
          {rails.map(({ name, label, w }) => (
            <tr key={name}>
              <th scope="row">{label}</th>
              <td class="bar-cell">
                <Bar ratio={w / top} />
              </td>
              <td class="num">{watts(w)}</td>
            </tr>
          ))}
        </tbody>
        <tfoot>
          <tr>
            <th scope="row">Adapter and conversion</th>
            <td />
            <td class="num">{watts(Math.max(0, sensors.wall_w - inside))}</td>
          </tr>
        </tfoot>
      </table>
    </Section>
  );
}

function Sensing({ sensors }: { sensors: Sensors }) {
  const rows: [string, string][] = [
    ['GPU, as nvidia-smi shows it', `${celsius(sensors.gpu_c)}, ${watts(sensors.gpu_w_shown)}`],
    ['SM clock', megahertz(sensors.sm_clock_hz)],
    ['Clock held down by', limits[sensors.limit] ?? spoken(sensors.limit)],
    ['GPU utilisation', percent(sensors.gpu_utilisation)],
    ['Fans', percent(sensors.fan_ratio)],
    ['Energy since the start', `${(sensors.energy_j_total / 3600).toFixed(2)} Wh`],
    ['ACPI zones', sensors.zones_c.map((c) => c.toFixed(0)).join(' · ') + ' °C'],
  ];
  return (
    <Section title="Sensors" class="sensing">
      <dl class="pairs">
        {rows.map(([name, value]) => (
          <div>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {sensors.not_available.length > 0 && (
        <p class="quiet">N/A on the real machine, and so here: {sensors.not_available.join(', ')}.</p>
      )}
    </Section>
  );
}

const owners: [keyof Memory, string, string][] = [
  ['weights_bytes', 'Weights', 'weights'],
  ['kv_bytes', 'KV', 'kv'],
  ['runtime_bytes', 'Runtime', 'runtime'],
  ['page_cache_bytes', 'Page cache', 'cache'],
  ['free_bytes', 'Free', 'free'],
];

export function MemoryByOwner({ memory }: { memory: Memory }) {
  const share = (value: number) => (100 * value) / memory.total_bytes;
  return (
    <Section title="Memory by owner" class="memory" note={`${gibibytes(memory.total_bytes)} unified`}>
      <div class="stack" aria-hidden="true">
        {owners.map(([key, , tone]) => (
          <span class={`fill ${tone}`} style={{ width: `${share(memory[key])}%` }} />
        ))}
        <span class="safe" style={{ left: `${share(memory.safe_bytes)}%` }} />
      </div>
      <dl class="owners">
        {owners.map(([key, name, tone]) => (
          <div>
            <dt>
              <span class={`swatch ${tone}`} aria-hidden="true" />
              {name}
            </dt>
            <dd>{gibibytes(memory[key])}</dd>
          </div>
        ))}
        <div>
          <dt>KV in use</dt>
          <dd>{bytes(memory.kv_used_bytes)}</dd>
        </div>
        <div>
          <dt>
            <span class="swatch safe" aria-hidden="true" />
            Safe up to
          </dt>
          <dd>{gibibytes(memory.safe_bytes)}</dd>
        </div>
      </dl>
    </Section>
  );
}

function Computer({ state }: { state: State }) {
  const { computer } = state;
  if (!computer) return null;
  return (
    <Section title="This computer" note="measured">
      <dl class="pairs">
        <div>
          <dt>Processor</dt>
          <dd>{percent(computer.cpu_ratio)}</dd>
        </div>
        <div>
          <dt>Memory of this program</dt>
          <dd>{bytes(computer.rss_bytes)}</dd>
        </div>
        <div>
          <dt>Memory available</dt>
          <dd>
            {bytes(computer.memory_available_bytes)} of {bytes(computer.memory_total_bytes)}
          </dd>
        </div>
      </dl>
    </Section>
  );
}

export function BoxView() {
  const state = useSlice(live, (l) => l.state);
  if (!state) return <p class="quiet">Looking at the box…</p>;
  const { sensors, memory, box } = state;
  const reading = readingOf(sensors, box.ambient_c);
  return (
    <div class="view box-view">
      <FoamPattern />
      <div class="column">
        <section class="section drawing" aria-labelledby="s-chassis">
          <header>
            <h2 id="s-chassis">{box.machine_name ?? 'The box'}</h2>
            <p class="quiet">
              150 × 150 × 50.5 mm{box.nodes > 1 ? `, ${box.nodes} of them` : ''}
              {sensors ? ', modelled' : ''}
            </p>
          </header>
          {!sensors && <NoSensors />}
          <div class={`sheets ${sensors ? '' : 'unknown'}`}>
            <Plan reading={reading} fan={sensors?.fan_ratio ?? null} says={inWords(reading, sensors)} />
            <div class="elevations">
              <Rear reading={reading} sensors={sensors} />
              <Front reading={reading} />
              {sensors && <Legend />}
            </div>
          </div>
        </section>
        {memory && <MemoryByOwner memory={memory} />}
      </div>
      <div class="column">
        {sensors && <Power sensors={sensors} />}
        {sensors && <Sensing sensors={sensors} />}
        <Computer state={state} />
      </div>
    </div>
  );
}
