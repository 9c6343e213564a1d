// Gateways, people and peers for the scenes: everything real, nothing of the outside.
import { createHash, createHmac, randomUUID } from 'node:crypto';
import { spawn } from 'node:child_process';
import net from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { startDirectory } from '../functions/directory.mjs';
import { ANON, CANARIES, Gateway, mailServer, makePeople, SERVICE, webhook } from '../functions/lib.mjs';
import { startSimulator } from '../../e2e/lib/simulator.mjs';
import { Database } from './database.mjs';

export { CANARIES, SERVICE };
export const VCENTER_PASSWORD = 'Canary-VCenter-8';
export const WORKERS = 7; // of the hasty gateway
export const API_TOKEN = 'Canary-Api-Token-9';
export const sha256 = (text) => createHash('sha256').update(text).digest('hex');

const canonical = (value) => (Array.isArray(value) ? `[${value.map(canonical)}]`
  : value !== null && typeof value === 'object'
    ? `{${Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`)}}` : JSON.stringify(value));
// As Python's json.dumps prints: escapes for everything that is not ASCII.
const ascii = (text) => text.replace(/[\u007f-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);

// The executor's signature; `skew` seconds in the past, `dialect` "js" or "python", `secret` another one.
export function signature(body, { skew = 0, dialect = 'js', secret = CANARIES.shared, at } = {}) {
  const stamp = at ?? String(Math.floor(Date.now() / 1000) - skew);
  const text = dialect === 'python' ? ascii(canonical(body)) : canonical(body);
  return { 'x-executor-timestamp': stamp, 'x-executor-signature': createHmac('sha256', secret).update(text + stamp).digest('hex') };
}

const base64url = (text) => Buffer.from(text).toString('base64url');
export const tickets = [];
export function ticket(claims) {
  const now = Math.floor(Date.now() / 1000);
  const body = { aud: 'basalt/idm-provision', jti: randomUUID(), iat: now, exp: now + 60, realm: 'EXAMPLE.TEST', groups: [], ...claims };
  const text = `${base64url('{"alg":"HS256","typ":"basalt-ticket+jwt"}')}.${base64url(JSON.stringify(body))}`;
  const key = createHmac('sha256', CANARIES.shared).update('basalt ticket idm-provision v1').digest();
  tickets.push(`${text}.${createHmac('sha256', key).update(text).digest('base64url')}`);
  return tickets.at(-1);
}

async function startVCenter() {
  const child = spawn('/usr/bin/python3', [fileURLToPath(new URL('vcenter.py', import.meta.url))],
    { env: { ...process.env, VCENTER_PASSWORD }, stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const read = async () => Number((await lines.next()).value);
  const port = await read();
  return {
    port,
    user: 'svc@vsphere.local',
    sessions: () => { child.stdin.write('\n'); return read(); },
    close: () => new Promise((resolve) => { child.once('exit', resolve); child.kill(); }),
  };
}

// Accepts and never answers.
function startSilence() {
  const sockets = new Set();
  const server = net.createServer((socket) => { sockets.add(socket); socket.on('error', () => {}); });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve({
      port: server.address().port,
      close: () => { sockets.forEach((socket) => socket.destroy()); server.close(); },
    }));
  });
}



export class World {
  static async start() {
    const world = new World();
    const env = {
      BASALT_SCHEDULER: 'false', GOTRUE_MAILER_AUTOCONFIRM: 'true', BASALT_CA_FILE: `${process.env.BASALT_TEST_DIR}/peer.crt`,
      BASALT_LOG_LEVEL: 'debug', ASAN_OPTIONS: 'detect_leaks=1', BASALT_ALLOW_LOCAL_TARGETS: 'true',
    };
    const keys = { BASALT_EXECUTOR_SHARED_SECRET: CANARIES.shared, SUPABASE_SERVICE_ROLE_KEY: SERVICE, SUPABASE_ANON_KEY: ANON };
    world.answers = [];
    world.tickets = tickets;
    world.db = await Database.open();
    const hasty = { BASALT_FUNCTION_TIMEOUT_MAX: '500ms', BASALT_WORKERS: `${WORKERS}` };
    [world.gateway, world.second, world.bare, world.hasty, world.directory, world.vcenter, world.device, world.mails, world.hook, world.silence] =
      await Promise.all([Gateway.start({ ...env, ...keys }), Gateway.start({ ...env, ...keys }), Gateway.start(env),
        Gateway.start({ ...env, ...keys, ...hasty }), startDirectory(),
        startVCenter(), startSimulator({ count: 1 }), mailServer(), webhook(), startSilence()]);
    world.gateways = [world.gateway, world.second, world.bare, world.hasty];
    world.people = await makePeople(world.gateway);
    const gone = await world.gateway.account('gone@people.test', CANARIES.password);
    world.people.gone = { id: gone.user.id, token: gone.access_token };
    await world.db.run(`delete from auth.sessions where user_id = '${gone.user.id}';
      insert into public.user_roles (user_id, role) values ('${gone.user.id}', 'admin')`);
    await world.db.run(`insert into public.api_tokens (user_id, name, token_hash)
      values ('${world.people.operator.id}', 'facts', '${sha256(API_TOKEN)}')`);
    return world;
  }

  // A call of a function; every answer is kept for the search for secrets, with what it may show.
  async call(name, { as, body, raw, headers = {}, sign, method = 'POST', gateway = this.gateway, shows = [] } = {}) {
    const text = raw ?? (body === undefined ? undefined : JSON.stringify(body));
    const token = { service: SERVICE, anon: ANON }[as] ?? this.people[as]?.token ?? as;
    const all = { ...headers };
    if (text !== undefined) all['content-type'] = 'application/json';
    if (token !== undefined && token !== 'none' && token !== 'hmac') all.authorization = `Bearer ${token}`;
    if (sign || as === 'hmac') Object.assign(all, signature(body ?? {}, sign === true ? {} : sign));
    const answer = await fetch(`${gateway.url}/functions/v1/${name}`, { method, headers: all, body: text });
    const answered = await answer.text();
    let json;
    try {
      json = JSON.parse(answered);
    } catch { json = undefined; }
    this.answers.push({ name, json, text: `${answered} ${JSON.stringify([...answer.headers])}`, shows });
    return { status: answer.status, headers: answer.headers, text: answered, json };
  }

  async stop() {
    const exits = await Promise.all(this.gateways.map((one) => one.stop()));
    await Promise.all([this.directory.close(), this.vcenter.close(), this.device.stop()]);
    for (const one of [this.mails, this.hook, this.silence, this.db]) one.close();
    return exits;
  }
}
