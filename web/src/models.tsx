// The models of the box: what each takes, whether it would fit, loading, unloading, pinning.
import { useState } from 'preact/hooks';
import { sendJson } from './api';
import { count, gibibytes } from './format';
import { loadServed } from './live';
import { useAction, useResource } from './resource';
import { live } from './state';
import { useSlice } from './store';
import type { Catalogue, ModelEntry } from './types';
import { Ask, Problem, Scroll, Section } from './ui';
import { FitVerdict, useAnswer, type FitDocument } from './whatif/fit';

type Act = ReturnType<typeof useAction>['act'];

const memoryOf = (model: ModelEntry) => (model.memory_bytes > 0 ? gibibytes(model.memory_bytes) : '–');

interface RowProps {
  model: ModelEntry;
  full: boolean;
  busy: boolean;
  act: Act;
  onLoad: (id: string) => void;
}

function ModelRow({ model, full, busy, act, onLoad }: RowProps) {
  const { id, state, pinned } = model;
  const ready = state === 'ready';
  return (
    <tr>
      <th scope="row">
        <span class="mono">{id}</span>
        {model.weightless && <span class="badge weightless">weightless</span>}
      </th>
      <td>{model.weights ?? '–'}</td>
      <td>
        <span class={`state ${state}`}>{state}</span>
        {model.trouble && <p class="trouble">{model.trouble}</p>}
      </td>
      <td class="num">{memoryOf(model)}</td>
      <td class="num">{count(model.context_max)}</td>
      <td class="num">{full ? `${count(model.running)} + ${count(model.waiting)}` : '–'}</td>
      {full && (
        <td class="actions-cell">
          {ready ? (
            <button
              type="button"
              class="plain small"
              disabled={busy}
              aria-label={`Unload ${id}`}
              onClick={() => void act(id, () => sendJson('POST', '/box/models/unload', { model: id }))}
            >
              Unload
            </button>
          ) : (
            <button
              type="button"
              class="plain small"
              disabled={busy || state === 'loading'}
              aria-label={`Load ${id}`}
              onClick={() => onLoad(id)}
            >
              {state === 'loading' ? 'Loading…' : 'Load…'}
            </button>
          )}
          <button
            type="button"
            class="plain small"
            disabled={busy}
            aria-pressed={pinned}
            aria-label={`Pin ${id}`}
            title="A pinned model is never evicted to make room"
            onClick={() => void act(id, () => sendJson('POST', '/box/models/pin', { model: id, pinned: !pinned }))}
          >
            {pinned ? 'Pinned' : 'Pin'}
          </button>
        </td>
      )}
    </tr>
  );
}

// Before loading: does it fit beside what is there?
function LoadQuestion({
  id,
  machine,
  onYes,
  onNo,
}: {
  id: string;
  machine: string;
  onYes: () => void;
  onNo: () => void;
}) {
  const answer = useAnswer<FitDocument>('fit', { model: id, machine });
  return (
    <Ask title={`Load ${id}?`} yes="Load" onYes={onYes} onNo={onNo}>
      {answer.value && <FitVerdict fit={answer.value} />}
      {answer.error && <p class="quiet">No fit check: {answer.error}</p>}
      {answer.waiting && !answer.value && <p class="quiet">Checking whether it fits…</p>}
      <p class="quiet">The box refuses it with the numbers if memory would run out.</p>
    </Ask>
  );
}

function FitCheck({ catalogue, machine }: { catalogue: Catalogue; machine: string }) {
  const [model, setModel] = useState(
    catalogue.models.find((m) => m.id === 'gpt-oss-120b')?.id ?? catalogue.models[0]?.id ?? '',
  );
  const [context, setContext] = useState(8192);
  const answer = useAnswer<FitDocument>('fit', { model, machine, context });
  return (
    <Section title="Would it fit?" note={`on ${machine}, alone`}>
      <div class="form inline">
        <div class="field-of">
          <label for="fit-model">Model</label>
          <select id="fit-model" value={model} onChange={(event) => setModel(event.currentTarget.value)}>
            {catalogue.models.map(({ id }) => (
              <option value={id}>{id}</option>
            ))}
          </select>
        </div>
        <div class="field-of">
          <label for="fit-context">Context, tokens</label>
          <input
            id="fit-context"
            type="number"
            min={1}
            step={1}
            value={context}
            onInput={(event) => setContext(event.currentTarget.valueAsNumber || 8192)}
          />
        </div>
      </div>
      <div class={`answer ${answer.waiting ? 'waiting' : ''}`} aria-live="polite">
        {answer.value && <FitVerdict fit={answer.value} />}
        <Problem text={answer.error} />
      </div>
    </Section>
  );
}

export function ModelsView() {
  const models = useSlice(live, ({ state }) => state?.models ?? []);
  const full = useSlice(live, (l) => l.full === true);
  const as = useSlice(live, ({ state }) => state?.box.as ?? 'dgx-spark');
  const catalogue = useResource<Catalogue>('/box/catalogue');
  const [asked, setAsked] = useState<string | null>(null);
  const { busy, error, act } = useAction(async () => void (await loadServed()));
  const load = (id: string) => {
    setAsked(null);
    void act(id, () => sendJson('POST', '/box/models/load', { model: id }));
  };
  return (
    <div class="view models-view">
      <Section title="Models" class="wide" note={`${models.filter((m) => m.state === 'ready').length} ready`}>
        <Scroll label="List of models">
          <table>
            <thead>
              <tr>
                <th scope="col">Model</th>
                <th scope="col">Weights</th>
                <th scope="col">State</th>
                <th scope="col" class="num">
                  Memory
                </th>
                <th scope="col" class="num">
                  Context
                </th>
                <th scope="col" class="num">
                  Running + waiting
                </th>
                {full && (
                  <th scope="col">
                    <span class="unseen">Actions</span>
                  </th>
                )}
              </tr>
            </thead>
            <tbody>
              {models.map((model) => (
                <ModelRow key={model.id} model={model} full={full} busy={busy !== null} act={act} onLoad={setAsked} />
              ))}
            </tbody>
          </table>
        </Scroll>
        <Problem text={error} />
      </Section>
      {catalogue.value && <FitCheck catalogue={catalogue.value} machine={as} />}
      {asked && <LoadQuestion id={asked} machine={as} onYes={() => load(asked)} onNo={() => setAsked(null)} />}
    </div>
  );
}
