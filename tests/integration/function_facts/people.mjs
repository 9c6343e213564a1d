// Who signs in by a function, and who is removed by one.
import { deepEqual, equal, ok } from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { CANARIES, sha256, ticket } from './world.mjs';

export async function glass(db, more = {}) {
  const email = `glass-${randomUUID()}@people.test`;
  await db.insert('break_glass_admins', { email, full_name: 'Glass', password_hash: sha256(CANARIES.glass), is_active: true, ...more });
  return email;
}

export async function idm({ db, directory }, more = {}) {
  await db.run('delete from public.idm_settings; delete from public.idm_group_mappings; delete from public.managed_users');
  await db.insert('idm_settings', { auth_mode: 'idm_primary', server_host: 'localhost', ldaps_port: directory.port, base_dn: 'dc=example,dc=test',
    connection_timeout_seconds: 5, max_failed_attempts: 4, lockout_duration_minutes: 10, session_timeout_minutes: 60, ...more });
  await db.insert('idm_group_mappings', { idm_group_dn: 'cn=ops,cn=groups,cn=accounts,dc=example,dc=test', idm_group_name: 'ops', app_role: 'operator', priority: 1 });
}

// Nobody of the directory is known yet.
const forget = ({ db }) => db.run(`update public.audit_logs set user_id = null; delete from public.idm_auth_sessions;
  delete from auth.users where email like '%@example.test'; delete from public.profiles where email like '%@example.test'`);

const SIGNED_IN = { 'auth.users': 1, 'auth.identities': 1, 'auth.sessions': 1, 'auth.refresh_tokens': 1, 'auth.mfa_amr_claims': 1,
  'auth.audit_log_entries': 1, profiles: 1, user_roles: 1, audit_logs: 1 };

async function lockName(db, identifier, type) {
  await db.insert('auth_rate_limits', { identifier, identifier_type: type, attempt_count: 9, locked_until: '2040-01-01T00:00:00Z' });
}

async function checkSession({ gateway }, answer) {
  const me = await gateway.get('/user', { token: answer.json.access_token });
  const fresh = await gateway.refresh(answer.json.refresh_token);
  equal(me.status, 200, 'the session is known');
  equal(fresh.status, 200, 'and refreshes');
}

const lastAudit = (db, action) => db.row(`select user_id, auth_source, auth_method, ip_address, details from public.audit_logs
  where action = '${action}' order by timestamp desc limit 1`);
const ann = { username: 'ann', password: CANARIES.directory };
const annTicket = (more = {}) => ({ username: 'ann', user_info: { uid: 'ann', ticket: ticket({
  uid: 'ann', user_dn: 'uid=ann,dc=x', email: 'ann@example.test', full_name: 'Ann', groups: ['cn=ops,cn=groups,cn=accounts,dc=example,dc=test'], ...more }) } });

const notProvisioned = (answer) => equal(answer.json.error, 'Failed to provision user account: broken on purpose (P0001)');
const noSession = (answer) => equal(answer.json.error, 'Failed to create session');

const failure = async (world, more) => {
  await idm(world);
  await forget(world);
  return more;
};

async function managed(world) {
  await idm(world);
  return world.db.insert('managed_users', { ad_username: 'ben', ad_domain: 'example.test' });
}

async function account({ gateway }) {
  return (await gateway.account(`gone-${randomUUID()}@people.test`, CANARIES.password)).user.id;
}

