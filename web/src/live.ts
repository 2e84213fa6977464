// Follows the box: its events once a second, or its metrics every other second where it has no events.
import { ApiError, getJson, request } from './api';
import { recorder } from './history';
import { parseMetrics, stateOf, type Earlier } from './metrics';
import { events } from './sse';
import { live, type Served } from './state';
import type { State } from './types';

const pollMs = 2000;
const pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));

function take(state: State, full: boolean): void {
  live.set({ state, full, link: 'live', receivedAt: performance.now() });
  recorder.add(state);
}

export async function loadServed(): Promise<Served[]> {
  const { data } = await getJson<{ data: Served[] }>('/v1/models');
  live.set({ served: data });
  return data;
}

// Which models there are and what they are doing: /v1/models is asked again when this changes.
const rosterOf = (state: State) => state.models.map((m) => `${m.id} ${m.state}`).join('\n');

// Until the stream ends.
async function followEvents(signal: AbortSignal): Promise<void> {
  const response = await request('/box/events', { signal });
  if (!response.body || !response.headers.get('content-type')?.startsWith('text/event-stream')) {
    throw new ApiError(404, 'no event stream at /box/events');
  }
  let roster: string | null = null;
  for await (const payload of events(response.body)) {
    const state = JSON.parse(payload) as State;
    take(state, true);
    if (roster !== null && roster !== rosterOf(state)) void loadServed().catch(() => undefined);
    roster = rosterOf(state);
  }
}

// Until the server is silent.
async function pollMetrics(served: Served[]): Promise<void> {
  let before: Earlier | null = null;
  for (;;) {
    if (!document.hidden) {
      const response = await request('/metrics', { signal: AbortSignal.timeout(5000) });
      const state = stateOf(parseMetrics(await response.text()), served, Date.now() / 1000, before);
      before = { at_unix: state.at_unix, traffic: state.traffic };
      take(state, false);
    }
    await pause(pollMs);
  }
}

function keyGiven(): Promise<void> {
  return new Promise((done) => {
    const stop = live.watch(({ keyWanted }) => {
      if (keyWanted !== null) return;
      stop();
      done();
    });
  });
}

export async function follow(): Promise<never> {
  for (let failures = 0; ; ++failures) {
    const abort = new AbortController();
    try {
      const served = await loadServed();
      failures = 0;
      try {
        await followEvents(abort.signal);
      } catch (error) {
        if (!(error instanceof ApiError) || error.status !== 404) throw error;
        await pollMetrics(served);
      }
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) {
        await keyGiven();
        continue;
      }
    }
    abort.abort();
    live.set({ link: 'silent' });
    await pause(Math.min(500 * 2 ** failures, 4000));
  }
}
