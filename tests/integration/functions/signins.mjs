// Sign-in by emergency account, by directory, by the executor's ticket; locks; removal.
import { createHash, createHmac, randomUUID } from 'node:crypto';
import { call, CANARIES, check, claimsOf, equal, rowCount, run, sql } from './lib.mjs';

const sha256 = (text) => createHash('sha256').update(text).digest('hex');
const noLocks = () => run('delete from public.auth_rate_limits');

function glass(email, more = {}) {
  const row = { email, full_name: 'Glass', password_hash: sha256(CANARIES.glass), is_active: true, ...more };
  run(`insert into public.break_glass_admins (${Object.keys(row)}) values (${Object.values(row).map((v) => `'${v}'`)})`);
}
const breakIn = (gateway, email, password = CANARIES.glass) => call(gateway, 'break-glass-authenticate', { body: { email, password } });

// The session is one that the stock client can go on with.
async function checkSession(gateway, answer, userId) {
  check(answer.headers.get('set-cookie')?.startsWith(`basalt-session=${answer.json.access_token}; Path=/executor/v1/; `), 'cookie');
  equal(answer.headers.get('cache-control'), 'no-store', 'caching');
  equal(claimsOf(answer.json.access_token).sub, userId, 'sub');
  const me = await gateway.get('/user', { token: answer.json.access_token });
  equal([me.status, me.json.id], [200, userId], 'user');
  const fresh = await gateway.refresh(answer.json.refresh_token);
  equal(fresh.status, 200, `refresh: ${fresh.text}`);
}

export async function an_emergency_account_signs_in_as_administrator({ gateway }) {
  noLocks();
  glass('glass@people.test');
  const answer = await breakIn(gateway, 'glass@people.test');
  equal(answer.status, 200, answer.text);
  equal(Object.keys(answer.json), ['success', 'user', 'access_token', 'refresh_token'], 'keys');
  const { user } = answer.json;
  equal({ ...user, id: 0 }, { id: 0, email: 'glass@people.test', full_name: 'Glass', role: 'admin', break_glass: true }, 'user');
  await checkSession(gateway, answer, user.id);
  equal(sql(`select public.has_role('${user.id}', 'admin') as is_admin`)[0].is_admin, true, 'role');
  equal(sql("select use_count from public.break_glass_admins where email = 'glass@people.test'")[0].use_count, 1, 'use');
  equal(rowCount('public.audit_logs', `action = 'break_glass_login' and user_id = '${user.id}'`), 1, 'audit');
  const again = await breakIn(gateway, 'glass@people.test');
  equal([again.status, again.json.user.id], [200, user.id], 'second sign-in');
}

export async function an_emergency_accounts_fast_hash_is_replaced_by_a_slow_one({ gateway }) {
  noLocks();
  const stored = () => sql("select password_hash from public.break_glass_admins where email = 'hash@people.test'")[0].password_hash;
  glass('hash@people.test', { password_hash: sha256(CANARIES.glass).toUpperCase() });
  equal((await breakIn(gateway, 'hash@people.test', 'wrong')).status, 401, 'wrong password');
  equal(stored(), sha256(CANARIES.glass).toUpperCase(), 'a wrong password changes nothing');
  equal((await breakIn(gateway, 'hash@people.test')).status, 200, 'first sign-in');
  const slow = stored();
  equal([slow.startsWith('$2a$10$'), slow.length], [true, 60], `hash: ${slow.slice(0, 7)}`);
  equal((await breakIn(gateway, 'hash@people.test')).status, 200, 'second sign-in');
  equal([(await breakIn(gateway, 'hash@people.test', 'wrong')).status, stored()], [401, slow], 'the slow hash stays, and counts');
  const long = `${'ä'.repeat(50)}1`; // alike in the bytes that bcrypt sees of it
  run(`update public.break_glass_admins set password_hash = '${sha256(long)}' where email = 'hash@people.test'`);
  for (const [password, status] of [[long, 200], [`${'ä'.repeat(50)}2`, 401], [long, 200]])
    equal((await breakIn(gateway, 'hash@people.test', password)).status, status, 'a long password, whole');
  noLocks();
}

