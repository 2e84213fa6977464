// Light or dark: the system's choice until the reader makes one.
import { useState } from 'preact/hooks';
import { Icon } from './ui';

type Theme = 'light' | 'dark';

function shown(): Theme {
  const chosen = document.documentElement.dataset['theme'];
  if (chosen === 'light' || chosen === 'dark') return chosen;
  return matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
}

export const themeChanged = new EventTarget();
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () =>
  themeChanged.dispatchEvent(new Event('change')),
);

export function ThemeSwitch() {
  const [theme, setTheme] = useState(shown());
  const other: Theme = theme === 'dark' ? 'light' : 'dark';
  const change = () => {
    document.documentElement.dataset['theme'] = other;
    try {
      localStorage.setItem('tinderbox.theme', other);
    } catch {
      // The choice holds until the page is closed.
    }
    setTheme(other);
    themeChanged.dispatchEvent(new Event('change'));
  };
  return (
    <button id="theme" type="button" class="plain small" onClick={change} title={`Change to the ${other} theme`}>
      <Icon name={other} /> <span>{other === 'dark' ? 'Dark' : 'Light'}</span>
    </button>
  );
}
