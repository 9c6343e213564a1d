// Every success and every error of tests/data/functions.json, provoked: status, keys, texts, and what the tables hold
// afterwards. An entry without a scene fails, as does a scene without an entry. `main.mjs [FUNCTION...]`.
import { readFileSync } from 'node:fs';
import { search } from './canaries.mjs';
import { differences } from './differences.mjs';
import { faultsOf } from './expect.mjs';
import { Database } from './database.mjs';
import { World } from './world.mjs';
import * as jobs from './jobs.mjs';
import * as peers from './peers.mjs';
import * as people from './people.mjs';
import * as races from './races.mjs';
import * as registry from './registry.mjs';
import * as secrets from './secrets.mjs';

const FACTS = JSON.parse(readFileSync(new URL('../../data/functions.json', import.meta.url), 'utf8'));
const SCENES = { ...jobs.scenes, ...people.scenes, ...peers.scenes, ...secrets.scenes };
const wanted = process.argv.slice(2);
const tally = { passed: 0, failed: 0 };

function count(faults, what) {
  if (faults.length === 0) tally.passed++;
  else {
    tally.failed++;
    console.log(`FAILED ${what}\n  ${faults.join('\n  ')}`);
  }
}

const entriesOf = ({ success, errors }) => [success, ...(success.variants ?? []), ...errors]
  .map((entry) => ({ ...entry, key: `${entry.status} ${entry.when ?? 'success'}` }));

// What the entry itself says about how it is provoked.
function sceneOfTrigger({ trigger }, { people: everybody }) {
  if (trigger === undefined) return undefined;
  const self = everybody[trigger.auth]?.id ?? '';
  const body = trigger.body === undefined ? undefined : JSON.parse(JSON.stringify(trigger.body).replaceAll('$self', self));
  return { as: trigger.auth, body, raw: trigger.raw_body, headers: trigger.headers };
}

async function sceneOf(world, fact, entry) {
  const scene = SCENES[fact.name]?.[entry.key] ?? sceneOfTrigger(entry, world);
  return typeof scene === 'function' ? scene(world) : scene;
}

// '+' stands for any number of new rows.
const expectedChanges = (writes, changes) => Object.fromEntries(Object.entries(writes)
  .map(([name, difference]) => [name, difference === '+' && changes[name] > 0 ? changes[name] : difference]));
const sorted = (object) => JSON.stringify(Object.fromEntries(Object.entries(object).sort()));

// Plays one scene: [faults against the entry, faults in tables and details].
async function play(world, fact, entry, scene) {
  const { db } = world;
  world.asking = scene.as;
  for (const what of scene.breaks ?? []) await db.break(what);
  const before = await db.picture();
  const answer = await world.call(fact.name, scene);
  const changes = Database.changes(before, await db.picture());
  for (const what of scene.breaks ?? []) await db.mend(what);
  const faults = faultsOf(fact, entry, answer);
  const writes = expectedChanges(scene.writes ?? {}, changes);
  const more = sorted(changes) === sorted(writes) ? [] : [`tables changed: ${sorted(changes)} instead of ${sorted(writes)}`];
  try {
    if (answer.status === entry.status) await scene.check?.(answer);
  } catch (error) {
    more.push(error.message);
  }
  if (scene.undo) await db.run(scene.undo);
  await scene.after?.(world);
  return [faults, more, answer];
}

async function playEntry(world, fact, entry) {
  const name = `${fact.name}: ${entry.key}`, difference = differences[name];
  await world.db.run('delete from public.auth_rate_limits; delete from public.notification_settings');
  const scene = await sceneOf(world, fact, entry);
  if (scene === undefined) {
    count(['no scene provokes it'], name);
    return { isProvoked: false };
  }
  const expected = { ...entry, ...difference?.entry };
  const [faults, more, answer] = await play(world, fact, expected, scene);
  if (difference !== undefined && faultsOf(fact, entry, answer).length === 0) more.push('listed as different, but it is not');
  const all = [...faults, ...more];
  count(all.length > 0 ? [...all, answer.text.slice(0, 600)] : [], name);
  return { isProvoked: true, isEqual: faults.length === 0 && difference === undefined, isDifferent: faults.length === 0 && difference !== undefined };
}

async function playFunction(world, fact, totals) {
  const entries = entriesOf(fact), sum = { provoked: 0, all: entries.length, equal: 0, different: 0 };
  for (const entry of entries) {
    try {
      const result = await playEntry(world, fact, entry);
      sum.provoked += result.isProvoked;
      sum.equal += result.isEqual ?? 0;
      sum.different += result.isDifferent ?? 0;
    } catch (error) {
      count([error.stack], `${fact.name}: ${entry.key}`);
    }
  }
  const unknown = Object.keys(SCENES[fact.name] ?? {}).filter((key) => !entries.some((entry) => entry.key === key));
  count(unknown.map((key) => `a scene for no entry: ${key}`), `${fact.name}: scenes`);
  for (const [name, value] of Object.entries(sum)) totals[name] += value;
  tell(fact.name, sum);
}

const tell = (name, sum) => console.log(`entries: ${sum.provoked} provoked of ${sum.all}, ${sum.equal} equal`
  + `${sum.different > 0 ? `, ${sum.different} different on purpose` : ''} (${name})`);

async function playOwn(world, name, scene) {
  await world.db.run('delete from public.auth_rate_limits; delete from public.notification_settings');
  try {
    await scene(world);
    count([], name);
  } catch (error) {
    count([error.message], name);
  }
}

const world = await World.start();
world.facts = FACTS;
const totals = { provoked: 0, all: 0, equal: 0, different: 0 };
for (const fact of FACTS)
  if (wanted.length === 0 || wanted.includes(fact.name)) await playFunction(world, fact, totals);
tell('all functions', totals);
for (const [name, { reason }] of Object.entries(differences)) console.log(`different on purpose: ${name}: ${reason}`);
for (const [group, { scenes }] of Object.entries({ races, registry }))
  for (const [name, scene] of Object.entries(scenes)) if (wanted.length === 0 || wanted.includes(group)) await playOwn(world, name, scene);
count(await search(world), 'no secret in logs, rows or answers');
const exits = await world.stop();
count(exits.filter((code) => code !== 0).map((code) => `exit ${code}`), 'gateways end well');
count(world.gateways.filter((one) => /AddressSanitizer|runtime error|LeakSanitizer/.test(one.log)).map((one) => one.log.slice(-4000)), 'no sanitizer reports');
console.log(`${tally.passed} passed, ${tally.failed} failed`);
process.exit(tally.failed > 0 ? 1 : 0);
