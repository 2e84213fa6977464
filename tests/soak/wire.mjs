// HTTP/1.1 as bytes on a socket, so that a client can be slow, cut off anywhere, or wrong. The soak's clients only.
import net from 'node:net';

// A request as bytes. body: a string or nothing.
export function request_bytes({ method = 'GET', path, key, headers = {}, body }) {
  const lines = [`${method} ${path} HTTP/1.1`, 'host: localhost'];
  if (key) lines.push(`authorization: Bearer ${key}`);
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
  const bytes = body === undefined ? Buffer.alloc(0) : Buffer.from(body);
  if (body !== undefined) lines.push('content-type: application/json', `content-length: ${bytes.length}`);
  return Buffer.concat([Buffer.from(lines.join('\r\n') + '\r\n\r\n', 'latin1'), bytes]);
}

// Reads one reply out of bytes as they come.
class Reply {
  status = 0;
  headers = {};
  body = '';
  n_bytes = 0;
  #unread = Buffer.alloc(0);
  #left = 0; // of the body or of the chunk; -1: until the end of the connection
  #state = 'head';
  #decoder = new TextDecoder();

  // true: the reply is whole.
  take(bytes) {
    this.n_bytes += bytes.length;
    this.#unread = this.#unread.length ? Buffer.concat([this.#unread, bytes]) : bytes;
    while (this.#step());
    return this.#state === 'whole';
  }
  closed() {
    return this.#state === 'whole' || (this.#state === 'body' && this.#left < 0);
  }
  #line() {
    const end = this.#unread.indexOf('\r\n');
    if (end < 0) return null;
    const line = this.#unread.subarray(0, end).toString('latin1');
    this.#unread = this.#unread.subarray(end + 2);
    return line;
  }
  #head() {
    const end = this.#unread.indexOf('\r\n\r\n');
    if (end < 0) return false;
    const lines = this.#unread.subarray(0, end).toString('latin1').split('\r\n');
    this.#unread = this.#unread.subarray(end + 4);
    this.status = Number(lines[0].split(' ')[1]);
    if (this.status === 100) return true; // the reply is still to come
    for (const line of lines.slice(1)) {
      const colon = line.indexOf(':');
      this.headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
    }
    if (this.headers['transfer-encoding'] === 'chunked') this.#state = 'size';
    else if (this.status === 204 || this.headers['content-length'] === '0') this.#state = 'whole';
    else {
      this.#state = 'body';
      this.#left = Number(this.headers['content-length'] ?? -1);
    }
    return true;
  }
  #step() {
    if (this.#state === 'head') return this.#head();
    if (this.#state === 'size') {
      const line = this.#line();
      if (line === null) return false;
      this.#left = parseInt(line, 16);
      this.#state = this.#left === 0 ? 'last' : 'chunk';
      return true;
    }
    if (this.#state === 'last') {
      if (this.#line() === null) return false;
      this.#state = 'whole';
      return true;
    }
    if (this.#state === 'whole') return false;
    const n = this.#left < 0 ? this.#unread.length : Math.min(this.#left, this.#unread.length);
    if (n === 0 && this.#left !== 0) return false;
    this.body += this.#decoder.decode(this.#unread.subarray(0, n), { stream: true });
    this.#unread = this.#unread.subarray(n);
    if (this.#left > 0) this.#left -= n;
    if (this.#left !== 0) return false;
    if (this.#state === 'chunk') {
      if (this.#unread.length < 2) return false;
      this.#unread = this.#unread.subarray(2);
      this.#state = 'size';
      return true;
    }
    this.#state = 'whole';
    return false;
  }
}

// One client's connection, kept between exchanges. All connections that are open: Wire.open.
export class Wire {
  static open = new Set();
  #port;
  #socket = null;

  constructor(port) {
    this.#port = port;
  }
  close() {
    this.#socket?.destroy();
    this.#socket = null;
  }
  #connect() {
    if (this.#socket && !this.#socket.destroyed && this.#socket.writable) return this.#socket;
    const socket = net.connect({ port: this.#port, host: '127.0.0.1', noDelay: true });
    Wire.open.add(socket);
    socket.on('close', () => Wire.open.delete(socket));
    socket.on('error', () => {});
    return (this.#socket = socket);
  }

  // Sends bytes and reads one reply. Resolves to { status, headers, body, end }, end being 'whole', 'closed' (by the
  // server, before the end), 'cut' (by us) or 'stuck' (deadline_ms over).
  // sent: cuts off after so many bytes of the request; received: after so many of the reply; cut_ms: then at the latest.
  // pieces: the request in so many writes; pause_ms: reads nothing for so long, each time something has come.
  exchange(bytes, { sent, received, cut_ms, pieces = 1, pause_ms = 0, deadline_ms = 120_000, half_closes = false } = {}) {
    const socket = this.#connect();
    const reply = new Reply();
    const asked = performance.now();
    return new Promise((resolve) => {
      const timers = [];
      let over = false;
      const finish = (end) => {
        if (over) return;
        over = true;
        timers.forEach(clearTimeout);
        socket.off('data', on_data).off('close', on_close);
        if (end !== 'whole' || reply.headers.connection === 'close') this.close();
        resolve({ status: reply.status, headers: reply.headers, body: reply.body, n_bytes: reply.n_bytes, end, s: (performance.now() - asked) / 1000 });
      };
      const on_data = (data) => {
        const whole = reply.take(data);
        if (received !== undefined && reply.n_bytes >= received) return finish('cut');
        if (whole) return finish('whole');
        if (pause_ms > 0) {
          socket.pause();
          timers.push(setTimeout(() => socket.resume(), pause_ms));
        }
      };
      const on_close = () => finish(reply.closed() ? 'whole' : sent === undefined && received === undefined ? 'closed' : 'cut');
      socket.on('data', on_data).on('close', on_close);
      timers.push(setTimeout(() => finish('stuck'), deadline_ms));
      if (cut_ms !== undefined) timers.push(setTimeout(() => finish('cut'), cut_ms));
      const all = sent === undefined ? bytes : bytes.subarray(0, sent);
      const step = Math.max(1, Math.ceil(all.length / pieces));
      const write = (at) => {
        if (over || socket.destroyed) return;
        socket.write(all.subarray(at, at + step));
        if (at + step < all.length) timers.push(setTimeout(() => write(at + step), 5));
        else if (sent !== undefined) timers.push(setTimeout(() => (half_closes ? socket.end() : finish('cut')), 2));
      };
      write(0);
    });
  }

  // Asks for the same n times at once and reads nothing for a while, then all: the server's writes meet a full socket.
  async flood(bytes, n, pause_ms, deadline_ms = 120_000) {
    const socket = this.#connect();
    socket.pause();
    for (let i = 0; i < n; ++i) socket.write(bytes);
    await new Promise((resolve) => setTimeout(resolve, pause_ms));
    const replies = [];
    let end = 'whole';
    await new Promise((resolve) => {
      let reply = new Reply();
      let carried = Buffer.alloc(0);
      const done = (how) => {
        end = how;
        resolve();
      };
      const timer = setTimeout(() => done('stuck'), deadline_ms);
      socket.on('close', () => done(replies.length === n ? 'whole' : 'closed'));
      // Replies come one after another, each with its length: cut them apart by it.
      socket.on('data', (data) => {
        carried = carried.length ? Buffer.concat([carried, data]) : data;
        for (;;) {
          const head = carried.indexOf('\r\n\r\n');
          if (head < 0) return;
          const length = Number(/content-length: (\d+)/i.exec(carried.subarray(0, head).toString('latin1'))?.[1] ?? 0);
          if (carried.length < head + 4 + length) return;
          reply.take(carried.subarray(0, head + 4 + length));
          carried = carried.subarray(head + 4 + length);
          replies.push({ status: reply.status, headers: reply.headers });
          reply = new Reply();
          if (replies.length === n) {
            clearTimeout(timer);
            return done('whole');
          }
        }
      });
      socket.resume();
    });
    this.close();
    return { replies, end };
  }
}
