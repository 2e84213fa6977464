// The books of a soak: what clients saw, what the box logged of it, what the process used; and the laws between them.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

const SECRET = /tb-[A-Za-z0-9]{32}/g;
const SANITIZER = /ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:|CHECK failed/;
const GONE = 499; // in the log: the client went away

export class Ledger {
  violations = [];
  n_violations = 0;
  ends = { whole: 0, cut: 0, closed: 0, stuck: 0 };
  statuses = {};
  n_lines = 0;
  lines_by_status = {};
  metered_by_key = new Map();
  n_metered = 0;
  generated = 0; // tokens, of all lines
  secrets = new Set();
  #answered = new Map(); // id: {status, path}; until its line comes
  #lines = new Map(); // id: line; until its answer comes
  #tail = '';
  plain = ''; // what else the box said, its last part
  prompt_mark;

  violation(law, what) {
    this.n_violations++;
    if (this.violations.length < 40) {
      this.violations.push({ law, what });
      console.log(`VIOLATION ${law}: ${what}`);
    }
  }

  // One exchange of a client.
  answered(act, reply) {
    this.ends[reply.end]++;
    if (reply.end === 'whole') this.statuses[reply.status] = (this.statuses[reply.status] ?? 0) + 1;
    const said = `${act.method} ${act.path} ${String(act.body ?? '').slice(0, 300)}`;
    if (reply.end === 'stuck') return this.violation('every request ends', `${said}: nothing after ${reply.n_bytes} bytes`);
    if (reply.end === 'closed' && !act.may_close) return this.violation('no answer is broken off', `${said}: ${reply.status} closed after ${reply.n_bytes} bytes and ${reply.s?.toFixed(1)} s`);
    if (reply.end !== 'whole') return;
    if (!act.expect.includes(reply.status)) return this.violation('the status is one of those expected', `${said}: ${reply.status} ${reply.body.slice(0, 300)}`);
    const id = reply.headers['x-request-id'];
    if (!id) return this.violation('every answer has an id', said);
    if (!act.unlogged) this.#match(id, { status: reply.status, path: act.path.split('?')[0] });
    const wrong = act.flood ? null : wrong_form(act, reply); // a flood's bodies are not kept
    if (wrong) this.violation('answers are well-formed', `${said}: ${wrong}: ${reply.body.slice(0, 300)} … ${reply.body.slice(-200)}`);
    act.then?.(reply);
  }

  // What the box writes to its log, as it comes.
  log(text) {
    this.#no_secrets(text, 'log');
    const lines = (this.#tail + text).split('\n');
    this.#tail = lines.pop();
    for (const line of lines) {
      if (line.startsWith('{')) this.#line(JSON.parse(line));
      else {
        this.plain = (this.plain + line + '\n').slice(-20_000);
        if (SANITIZER.test(line)) this.violation('no sanitizer speaks', line);
        if (line.includes('were left out')) this.violation('every request is logged', line);
      }
    }
  }
  #line(line) {
    this.n_lines++;
    this.lines_by_status[line.status] = (this.lines_by_status[line.status] ?? 0) + 1;
    this.generated += line.generated_tokens ?? 0;
    // What a key's limit refuses never comes to a model, and is not counted as use; what a full queue refuses is.
    const limited = line.status === 429 && !line.model;
    if (line.method === 'POST' && !line.path.startsWith('/box/') && line.key && !limited) {
      this.metered_by_key.set(line.key, (this.metered_by_key.get(line.key) ?? 0) + 1);
    }
    const answer = this.#answered.get(line.id);
    if (!answer) return this.#lines.set(line.id, line);
    this.#answered.delete(line.id);
    this.#compare(answer, line);
  }
  #match(id, answer) {
    const line = this.#lines.get(id);
    if (!line) return this.#answered.set(id, answer);
    this.#lines.delete(id);
    this.#compare(answer, line);
  }
  #compare(answer, line) {
    if (answer.status !== line.status) this.violation('log and answer agree', `answered ${JSON.stringify(answer)}, logged ${JSON.stringify(line)}`);
  }
  #no_secrets(text, where) {
    for (const found of text.match(SECRET) ?? []) if (this.secrets.has(found)) this.violation('no secret is kept', `a key is in the ${where}`);
    if (text.includes(this.prompt_mark)) this.violation('no secret is kept', `a prompt is in the ${where}`);
  }

  // After the box has ended. folder: its state.
  close(folder) {
    for (const [id, answer] of this.#answered) this.violation('every request is logged', `${id} ${JSON.stringify(answer)}`);
    // What is logged and was not seen answered was cut off by us.
    const n_unseen = this.#lines.size;
    const n_cut = this.ends.cut + this.ends.closed + this.ends.stuck;
    if (n_unseen > n_cut) this.violation('counters add up', `${n_unseen} lines of requests whose answer nobody saw, but only ${n_cut} cut off`);
    for (const name of readdirSync(folder, { recursive: true, withFileTypes: true })) {
      if (name.isFile()) this.#no_secrets(readFileSync(join(name.parentPath ?? name.path, name.name), 'latin1'), `state file ${name.name}`);
    }
    return { n_unseen, n_gone: this.lines_by_status[GONE] ?? 0 };
  }
}

