// At the end: no secret that was used or handed out stands in a log, in a row, or in an answer that is not its own.
import { readFileSync } from 'node:fs';
import { ANON, CANARIES } from '../functions/lib.mjs';
import { API_TOKEN, SERVICE, VCENTER_PASSWORD } from './world.mjs';

// Where a secret has its place, by the peers' schema.
const HOMES = { refresh_token: ['auth.refresh_tokens'], encryption_key: ['public.activity_settings'] };
const HANDED_OUT = ['secret', 'access_token', 'refresh_token', 'privateKey'];

// {kind, text}: those of the suite, those that answers handed out, those that were signed with or kept.
async function collect(world) {
  const secrets = Object.entries({ ...CANARIES, vcenter: VCENTER_PASSWORD, api: API_TOKEN, device: world.device.password, service: SERVICE })
    .map(([kind, text]) => ({ kind, text }));
  for (const { json } of world.answers) {
    for (const kind of HANDED_OUT.filter((name) => typeof json?.[name] === 'string')) {
      const text = kind === 'privateKey' ? json[kind].split('\n')[2] : json[kind];
      secrets.push({ kind, text });
    }
  }
  for (const person of Object.values(world.people)) secrets.push({ kind: 'access_token', text: person.token });
  secrets.push(...world.tickets.map((text) => ({ kind: 'ticket', text })));
  secrets.push({ kind: 'encryption_key', text: await world.db.value('select encryption_key from public.activity_settings') });
  return [...new Map(secrets.filter((one) => one.text && one.text !== ANON).map((one) => [one.text, one])).values()];
}

async function inTables(world, secrets) {
  const list = secrets.map(({ text }) => `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`);
  const hits = await world.db.rows(`select * from facts.search('{${list.join(',').replaceAll("'", "''")}}')`);
  return hits.filter((hit) => !HOMES[secrets[hit.secret - 1].kind]?.includes(hit.name))
    .map((hit) => `${secrets[hit.secret - 1].kind} in ${hit.amount} rows of ${hit.name}`);
}

const inText = (secrets, where, text) => secrets.filter((one) => text.includes(one.text)).map((one) => `${one.kind} in ${where}: ${
  text.slice(Math.max(0, text.indexOf(one.text) - 200), text.indexOf(one.text) + 20)}`);

function inAnswers(world, secrets) {
  const isOwn = (answer, { kind, text }) => answer.shows.includes(text) || (HANDED_OUT.includes(kind) && JSON.stringify(answer.json ?? '').includes(text)
    && HANDED_OUT.some((name) => typeof answer.json[name] === 'string'));
  return world.answers.flatMap((answer) => inText(secrets.filter((one) => !isOwn(answer, one)), `an answer of ${answer.name}`, answer.text));
}

export async function search(world) {
  const secrets = await collect(world);
  const databaseLog = `${await world.db.value("select setting from pg_settings where name = 'data_directory'")}/../postgresql.log`;
  const hits = [...await inTables(world, secrets), ...inAnswers(world, secrets), ...inText(secrets, 'the log of PostgreSQL', readFileSync(databaseLog, 'utf8')),
    ...world.gateways.flatMap((gateway) => inText(secrets, 'a log', gateway.log))];
  console.log(`canaries: ${secrets.length} secrets, ${world.answers.length} answers, ${hits.length} hits`);
  return hits;
}
