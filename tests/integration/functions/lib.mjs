// People, calls and peers for the scenes of the functions.
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { createServer } from 'node:https';
import { run, sql } from '../auth_endpoints/lib.mjs';

export { sleep, until } from '../../lib/waiting.mjs';
export { run, sql, SERVICE, ANON, SECRET, Gateway, mailServer, claimsOf, freePort } from '../auth_endpoints/lib.mjs';

// What must never be read in a log or a row.
export const CANARIES = {
  password: 'Canary-Passw0rd-1', mail: 'Canary-Mail-2', hook: 'canary-hook-3', directory: 'Canary-Dir-4',
  detail: 'Canary-Detail-5', glass: 'Canary-Glass-6', shared: 'Canary-Shared-Secret-7-of-thirty-two',
};

export function check(condition, what) {
  if (!condition) throw new Error(what);
}

export function equal(actual, expected, what) {
  if (!isDeepStrictEqual(actual, expected)) throw new Error(`${what}: ${JSON.stringify(actual)} instead of ${JSON.stringify(expected)}`);
}

// An administrator, an operator and a viewer with open sessions.
export async function makePeople(gateway) {
  const people = {};
  for (const role of ['admin', 'operator', 'viewer']) {
    const session = await gateway.account(`${role}@people.test`, CANARIES.password);
    run(`insert into public.user_roles (user_id, role) values ('${session.user.id}', '${role}')
         on conflict do nothing`);
    people[role] = { id: session.user.id, token: session.access_token };
  }
  return people;
}

// POST /functions/v1/<name>; `raw` instead of a body, `sign` for the executor's signature (body keys in order).
export async function call(gateway, name, { body, raw, token, headers = {}, sign, method = 'POST' } = {}) {
  const text = raw ?? (body === undefined ? undefined : JSON.stringify(body));
  const all = { ...headers };
  if (text !== undefined) all['content-type'] = 'application/json';
  if (token) all.authorization = `Bearer ${token}`;
  if (sign) {
    const at = String(Math.floor(Date.now() / 1000));
    all['x-executor-timestamp'] = at;
    all['x-executor-signature'] = createHmac('sha256', CANARIES.shared).update(text + at).digest('hex');
  }
  const answer = await fetch(`${gateway.url}/functions/v1/${name}`, { method, headers: all, body: text });
  const answered = await answer.text();
  let json;
  try {
    json = JSON.parse(answered);
  } catch { json = undefined; }
  return { status: answer.status, headers: answer.headers, text: answered, json };
}

// A webhook over HTTPS that keeps what it gets; `answer` is the status of the next answers.
export function webhook() {
  const dir = process.env.BASALT_TEST_DIR;
  const hook = { posts: [], answer: 200 };
  const server = createServer({ key: readFileSync(`${dir}/peer.key`), cert: readFileSync(`${dir}/peer.crt`) },
    (request, response) => {
      let body = '';
      request.on('data', (chunk) => { body += chunk; });
      request.on('end', () => {
        hook.posts.push({ path: request.url, type: request.headers['content-type'], json: JSON.parse(body) });
        response.writeHead(hook.answer).end(hook.answer === 200 ? '1' : 'the hook says no');
      });
    });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      hook.url = `https://localhost:${server.address().port}/${CANARIES.hook}`;
      hook.close = () => { server.closeAllConnections(); server.close(); };
      resolve(hook);
    });
  });
}

export const rowCount = (table, where = 'true') => sql(`select count(*)::int as n from ${table} where ${where}`)[0].n;
