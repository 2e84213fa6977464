// The little of Markdown that chat models write, as elements: fenced code, lists, headings, bold, slanted,
// inline code. Text enters the page as text only, so that no answer can become markup.
import type { ComponentChild, VNode } from 'preact';

// `code`, **bold** and *slanted*; an opening mark without its closing one stays text, as it does while an
// answer streams in.
const marks = /(`[^`\n]+`|\*\*[^*\n]+\*\*|\*[^*\s](?:[^*\n]*[^*\s])?\*)/;

export function inline(text: string): ComponentChild[] {
  return text
    .split(marks)
    .filter(Boolean)
    .map((piece) => {
      const width = piece.startsWith('**') ? 2 : 1;
      const marked = /^[`*]/.test(piece) && piece.length > 2 * width && piece.endsWith(piece.slice(0, width));
      if (!marked) return piece;
      const inner = piece.slice(width, -width);
      if (piece.startsWith('`')) return <code>{inner}</code>;
      return width === 2 ? <strong>{inner}</strong> : <em>{inner}</em>;
    });
}

const fence = /^ {0,3}(```+|~~~+)/;
const bullet = /^\s*[-*+]\s+(.*)$/;
const numbered = /^\s*(\d{1,9})[.)]\s+(.*)$/;
const heading = /^#{1,6}\s+(.*)$/;

interface List {
  ordered: boolean;
  start: number;
  items: string[];
}

// The blocks of `text`, top to bottom.
export function blocks(text: string): VNode[] {
  const nodes: VNode[] = [];
  let paragraph: string[] = [];
  let list: List | null = null;
  const close = () => {
    if (paragraph.length) nodes.push(<p>{inline(paragraph.join('\n'))}</p>);
    if (list) {
      const items = list.items.map((item) => <li>{inline(item)}</li>);
      nodes.push(list.ordered ? <ol start={list.start}>{items}</ol> : <ul>{items}</ul>);
    }
    paragraph = [];
    list = null;
  };
  const item = (ordered: boolean, start: number, content: string) => {
    if (!list || list.ordered !== ordered) {
      close();
      list = { ordered, start, items: [] };
    }
    list.items.push(content);
  };
  const lines = text.split('\n');
  for (let i = 0; i < lines.length; ++i) {
    const line = lines[i] as string;
    const opened = fence.exec(line)?.[1];
    const bulleted = bullet.exec(line);
    const counted = numbered.exec(line);
    const titled = heading.exec(line);
    if (opened) {
      close();
      const content: string[] = [];
      while (++i < lines.length && !(lines[i] as string).trimStart().startsWith(opened))
        content.push(lines[i] as string);
      nodes.push(
        <pre tabIndex={0}>
          <code>{content.join('\n')}</code>
        </pre>,
      ); // wide code scrolls by keyboard
    } else if (line.trim() === '') {
      close();
    } else if (bulleted) {
      item(false, 1, bulleted[1] ?? '');
    } else if (counted) {
      item(true, Number(counted[1]), counted[2] ?? '');
    } else if (titled) {
      close();
      nodes.push(
        <p>
          <strong>{inline(titled[1] ?? '')}</strong>
        </p>,
      );
    } else {
      if (list) close();
      paragraph.push(line);
    }
  }
  close();
  return nodes;
}

export const Markdown = ({ text }: { text: string }) => <>{blocks(text)}</>;
