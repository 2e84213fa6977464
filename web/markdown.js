// The little of Markdown that chat models write, as DOM nodes: fenced code, lists, headings, bold, slanted, inline code. Text
// enters the page through text nodes only, so that no answer can become markup.

function inline(parent, text) {
  // `code`, **bold** and *slanted*; an opening mark without its closing one stays text, as it does while an answer
  // streams in.
  for (const piece of text.split(/(`[^`\n]+`|\*\*[^*\n]+\*\*|\*[^*\s](?:[^*\n]*[^*\s])?\*)/)) {
    const [name, width] = piece.startsWith('`') ? ['code', 1] : piece.startsWith('**') ? ['strong', 2] : ['em', 1];
    const mark = /^[`*]/.test(piece) && piece.length > 2 * width && piece.endsWith(piece.slice(0, width));
    if (mark) {
      const node = document.createElement(name);
      node.textContent = piece.slice(width, -width);
      parent.append(node);
    } else if (piece) {
      parent.append(piece);
    }
  }
}

function block(name, lines) {
  const node = document.createElement(name);
  inline(node, lines.join('\n'));
  return node;
}

const fence = /^ {0,3}(```+|~~~+)/;
const bullet = /^\s*[-*+]\s+(.*)$/;
const numbered = /^\s*\d{1,9}[.)]\s+(.*)$/;
const heading = /^#{1,6}\s+(.*)$/;

// Replaces the children of `parent` by `text`.
export function showMarkdown(parent, text) {
  const nodes = [];
  let paragraph = [];
  let list = null;
  const close = () => {
    if (paragraph.length) nodes.push(block('p', paragraph));
    paragraph = [];
    list = null;
  };
  const item = (name, content) => {
    if (paragraph.length) close();
    if (list?.localName !== name) {
      list = document.createElement(name);
      nodes.push(list);
    }
    list.append(block('li', [content]));
  };
  const lines = text.split('\n');
  for (let i = 0; i < lines.length; ++i) {
    const line = lines[i];
    const opened = line.match(fence);
    const content = [];
    if (opened) {
      close();
      while (++i < lines.length && !lines[i].trimStart().startsWith(opened[1])) content.push(lines[i]);
      const pre = document.createElement('pre');
      pre.tabIndex = 0;  // wide code scrolls by keyboard
      const code = document.createElement('code');
      code.textContent = content.join('\n');
      pre.append(code);
      nodes.push(pre);
    } else if (line.trim() === '') {
      close();
    } else if (bullet.test(line)) {
      item('ul', line.match(bullet)[1]);
    } else if (numbered.test(line)) {
      item('ol', line.match(numbered)[1]);
      if (list.childElementCount === 1) list.start = parseInt(line, 10);
    } else if (heading.test(line)) {
      close();
      const bold = document.createElement('p');
      bold.append(block('strong', [line.match(heading)[1]]));
      nodes.push(bold);
    } else {
      if (list) close();
      paragraph.push(line);
    }
  }
  close();
  parent.replaceChildren(...nodes);
}
