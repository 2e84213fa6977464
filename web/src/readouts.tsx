// The strip of instruments above every view: what the box does right now.
import { celsius, count, gibibytes, megahertz, none, percent, rate, seconds, watts } from './format';
import { recorder, type SeriesName } from './history';
import { live } from './state';
import { useSlice } from './store';
import type { State } from './types';
import { Spark } from './ui';

interface Readout {
  id: string;
  label: string;
  title: string;
  value: string;
  kind: 'modelled' | 'measured' | null;
  series?: SeriesName;
}

const kindOf = (state: State, what: string): Readout['kind'] =>
  state.box.modelled.includes(what) ? 'modelled' : state.box.measured.includes(what) ? 'measured' : null;

export function readoutsOf(state: State): Readout[] {
  const { sensors, traffic, memory } = state;
  const list: Readout[] = [];
  if (sensors) {
    const heat = kindOf(state, 'temperature');
    const power = kindOf(state, 'power');
    list.push(
      {
        id: 'm-wall',
        label: 'at the wall',
        title: 'Power of the whole box',
        value: watts(sensors.wall_w),
        kind: power,
        series: 'wall_w',
      },
      {
        id: 'm-gpu',
        label: 'GPU',
        title: 'Temperature that nvidia-smi shows',
        value: celsius(sensors.gpu_c),
        kind: heat,
        series: 'gpu_c',
      },
      {
        id: 'm-clock',
        label: 'clock',
        title: 'Of the streaming multiprocessors',
        value: megahertz(sensors.sm_clock_hz),
        kind: power,
        series: 'sm_clock_hz',
      },
    );
  }
  list.push(
    {
      id: 'm-rate',
      label: 'speed now',
      title: 'Tokens generated, all requests together',
      value: rate(traffic.generated_tokens_per_s),
      kind: kindOf(state, 'pace'),
      series: 'generated_tokens_per_s',
    },
    { id: 'm-running', label: 'running', title: 'Requests', value: count(traffic.running), kind: null },
    { id: 'm-waiting', label: 'waiting', title: 'Requests', value: count(traffic.waiting), kind: null },
    {
      id: 'm-kv',
      label: 'KV in use',
      title: 'Share of the KV pool',
      value: percent(traffic.kv_ratio),
      kind: kindOf(state, 'memory'),
      series: 'kv_ratio',
    },
    {
      id: 'm-tokens',
      label: 'tokens made',
      title: 'Since the start',
      value: count(traffic.generated_tokens_total),
      kind: null,
    },
  );
  if (memory) {
    list.push({
      id: 'm-free',
      label: 'memory free',
      title: 'Of what the machine has in all',
      value: gibibytes(memory.free_bytes),
      kind: kindOf(state, 'memory'),
      series: 'free_bytes',
    });
  }
  if (state.box.as) {
    list.push({
      id: 'm-late',
      label: 'late in all',
      title: 'How far this computer fell behind the modelled pace',
      value: seconds(traffic.lateness_s_total),
      kind: 'measured',
    });
  }
  return list;
}

export function Readouts() {
  const state = useSlice(live, (l) => l.state);
  const link = useSlice(live, (l) => l.link);
  const seen = state ? recorder.seen(300).series : {};
  return (
    <section class={`readouts ${link}`} aria-label="The box right now">
      {state ? (
        <dl id="status" tabIndex={0}>
          {readoutsOf(state).map(({ id, label, title, value, kind, series }) => (
            <div key={id} title={kind ? `${title}; ${kind}` : title}>
              <dt>
                {kind && <span class={`mark ${kind}`} aria-hidden="true" />}
                {label}
              </dt>
              <dd id={id}>{link === 'silent' ? none : value}</dd>
              {series && <Spark values={(seen[series] ?? []).slice(-90)} />}
            </div>
          ))}
        </dl>
      ) : (
        <p class="quiet">{link === 'silent' ? 'The server does not answer. Trying again.' : 'Looking at the box…'}</p>
      )}
    </section>
  );
}
