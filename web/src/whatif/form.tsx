// One field of a question.
import type { Catalogue, FaultKind } from '../types';
import { Field } from '../ui';
import type { FieldSpec, Value, Verb } from './verbs';

interface FormFieldProps {
  verb: Verb;
  field: FieldSpec;
  value: Value;
  catalogue: Catalogue;
  faults: FaultKind[];
  onChange: (value: Value) => void;
}

interface Choice {
  id: string;
  name: string;
}

function choicesOf({ field, catalogue, faults, value }: FormFieldProps): Choice[] {
  const plain = (ids: string[]): Choice[] => ids.map((id) => ({ id, name: id }));
  const usual: Choice = { id: '', name: 'usual' };
  const list = ((): Choice[] => {
    switch (field.kind) {
      case 'model':
        return plain(catalogue.models.map((m) => m.id));
      case 'machine':
        return catalogue.machines.map((m) => ({ id: m.id, name: m.name ?? m.id }));
      case 'weights':
        return [usual, ...plain(catalogue.weights ?? [])];
      case 'stack':
        return [{ id: '', name: 'usual' }, ...plain(catalogue.stacks.map((s) => s.id))];
      case 'fault':
        return [{ id: '', name: 'none' }, ...plain(faults.map((f) => f.name))];
      default:
        return plain(field.choices ?? []);
    }
  })();
  // A value that the catalogue lacks is still shown as what it is.
  if (typeof value === 'string' && !list.some(({ id }) => id === value)) list.unshift({ id: value, name: value });
  return list;
}

function Machines({ field, value, catalogue, onChange }: FormFieldProps) {
  const chosen = Array.isArray(value) ? value : [];
  // Those that are compared without a choice come first.
  const usual = Array.isArray(field.initial) ? field.initial : [];
  const sorted = [...catalogue.machines].sort((a, b) => Number(usual.includes(b.id)) - Number(usual.includes(a.id)));
  const toggle = (id: string) => onChange(chosen.includes(id) ? chosen.filter((c) => c !== id) : [...chosen, id]);
  return (
    <fieldset class="checks">
      <legend>{field.label}</legend>
      <div class="check-list">
        {sorted.map(({ id, name }) => (
          <label>
            <input type="checkbox" checked={chosen.includes(id)} onChange={() => toggle(id)} /> {name ?? id}
          </label>
        ))}
      </div>
    </fieldset>
  );
}

export function FormField(props: FormFieldProps) {
  const { verb, field, value, onChange } = props;
  const id = `${verb}-${field.option}`;
  if (field.kind === 'machines') return <Machines {...props} />;
  if (field.kind === 'whole' || field.kind === 'number') {
    return (
      <Field id={id} label={field.label}>
        <input
          id={id}
          type="number"
          inputMode="decimal"
          min={field.min}
          max={field.max}
          step={field.kind === 'whole' ? 1 : 'any'}
          value={Number.isNaN(value) ? '' : Number(value)}
          onInput={(event) => onChange(event.currentTarget.valueAsNumber)}
        />
      </Field>
    );
  }
  return (
    <Field id={id} label={field.label}>
      <select id={id} value={String(value)} onChange={(event) => onChange(event.currentTarget.value)}>
        {choicesOf(props).map(({ id: choice, name }) => (
          <option key={choice} value={choice}>
            {name}
          </option>
        ))}
      </select>
    </Field>
  );
}
