// The page: a chat with the served model, and the state of the box. No framework; state is the few variables below.
import { chat, firstModel, metrics } from './api.js';
import { showMarkdown } from './markdown.js';

const $ = (id) => document.getElementById(id);
const log = $('log');
const prompt = $('prompt');

let model = null;       // the entry of /v1/models
let messages = [];      // what the next request sends before the new message
let abort = null;       // AbortController of the answer under way
let chatNumber = 0;     // grows with each new chat, so that an answer to an old one is dropped

// ---- how things are said ----

const decimals = (value, n) => value.toLocaleString('en', { minimumFractionDigits: n, maximumFractionDigits: n });
function seconds(s) {
  if (s < 1) return `${decimals(s * 1000, 0)} ms`;
  return s < 100 ? `${decimals(s, 2)} s` : `${decimals(s, 0)} s`;
}
const rate = (perSecond) => `${decimals(perSecond, perSecond < 100 ? 1 : 0)} tokens/s`;

function showError(message) {
  $('error').textContent = message ?? '';
  $('error').hidden = !message;
}

const serverGone = 'The server does not answer. Is it still running?';

// ---- who answers ----

function badge(text, kind, title) {
  const item = document.createElement('li');
  item.className = `badge ${kind}`;
  item.textContent = text;
  item.title = title;
  $('badges').append(item);
}

function showModel() {
  $('model').textContent = model.id;
  document.title = `${model.id} · Tinderbox`;
  $('badges').replaceChildren();
  const { weightless = false, as = null } = model.tinderbox ?? {};
  if (weightless) {
    badge('weightless: placeholder text', 'weightless', 'No weights are loaded. The timing is modelled, the words mean nothing.');
    $('welcome-text').textContent =
      'This box is weightless: it has no model weights. Answers are placeholder text at the speed of the modelled machine.';
  }
  if (as) {
    badge(`paced as ${as}`, 'paced', `Tokens come at the speed that the twin predicts for ${as}, or later when this computer is slower.`);
  } else if (!weightless) {
    badge('at this computer’s own speed', 'own', 'Nothing is slowed down or modelled.');
  }
  $('lateness').hidden = !as;
  if (model.max_model_len) $('max-tokens').max = model.max_model_len;
}

async function loadModel() {
  try {
    model = await firstModel();
    showModel();
    showError(null);
  } catch {
    showError(serverGone);
  }
  updateButtons();
}

// ---- the conversation ----

function nearEnd() {
  return log.scrollHeight - log.scrollTop - log.clientHeight < 80;
}
function follow() {
  log.scrollTop = log.scrollHeight;
}

function addTurn(role, title) {
  const turn = document.createElement('article');
  turn.className = `turn ${role}`;
  const head = document.createElement('h2');
  head.textContent = title;
  const text = document.createElement('div');
  text.className = 'text';
  turn.append(head, text);
  log.append(turn);
  return { turn, text };
}

function updateButtons() {
  $('send').hidden = abort !== null;
  $('stop').hidden = abort === null;
  $('send').disabled = prompt.value.trim() === '' || model === null;
  log.setAttribute('aria-busy', String(abort !== null));
}

function fitPrompt() {
  prompt.rows = 1;
  while (prompt.scrollHeight > prompt.clientHeight && prompt.rows < 12) prompt.rows += 1;
}

function figures(answer) {
  const parts = [];
  if (answer.firstAt) parts.push(`first token after ${seconds((answer.firstAt - answer.sentAt) / 1000)}`);
  const n = answer.usage?.completion_tokens;
  const span = (answer.lastAt - answer.firstAt) / 1000;
  if (n > 1 && span > 0) parts.push(rate((n - 1) / span));
  if (n !== undefined) parts.push(`${decimals(n, 0)} ${n === 1 ? 'token' : 'tokens'} after a prompt of ${decimals(answer.usage.prompt_tokens, 0)}`);
  if (answer.finish === 'length') parts.push('cut at the token limit');
  if (answer.stopped) parts.push('stopped');
  if (!answer.text) parts.push('the answer is empty');
  return parts.join(' · ');
}

// Streams one answer into the page. Resolves to {text, ...} or throws what went wrong.
async function stream(request, view, signal) {
  const answer = { text: '', sentAt: performance.now() };
  let frame = 0;
  const draw = () => {
    frame = 0;
    const stick = nearEnd();
    showMarkdown(view.text, answer.text);
    if (stick) follow();
  };
  try {
    for await (const event of chat(request, signal)) {
      if (event.text) {
        answer.text += event.text;
        answer.lastAt = performance.now();
        answer.firstAt ??= answer.lastAt;
        view.turn.classList.replace('waiting', 'streaming');
        frame ||= requestAnimationFrame(draw);
      }
      answer.finish ??= event.finish;
      answer.usage ??= event.usage;
    }
  } catch (error) {
    if (!answer.text) throw error;
    answer.stopped = signal.aborted;
    answer.error = signal.aborted ? null : error;
  } finally {
    cancelAnimationFrame(frame);
    draw();
    view.turn.classList.remove('waiting', 'streaming');
  }
  return answer;
}

