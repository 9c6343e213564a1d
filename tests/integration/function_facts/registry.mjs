// What the table of functions promises for every row: methods, callers, body and time limits, CORS.
import { deepEqual, equal, ok } from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { TABLE } from '../../lib/functions_table.mjs';
import { until } from '../../lib/waiting.mjs';
import { Database } from './database.mjs';
import { commonFaults } from './expect.mjs';
import { idm } from './people.mjs';
import { job, server } from './jobs.mjs';
import { ticket, WORKERS } from './world.mjs';

// What functions with a check of their own ask for.
const OWN = { 'update-job': ['admin', 'operator'], 'send-notification': ['admin', 'operator'], 'openmanage-sync': ['admin', 'operator'],
  'vcenter-sync': ['admin', 'operator'], 'test-vcenter-connection': ['admin'], 'sync-vcenter-direct': ['admin'] };
const rolesOf = ({ name, roles, auth }) => OWN[name] ?? (auth === 'ROLE' || auth === 'EXECUTOR' ? roles : ['admin', 'operator', 'viewer']);
const isPublic = ({ auth }) => auth === 'NONE';

function common(answer, status, what) {
  deepEqual(commonFaults(answer), [], `${what}: ${answer.text}`);
  equal(answer.status, status, `${what}: ${answer.text.slice(0, 200)}`);
  equal(typeof answer.json.error, 'string', `${what}: an error text`);
}

const each = (fn) => async (world) => {
  for (const row of TABLE) await fn(world, row);
};

// What each function is asked so that it stops at a locked table after it has begun its work.
async function slowCalls(world) {
  const { db, people } = world;
  const account = async () => (await world.gateway.account(`slow-${randomUUID()}@people.test`)).user.id;
  const [one, running] = [await server(db), await job(db, { status: 'running' })];
  const task = await db.insert('job_tasks', { job_id: running });
  await job(db, { created_at: '2001-01-01', status: 'completed' });
  await idm(world);
  const managed = await db.insert('managed_users', { ad_username: 'slow', ad_domain: 'd' });
  const admin = { as: 'admin' };
  return {
    'create-job': { as: 'operator', body: { job_type: 'power_action', target_scope: { server_ids: [one] } } },
    'update-job': { sign: true, body: { job: { job_id: running, status: 'failed' }, task: { task_id: task, progress: 50 } } },
    'encrypt-credentials': { ...admin, body: { type: 'server', server_id: one, password: 'x' } },
    'get-service-key': admin,
    'generate-ssh-keypair': admin,
    'set-executor-secret': { ...admin, body: { action: 'generate' } },
    'cancel-stale-jobs': { as: 'service' },
    'trigger-vcenter-syncs': { as: 'service' },
    'cleanup-activity-logs': { ...admin, body: { retentionDays: 1 } },
    'cleanup-old-jobs': { ...admin, body: { retentionDays: 1 } },
    'delete-user': { ...admin, body: { user_id: await account() } },
    'network-diagnostics': { as: 'viewer' },
    'send-notification': { as: 'service', body: { status: 'failed' } },
    'send-teams-notification': { ...admin, body: { test: true } },
    'openmanage-sync': { ...admin, body: { devices: [{ service_tag: 'SLOW', ip_address: '10.99.0.1' }] } },
    'vcenter-sync': { as: 'service', body: { hosts: [{ name: 'slow', vcenter_id: 'slow-1' }] } },
    'break-glass-authenticate': { body: { email: 'slow@people.test', password: 'x' } },
    'idm-authenticate': { body: { username: 'slow', password: 'x' } },
    'idm-provision': { body: { username: 'slow', user_info: { ticket: ticket({ uid: 'slow' }) } } },
    'delete-managed-user': { ...admin, body: { managed_user_id: managed } },
    'openmanage-test': { ...admin, body: { host: 'o', port: 443, username: 'u', password: 'enc:v1:AAAA' } },
    'analyze-maintenance-windows': { as: people.viewer.token, body: { start_date: '2030-01-01', end_date: '2030-01-02' } },
    'execute-maintenance-windows': { as: 'service' },
    'test-vcenter-connection': { ...admin, body: {} },
    'sync-vcenter-direct': admin,
    'preview-server-info': { ...admin, body: { ip_address: '127.0.0.1:1' } },
    'refresh-server-info': { ...admin, body: { server_id: one, ip_address: '127.0.0.1:1' } },
    'test-virtual-media-share': { ...admin, body: {} },
    'validate-network-prerequisites': admin,
  };
}