export async function an_emergency_account_with_a_profile_gets_the_role_too({ gateway, people }) {
  noLocks();
  glass('viewer@people.test');
  const answer = await breakIn(gateway, 'viewer@people.test');
  equal([answer.status, answer.json.user?.id], [200, people.viewer.id], answer.text);
  equal(rowCount('public.user_roles', `user_id = '${people.viewer.id}' and role = 'admin'`), 1, 'role');
  run(`delete from public.user_roles where user_id = '${people.viewer.id}' and role = 'admin'`);
}

export async function refusals_do_not_tell_which_accounts_exist({ gateway }) {
  noLocks();
  glass('asleep@people.test', { is_active: false });
  glass('awake@people.test');
  const answers = [];
  for (const [email, password] of [['asleep@people.test'], ['nobody@people.test'], ['awake@people.test', 'wrong']])
    answers.push(await breakIn(gateway, email, password));
  equal(answers.map((one) => [one.status, one.json]), Array(3).fill(
    [401, { success: false, error: 'Invalid credentials or account not active' }]), 'answers');
  equal(rowCount('public.audit_logs', "action = 'break_glass_login_failed' and details ->> 'email' = 'awake@people.test'"), 1, 'audit');
}

export async function three_wrong_passwords_lock_the_account_in_every_spelling({ gateway }) {
  noLocks();
  glass('locked@people.test');
  const statuses = [];
  for (const email of ['locked@people.test', 'Locked@people.test', ' locked@people.test'])
    statuses.push((await breakIn(gateway, email, 'wrong')).status);
  equal(statuses, [401, 401, 401], 'tries');
  const answer = await breakIn(gateway, 'locked@people.test');
  equal([answer.status, answer.json.error], [429, 'Account locked due to too many failed attempts'], 'locked');
  check(answer.json.lockout_remaining_seconds > 3500 && answer.json.lockout_remaining_seconds <= 3600, answer.text);
}

export async function parallel_guesses_get_no_more_tries({ gateway, second }) {
  noLocks();
  glass('raced@people.test');
  const answers = await Promise.all(Array.from({ length: 12 }, (_, i) => breakIn(i % 2 ? gateway : second, 'raced@people.test', `w${i}`)));
  equal([401, 429].map((status) => answers.filter((one) => one.status === status).length), [3, 9], 'answers');
}

export async function an_address_that_guesses_at_many_names_is_locked({ gateway }) {
  noLocks();
  glass('last@people.test');
  for (let i = 0; i < 30; i++) await breakIn(gateway, `guess${i}@people.test`, 'wrong');
  equal((await breakIn(gateway, 'last@people.test')).status, 429, 'the right password from the same address');
  noLocks();
}

export function idmSettings({ directory }, more = {}) {
  const row = {
    auth_mode: 'idm_primary', server_host: 'localhost', ldaps_port: directory.port, server_port: directory.plainPort,
    base_dn: 'dc=example,dc=test', connection_timeout_seconds: 5, max_failed_attempts: 4, lockout_duration_minutes: 10,
    session_timeout_minutes: 60, ...more,
  };
  noLocks();
  run(`delete from public.idm_settings; delete from public.idm_group_mappings; delete from public.managed_users;
       delete from public.idm_auth_sessions; update public.audit_logs set user_id = null where action = 'idm_login';
       insert into public.idm_settings (${Object.keys(row)}) values (${Object.values(row).map((v) => `'${v}'`)});
       insert into public.idm_group_mappings (idm_group_dn, idm_group_name, app_role, priority)
       values ('CN=ops, cn=groups,cn=accounts,dc=example,dc=test', 'ops', 'operator', 10), ('ops-adm', 'ops-adm', 'admin', 1)`);
}
const signIn = (gateway, username, password = CANARIES.directory) => call(gateway, 'idm-authenticate', { body: { username, password } });
const KEYS = ['success', 'user_id', 'email', 'idm_uid', 'canonical_principal', 'realm', 'is_ad_trust_user', 'role',
  'idm_groups', 'access_token', 'refresh_token', 'expires_at'];