export const scenes = {
  'break-glass-authenticate': {
    '200 success': async (world) => {
      const email = await glass(world.db);
      return { body: { email, password: CANARIES.glass }, writes: { ...SIGNED_IN, user_roles: 2, break_glass_admins: 0, auth_rate_limits: 1 },
        check: async (answer) => {
          const { user } = answer.json;
          deepEqual([user.email, user.role, user.break_glass], [email, 'admin', true]);
          deepEqual(await world.db.rows(`select role from public.user_roles where user_id = '${user.id}' order by role`), [{ role: 'admin' }, { role: 'viewer' }]);
          const { details, ...audit } = await lastAudit(world.db, 'break_glass_login');
          deepEqual(audit, { user_id: user.id, auth_source: 'break_glass', auth_method: 'password', ip_address: '127.0.0.1' });
          deepEqual([details.admin_email, details.use_count], [email, 1]);
          await checkSession(world, answer);
        } };
    },
    '429 locked': async ({ db }) => {
      const email = await glass(db);
      await lockName(db, email, 'break_glass_email');
      return { body: { email, password: CANARIES.glass }, writes: { audit_logs: 1, auth_rate_limits: 1 },
        check: (answer) => ok(answer.json.lockout_remaining_seconds > 1e6) };
    },
    '401 no active account': async ({ db }) => ({
      body: { email: await glass(db, { is_active: false }), password: CANARIES.glass }, writes: { auth_rate_limits: 2, audit_logs: 1 },
      check: async () => equal((await lastAudit(db, 'break_glass_login_failed')).details.reason, 'no active account'),
    }),
    '401 wrong password': async ({ db }) => ({
      body: { email: await glass(db), password: `${CANARIES.glass}x` }, writes: { auth_rate_limits: 2, audit_logs: 1 },
      check: async () => equal((await lastAudit(db, 'break_glass_login_failed')).details.reason, 'wrong password'),
    }),
  },
  'idm-authenticate': {
    '200 success': async (world) => failure(world, {
      body: ann, writes: { ...SIGNED_IN, idm_auth_sessions: 1, auth_rate_limits: 1 },
      check: async (answer) => {
        const { user_id: id, role, email } = answer.json;
        deepEqual([role, email], ['operator', 'ann@example.test']);
        deepEqual(await world.db.rows(`select role from public.user_roles where user_id = '${id}'`), [{ role: 'operator' }]);
        const profile = await world.db.row(`select idm_uid, idm_source, idm_title, idm_user_dn, last_idm_sync is not null as is_synced from public.profiles where id = '${id}'`);
        deepEqual(profile, { idm_uid: 'ann', idm_source: 'freeipa', idm_title: 'Boss', idm_user_dn: 'uid=ann,cn=users,cn=accounts,dc=example,dc=test', is_synced: true });
        const { details, ...audit } = await lastAudit(world.db, 'idm_login');
        deepEqual(audit, { user_id: id, auth_source: 'freeipa', auth_method: 'freeipa_ldap', ip_address: '127.0.0.1' });
        deepEqual([details.username, details.mapped_role, details.realm], ['ann', 'operator', 'EXAMPLE.TEST']);
        equal(await world.db.count('public.idm_auth_sessions', `user_id = '${id}' and mapped_role = 'operator'`), 1);
        await checkSession(world, answer);
      },
    }),
    '503 no idm_settings row': async ({ db }) => {
      await db.run('delete from public.idm_settings');
      return { body: ann };
    },
    '403 auth_mode local_only': async (world) => {
      await idm(world, { auth_mode: 'local_only' });
      return { body: ann };
    },
    '429 locked': async (world) => {
      await idm(world);
      await lockName(world.db, 'ann', 'username');
      return { body: ann, writes: { auth_rate_limits: 1 } };
    },
    '500 job insert': (world) => failure(world, { body: ann, breaks: ['auth_rate_limits:insert'] }),
    '401 wrong credentials': (world) => failure(world, { body: { ...ann, password: `${CANARIES.directory}x` }, writes: { auth_rate_limits: 2, audit_logs: 1 },
      check: (answer) => equal(answer.json.remaining_attempts, 3) }),
    '401 job failed': (world) => failure(world, { body: { ...ann, username: 'ann@elsewhere.test' }, writes: { auth_rate_limits: 2, audit_logs: 1 } }),
    '500 provisioning': (world) => failure(world, { body: ann, breaks: ['users:insert'], writes: { auth_rate_limits: 1, audit_logs: 1 }, check: notProvisioned }),
    '500 session': (world) => failure(world, { body: ann, breaks: ['sessions:insert'], writes: { auth_rate_limits: 1, audit_logs: 1 }, check: noSession }),
    '504 no result within 30 s': async (world) => {
      await idm(world, { ldaps_port: world.silence.port, connection_timeout_seconds: 1 });
      return { body: ann, writes: { auth_rate_limits: 2 } };
    },
  },
  'idm-provision': {
    '200 success': async (world) => failure(world, {
      body: { ...annTicket(), groups: ['admins'], username: 'somebody else' }, writes: { ...SIGNED_IN, idm_auth_sessions: 1, auth_rate_limits: 1, 'basalt.used_tickets': 1 },
      check: async (answer) => {
        deepEqual([answer.json.idm_uid, answer.json.role], ['ann', 'operator']);
        await checkSession(world, answer);
      },
    }),
    '500 orphan repair': async (world) => {
      await failure(world);
      await world.db.run('set session_replication_role = replica'); // the foreign key forbids what is wanted
      await world.db.insert('profiles', { id: randomUUID(), email: 'ann@example.test', idm_uid: 'ann', idm_source: 'freeipa' });
      await world.db.run('set session_replication_role = default');
      return { body: annTicket(), breaks: ['users:insert'], writes: { auth_rate_limits: 2, audit_logs: 1, 'basalt.used_tickets': 1 } };
    },
    '500 provisioning': (world) => failure(world, { body: annTicket(), breaks: ['users:insert'], writes: { auth_rate_limits: 2, audit_logs: 1, 'basalt.used_tickets': 1 }, check: notProvisioned }),
    '500 session': (world) => failure(world, { body: annTicket(), breaks: ['sessions:insert'], writes: { auth_rate_limits: 2, audit_logs: 1, 'basalt.used_tickets': 1 }, check: noSession }),
    '401 no server-side grant': (world) => failure(world, { body: { username: 'ann', user_info: { uid: 'ann' } }, writes: { audit_logs: 1 } }),
  },
  'delete-managed-user': {
    '200 success': async (world) => {
      const id = await managed(world);
      const signed = await world.call('idm-authenticate', { body: { ...ann, username: 'ben' } });
      equal(signed.status, 200, signed.text);
      return { as: 'admin', body: { managed_user_id: id },
        writes: { managed_users: -1, profiles: -1, user_roles: -1, idm_auth_sessions: -1, audit_logs: 1, 'auth.users': -1, 'auth.identities': -1,
          'auth.sessions': -1, 'auth.refresh_tokens': -1, 'auth.mfa_amr_claims': -1 },
        check: async (answer) => {
          equal(answer.json.message, 'User completely removed from system');
          deepEqual(Object.values(answer.json.details), [true, true, true, true]);
          const { details } = await lastAudit(world.db, 'user_deleted');
          deepEqual([details.ad_username, details.ad_domain, details.profile_id, details.profile_deleted], ['ben', 'example.test', signed.json.user_id, true]);
        } };
    },
    '401 bad token': { as: 'gone', body: {} },
    '500 other': async (world) => ({ as: 'admin', body: { managed_user_id: await managed(world) }, breaks: ['managed_users:delete'] }),
  },
  'delete-user': {
    '200 success': async (world) => {
      const id = await account(world);
      const made = await world.db.insert('jobs', { job_type: 'health_check', created_by: id, target_scope: {}, details: {} });
      return { as: 'admin', body: { user_id: id },
        writes: { jobs: 0, profiles: -1, user_roles: -1, audit_logs: 1, 'auth.users': -1, 'auth.identities': -1, 'auth.sessions': -1,
          'auth.refresh_tokens': -1, 'auth.mfa_amr_claims': -1 },
        check: async (answer) => {
          equal(answer.json.deleted_user.id, id);
          equal(await world.db.value(`select created_by from public.jobs where id = '${made}'`), null);
          const { details, user_id: by } = await lastAudit(world.db, 'user_deleted');
          deepEqual([by, details.deleted_user_id], [world.people.admin.id, id]);
        } };
    },
    '401 bad token': { as: 'gone', body: {} },
    '500 jobs update': async (world) => ({ as: 'admin', body: { user_id: await account(world) }, breaks: ['jobs:update'] }),
    '500 profile delete': async (world) => ({ as: 'admin', body: { user_id: await account(world) }, breaks: ['profiles:delete'] }),
  },
};