// null, or what is wrong with the body of a whole answer.
function wrong_form(act, reply) {
  if (reply.status >= 400) {
    const error = parsed(reply.body);
    if (error === undefined) return 'an error is JSON';
    const ollama = act.path.startsWith('/api/');
    if (ollama ? typeof error?.error !== 'string' : typeof error?.error?.message !== 'string') return 'an error has a message';
    return null;
  }
  const type = reply.headers['content-type'] ?? '';
  if (type.startsWith('application/json')) return parsed(reply.body) === undefined ? 'not JSON' : null;
  if (type.startsWith('text/event-stream')) {
    const events = reply.body.split('\n\n');
    if (events.pop() !== '') return 'the last event is not ended';
    const data = events.map((event) => event.split('\n').find((line) => line.startsWith('data: '))?.slice(6));
    // An answer that fails when it has begun ends with an error in place of [DONE].
    const ended = data.at(-1) === '[DONE]' || parsed(data.at(-1) ?? '')?.error;
    if (act.path !== '/v1/responses' && !ended) return 'no [DONE]';
    return data.every((one) => one === '[DONE]' || parsed(one) !== undefined) ? null : 'an event is not JSON';
  }
  if (type.startsWith('application/x-ndjson')) {
    const lines = reply.body.split('\n');
    if (lines.pop() !== '') return 'the last line is not ended';
    if (!lines.every((line) => parsed(line) !== undefined)) return 'a line is not JSON';
    const last = parsed(lines.at(-1));
    return last.done === true || last.error ? null : 'no last line';
  }
  return null;
}
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

// What a process uses: bytes resident, bytes of its own (no files), open descriptors, threads.
export function process_use(pid) {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  const kb = (name) => 1024 * Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0);
  return { rss: kb('VmRSS'), own: kb('RssAnon'), fds: readdirSync(`/proc/${pid}/fd`).length, threads: kb('Threads') / 1024 };
}
export function open_files(pid) {
  return readdirSync(`/proc/${pid}/fd`).map((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`);
    } catch {
      return '';
    }
  });
}

// Of samples {t, rss}: the growth over the whole time that the least-squares line has, as a share of the mean.
export function growth(samples) {
  const n = samples.length;
  if (n < 10) return 0;
  const mean = (f) => samples.reduce((sum, s) => sum + f(s), 0) / n;
  const t = mean((s) => s.t);
  const y = mean((s) => s.rss);
  const slope = mean((s) => (s.t - t) * (s.rss - y)) / mean((s) => (s.t - t) ** 2);
  return (slope * (samples.at(-1).t - samples[0].t)) / y;
}

// Name: value of a scrape, labels as they are.
export function metrics_of(text) {
  const all = new Map();
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const space = line.lastIndexOf(' ');
    all.set(line.slice(0, space), Number(line.slice(space + 1)));
  }
  return { sum: (name) => [...all].filter(([key]) => key === name || key.startsWith(name + '{')).reduce((sum, [, value]) => sum + value, 0) };
}
