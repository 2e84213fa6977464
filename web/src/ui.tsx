// Small parts that every view uses.
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';

interface SectionProps {
  title: string;
  note?: ComponentChildren;
  class?: string;
  children: ComponentChildren;
}

// A titled part of a view.
export function Section({ title, note, class: name = '', children }: SectionProps) {
  const id = `s-${title.toLowerCase().replace(/[^a-z]+/g, '-')}`;
  return (
    <section class={`section ${name}`} aria-labelledby={id}>
      <header>
        <h2 id={id}>{title}</h2>
        {note !== undefined && <p class="quiet">{note}</p>}
      </header>
      {children}
    </section>
  );
}

// A wide table scrolls inside its own frame, by keyboard as well.
export const Scroll = ({ label, children }: { label: string; children: ComponentChildren }) => (
  <div class="scroll" role="region" aria-label={label} tabIndex={0}>
    {children}
  </div>
);

export function Copy({ text, label }: { text: string; label: string }) {
  const [told, setTold] = useState('');
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setTold('copied');
    } catch {
      setTold('select it and copy by hand');
    }
    setTimeout(() => setTold(''), 2500);
  };
  return (
    <>
      <button type="button" class="plain small" onClick={copy} aria-label={label}>
        {told || 'Copy'}
      </button>
      <span class="unseen" role="status">
        {told}
      </span>
    </>
  );
}

// A modal question. Escape and Cancel answer no.
interface AskProps {
  title: string;
  yes: string;
  children: ComponentChildren;
  onYes: () => void;
  onNo: () => void;
}

export function Ask({ title, yes, children, onYes, onNo }: AskProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} aria-labelledby="ask-title" onCancel={onNo}>
      <form
        method="dialog"
        onSubmit={(event) => {
          event.preventDefault();
          onYes();
        }}
      >
        <h2 id="ask-title">{title}</h2>
        {children}
        <div class="actions">
          <button type="button" class="plain" onClick={onNo}>
            Cancel
          </button>
          <button type="submit">{yes}</button>
        </div>
      </form>
    </dialog>
  );
}

export const Problem = ({ text }: { text: string | null }) =>
  text ? (
    <p class="problem" role="alert">
      {text}
    </p>
  ) : null;

// A share of something, as a bar. The number stands beside it in text.
export const Bar = ({ ratio, tone = 'ember' }: { ratio: number; tone?: string }) => (
  <span class="bar" aria-hidden="true">
    <span class={`fill ${tone}`} style={{ width: `${Math.min(100, Math.max(0, ratio * 100))}%` }} />
  </span>
);

// The course of a value without axes: its last minutes at a glance.
export function Spark({ values }: { values: (number | null)[] }) {
  const known = values.filter((v): v is number => v !== null);
  if (known.length < 2) return <svg class="spark" viewBox="0 0 100 20" aria-hidden="true" />;
  const top = Math.max(...known);
  const low = Math.min(...known, top * 0.9);
  const y = (v: number) => 19 - (18 * (v - low)) / (top - low || 1);
  const step = 100 / (values.length - 1);
  let line = '';
  let pen = false;
  values.forEach((v, i) => {
    if (v !== null) line += `${pen ? 'L' : 'M'}${(i * step).toFixed(1)} ${y(v).toFixed(1)}`;
    pen = v !== null;
  });
  return (
    <svg class="spark" viewBox="0 0 100 20" preserveAspectRatio="none" aria-hidden="true">
      <path d={line} />
    </svg>
  );
}

const icons: Record<string, string> = {
  chat: 'M4 5h16v11H10l-5 4v-4H4z',
  box: 'M3 8h18v10H3zM3 12h18M7 18v2M17 18v2',
  charts: 'M4 4v16h16M7 15l4-5 3 3 5-7',
  models: 'M5 5h14v4H5zM5 10.500h14v4H5zM5 16h14v4H5z',
  'what-if': 'M9 9a3 3 0 1 1 4 3c-1 .5-1 1-1 2M12 17.500v.5M4 12a8 8 0 1 0 16 0a8 8 0 1 0-16 0',
  control: 'M4 7h9M17 7h3M4 12h3M11 12h9M4 17h9M17 17h3M13 5v4M7 10v4M13 15v4',
  light:
    'M12 8a4 4 0 1 0 0 8a4 4 0 0 0 0-8M12 3v2M12 19v2M3 12h2M19 12h2M5.600 5.600l1.500 1.500M17 17l1.400 1.400' +
    'M5.600 18.400l1.500-1.500M17 7l1.400-1.400',
  dark: 'M19 14.500A8 8 0 0 1 9.500 5a8 8 0 1 0 9.500 9.500z',
};

export const Icon = ({ name }: { name: string }) => (
  <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
    <path d={icons[name]} />
  </svg>
);

// A label above its field.
interface FieldProps {
  id: string;
  label: ComponentChildren;
  children: JSX.Element;
}
export const Field = ({ id, label, children }: FieldProps) => (
  <div class="field-of">
    <label for={id}>{label}</label>
    {children}
  </div>
);
