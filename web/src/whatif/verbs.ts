// The questions of the what-if panel: their fields, what is sent, and the same as a command line.

export const verbs = ['predict', 'fit', 'compare', 'soak'] as const;
export type Verb = (typeof verbs)[number];

export type Value = string | number | boolean | string[];
export type Form = Record<string, Value>;

export interface FieldSpec {
  option: string; // the long option of the verb
  label: string;
  kind:
    | 'model'
    | 'machine'
    | 'machines'
    | 'weights'
    | 'stack'
    | 'whole'
    | 'number'
    | 'text'
    | 'choice'
    | 'flag'
    | 'fault';
  initial: Value; // "" leaves the option out
  otherwise?: Value; // what the verb takes without the option
  min?: number;
  max?: number;
  unit?: string; // goes behind the number, as in 25C
  choices?: string[];
}

const model: FieldSpec = { option: 'model', label: 'Model', kind: 'model', initial: 'qwen3-8b' };
const machine: FieldSpec = {
  option: 'machine',
  label: 'Machine',
  kind: 'machine',
  initial: 'dgx-spark',
  otherwise: 'dgx-spark',
};
const weights: FieldSpec = { option: 'weights', label: 'Weights', kind: 'weights', initial: '' };
const stack: FieldSpec = { option: 'stack', label: 'Stack', kind: 'stack', initial: '' };
const whole = (option: string, label: string, initial: number, otherwise: number, max = 16_777_216): FieldSpec => ({
  option,
  label,
  kind: 'whole',
  initial,
  otherwise,
  min: 1,
  max,
});
const ambient: FieldSpec = {
  option: 'ambient',
  label: 'Room, °C',
  kind: 'number',
  initial: 25,
  otherwise: 25,
  min: -20,
  max: 60,
  unit: 'C',
};

export const fields: Record<Verb, FieldSpec[]> = {
  predict: [
    model,
    machine,
    weights,
    stack,
    whole('prompt', 'Prompt tokens', 2048, 512),
    whole('gen', 'Generated tokens', 256, 128),
    whole('concurrency', 'Streams', 1, 1, 4096),
    ambient,
  ],
  fit: [
    model,
    machine,
    weights,
    stack,
    { ...whole('context', 'Context of a stream', 8192, 8192) },
    whole('concurrency', 'Streams', 1, 1, 1_048_576),
  ],
  compare: [
    model,
    {
      option: 'machines',
      label: 'Machines',
      kind: 'machines',
      initial: ['dgx-spark', 'strix-halo-395', 'mac-m3-ultra-80', 'rtx-5090'],
      otherwise: ['dgx-spark', 'strix-halo-395', 'mac-m3-ultra-80', 'rtx-5090'],
    },
    weights,
    whole('prompt', 'Prompt tokens', 2048, 2048),
    whole('gen', 'Generated tokens', 256, 256),
    whole('concurrency', 'Streams', 1, 1, 4096),
    {
      option: 'electricity',
      label: 'Price of a kWh',
      kind: 'number',
      initial: 0.3,
      otherwise: 0.3,
      min: 0,
      max: 100,
    },
    {
      option: 'currency',
      label: 'Currency',
      kind: 'choice',
      initial: 'EUR',
      otherwise: 'EUR',
      choices: ['EUR', 'USD'],
    },
  ],
  soak: [
    model,
    machine,
    weights,
    stack,
    whole('prompt', 'Prompt tokens', 2048, 2048),
    whole('gen', 'Generated tokens', 512, 512),
    whole('concurrency', 'Requests in flight', 4, 1, 4096),
    { option: 'minutes', label: 'Minutes', kind: 'number', initial: 60, otherwise: 60, min: 1, max: 1440 },
    ambient,
    { option: 'fault', label: 'Fault after 10 min', kind: 'fault', initial: '' },
  ],
};

export const initialForm = (verb: Verb): Form => Object.fromEntries(fields[verb].map((f) => [f.option, f.initial]));

const blank = (value: Value | undefined): boolean =>
  value === undefined || value === '' || (Array.isArray(value) && value.length === 0) || Number.isNaN(value);

// What is wrong with the form before anything is asked; null if nothing.
export function problemOf(verb: Verb, form: Form): string | null {
  for (const field of fields[verb]) {
    const value = form[field.option];
    if (field.kind === 'whole' || field.kind === 'number') {
      if (typeof value !== 'number' || Number.isNaN(value)) return `${field.label}: give a number.`;
      if (value < (field.min ?? -Infinity) || value > (field.max ?? Infinity)) {
        return `${field.label}: from ${field.min} to ${field.max}.`;
      }
      if (field.kind === 'whole' && !Number.isInteger(value)) return `${field.label}: give a whole number.`;
    }
    if ((field.kind === 'model' || field.kind === 'machines') && blank(value))
      return `${field.label}: choose at least one.`;
  }
  return null;
}

// An option as the verb takes it.
const asOption = (field: FieldSpec, value: Value): Value => {
  if (field.unit) return `${String(value)}${field.unit}`;
  if (field.kind === 'fault') return `${String(value)}@10min`;
  return value;
};

// The body of POST /box/what-if/VERB: the options that are set.
export function bodyOf(verb: Verb, form: Form): Record<string, Value> {
  const body: Record<string, Value> = {};
  for (const field of fields[verb]) {
    const value = form[field.option];
    if (value !== undefined && !blank(value)) body[field.option] = asOption(field, value);
  }
  return body;
}

const quoted = (text: string) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replace(/'/g, "'\\''")}'`);
const written = (value: Value) => quoted(Array.isArray(value) ? value.join(',') : String(value));

// The same question for a shell; what the verb takes anyway is left out.
export function commandLine(verb: Verb, form: Form): string {
  const words = ['tinderbox', verb];
  for (const field of fields[verb]) {
    const value = form[field.option];
    if (value === undefined || blank(value)) continue;
    if (field.otherwise !== undefined && String(field.otherwise) === String(value)) continue;
    words.push(`--${field.option}`, written(asOption(field, value)));
  }
  return words.join(' ');
}