const LOCKED = ['audit_logs', 'job_tasks', 'idrac_commands', 'notification_settings', 'vcenters', 'vcenter_settings', 'break_glass_admins',
  'idm_settings', 'openmanage_settings', 'cluster_safety_checks', 'maintenance_windows', 'credential_sets', 'servers', 'virtual_media_settings'];

// Calls all of them at once, with more calls than workers, while `tables` are locked.
async function callLocked(world, calls, tables) {
  const other = await Database.connect();
  const before = await world.db.picture();
  await other.run(`begin; lock table ${tables.map((name) => (name.includes('.') ? name : `public.${name}`))} in access exclusive mode`);
  const answers = await Promise.all(Object.entries(calls).map(async ([name, scene]) =>
    [name, await world.call(name, { ...scene, gateway: world.hasty })]));
  await other.run('rollback');
  other.close();
  await until('the locks to go', async () => await world.db.value("select count(*)::int from pg_stat_activity where wait_event_type = 'Lock'") === 0);
  return { answers, changes: Database.changes(before, await world.db.picture()) };
}

const inGroups = (calls, size) => {
  const all = Object.entries(calls);
  return Array.from({ length: Math.ceil(all.length / size) }, (_, i) => Object.fromEntries(all.slice(i * size, (i + 1) * size)));
};

// Not in the contract, which never saw them.
const OURS = { 'openmanage-test': ['success', 'error'], 'send-teams-notification': ['error'] };
const catchKeys = (facts, name) => OURS[name] ?? facts.find((fact) => fact.name === name)?.errors.filter((entry) => entry.status === 500).at(-1).body_keys;

// | `name` | callers | body, time | ... of docs/functions.md
const DOCUMENTED = new Map([...readFileSync(new URL('../../../docs/functions.md', import.meta.url), 'utf8')
  .matchAll(/^\| `([a-z-]+)` \| ([^|]*) \| (\d+ [KM]B, \d+ s) \|.*\|$/gm)].map(([, name, callers, limits]) => [name, { callers, limits }]));
const sizeOf = (bytes) => (bytes >= 1024 * 1024 ? `${bytes / 1024 / 1024} MB` : `${bytes / 1024} KB`);