export async function a_directory_user_signs_in_with_the_role_of_his_group(world) {
  idmSettings(world);
  const answer = await signIn(world.gateway, 'ann');
  equal(answer.status, 200, answer.text);
  equal(Object.keys(answer.json), KEYS, 'keys');
  const { user_id: id, access_token: _a, refresh_token: _r, expires_at: expiresAt, ...rest } = answer.json;
  equal(rest, {
    success: true, email: 'ann@example.test', idm_uid: 'ann', canonical_principal: 'ann@EXAMPLE.TEST', realm: 'EXAMPLE.TEST',
    is_ad_trust_user: false, role: 'operator', idm_groups: ['cn=ops,cn=groups,cn=accounts,dc=example,dc=test'],
  }, 'answer');
  check(Math.abs(expiresAt - Date.now() / 1000 - 3600) < 30, 'expires_at');
  await checkSession(world.gateway, answer, id);
  equal(sql(`select email, full_name, idm_source, idm_title, idm_department from public.profiles where id = '${id}'`)[0],
    { email: 'ann@example.test', full_name: 'Ann Example', idm_source: 'freeipa', idm_title: 'Boss', idm_department: '7' }, 'profile');
  equal(sql(`select role from public.user_roles where user_id = '${id}'`), [{ role: 'operator' }], 'roles');
  equal(rowCount('public.idm_auth_sessions', `user_id = '${id}' and mapped_role = 'operator'`), 1, 'directory session');
  equal(rowCount('public.audit_logs', `user_id = '${id}' and action = 'idm_login'`), 1, 'audit');
  equal(rowCount('public.jobs', "job_type = 'idm_authenticate'"), 0, 'jobs that carry passwords');
}

export async function every_spelling_is_one_account_and_roles_follow_the_directory(world) {
  idmSettings(world);
  const first = await signIn(world.gateway, 'ann');
  run("update public.idm_group_mappings set app_role = 'viewer' where idm_group_name = 'ops'");
  for (const name of ['ANN', 'ann@example.test', 'ann@EXAMPLE.TEST', 'EXAMPLE\\ann']) {
    const answer = await signIn(world.gateway, name);
    equal([answer.status, answer.json.user_id, answer.json.role], [200, first.json.user_id, 'viewer'], name);
  }
  equal(sql(`select role from public.user_roles where user_id = '${first.json.user_id}'`), [{ role: 'viewer' }], 'demoted');
  equal((await signIn(world.gateway, 'ann@elsewhere.test')).status, 401, 'a domain that is nobody\'s');
}

export async function groups_are_searched_where_entries_do_not_name_them_and_never_matched_in_part(world) {
  idmSettings(world);
  const ben = await signIn(world.gateway, 'ben');
  equal([ben.json.role, ben.json.email, ben.json.idm_groups], ['operator', 'ben@example.test',
    ['cn=ops,cn=groups,cn=accounts,dc=example,dc=test']], 'ben');
  const cy = await signIn(world.gateway, 'cy');
  equal([cy.json.role, cy.json.email], ['viewer', 'cy@example.test'], 'ops-adm is not ops-admins');
}

export async function a_role_given_in_advance_wins_in_its_domain_only(world) {
  idmSettings(world);
  run(`insert into public.managed_users (ad_username, ad_domain, app_role) values ('cy', 'other.test', 'admin')`);
  equal((await signIn(world.gateway, 'cy')).json.role, 'viewer', 'another domain');
  run(`insert into public.managed_users (ad_username, ad_domain, app_role) values ('CY', 'Example.Test', 'operator')`);
  equal((await signIn(world.gateway, 'cy')).json.role, 'operator', 'this domain');
}

