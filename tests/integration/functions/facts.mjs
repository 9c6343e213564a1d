// Every answer of tests/data/functions.json that names how to provoke it: status, keys, and the texts that are shown.
import { readFileSync } from 'node:fs';
import { call, CANARIES, check, equal } from './lib.mjs';

const FACTS = JSON.parse(readFileSync(new URL('../../data/functions.json', import.meta.url), 'utf8'));
const SHOWN = ['idm-authenticate', 'idm-provision', 'break-glass-authenticate'];
// Answers that were repaired on purpose (docs/functions.md, "What differs"): function and text of `when`.
const REPAIRED = new Set([
  'encrypt-credentials: password or type missing or not a string',
]);

const callerOf = (people, trigger) => (trigger.auth === 'none' || trigger.auth === 'hmac' ? undefined
  : people[trigger.auth].token);

async function provoke({ gateway, people }, fact, expected) {
  const { trigger } = expected;
  const token = callerOf(people, trigger);
  const self = trigger.auth in people ? people[trigger.auth].id : '';
  const body = trigger.body === undefined ? undefined : JSON.parse(JSON.stringify(trigger.body).replaceAll('$self', self));
  const answer = await call(gateway, fact.name, {
    body, raw: trigger.raw_body, token, headers: trigger.headers, sign: trigger.auth === 'hmac',
  });
  equal(answer.status, expected.status, 'status');
  equal(answer.headers.get('access-control-allow-origin'), '*', 'CORS');
  check(/^application\/json(;|$)/.test(answer.headers.get('content-type')), 'content type');
  check(answer.json !== null && typeof answer.json === 'object', 'a JSON object');
  if (fact.gate_verify_jwt && trigger.auth === 'none') return; // the gate's body is not contractual
  const keys = expected.body_keys ?? expected.keys;
  const must = keys.filter((key) => !key.endsWith('?'));
  const may = keys.map((key) => key.replace(/\?$/, ''));
  check(must.every((key) => key in answer.json), `keys ${must}: ${answer.text}`);
  check(Object.keys(answer.json).every((key) => may.includes(key)), `only keys ${may}: ${answer.text}`);
  if (SHOWN.includes(fact.name) && expected.error && !trigger.raw_body) equal(answer.json.error, expected.error, 'text');
}

// One scene per fact, named after it. What does not exist yet is told, not counted.
export async function factScenes({ gateway }) {
  const scenes = {};
  for (const fact of FACTS) {
    const probe = await call(gateway, fact.name, { method: 'PATCH', body: {} });
    if (probe.status === 404) {
      console.log(`not there yet: ${fact.name}`);
      continue;
    }
    const expected = [...fact.errors, ...(fact.success.variants ?? []), fact.success].filter((one) => one.trigger);
    for (const one of expected) {
      const name = `${fact.name}: ${one.when ?? 'success'}`;
      if (!REPAIRED.has(name)) scenes[`${name} (${one.trigger.auth})`] = (world) => provoke(world, fact, one);
    }
    scenes[`${fact.name}: OPTIONS needs no token`] = async () => {
      const answer = await call(gateway, fact.name, { method: 'OPTIONS', headers: { origin: 'http://ui.test' } });
      equal(answer.status, 200, 'status');
      check(answer.headers.get('access-control-allow-headers')?.includes('x-client-info'), 'allowed headers');
    };
  }
  return scenes;
}

export const secrets = Object.values(CANARIES);
