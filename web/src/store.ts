// A value that views watch. Each view names the slice that it shows and is drawn again only when that slice changes.
import { useEffect, useState } from 'preact/hooks';

export interface Store<T> {
  get(): T;
  set(change: Partial<T>): void;
  watch(listener: (value: T) => void): () => void;
}

export function makeStore<T extends object>(initial: T): Store<T> {
  let value = initial;
  const listeners = new Set<(value: T) => void>();
  return {
    get: () => value,
    set(change) {
      value = { ...value, ...change };
      for (const listener of [...listeners]) listener(value);
    },
    watch(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

// Equal for the eye: the same primitives, or objects of the same primitives one level deep.
export function sameSlice(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  const left = a as Record<string, unknown>;
  const right = b as Record<string, unknown>;
  const names = Object.keys(left);
  return names.length === Object.keys(right).length && names.every((name) => Object.is(left[name], right[name]));
}

export function useSlice<T extends object, S>(store: Store<T>, select: (value: T) => S): S {
  const [slice, setSlice] = useState(() => select(store.get()));
  useEffect(() => {
    const update = (value: T) =>
      setSlice((old) => {
        const next = select(value);
        return sameSlice(old, next) ? old : next;
      });
    update(store.get());
    return store.watch(update);
  }, []);
  return slice;
}
