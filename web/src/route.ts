// Which view the address names: "#/charts".
import { useEffect, useState } from 'preact/hooks';

export const views = ['chat', 'box', 'charts', 'models', 'what-if', 'control'] as const;
export type View = (typeof views)[number];

export function viewOf(hash: string): View {
  const name = hash.replace(/^#\/?/, '');
  return views.find((view) => view === name) ?? 'chat';
}

export function useView(): View {
  const [view, setView] = useState(() => viewOf(location.hash));
  useEffect(() => {
    const changed = () => setView(viewOf(location.hash));
    addEventListener('hashchange', changed);
    return () => removeEventListener('hashchange', changed);
  }, []);
  return view;
}