export async function wrong_unknown_and_empty_are_refused_alike_and_lock(world) {
  idmSettings(world);
  const answers = [];
  for (const [name, password] of [['ben', 'wrong'], ['nobody', 'x'], ['b*', CANARIES.directory], ['ben)(uid=*', CANARIES.directory]])
    answers.push(await signIn(world.gateway, name, password));
  for (const one of answers) equal([one.status, one.json], [401, { success: false, error: 'Invalid credentials', remaining_attempts: 3 }], one.text);
  equal((await signIn(world.gateway, 'ben', '')).status, 400, 'empty password');
  for (const [i, remaining] of [2, 1, 0].entries())
    equal((await signIn(world.gateway, 'BEN@example.test', `w${i}`)).json.remaining_attempts, remaining, 'remaining');
  const locked = await signIn(world.gateway, 'ben');
  equal([locked.status, locked.json.error], [429, 'Account temporarily locked'], 'locked');
  check(locked.json.lockout_remaining_seconds <= 600, 'minutes of the settings');
  noLocks();
  equal((await signIn(world.gateway, 'ben')).status, 200, 'later');
  equal(rowCount('public.auth_rate_limits', "identifier = 'ben'"), 0, 'a success forgets');
}

export async function names_with_special_characters_reach_the_directory_escaped(world) {
  idmSettings(world);
  const answer = await signIn(world.gateway, 'o*(d),d');
  equal([answer.status, answer.json.idm_uid], [200, 'o*(d),d'], answer.text);
}

export async function a_disabled_user_stays_out(world) {
  idmSettings(world);
  const { json: { user_id: id } } = await signIn(world.gateway, 'ann');
  run(`update public.profiles set idm_disabled = true where id = '${id}'`);
  equal((await signIn(world.gateway, 'ann')).status, 403, 'disabled');
  equal(sql(`select idm_disabled from public.profiles where id = '${id}'`)[0].idm_disabled, true, 'still disabled');
  run(`update public.profiles set idm_disabled = false where id = '${id}'`);
  run(`update auth.users set banned_until = now() + interval '1 hour' where id = '${id}'`);
  equal((await signIn(world.gateway, 'ann')).status, 403, 'banned');
  run(`update auth.users set banned_until = null where id = '${id}'`);
}

export async function a_directory_that_is_away_or_not_trusted_costs_no_try(world) {
  idmSettings(world, { ldaps_port: 1 });
  equal((await signIn(world.gateway, 'ann')).status, 503, 'away');
  idmSettings(world, { server_host: '127.0.0.2' });
  const name = await signIn(world.gateway, 'ann');
  equal(name.status, 503, 'certificate of another name');
  check(name.json.error.includes('secure connection'), name.text);
  idmSettings(world, { server_host: '127.0.0.2', verify_certificate: false });
  equal((await signIn(world.gateway, 'ann')).status, 200, 'not verified');
  equal(rowCount('public.auth_rate_limits', 'attempt_count > 0'), 0, 'counted tries');
  idmSettings(world, { require_ldaps: false, use_ldaps: false });
  equal((await signIn(world.gateway, 'ann')).status, 200, 'plain LDAP where it is allowed');
}

export async function without_settings_or_in_local_mode_nobody_signs_in(world) {
  idmSettings(world, { auth_mode: 'local_only' });
  equal([(await signIn(world.gateway, 'ann')).status, (await provision(world.gateway, ticket({ uid: 'ann' }))).status], [403, 403], 'local only');
  run('delete from public.idm_settings');
  equal((await signIn(world.gateway, 'ann')).status, 503, 'no settings');
}

const base64url = (text) => Buffer.from(text).toString('base64url');
function ticket(claims, { secret = CANARIES.shared, label = 'basalt ticket idm-provision v1', typ = 'basalt-ticket+jwt', ...more } = {}) {
  const now = Math.floor(Date.now() / 1000);
  const body = { aud: 'basalt/idm-provision', jti: randomUUID(), iat: now, exp: now + 60, realm: 'EXAMPLE.TEST', groups: [], ...claims, ...more };
  const text = `${base64url(JSON.stringify({ alg: 'HS256', typ }))}.${base64url(JSON.stringify(body))}`;
  const key = label ? createHmac('sha256', secret).update(label).digest() : secret;
  return `${text}.${createHmac('sha256', key).update(text).digest('base64url')}`;
}
const provision = (gateway, text, more = {}) => call(gateway, 'idm-provision', {
  body: { username: 'ann', user_info: { uid: 'ann', ...(text ? { ticket: text } : {}) }, ...more },
});

