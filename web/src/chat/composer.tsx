// Where the reader writes: the message, and how the answer is to be sampled.
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import { decimals } from '../format';
import { live } from '../state';
import { useSlice } from '../store';
import { Field } from '../ui';
import type { Sampling } from './completion';
import { chat, send, stop } from './conversation';

const setSampling = (change: Partial<Sampling>) => chat.set({ sampling: { ...chat.get().sampling, ...change } });

function MaxTokens() {
  const value = useSlice(chat, (c) => c.sampling.max_tokens);
  const max = useSlice(live, (l) => l.served[0]?.max_model_len);
  return (
    <>
      <label for="max-tokens">Max tokens</label>
      <input
        id="max-tokens"
        type="number"
        min={1}
        max={max}
        step={1}
        inputMode="numeric"
        required
        value={Number.isNaN(value) ? '' : value}
        onInput={(event) => setSampling({ max_tokens: event.currentTarget.valueAsNumber })}
      />
    </>
  );
}

function Temperature() {
  const value = useSlice(chat, (c) => c.sampling.temperature);
  return (
    <>
      <label for="temperature">
        Temperature{' '}
        <output id="temperature-value" for="temperature">
          {decimals(value, 1)}
        </output>
      </label>
      <input
        id="temperature"
        type="range"
        min="0"
        max="2"
        step="0.1"
        value={value}
        onInput={(event) => setSampling({ temperature: event.currentTarget.valueAsNumber })}
      />
    </>
  );
}

function Settings() {
  const system = useSlice(chat, (c) => c.system);
  const top_p = useSlice(chat, (c) => c.sampling.top_p);
  const seed = useSlice(chat, (c) => c.sampling.seed);
  const number = (text: string) => (text.trim() === '' ? null : Math.trunc(Number(text)));
  return (
    <details class="settings">
      <summary>System prompt and more</summary>
      <div class="settings-fields">
        <Field id="system" label="System prompt">
          <textarea
            id="system"
            rows={2}
            value={system}
            onInput={(event) => chat.set({ system: event.currentTarget.value })}
          />
        </Field>
        <Field
          id="top-p"
          label={
            <>
              Top-p <output for="top-p">{decimals(top_p, 2)}</output>
            </>
          }
        >
          <input
            id="top-p"
            type="range"
            min="0.05"
            max="1"
            step="0.05"
            value={top_p}
            onInput={(event) => setSampling({ top_p: event.currentTarget.valueAsNumber })}
          />
        </Field>
        <Field id="seed" label="Seed">
          <input
            id="seed"
            type="number"
            step={1}
            inputMode="numeric"
            placeholder="random"
            value={seed ?? ''}
            onInput={(event) => setSampling({ seed: number(event.currentTarget.value) })}
          />
        </Field>
      </div>
    </details>
  );
}

function limitProblem(): string | null {
  const field = document.getElementById('max-tokens') as HTMLInputElement;
  if (field.checkValidity()) return null;
  field.focus();
  return `Max tokens must be a whole number from 1 to ${field.max || 'the context length'}.`;
}

export function Composer() {
  const draft = useSlice(chat, (c) => c.draft);
  const busy = useSlice(chat, (c) => c.busy);
  const error = useSlice(chat, (c) => c.error);
  const ready = useSlice(live, (l) => l.served.length > 0);
  const prompt = useRef<HTMLTextAreaElement>(null);
  useLayoutEffect(() => {
    const area = prompt.current;
    if (!area) return;
    area.rows = 1;
    while (area.scrollHeight > area.clientHeight && area.rows < 12) area.rows += 1;
  }, [draft]);
  useEffect(() => {
    const escape = (event: KeyboardEvent) => event.key === 'Escape' && stop();
    addEventListener('keydown', escape);
    return () => removeEventListener('keydown', escape);
  }, []);
  const submit = async (event?: Event) => {
    event?.preventDefault();
    const text = chat.get().draft;
    if (!text.trim() || busy || !ready) return;
    const problem = limitProblem();
    chat.set({ error: problem });
    if (problem) return;
    await send(text);
    if (document.activeElement === document.body || document.activeElement?.id === 'stop') prompt.current?.focus();
  };
  const key = (event: KeyboardEvent) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    void submit();
  };
  return (
    <form
      id="composer"
      class="composer"
      aria-label="Write to the model"
      autocomplete="off"
      noValidate
      onSubmit={submit}
    >
      <div id="error" class="problem" role="alert" hidden={!error}>
        {error}
      </div>
      <label for="prompt" class="unseen">
        Message
      </label>
      <div class="field">
        <textarea
          id="prompt"
          rows={1}
          placeholder="Write to the model"
          aria-describedby="keys"
          ref={prompt}
          value={draft}
          onInput={(event) => chat.set({ draft: event.currentTarget.value })}
          onKeyDown={key}
        />
        {busy ? (
          <button id="stop" key="stop" type="button" class="stop" onClick={stop}>
            Stop
          </button>
        ) : (
          <button id="send" key="send" type="submit" disabled={!draft.trim() || !ready}>
            Send
          </button>
        )}
      </div>
      <div class="controls">
        <Temperature />
        <MaxTokens />
        <Settings />
        <p id="keys" class="quiet">
          <span class="unseen">Shift+Enter breaks the line. </span>Enter sends, Escape stops.
        </p>
      </div>
    </form>
  );
}
