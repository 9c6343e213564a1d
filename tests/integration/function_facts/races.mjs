// What happens at the same time, again, or with a proof that is not quite one.
import { deepEqual, equal, ok } from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { CANARIES, SERVICE, signature } from './world.mjs';
import { idm } from './people.mjs';
import { job, server } from './jobs.mjs';

const times = (count, fn) => Promise.all(Array.from({ length: count }, (_, i) => fn(i)));
const statuses = (answers) => answers.map((one) => one.status).sort();
const gatewayOf = (world, i) => (i % 2 ? world.second : world.gateway);

async function admin({ gateway, db }) {
  const session = await gateway.account(`admin-${randomUUID()}@people.test`, CANARIES.password);
  await db.insert('user_roles', { user_id: session.user.id, role: 'admin' });
  return { id: session.user.id, token: session.access_token };
}

const ping = { action: 'ping', text: 'é ✓ 😀', n: 1.5, z: [null, true, {}] };

export const scenes = {
  'equal jobs at the same time are as many jobs, each complete': async (world) => {
    const { db } = world;
    const one = await server(db);
    const answers = await times(8, (i) => world.call('create-job', { as: 'operator', gateway: gatewayOf(world, i),
      body: { job_type: 'full_server_update', target_scope: { server_ids: [one] }, details: { race: true } } }));
    deepEqual(statuses(answers), Array(8).fill(201));
    const ids = answers.map((answer) => answer.json.job.id);
    equal(new Set(ids).size, 8);
    equal(await db.count('public.jobs', `parent_job_id = any ('{${ids}}')`), 48, 'component jobs');
    equal(await db.count('public.audit_logs', `action = 'job_created' and details ->> 'job_id' = any ('{${ids}}')`), 8, 'audit rows');
  },

  'a job ends once, whoever says so at the same time': async (world) => {
    const id = await job(world.db, { status: 'running' });
    const answers = await times(10, (i) => world.call('update-job', { sign: true, gateway: gatewayOf(world, i),
      body: { job: { job_id: id, status: i % 3 ? 'completed' : 'failed', details: { by: i } } } }));
    const [winner, ...more] = answers.filter((one) => one.status === 200 && one.json.message === undefined);
    deepEqual(more, [], 'one change');
    const { status, details } = await world.db.row(`select status, details from public.jobs where id = '${id}'`);
    deepEqual(details, { by: answers.indexOf(winner) });
    for (const answer of answers.filter((one) => one !== winner)) equal(answer.json.current_status, status);
  },

  'what people do to a job is audited, what executors report is not': async (world) => {
    const { db, people } = world;
    const id = await job(db, { status: 'running' });
    for (const by of [{ sign: true }, { as: 'service' }, { as: 'operator' }])
      equal((await world.call('update-job', { ...by, body: { job: { job_id: id, details: {} } } })).status, 200);
    await world.call('update-job', { as: 'operator', body: { job: { job_id: id, status: 'cancelled' } } });
    await world.call('update-job', { as: 'operator', body: { job: { job_id: id, status: 'completed' } } });
    deepEqual(await db.rows(`select user_id, details from public.audit_logs where action = 'job_updated' and details ->> 'job_id' = '${id}' order by timestamp`),
      [{ job_id: id, was: 'running' }, { job_id: id, status: 'cancelled', was: 'running' }].map((details) => ({ user_id: people.operator.id, details })));
  },

  'vCenters that are due are queued once': async (world) => {
    const { db } = world;
    await db.run('delete from public.jobs; delete from public.vcenters');
    for (const name of ['a', 'b']) await db.insert('vcenters', { name, host: name, username: 'u', sync_enabled: true });
    await db.run("update public.vcenters set next_sync_at = now() - interval '1 minute'");
    deepEqual(statuses(await times(6, (i) => world.call('trigger-vcenter-syncs', { as: 'service', gateway: gatewayOf(world, i) }))), Array(6).fill(200));
    equal(await db.count('public.jobs', "job_type = 'vcenter_sync'"), 2);
  },

  'the secret that is stored is one that somebody was told': async (world) => {
    const answers = await times(4, (i) => world.call('set-executor-secret', { as: 'admin', gateway: gatewayOf(world, i), body: { action: 'generate' } }));
    const stored = await world.db.value('select public.decrypt_password(executor_shared_secret_encrypted, encryption_key) from public.activity_settings');
    await world.db.run('update public.activity_settings set executor_shared_secret_encrypted = null');
    ok(answers.map((answer) => answer.json.secret).includes(stored));
  },

  'two administrators who delete each other leave one': async (world) => {
    const { db } = world;
    await db.run("create table facts.admins as select * from public.user_roles where role = 'admin'; delete from public.user_roles where role = 'admin'");
    try {
      for (let round = 0; round < 3; round++) {
        const [a, b] = [await admin(world), await admin(world)];
        const answers = await Promise.all([world.call('delete-user', { as: a.token, body: { user_id: b.id } }),
          world.call('delete-user', { as: b.token, gateway: world.second, body: { user_id: a.id } })]);
        deepEqual([...statuses(answers), await db.count('public.user_roles', "role = 'admin'")], [200, 400, 1], answers.map((one) => one.text).join());
        await db.run("delete from public.user_roles where role = 'admin'");
      }
    } finally {
      await db.run("delete from public.user_roles where role = 'admin'; insert into public.user_roles select * from facts.admins; drop table facts.admins");
    }
  },

  'parallel guesses at a directory name get no more tries': async (world) => {
    await idm(world);
    const answers = await times(12, (i) => world.call('idm-authenticate', { gateway: gatewayOf(world, i), body: { username: 'ben', password: `${CANARIES.directory}${i}` } }));
    deepEqual(statuses(answers), [...Array(4).fill(401), ...Array(8).fill(429)]);
    deepEqual(answers.filter((one) => one.status === 401).map((one) => one.json.remaining_attempts).sort(), [0, 1, 2, 3]);
  },

  'signatures of both known signers are good, and again within their time': async (world) => {
    for (const dialect of ['js', 'python']) {
      const headers = signature(ping, { dialect });
      for (const gateway of [world.gateway, world.second, world.gateway])
        equal((await world.call('update-job', { body: ping, headers, gateway })).json.auth_method, 'hmac', dialect);
    }
    const spaced = { raw: '{ "z": [null,true,{ }],\n"n":1.50e0, "text":"\\u00e9 ✓ \\ud83d\\ude00", "action":"ping" }', headers: signature(ping) };
    equal((await world.call('update-job', spaced)).status, 200, 'spaces, order, escapes and spellings of numbers do not count');
    equal((await world.call('update-job', { ...spaced, raw: spaced.raw.replace('1.50e0', '1.51') })).status, 401, 'values do');
  },

  'a signature lives from 30 seconds ahead to 300 seconds old': async (world) => {
    for (const [skew, status] of [[0, 200], [297, 200], [302, 401], [-30, 200], [-45, 401], [86400, 401]])
      equal((await world.call('update-job', { body: ping, headers: signature(ping, { skew }) })).status, status, `${skew} s`);
    for (const at of ['', 'x', '-1', '0x10', '99999999999999999999', `${Math.floor(Date.now() / 1000)}.0e9 `])
      ok([401, 200].includes((await world.call('update-job', { body: ping, headers: signature(ping, { at: at.trim() }) })).status), at);
    equal((await world.call('update-job', { body: ping, headers: signature(ping, { at: 'x' }) })).status, 401, 'no number');
  },

  'forged signatures are refused, whatever else is sent': async (world) => {
    const good = signature(ping), sign = good['x-executor-signature'], at = good['x-executor-timestamp'];
    const flipped = sign.slice(0, -1) + (sign.endsWith('0') ? '1' : '0');
    const forged = { flipped: [flipped, at], upper: [sign.toUpperCase(), at], cut: [sign.slice(0, 63), at], longer: [`${sign}0`, at],
      'another time': [sign, String(Number(at) - 1)], 'another secret': [signature(ping, { secret: 'x' })['x-executor-signature'], at],
      'no secret': [signature(ping, { secret: '' })['x-executor-signature'], at], text: ['x'.repeat(64), at] };
    for (const [what, [text, time]] of Object.entries(forged)) {
      const headers = { 'x-executor-signature': text, 'x-executor-timestamp': time };
      if (what === 'upper' && text === sign) continue;
      for (const as of [undefined, SERVICE, 'admin'])
        equal((await world.call('update-job', { body: { ...ping, action: undefined, job: { job_id: randomUUID() } }, headers, as })).status, 401, what);
      equal((await world.call('update-job', { body: ping, headers })).status, 401, what);
    }
    equal((await world.call('update-job', { body: { ...ping, more: 1 }, headers: good })).status, 401, 'another body');
    equal((await world.call('cancel-stale-jobs', { headers: { 'x-executor-signature': sign }, body: {} })).status, 401, 'one header is none');
    equal((await world.call('update-job', { gateway: world.bare, body: ping, headers: good })).status, 401, 'nothing is good where no secret is known');
    equal((await world.call('update-job', { gateway: world.bare, body: ping, headers: signature(ping, { secret: '' }) })).status, 401, 'nor the empty one');
  },
};