export const scenes = {
  'docs/functions.md says of each function who may call it, and its limits': async () => {
    deepEqual([...DOCUMENTED.keys()].sort(), TABLE.map((row) => row.name).sort());
    for (const row of TABLE) {
      const { callers, limits } = DOCUMENTED.get(row.name);
      equal(limits, `${sizeOf(row.limit)}, ${row.timeout / 1000} s`, row.name);
      const named = ['admin', 'operator'].filter((role) => callers.includes(role));
      if (isPublic(row)) ok(callers.startsWith('public'), row.name);
      else if (rolesOf(row).includes('viewer')) ok(callers.startsWith('user'), row.name);
      else deepEqual(named, rolesOf(row), row.name);
      equal(callers.includes('internal'), row.auth === 'EXECUTOR' || ['update-job', 'send-notification', 'vcenter-sync', 'openmanage-sync'].includes(row.name), row.name);
    }
  },

  'OPTIONS needs no token and allows what clients send': each(async ({ gateway }, { name }) => {
    const answer = await fetch(`${gateway.url}/functions/v1/${name}`, { method: 'OPTIONS', headers: { origin: 'http://ui.test',
      'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization,apikey,content-type,x-client-info' } });
    equal([answer.status, await answer.text(), answer.headers.get('access-control-allow-origin')].join('|'), '200||*', name);
    const allowed = answer.headers.get('access-control-allow-headers').toLowerCase();
    for (const header of ['authorization', 'x-client-info', 'apikey', 'content-type', 'x-api-token', 'x-executor-signature', 'x-executor-timestamp'])
      ok(allowed.includes(header), `${name}: ${header}`);
  }),

  'an unknown name is 404': async (world) => common(await world.call('no-such-function', { as: 'admin', body: {} }), 404, 'unknown'),

  'other methods are 405 and name the right ones': each(async (world, { name, methods }) => {
    for (const method of ['GET', 'PUT', 'PATCH', 'DELETE'].filter((one) => !methods.includes(one))) {
      const answer = await world.call(name, { as: 'admin', method });
      common(answer, 405, `${method} ${name}`);
      equal(answer.headers.get('allow'), ['OPTIONS', ...methods].join(', '), name);
    }
  }),

  'without a token, with the anon key, a forged token or a user who is gone: 401': each(async (world, row) => {
    if (isPublic(row)) return;
    const forged = world.people.admin.token.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')).replace(/..$/, 'xx');
    for (const as of ['none', 'anon', 'gone', forged, 'no.token']) common(await world.call(row.name, { as, body: {} }), 401, `${row.name} as ${as.slice(0, 8)}`);
  }),

  'public functions ask for no token': each(async (world, row) => {
    if (isPublic(row)) common(await world.call(row.name, { body: {} }), 400, row.name);
  }),

  'a role that is not named is 403': each(async (world, row) => {
    if (isPublic(row)) return;
    for (const role of ['viewer', 'operator', 'admin'].filter((one) => !rolesOf(row).includes(one)))
      common(await world.call(row.name, { as: role, body: {} }), 403, `${row.name} as ${role}`);
  }),

  'a body at the limit is read, one byte more is 413': each(async (world, row) => {
    const atLimit = await world.call(row.name, { as: 'none', raw: `{}${' '.repeat(row.limit - 2)}` });
    common(atLimit, isPublic(row) ? 400 : 401, `${row.name} at its limit`);
    const above = await world.call(row.name, { as: 'none', raw: `{}${' '.repeat(row.limit - 1)}` });
    common(above, 413, `${row.name} above its limit`);
  }),

  'beyond its time every function answers 504 in its own shape and leaves nothing': async (world) => {
    const calls = await slowCalls(world);
    deepEqual(Object.keys(calls).sort(), TABLE.map((row) => row.name).sort(), 'every function');
    for (const some of inGroups(calls, WORKERS)) {
      const { answers, changes } = await callLocked(world, some, LOCKED);
      for (const [name, answer] of answers) {
        common(answer, 504, name);
        deepEqual(Object.keys(answer.json).sort(), [...catchKeys(world.facts, name)].sort(), `${name}: ${answer.text}`);
      }
      for (const name of ['basalt.used_tickets', 'auth_rate_limits']) delete changes[name]; // tickets and tries count first of all
      deepEqual(changes, {}, `tables after ${Object.keys(some)}`);
    }
  },

  'beyond their time while the caller is looked up or a worker is awaited, too': async (world) => {
    const calls = Object.fromEntries(TABLE.filter((row) => !isPublic(row)).map((row) => [row.name, { as: 'admin', body: {} }]));
    const { answers, changes } = await callLocked(world, calls, ['user_roles', 'auth.users']);
    for (const [name, answer] of answers) common(answer, 504, name);
    deepEqual(changes, {}, 'tables');
  },

  'workers are free again after all that': async (world) => {
    const answers = await Promise.all(Array.from({ length: 8 }, () => world.call('network-diagnostics', { as: 'viewer', gateway: world.hasty })));
    deepEqual(answers.map((one) => one.status), Array(8).fill(200), answers[0].text);
  },
};
