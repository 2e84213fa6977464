// Asks for an API key when the server wants one. It stays in this tab.
import { useEffect, useRef, useState } from 'preact/hooks';
import { setApiKey } from './api';
import { live } from './state';

export function KeyPrompt({ why }: { why: 'missing' | 'refused' }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [key, setKey] = useState('');
  useEffect(() => dialog.current?.showModal(), []);
  const submit = (event: Event) => {
    event.preventDefault();
    if (!key.trim()) return;
    setApiKey(key.trim());
    live.set({ keyWanted: null });
  };
  return (
    <dialog ref={dialog} aria-labelledby="key-title" onCancel={(event) => event.preventDefault()}>
      <form onSubmit={submit}>
        <h2 id="key-title">This box asks for a key</h2>
        <p id="key-why">
          {why === 'refused' ? 'The key that this tab had was refused. ' : ''}
          The key is kept in this tab only and forgotten when the tab closes.
        </p>
        <label for="key">API key</label>
        <input
          id="key"
          type="password"
          autocomplete="off"
          spellcheck={false}
          value={key}
          aria-describedby="key-why"
          onInput={(event) => setKey(event.currentTarget.value)}
          placeholder="tb-…"
        />
        <div class="actions">
          <button type="submit" disabled={!key.trim()}>
            Use this key
          </button>
        </div>
      </form>
    </dialog>
  );
}
