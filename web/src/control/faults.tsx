// What can go wrong with the machine, and is made to.
import { useState } from 'preact/hooks';
import { sendJson } from '../api';
import { duration } from '../format';
import { useAction, useResource } from '../resource';
import { live } from '../state';
import { useSlice } from '../store';
import type { ActiveFault, FaultKind } from '../types';
import { Ask, Field, Problem, Section } from '../ui';

export function until(fault: ActiveFault, nowUnix: number): string {
  if (fault.from_unix > nowUnix) return `begins in ${duration(fault.from_unix - nowUnix)}`;
  if (fault.until_unix === null) return 'until it is cleared';
  return `${duration(Math.max(0, fault.until_unix - nowUnix))} more`;
}

interface ActiveProps {
  active: ActiveFault[];
  busy: boolean;
  onClear: (name: string) => void;
}

function Active({ active, busy, onClear }: ActiveProps) {
  const now = useSlice(live, ({ state }) => state?.at_unix ?? 0);
  if (active.length === 0) return <p class="quiet">None is active.</p>;
  return (
    <ul class="active-faults">
      {active.map((fault) => (
        <li key={`${fault.name} ${fault.from_unix}`}>
          <span class="fault-name">{fault.name}</span> <span>{until(fault, now)}</span>
          <button
            type="button"
            class="plain small"
            disabled={busy}
            aria-label={`Clear ${fault.name}`}
            onClick={() => onClear(fault.name)}
          >
            Clear
          </button>
        </li>
      ))}
    </ul>
  );
}

function Inject({
  fault,
  onYes,
  onNo,
}: {
  fault: FaultKind;
  onYes: (length_s: number | null) => void;
  onNo: () => void;
}) {
  const [length, setLength] = useState(30);
  const [forEver, setForEver] = useState(false);
  return (
    <Ask
      title={`Inject ${fault.name}?`}
      yes="Inject"
      onYes={() => onYes(forEver ? null : Math.max(1, length || 30))}
      onNo={onNo}
    >
      <p>{fault.signature}</p>
      <Field id="fault-length" label="Seconds">
        <input
          id="fault-length"
          type="number"
          min={1}
          step={1}
          max={86_400}
          value={Number.isNaN(length) ? '' : length}
          disabled={forEver}
          onInput={(event) => setLength(event.currentTarget.valueAsNumber)}
        />
      </Field>
      <label class="check">
        <input type="checkbox" checked={forEver} onChange={(event) => setForEver(event.currentTarget.checked)} />{' '}
        until it is cleared
      </label>
      <p class="quiet">Every request of this box feels it.</p>
    </Ask>
  );
}

export function Faults() {
  const known = useResource<{ faults: FaultKind[]; active: ActiveFault[] }>('/box/faults');
  const active = useSlice(live, ({ state }) => state?.faults ?? []);
  const [asked, setAsked] = useState<FaultKind | null>(null);
  const { busy, error, act } = useAction(known.reload);
  if (known.absent || !known.value) return <Problem text={known.error} />;
  const { faults } = known.value;
  return (
    <Section title="Faults" class="wide" note="of the modelled machine; every one has happened to somebody">
      <h3>Active</h3>
      <Active
        active={active}
        busy={busy !== null}
        onClear={(name) => void act(name, () => sendJson('DELETE', `/box/faults/${encodeURIComponent(name)}`))}
      />
      <Problem text={error} />
      <h3>To inject</h3>
      {faults.length === 0 && (
        <p class="quiet">
          This machine has none on record. Start the box with <code>--as dgx-spark</code>.
        </p>
      )}
      <ul class="fault-list">
        {faults.map((fault) => (
          <li key={fault.name}>
            <div>
              <p class="fault-name">{fault.name}</p>
              <p>{fault.signature}</p>
              <p class="quiet">
                {fault.ends ? `Ends ${fault.ends}. ` : ''}Sources: {fault.source}.
              </p>
            </div>
            <button
              type="button"
              class="plain small"
              disabled={busy !== null}
              aria-label={`Inject ${fault.name}`}
              onClick={() => setAsked(fault)}
            >
              Inject…
            </button>
          </li>
        ))}
      </ul>
      {asked && (
        <Inject
          fault={asked}
          onNo={() => setAsked(null)}
          onYes={(length_s) => {
            setAsked(null);
            void act(asked.name, () => sendJson('POST', '/box/faults', { name: asked.name, length_s }));
          }}
        />
      )}
    </Section>
  );
}
