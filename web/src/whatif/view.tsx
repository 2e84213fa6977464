// What if: questions to the twin, answered as one types.
import { useState } from 'preact/hooks';
import { useResource } from '../resource';
import type { Catalogue, FaultKind } from '../types';
import { Copy, Problem } from '../ui';
import { useAnswer } from './answer';
import type { CompareDocument, FitDocument, PredictDocument, SoakDocument } from './documents';
import { FitResult } from './fit';
import { FormField } from './form';
import { CompareResult, PredictResult, SoakResult } from './results';
import {
  bodyOf,
  commandLine,
  fields,
  initialForm,
  problemOf,
  verbs,
  type Form,
  type Value,
  type Verb,
} from './verbs';

const questions: Record<Verb, { name: string; asks: string }> = {
  predict: { name: 'Predict', asks: 'How fast is it, and what binds it?' },
  fit: { name: 'Fit', asks: 'Does it fit, or does it freeze the box?' },
  compare: { name: 'Compare', asks: 'How do other machines do?' },
  soak: { name: 'Soak', asks: 'What happens when it runs for hours?' },
};

const forms: Record<Verb, Form> = {
  predict: initialForm('predict'),
  fit: initialForm('fit'),
  compare: initialForm('compare'),
  soak: initialForm('soak'),
};
let lastVerb: Verb = 'predict';

function Shown({ verb, value }: { verb: Verb; value: unknown }) {
  if (verb === 'predict') return <PredictResult document={value as PredictDocument} />;
  if (verb === 'fit') return <FitResult fit={value as FitDocument} />;
  if (verb === 'compare') return <CompareResult document={value as CompareDocument} />;
  return <SoakResult document={value as SoakDocument} />;
}

interface QuestionProps {
  verb: Verb;
  catalogue: Catalogue;
  faults: FaultKind[];
}

function Question({ verb, catalogue, faults }: QuestionProps) {
  const [form, setForm] = useState(forms[verb]);
  const problem = problemOf(verb, form);
  const answer = useAnswer<unknown>(verb, problem ? null : bodyOf(verb, form));
  const command = commandLine(verb, form);
  const change = (option: string, value: Value) => {
    // What one question says of the model and the machine holds for the others, too.
    for (const other of verbs) {
      if (other === verb || option === 'model' || option === 'machine')
        forms[other] = { ...forms[other], [option]: value };
    }
    setForm(forms[verb]);
  };
  return (
    <div class="question" role="tabpanel" id={`panel-${verb}`} aria-labelledby={`tab-${verb}`}>
      <form class="form" aria-label={questions[verb].name} onSubmit={(event) => event.preventDefault()}>
        {fields[verb].map((field) => (
          <FormField
            key={field.option}
            verb={verb}
            field={field}
            value={form[field.option] ?? ''}
            catalogue={catalogue}
            faults={faults}
            onChange={(value) => change(field.option, value)}
          />
        ))}
      </form>
      <div class={`answer ${answer.waiting ? 'waiting' : ''}`} aria-live="polite" aria-busy={answer.waiting}>
        <Problem text={problem ?? answer.error} />
        {answer.value !== null && !problem && <Shown verb={verb} value={answer.value} />}
        {answer.value === null && !problem && !answer.error && <p class="quiet">Asking the twin…</p>}
        <p class="command shell">
          <span class="quiet">The same in a shell</span> <code>{command}</code>{' '}
          <Copy text={command} label="Copy the command" />
        </p>
      </div>
    </div>
  );
}

export function WhatIfView() {
  const catalogue = useResource<Catalogue>('/box/catalogue');
  const faults = useResource<{ faults: FaultKind[] }>('/box/faults');
  const [verb, setVerb] = useState<Verb>(lastVerb);
  const choose = (next: Verb) => {
    lastVerb = next;
    setVerb(next);
  };
  const arrows = (event: KeyboardEvent) => {
    const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
    if (step === 0) return;
    const next = verbs[(verbs.indexOf(verb) + step + verbs.length) % verbs.length] as Verb;
    choose(next);
    document.getElementById(`tab-${next}`)?.focus();
  };
  if (catalogue.absent)
    return <p class="note">This box answers no what-if questions; the same verbs work in a shell.</p>;
  return (
    <div class="view what-if-view">
      <div class="view-head">
        <div class="tabs" role="tablist" aria-label="Questions" onKeyDown={arrows}>
          {verbs.map((name) => (
            <button
              type="button"
              role="tab"
              id={`tab-${name}`}
              aria-selected={name === verb}
              aria-controls={`panel-${verb}`}
              tabIndex={name === verb ? 0 : -1}
              onClick={() => choose(name)}
            >
              {questions[name].name}
            </button>
          ))}
        </div>
        <p class="quiet">{questions[verb].asks} Everything here is modelled.</p>
      </div>
      <Problem text={catalogue.error} />
      {catalogue.value && (
        <Question key={verb} verb={verb} catalogue={catalogue.value} faults={faults.value?.faults ?? []} />
      )}
    </div>
  );
}
