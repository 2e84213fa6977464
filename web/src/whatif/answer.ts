// Asks the box as one types: waits for a pause, drops what was asked before, keeps the last answer on the page
// until then.
import { useEffect, useState } from 'preact/hooks';
import { sendJson, sentence } from '../api';
import type { Verb } from './verbs';

export interface Answered<T> {
  value: T | null;
  error: string | null;
  waiting: boolean;
}

const pause_ms = 200;

// `body` null asks nothing.
export function useAnswer<T>(verb: Verb, body: Record<string, unknown> | null): Answered<T> {
  const [answer, setAnswer] = useState<Answered<T>>({ value: null, error: null, waiting: true });
  const asked = JSON.stringify(body);
  useEffect(() => {
    if (body === null) {
      setAnswer((old) => ({ ...old, waiting: false }));
      return;
    }
    const abort = new AbortController();
    setAnswer((old) => ({ ...old, waiting: true }));
    const timer = setTimeout(async () => {
      try {
        const value = await sendJson<T>('POST', `/box/what-if/${verb}`, body, abort.signal);
        if (!abort.signal.aborted) setAnswer({ value, error: null, waiting: false });
      } catch (error) {
        if (!abort.signal.aborted) setAnswer({ value: null, error: sentence(error), waiting: false });
      }
    }, pause_ms);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [verb, asked]);
  return answer;
}