export async function the_executors_ticket_signs_in_once_and_its_word_counts(world) {
  idmSettings(world);
  const good = ticket({ uid: 'dora', user_dn: 'uid=dora,dc=x', email: 'dora@example.test', groups: ['cn=ops,cn=groups,cn=accounts,dc=example,dc=test'] });
  const answers = await Promise.all([world.gateway, world.second, world.gateway].map((gateway) =>
    provision(gateway, good, { groups: ['admins'], username: 'someone else' })));
  equal(answers.map((one) => one.status).sort(), [200, 401, 401], 'one use');
  const won = answers.find((one) => one.status === 200);
  equal([won.json.idm_uid, won.json.role, won.json.email], ['dora', 'operator', 'dora@example.test'], 'identity');
  equal(Object.keys(won.json), KEYS, 'keys');
  await checkSession(world.gateway, won, won.json.user_id);
}

export async function anything_but_a_fresh_ticket_is_refused(world) {
  idmSettings(world);
  const now = Math.floor(Date.now() / 1000);
  const bad = {
    none: undefined, text: 'a.b.c', 'another secret': ticket({ uid: 'ann' }, { secret: 'x' }),
    'the bare secret': ticket({ uid: 'ann' }, { label: '' }), 'an access token\'s type': ticket({ uid: 'ann' }, { typ: 'JWT' }),
    'another audience': ticket({ uid: 'ann', aud: 'authenticated' }), old: ticket({ uid: 'ann', iat: now - 120, exp: now - 60 }),
    'long lived': ticket({ uid: 'ann', exp: now + 3600 }), 'no id': ticket({ uid: 'ann', jti: 'x' }),
    'a user\'s session': world.people.admin.token,
  };
  for (const [what, text] of Object.entries(bad)) {
    const answer = await provision(world.gateway, text);
    equal([answer.status, Object.keys(answer.json)], [401, ['success', 'error']], what);
  }
}

export async function a_managed_user_is_taken_back_exactly(world) {
  const { gateway, people: { admin } } = world;
  idmSettings(world);
  const cy = await signIn(gateway, 'cy'), ben = await signIn(gateway, 'ben');
  const add = (name, domain) => sql(`select gen_random_uuid() as id`).map(({ id }) => {
    run(`insert into public.managed_users (id, ad_username, ad_domain) values ('${id}', '${name}', '${domain}')`);
    return id;
  })[0];
  const remove = (id, more = {}) => call(gateway, 'delete-managed-user', { token: admin.token, body: { managed_user_id: id, ...more } });
  const kept = await remove(add('cy', 'example.test'), { complete_removal: false });
  equal(kept.json, { success: true, message: 'Authorization removed', details: { managed_user_deleted: true,
    user_roles_deleted: false, profile_deleted: false, auth_user_deleted: false } }, 'kept');
  const none = await remove(add('%', 'example.test'));
  equal(none.json.message, 'Authorization removed (user had not logged in yet)', 'a pattern names nobody');
  const all = await remove(add('CY', 'example.test'));
  equal(all.json, { success: true, message: 'User completely removed from system', details: { managed_user_deleted: true,
    user_roles_deleted: true, profile_deleted: true, auth_user_deleted: true } }, 'all');
  equal([rowCount('auth.users', `id = '${cy.json.user_id}'`), rowCount('auth.users', `id = '${ben.json.user_id}'`)], [0, 1], 'users');
  equal(rowCount('public.audit_logs', "action = 'user_deleted' and details ->> 'ad_username' = 'CY'"), 1, 'audit');
  equal((await gateway.get('/user', { token: cy.json.access_token })).status >= 401, true, 'the session has ended');
}

export async function no_password_stands_in_any_table() {
  const hits = sql(`select format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind = 'r' and n.nspname in ('public', 'auth', 'basalt')`).filter(({ name }) =>
    [CANARIES.directory, CANARIES.glass, CANARIES.detail].some((secret) =>
      rowCount(name, `to_jsonb(${name.split('.')[1]})::text like '%${secret}%'`) > 0));
  equal(hits, [], 'tables');
}
