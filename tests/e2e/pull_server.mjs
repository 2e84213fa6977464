// What models are fetched from, imitated on this computer: Hugging Face's hub with its redirections to another host for
// the bytes, and a Python index. Misbehaves when told to.
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { crc32, deflateRawSync } from 'node:zlib';

export const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');
export const COMMIT = '0123456789abcdef0123456789abcdef01234567';

// A ZIP archive of { name: bytes }.
export function zip(files) {
  const parts = [], directory = [];
  let offset = 0;
  for (const [name, bytes] of Object.entries(files)) {
    const packed = deflateRawSync(bytes), n = Buffer.from(name);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(8, 4);
    common.writeUInt32LE(crc32(bytes), 10);
    common.writeUInt32LE(packed.length, 14);
    common.writeUInt32LE(bytes.length, 18);
    common.writeUInt16LE(n.length, 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), common, n, packed]);
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(offset, 10);
    directory.push(Buffer.concat([Buffer.from('PK\x01\x02'), Buffer.from([20, 0]), common, rest, n]));
    parts.push(local);
    offset += local.length;
  }
  const central = Buffer.concat(directory), end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(directory.length, 8);
  end.writeUInt16LE(directory.length, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, central, end]);
}

const listen = (handler) => new Promise((resolve) => {
  const server = createServer(handler);
  server.listen(0, '127.0.0.1', () => resolve({ server, url: `http://127.0.0.1:${server.address().port}` }));
});

// requests: what was asked. bytes: { path: Buffer } of the host of bytes. trouble: how that one misbehaves next:
// { drop: N } ends the connection after N bytes, once; { status, times }; { slow: true }; { noRange: true }.
export async function pullServer() {
  const state = { requests: [], bytes: {}, etags: {}, trouble: {}, repos: {}, pages: {}, hubTrouble: null };

  const bytesHost = await listen((request, response) => {
    state.requests.push({ host: 'bytes', method: request.method, path: request.url, headers: request.headers });
    const trouble = state.trouble, body = state.bytes[request.url];
    if (trouble.times > 0) {
      trouble.times--;
      response.writeHead(trouble.status, { 'retry-after': '0' }).end('later');
      return;
    }
    if (!body) {
      response.writeHead(404).end('no');
      return;
    }
    const etag = state.etags[request.url] ?? `"${sha256(body).slice(0, 16)}"`;
    const range = /^bytes=(\d+)-$/.exec(request.headers.range ?? '');
    const same = !request.headers['if-range'] || request.headers['if-range'] === etag;
    const from = range && same && !trouble.noRange ? Number(range[1]) : 0;
    const headers = { etag, 'accept-ranges': 'bytes', 'content-length': body.length - from };
    if (from > 0 && from >= body.length) {
      response.writeHead(416, { 'content-range': `bytes */${body.length}` }).end();
      return;
    }
    if (from > 0) headers['content-range'] = `bytes ${from}-${body.length - 1}/${body.length}`;
    response.writeHead(from > 0 ? 206 : 200, headers);
    if (trouble.drop) {
      const n = trouble.drop;
      delete trouble.drop;
      response.write(body.subarray(from, from + n), () => setTimeout(() => response.destroy(), 50));
    } else if (trouble.slow) {
      let at = from;
      const timer = setInterval(() => {
        response.write(body.subarray(at, at + 4096));
        at += 4096;
        if (at >= body.length) {
          clearInterval(timer);
          response.end();
        }
      }, 10);
      response.on('close', () => clearInterval(timer));
    } else {
      response.end(body.subarray(from));
    }
  });

  const hub = await listen((request, response) => {
    state.requests.push({ host: 'hub', method: request.method, path: request.url, headers: request.headers });
    if (state.hubTrouble) {
      response.writeHead(state.hubTrouble.status, state.hubTrouble.headers).end();
      return;
    }
    const page = state.pages[request.url];
    if (page) {
      response.writeHead(200, { 'content-type': page.type }).end(page.text);
      return;
    }
    if (request.url.startsWith('/simple/')) {
      response.writeHead(404).end();
      return;
    }
    const list = /^\/api\/models\/([^/]+\/[^/]+)\/revision\/main$/.exec(request.url);
    if (list && state.repos[list[1]]) {
      const siblings = Object.keys(state.repos[list[1]]).map((rfilename) => ({ rfilename }));
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ sha: COMMIT, siblings }));
      return;
    }
    const file = /^\/([^/]+\/[^/]+)\/resolve\/(main|[0-9a-f]{40})\/(.+)$/.exec(request.url);
    const entry = file && state.repos[file[1]]?.[decodeURIComponent(file[3])];
    if (!entry) {
      const known = file && state.repos[file[1]];
      response.writeHead(known ? 404 : 401, { 'x-error-code': known ? 'EntryNotFound' : 'RepoNotFound' }).end();
      return;
    }
    const path = `/cdn/${file[1]}/${file[3]}`;
    state.bytes[path] = entry.served ?? entry.bytes;
    response.writeHead(302, {
      location: bytesHost.url + path, 'x-repo-commit': entry.commit ?? COMMIT, 'x-linked-etag': `"${entry.etag ?? sha256(entry.bytes)}"`,
      'x-linked-size': entry.size ?? entry.bytes.length, 'content-length': 0,
    }).end();
  });

  return { ...state, state, url: hub.url, bytesUrl: bytesHost.url, close: () => {
    for (const { server } of [hub, bytesHost]) {
      server.closeAllConnections();
      server.close();
    }
  } };
}
