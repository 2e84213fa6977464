// The chat: a conversation with any model of the box.
import { memo } from './memo';
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import { Markdown } from '../markdown';
import { live } from '../state';
import { useSlice } from '../store';
import { Composer } from './composer';
import { chat, newChat, send, type Turn } from './conversation';
import { figures } from './figures';

const examples = [
  'Why is the sky blue?',
  'Write a haiku about a small, warm computer.',
  'Explain what a KV cache is in two sentences.',
];

function Welcome() {
  const weightless = useSlice(live, ({ served }) => served[0]?.tinderbox?.weightless ?? false);
  return (
    <section id="welcome" class="welcome">
      <h2>Ask the box something.</h2>
      <p id="welcome-text">
        {weightless
          ? 'This box is weightless. Answers are placeholder text at the speed of the modelled machine.'
          : 'Answers come from the model that this server has loaded, word by word. They can be wrong.'}
      </p>
      <ul class="examples" aria-label="Examples">
        {examples.map((text) => (
          <li>
            <button type="button" class="example plain" onClick={() => void send(text)}>
              {text}
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

const Exchange = memo(
  ({ turn }: { turn: Turn }) => {
    const { answer } = turn;
    const state = answer.done ? '' : answer.text || answer.reasoning ? 'streaming' : 'waiting';
    return (
      <>
        <article class="turn user">
          <h2>You</h2>
          <div class="text">{turn.question}</div>
        </article>
        <article class={`turn assistant ${state}`}>
          <h2>{answer.model}</h2>
          {answer.reasoning && (
            <details class="reasoning">
              <summary>{answer.done || answer.text ? 'How it thought' : 'Thinking…'}</summary>
              <div class="thought">{answer.reasoning}</div>
            </details>
          )}
          <div class="text">
            <Markdown text={answer.text} />
          </div>
          {answer.done && <p class="figures">{figures(answer).join(' · ')}</p>}
        </article>
      </>
    );
  },
  (a, b) => a.turn === b.turn,
);

// Says what a screen reader should hear: not every token, but the end of an answer.
function Announcer() {
  const text = useSlice(chat, ({ announce, turns }) => {
    const last = turns.at(-1)?.answer;
    return announce && last?.done ? `${announce} ${figures(last).join(', ')}` : announce;
  });
  return (
    <p id="announce" class="unseen" role="status">
      {text}
    </p>
  );
}

export function ChatView() {
  const turns = useSlice(chat, (c) => c.turns);
  const busy = useSlice(chat, (c) => c.busy);
  const log = useRef<HTMLDivElement>(null);
  const stick = useRef(true);
  useEffect(() => document.getElementById('prompt')?.focus(), []);
  useLayoutEffect(() => {
    if (log.current && stick.current) log.current.scrollTop = log.current.scrollHeight;
  }, [turns]);
  const scrolled = () => {
    const { scrollHeight, scrollTop, clientHeight } = log.current as HTMLDivElement;
    stick.current = scrollHeight - scrollTop - clientHeight < 80;
  };
  return (
    <div class="chat">
      <div class="chat-head">
        <ChosenModel />
        <button
          id="new-chat"
          type="button"
          class="plain small"
          onClick={() => {
            newChat();
            document.getElementById('prompt')?.focus();
          }}
        >
          New chat
        </button>
      </div>
      <div
        id="log"
        class="log"
        role="log"
        aria-label="Conversation"
        aria-live="off"
        aria-busy={busy}
        tabIndex={0}
        ref={log}
        onScroll={scrolled}
      >
        {turns.length === 0 && <Welcome />}
        {turns.map((turn) => (
          <Exchange key={turn.id} turn={turn} />
        ))}
      </div>
      <Composer />
      <Announcer />
    </div>
  );
}

function badgesOf(model: { tinderbox?: { weightless?: boolean; as?: string | null } } | undefined) {
  const { weightless = false, as = null } = model?.tinderbox ?? {};
  return (
    <ul id="badges" class="badges" aria-label="How this box answers">
      {weightless && <li class="badge weightless">weightless: placeholder text</li>}
      {as && <li class="badge paced">paced as {as}</li>}
      {!as && !weightless && <li class="badge own">at this computer’s own speed</li>}
    </ul>
  );
}

// With one model its name, with several a choice.
function ChosenModel() {
  const served = useSlice(live, (l) => l.served);
  const chosen = useSlice(chat, (c) => c.model);
  const model = served.find((m) => m.id === chosen) ?? served[0];
  return (
    <div class="serving">
      {served.length > 1 ? (
        <>
          <label for="model" class="quiet">
            Model
          </label>
          <select id="model" value={model?.id} onChange={(event) => chat.set({ model: event.currentTarget.value })}>
            {served.map(({ id }) => (
              <option value={id}>{id}</option>
            ))}
          </select>
        </>
      ) : (
        <p>
          <span class="quiet">Model</span> <strong id="model">{model?.id ?? '…'}</strong>
        </p>
      )}
      {model && badgesOf(model)}
    </div>
  );
}
