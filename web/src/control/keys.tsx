// API keys: made, shown once, revoked.
import { useState } from 'preact/hooks';
import { apiKey, sendJson, setApiKey } from '../api';
import { count, none, since } from '../format';
import { useAction, useResource } from '../resource';
import type { Key } from '../types';
import { Ask, Copy, Field, Problem, Scroll, Section } from '../ui';

interface NewKey {
  name: string;
  requests_per_min: number;
  tokens_per_min: number;
  manager: boolean;
}
const blank: NewKey = { name: '', requests_per_min: NaN, tokens_per_min: NaN, manager: false };
// Nobody could manage the box any more if the first key could not.
const first: NewKey = { ...blank, manager: true };

// What is sent: a limit that is left empty is none.
export function bodyOf(key: NewKey): Record<string, unknown> {
  const body: Record<string, unknown> = { name: key.name.trim() };
  if (key.requests_per_min > 0) body['requests_per_min'] = key.requests_per_min;
  if (key.tokens_per_min > 0) body['tokens_per_min'] = key.tokens_per_min;
  if (key.manager) body['manager'] = true;
  return body;
}

function Create({
  busy,
  none: isFirst,
  onCreate,
}: {
  busy: boolean;
  none: boolean;
  onCreate: (key: NewKey) => Promise<boolean>;
}) {
  const [key, setKey] = useState(isFirst ? first : blank);
  const change = (part: Partial<NewKey>) => setKey({ ...key, ...part });
  const limit = (name: 'requests_per_min' | 'tokens_per_min') => (
    <input
      id={`key-${name}`}
      type="number"
      min={1}
      step={1}
      placeholder="none"
      value={Number.isNaN(key[name]) ? '' : key[name]}
      onInput={(event) => change({ [name]: event.currentTarget.valueAsNumber })}
    />
  );
  const submit = async (event: Event) => {
    event.preventDefault();
    if (key.name.trim() && (await onCreate(key))) setKey(blank);
  };
  return (
    <form class="form inline" aria-label="New key" onSubmit={submit}>
      <Field id="key-name" label="Name">
        <input
          id="key-name"
          type="text"
          autocomplete="off"
          required
          value={key.name}
          placeholder="laptop"
          onInput={(event) => change({ name: event.currentTarget.value })}
        />
      </Field>
      <Field id="key-requests_per_min" label="Requests a minute">
        {limit('requests_per_min')}
      </Field>
      <Field id="key-tokens_per_min" label="Tokens a minute">
        {limit('tokens_per_min')}
      </Field>
      <label class="check">
        <input
          type="checkbox"
          checked={key.manager}
          onChange={(event) => change({ manager: event.currentTarget.checked })}
        />{' '}
        may manage the box
      </label>
      <button type="submit" disabled={busy || !key.name.trim()}>
        Make a key
      </button>
    </form>
  );
}

function Row({ item, now, busy, onRevoke }: { item: Key; now: number; busy: boolean; onRevoke: () => void }) {
  return (
    <tr>
      <th scope="row">
        {item.name}
        {item.manager && <span class="badge">manager</span>}
      </th>
      <td class="num">{item.requests_per_min === null ? none : count(item.requests_per_min)}</td>
      <td class="num">{item.tokens_per_min === null ? none : count(item.tokens_per_min)}</td>
      <td class="num">{count(item.requests)}</td>
      <td class="num">{count(item.prompt_tokens + item.generated_tokens)}</td>
      <td>{since(item.last_used_unix, now)}</td>
      <td class="actions-cell">
        <button
          type="button"
          class="plain small"
          disabled={busy}
          aria-label={`Revoke ${item.name}`}
          onClick={onRevoke}
        >
          Revoke…
        </button>
      </td>
    </tr>
  );
}

const heads = ['Requests/min', 'Tokens/min', 'Requests', 'Tokens'];

export function Keys() {
  const keys = useResource<{ keys: Key[]; required: boolean }>('/box/keys');
  const [made, setMade] = useState<{ name: string; key: string } | null>(null);
  const [asked, setAsked] = useState<Key | null>(null);
  const { busy, error, act } = useAction(keys.reload);
  if (keys.absent || !keys.value) return <Problem text={keys.error} />;
  const { keys: list, required } = keys.value;
  const create = (key: NewKey) =>
    act('create', async () => {
      const reply = await sendJson<{ name: string; key: string }>('POST', '/box/keys', bodyOf(key));
      // From the first key on every request needs one: this tab's as well.
      if (!apiKey() && list.length === 0) setApiKey(reply.key);
      setMade({ name: reply.name, key: reply.key });
    });
  return (
    <Section
      title="Keys"
      class="wide"
      note={required ? 'every request needs one' : 'none is needed yet; with the first key every request needs one'}
    >
      {made && (
        <div class="made" role="status">
          <p>The key of {made.name}. It is shown this once; the box keeps only its hash.</p>
          <p class="command">
            <code>{made.key}</code> <Copy text={made.key} label="Copy the key" />
            <button type="button" class="plain small" onClick={() => setMade(null)}>
              Done
            </button>
          </p>
        </div>
      )}
      {list.length > 0 && (
        <Scroll label="List of keys">
          <table>
            <thead>
              <tr>
                <th scope="col">Name</th>
                {heads.map((head) => (
                  <th scope="col" class="num">
                    {head}
                  </th>
                ))}
                <th scope="col">Last used</th>
                <th scope="col">
                  <span class="unseen">Actions</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {list.map((item) => (
                <Row
                  key={item.id}
                  item={item}
                  now={Date.now() / 1000}
                  busy={busy !== null}
                  onRevoke={() => setAsked(item)}
                />
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
      <Create key={String(list.length === 0)} busy={busy !== null} none={list.length === 0} onCreate={create} />
      <Problem text={error} />
      {asked && (
        <Ask
          title={`Revoke the key of ${asked.name}?`}
          yes="Revoke"
          onNo={() => setAsked(null)}
          onYes={() => {
            setAsked(null);
            void act(asked.id, () => sendJson('DELETE', `/box/keys/${encodeURIComponent(asked.id)}`));
          }}
        >
          <p>Whoever uses it is refused from now on. It cannot be taken back.</p>
        </Ask>
      )}
    </Section>
  );
}