async function send(text) {
  showError(null);
  $('welcome').hidden = true;
  const maxTokens = $('max-tokens');
  if (!maxTokens.checkValidity() || maxTokens.value === '') {
    showError(`Max tokens must be a whole number from 1 to ${maxTokens.max || 'the context length'}.`);
    maxTokens.focus();
    return;
  }
  prompt.value = '';
  fitPrompt();
  const mine = addTurn('user', 'You');
  mine.text.textContent = text;
  const view = addTurn('assistant', model.id);
  view.turn.classList.add('waiting');
  follow();
  abort = new AbortController();
  updateButtons();
  const { signal } = abort;
  const started = chatNumber;
  const asked = [...messages, { role: 'user', content: text }];
  const request = {
    model: model.id,
    messages: asked,
    temperature: Number($('temperature').value),
    max_tokens: Number(maxTokens.value),
  };
  try {
    const answer = await stream(request, view, signal);
    if (started !== chatNumber) return;
    if (answer.error) showError(answer.error.message);
    messages = [...asked, { role: 'assistant', content: answer.text }];
    const foot = document.createElement('p');
    foot.className = 'figures';
    foot.textContent = figures(answer);
    view.turn.append(foot);
    follow();
    $('announce').textContent = `${answer.stopped ? 'Stopped' : 'Answer complete'}. ${foot.textContent}`;
  } catch (error) {
    if (started !== chatNumber) return;
    // Nothing was answered: give the message back to be changed.
    mine.turn.remove();
    view.turn.remove();
    if (prompt.value === '') prompt.value = text;
    fitPrompt();
    $('welcome').hidden = log.querySelector('.turn') !== null;
    if (!signal.aborted) showError(error instanceof TypeError ? serverGone : error.message);
  } finally {
    abort = null;
    updateButtons();
    prompt.focus();
  }
}

function newChat() {
  ++chatNumber;
  abort?.abort();
  messages = [];
  for (const turn of log.querySelectorAll('.turn')) turn.remove();
  $('welcome').hidden = false;
  showError(null);
  $('announce').textContent = 'New chat.';
  prompt.focus();
}

// ---- the box right now ----

const pollMs = 2000;
let last = null;  // {tokens, at} of the poll before

function showMetrics(m) {
  const tokens = m['vllm:generation_tokens_total'] ?? 0;
  const kv = m['vllm:kv_cache_usage_perc'] ?? 0;
  const at = performance.now();
  $('m-running').textContent = decimals(m['vllm:num_requests_running'] ?? 0, 0);
  $('m-waiting').textContent = decimals(m['vllm:num_requests_waiting'] ?? 0, 0);
  $('m-kv').textContent = `${decimals(kv * 100, kv > 0 && kv < 0.1 ? 1 : 0)} %`;
  $('m-kv-meter').value = kv;
  $('m-tokens').textContent = decimals(tokens, 0);
  // A counter that went back means a restarted server.
  if (last && tokens >= last.tokens) $('m-rate').textContent = rate((tokens - last.tokens) / ((at - last.at) / 1000));
  last = { tokens, at };
  $('m-late').textContent = seconds(m['tinderbox_lateness_seconds_total'] ?? 0);
}

async function poll() {
  if (!document.hidden) {
    const strip = document.querySelector('.strip');
    try {
      showMetrics(await metrics());
      if (strip.classList.contains('silent') || model === null) await loadModel();
      strip.classList.remove('silent');
    } catch {
      strip.classList.add('silent');
      last = null;
      $('m-rate').textContent = 'no answer';
    }
  }
  setTimeout(poll, pollMs);
}

// ---- input ----

$('composer').addEventListener('submit', (event) => {
  event.preventDefault();
  const text = prompt.value;
  if (text.trim() !== '' && !abort && model) send(text);
});
prompt.addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    $('composer').requestSubmit();
  }
});
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape') abort?.abort();
});
prompt.addEventListener('input', () => {
  fitPrompt();
  updateButtons();
});
$('stop').addEventListener('click', () => abort?.abort());
$('new-chat').addEventListener('click', newChat);
$('temperature').addEventListener('input', () => {
  $('temperature-value').textContent = decimals(Number($('temperature').value), 1);
});
for (const button of document.querySelectorAll('.example')) {
  button.addEventListener('click', () => {
    if (!abort && model) send(button.textContent);
  });
}

await loadModel();
prompt.focus();
poll();
