// The conversation of this tab. It outlives the view, so that an answer goes on while one looks at the charts.
import { sentence } from '../api';
import { answerJoules, type Meter } from '../energy';
import { live } from '../state';
import { makeStore } from '../store';
import { bodyOf, complete, type Message, type Sampling, type Usage } from './completion';

export interface Answer {
  model: string;
  text: string;
  reasoning: string;
  sentAt: number; // performance.now(), as are all of these
  firstAt: number | null;
  lastAt: number | null;
  finish: string | null;
  usage: Usage | null;
  stopped: boolean;
  done: boolean;
  joules: number | null;
}

export interface Turn {
  id: number;
  question: string;
  answer: Answer;
}

export interface Chat {
  turns: Turn[];
  busy: boolean;
  error: string | null;
  announce: string;
  model: string | null; // what the reader chose; null: the first
  system: string;
  draft: string;
  sampling: Sampling;
}

export const chat = makeStore<Chat>({
  turns: [],
  busy: false,
  error: null,
  announce: '',
  model: null,
  system: '',
  draft: '',
  sampling: { temperature: 0.7, top_p: 1, max_tokens: 512, seed: null },
});

let abort: AbortController | null = null;
let nextId = 1;
let chatNumber = 0; // grows with each new chat, so that an answer to an old one is dropped

export const chosenModel = (): string | null => {
  const { served } = live.get();
  const { model } = chat.get();
  return served.find((m) => m.id === model)?.id ?? served[0]?.id ?? null;
};

function meter(): Meter | null {
  const { state, receivedAt } = live.get();
  if (!state?.sensors) return null;
  return {
    at_s: receivedAt / 1000,
    energy_j: state.sensors.energy_j_total,
    wall_w: state.sensors.wall_w,
    generated_tokens: state.traffic.generated_tokens_total,
  };
}

function nextMeter(): Promise<Meter | null> {
  return new Promise((resolve) => {
    const seen = live.get().receivedAt;
    const end = (value: Meter | null) => {
      clearTimeout(timer);
      stop();
      resolve(value);
    };
    const stop = live.watch(({ receivedAt }) => receivedAt !== seen && end(meter()));
    const timer = setTimeout(() => end(null), 5000);
  });
}

export function messagesOf(turns: Turn[], system: string, question: string): Message[] {
  const messages: Message[] = system.trim() ? [{ role: 'system', content: system }] : [];
  for (const turn of turns) {
    messages.push({ role: 'user', content: turn.question }, { role: 'assistant', content: turn.answer.text });
  }
  return [...messages, { role: 'user', content: question }];
}

function change(id: number, changes: Partial<Answer>): void {
  chat.set({
    turns: chat
      .get()
      .turns.map((turn) => (turn.id === id ? { ...turn, answer: { ...turn.answer, ...changes } } : turn)),
  });
}

// Reads one answer to its end. Drawn once a frame, however fast tokens come.
async function read(id: number, answer: Answer, body: Record<string, unknown>, signal: AbortSignal): Promise<void> {
  let frame = 0;
  const show = () => {
    frame = 0;
    change(id, answer);
  };
  try {
    for await (const piece of complete(body, signal)) {
      if (piece.text || piece.reasoning) {
        answer.text += piece.text ?? '';
        answer.reasoning += piece.reasoning ?? '';
        answer.lastAt = performance.now();
        answer.firstAt ??= answer.lastAt;
        frame ||= requestAnimationFrame(show);
      }
      answer.finish ??= piece.finish ?? null;
      answer.usage ??= piece.usage ?? null;
    }
  } finally {
    cancelAnimationFrame(frame);
  }
}

async function measureEnergy(id: number, before: Meter, answer: Answer, started: number): Promise<void> {
  const tokens = answer.usage?.completion_tokens ?? 0;
  const endedAt = performance.now() / 1000;
  const after = await nextMeter();
  if (!after || started !== chatNumber) return;
  change(id, { joules: answerJoules(before, after, answer.sentAt / 1000, endedAt, tokens) });
}

export async function send(question: string): Promise<void> {
  const model = chosenModel();
  const { turns, system, sampling, busy } = chat.get();
  if (!model || busy) return;
  const id = nextId++;
  const started = chatNumber;
  const answer: Answer = {
    model,
    text: '',
    reasoning: '',
    sentAt: performance.now(),
    firstAt: null,
    lastAt: null,
    finish: null,
    usage: null,
    stopped: false,
    done: false,
    joules: null,
  };
  const before = meter();
  abort = new AbortController();
  const { signal } = abort;
  chat.set({ turns: [...turns, { id, question, answer }], busy: true, error: null, draft: '', announce: '' });
  let failed: unknown = null;
  try {
    await read(id, answer, bodyOf(model, messagesOf(turns, system, question), sampling), signal);
  } catch (error) {
    failed = error;
  }
  if (started !== chatNumber) return;
  abort = null;
  if (failed && !answer.text && !answer.reasoning) {
    // Nothing was answered: give the message back to be changed.
    chat.set({
      turns: chat.get().turns.filter((turn) => turn.id !== id),
      draft: chat.get().draft || question,
      busy: false,
      error: signal.aborted ? null : sentence(failed),
    });
    return;
  }
  answer.stopped = signal.aborted;
  answer.done = true;
  change(id, answer);
  chat.set({
    busy: false,
    announce: answer.stopped ? 'Stopped.' : 'Answer complete.',
    error: failed && !signal.aborted ? sentence(failed) : null,
  });
  if (before) void measureEnergy(id, before, answer, started);
}

export const stop = (): void => abort?.abort();

export function newChat(): void {
  chatNumber += 1;
  abort?.abort();
  abort = null;
  chat.set({ turns: [], busy: false, error: null, announce: 'New chat.' });
}
