// What the page knows of the box right now. One store; live.ts fills it, views watch slices of it.
import { makeStore } from './store';
import type { State } from './types';

// An entry of /v1/models.
export interface Served {
  id: string;
  max_model_len?: number;
  tinderbox?: { weightless?: boolean; as?: string | null };
}

export interface Live {
  state: State | null;
  receivedAt: number; // performance.now() of `state`
  link: 'starting' | 'live' | 'silent';
  full: boolean | null; // whether the box answers at /box/*; null: not known yet
  served: Served[];
  keyWanted: null | 'missing' | 'refused';
}

export const live = makeStore<Live>({
  state: null,
  receivedAt: 0,
  link: 'starting',
  full: null,
  served: [],
  keyWanted: null,
});

export function setKeyWanted(why: 'missing' | 'refused'): void {
  if (live.get().keyWanted === null) live.set({ keyWanted: why });
}
