// Gateways, requests, mails and SQL for the scenes.
import { spawn, execFileSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import net from 'node:net';
import { freePort, until } from '../../lib/waiting.mjs';

export const SECRET = 'integration-secret-of-at-least-32-characters';
export const NEW_API = { 'x-supabase-api-version': '2024-01-01' };

const base64url = (text) => Buffer.from(text).toString('base64url');

export function sign(claims, secret = SECRET, header = { alg: 'HS256', typ: 'JWT' }) {
  const input = `${base64url(JSON.stringify(header))}.${base64url(JSON.stringify(claims))}`;
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
}

export const claimsOf = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
export const ANON = sign({ role: 'anon', iss: 'test' });
export const SERVICE = sign({ role: 'service_role', iss: 'test' });

// Rows as objects.
export function sql(text) {
  const out = execFileSync('psql', ['-XAtq', '-v', 'ON_ERROR_STOP=1', process.env.DATABASE_URL], {
    input: `select coalesce(json_agg(to_json(q)), '[]') from (${text}) q;`, encoding: 'utf8',
  });
  return JSON.parse(out);
}

export function run(text) {
  execFileSync('psql', ['-XAtq', '-v', 'ON_ERROR_STOP=1', process.env.DATABASE_URL], { input: text, encoding: 'utf8' });
}

// A mail server that takes everything; mails[i] = {to, subject, html}.
export function mailServer() {
  const mails = [];
  const server = net.createServer((socket) => {
    let buffer = '', inData = false, to = [];
    socket.write('220 sink\r\n');
    socket.on('data', (chunk) => {
      buffer += chunk;
      for (;;) {
        const end = buffer.indexOf(inData ? '\r\n.\r\n' : '\r\n');
        if (end < 0) return;
        const text = buffer.slice(0, end);
        buffer = buffer.slice(end + (inData ? 5 : 2));
        if (inData) {
          const [head, body] = text.split(/\r\n\r\n(.*)/s);
          mails.push({ to, subject: /^Subject: (.*)$/m.exec(head)[1], html: Buffer.from(body, 'base64').toString() });
          inData = false;
          to = [];
          socket.write('250 taken\r\n');
        } else if (/^RCPT TO:<(.*)>/i.test(text)) {
          to.push(/^RCPT TO:<(.*)>/i.exec(text)[1]);
          socket.write('250 ok\r\n');
        } else if (/^DATA/i.test(text)) {
          inData = true;
          socket.write('354 go on\r\n');
        } else if (/^QUIT/i.test(text)) {
          socket.end('221 bye\r\n');
        } else socket.write('250 ok\r\n');
      }
    });
    socket.on('error', () => {});
  });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve({ mails, port: server.address().port, close: () => server.close() }));
  });
}

export { freePort, until };

export class Gateway {
  static async start(env = {}) {
    const gateway = new Gateway();
    const port = await freePort();
    const database = new URL(process.env.DATABASE_URL);
    const login = (user, password) => {
      const url = new URL(database);
      url.username = user;
      url.password = password;
      return url.toString();
    };
    gateway.url = `http://127.0.0.1:${port}`;
    gateway.log = '';
    gateway.process = spawn(process.env.BASALT_GATEWAY, [], {
      env: {
        PATH: process.env.PATH, ASAN_OPTIONS: 'detect_leaks=0',
        BASALT_LISTEN: `127.0.0.1:${port}`, PGRST_DB_ANON_ROLE: 'anon', PGRST_JWT_SECRET: SECRET,
        PGRST_DB_URI: login('authenticator', 'authenticator'),
        BASALT_INTERNAL_DB_URI: login('basalt_internal', 'internal'),
        API_EXTERNAL_URL: gateway.url, GOTRUE_SITE_URL: 'http://site.test', ...env,
      },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    gateway.process.stderr.on('data', (chunk) => { gateway.log += chunk; });
    gateway.exit = new Promise((resolve) => gateway.process.on('exit', (code, signal) => resolve(code ?? signal)));
    try {
      await until('the gateway', () => gateway.get('/settings').then((answer) => answer.status === 200, () => false));
    } catch (error) {
      throw new Error(`${error.message}: ${gateway.log.slice(-4000)}`);
    }
    return gateway;
  }

  async stop() {
    this.process.kill('SIGTERM');
    return this.exit;
  }

  async request(method, path, { body, token, headers = {}, raw } = {}) {
    const all = { ...headers };
    if (token) all.authorization = `Bearer ${token}`;
    if (body !== undefined && !all['content-type']) all['content-type'] = 'application/json';
    const answer = await fetch(`${this.url}/auth/v1${path}`, {
      method, headers: all, redirect: 'manual', body: raw ?? (body === undefined ? undefined : JSON.stringify(body)),
    });
    const text = await answer.text();
    let json;
    try {
      json = JSON.parse(text);
    } catch { json = undefined; }
    return { status: answer.status, headers: answer.headers, text, json };
  }

  get(path, options) { return this.request('GET', path, options); }
  post(path, body, options = {}) { return this.request('POST', path, { body, ...options }); }
  put(path, body, options = {}) { return this.request('PUT', path, { body, ...options }); }
  del(path, body, options = {}) { return this.request('DELETE', path, { body, ...options }); }

  signIn(email, password, options) { return this.post('/token?grant_type=password', { email, password }, options); }
  refresh(token, options) { return this.post('/token?grant_type=refresh_token', { refresh_token: token }, options); }
  async account(email, password = 'secret1', extra = {}) {
    const made = await this.post('/admin/users', { email, password, email_confirm: true, ...extra }, { token: SERVICE });
    if (made.status !== 200) throw new Error(made.text);
    const signed = await this.signIn(email, password);
    if (signed.status !== 200) throw new Error(signed.text);
    return signed.json;
  }
}
