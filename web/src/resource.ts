// Something fetched from the box: shown when it is there, hidden where the box does not have it.
import { useCallback, useEffect, useState } from 'preact/hooks';
import { getJson, ifThere, sentence } from './api';
import { live } from './state';

export interface Resource<T> {
  value: T | null;
  absent: boolean; // the box answers 404: it does not have this
  error: string | null;
  reload: () => Promise<void>;
}

export function useResource<T>(path: string): Resource<T> {
  const [value, setValue] = useState<T | null>(null);
  const [absent, setAbsent] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const reload = useCallback(async () => {
    try {
      const got = await ifThere(getJson<T>(path));
      setValue(got);
      setAbsent(got === null);
      setError(null);
    } catch (problem) {
      setError(sentence(problem));
    }
  }, [path]);
  useEffect(() => {
    void reload();
    // What was refused for want of a key is asked again with one.
    let wanted = live.get().keyWanted;
    return live.watch(({ keyWanted }) => {
      if (wanted !== null && keyWanted === null) void reload();
      wanted = keyWanted;
    });
  }, [reload]);
  return { value, absent, error, reload };
}

// Does something to the box and says what went wrong. `busy` names what is under way.
export function useAction(after: () => Promise<void> | void) {
  const [busy, setBusy] = useState<string | null>(null);
  const [error, setError] = useState<string | null>(null);
  const act = async (name: string, work: () => Promise<unknown>) => {
    setBusy(name);
    setError(null);
    try {
      await work();
      await after();
      return true;
    } catch (problem) {
      setError(sentence(problem));
      return false;
    } finally {
      setBusy(null);
    }
  };
  return { busy, error, act };
}
