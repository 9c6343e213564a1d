// The executor's own sign-in route: a process of its own for each scene, a real directory behind it, the gateway's
// idm-provision at its end.
import { spawn } from 'node:child_process';
import { dirname } from 'node:path';
import { call, CANARIES, check, equal, rowCount, run, SERVICE, sql, until } from './lib.mjs';
import { idmSettings } from './signins.mjs';

const PROVISIONED = ['success', 'user_id', 'email', 'idm_uid', 'canonical_principal', 'realm', 'is_ad_trust_user', 'role',
  'idm_groups', 'access_token', 'refresh_token', 'expires_at'];
const OK_KEYS = ['success', 'user_dn', 'user_info', 'groups', 'is_ad_trust_user', 'ad_domain', 'realm', 'canonical_principal',
  'response_time_ms'];

async function post(url, body, headers = {}) {
  const raw = typeof body === 'string' ? body : JSON.stringify(body);
  const answer = await fetch(url, { method: 'POST', headers: { 'Content-Type': 'application/json', ...headers }, body: raw });
  const text = await answer.text();
  return { status: answer.status, headers: answer.headers, text, json: JSON.parse(text) };
}

// Jobs of other scenes are left alone: those for devices wait while they are paused, others are not its business.
async function withExecutor(world, fn, env = {}) {
  const { port } = new URL(world.executorUrl);
  run('update public.activity_settings set pause_idrac_operations = true');
  const child = spawn(`${dirname(process.env.BASALT_GATEWAY)}/basalt-executor`, [], {
    env: {
      PATH: process.env.PATH, ASAN_OPTIONS: 'detect_leaks=1', SUPABASE_URL: world.gateway.url, SERVICE_ROLE_KEY: SERVICE,
      API_SERVER_PORT: port, BASALT_EXECUTOR_ID: 'sign-in', BASALT_EXECUTOR_STREAM: 'false', POLL_INTERVAL_SECONDS: '3600',
      BASALT_CLAIM_ALL_TYPES: 'false', BASALT_ALLOW_LOCAL_TARGETS: 'true', BASALT_EXECUTOR_ORIGINS: 'https://ui.example.test',
      BASALT_CA_FILE: `${process.env.BASALT_TEST_DIR}/peer.crt`, EXECUTOR_SHARED_SECRET: CANARIES.shared, LOG_LEVEL: 'debug', ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let log = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => { log += chunk; });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const direct = (username, password = CANARIES.directory, headers) => post(`${world.executorUrl}/api/idm-authenticate`, { username, password }, headers);
  try {
    await until('the executor', () => fetch(`${world.executorUrl}/api/health`).then((answer) => answer.ok, () => false));
    await fn(direct);
  } finally {
    child.kill('SIGTERM');
    const code = await ended;
    run('update public.activity_settings set pause_idrac_operations = false');
    check(code === 0 && !/AddressSanitizer|runtime error|LeakSanitizer/.test(log), `end of the executor: ${code} ${log.slice(-3000)}`);
    check(!Object.values(CANARIES).some((secret) => log.includes(secret)), 'a secret stands in the log of the executor');
  }
}

// What the login page sends on, word for word.
const provision = (gateway, username, { user_dn, user_info, groups, is_ad_trust_user, ad_domain, realm, canonical_principal }) =>
  post(`${gateway.url}/functions/v1/idm-provision`,
    { username, user_dn, user_info, groups, is_ad_trust_user, ad_domain, realm, canonical_principal });

async function signsIn(world, answer, username) {
  equal([answer.status, Object.keys(answer.json)], [200, OK_KEYS], answer.text);
  const session = await provision(world.gateway, username, answer.json);
  equal([session.status, Object.keys(session.json)], [200, PROVISIONED], session.text);
  const cookie = session.headers.get('set-cookie').split(';')[0];
  equal((await fetch(`${world.gateway.url}/executor/v1/api/status`, { headers: { cookie } })).status, 200, 'the cookie opens the executor');
  const me = await world.gateway.get('/user', { token: session.json.access_token });
  equal([me.status, me.json.id], [200, session.json.user_id], 'who that is');
  equal((await world.gateway.refresh(session.json.refresh_token)).status, 200, 'refresh');
  return session.json;
}

export async function the_executor_proves_a_person_and_the_gateway_lets_him_in(world) {
  idmSettings(world);
  await withExecutor(world, async (direct) => {
    const answer = await direct('ann', undefined, { Origin: 'http://localhost:5173' });
    equal(answer.headers.get('access-control-allow-origin'), 'http://localhost:5173', 'CORS');
    equal(answer.headers.get('cache-control'), 'no-store', 'caching');
    const { ticket, ...info } = answer.json.user_info;
    equal(info, { uid: 'ann', email: 'ann@example.test', full_name: 'Ann Example', title: 'Boss', department: '7', last_name: 'Ann Example' }, 'user_info');
    equal([answer.json.user_dn, answer.json.groups, answer.json.realm, answer.json.is_ad_trust_user],
      ['uid=ann,cn=users,cn=accounts,dc=example,dc=test', ['cn=ops,cn=groups,cn=accounts,dc=example,dc=test'], 'EXAMPLE.TEST', false], 'person');
    const session = await signsIn(world, answer, 'ann');
    equal([session.role, session.email], ['operator', 'ann@example.test'], 'account');
    equal((await provision(world.gateway, 'ann', answer.json)).status, 401, 'the same ticket again');
    const forged = { ...(await direct('ben')).json, groups: ['ops-adm'], canonical_principal: 'admin@example.test' };
    equal((await provision(world.gateway, 'admin', { ...forged, user_info: { ...forged.user_info, uid: 'admin' } })).json.idm_uid, 'ben', 'only the ticket counts');
    const proxied = await post(`${world.gateway.url}/executor/v1/api/idm-authenticate`, { username: 'ANN@example.test', password: CANARIES.directory });
    equal((await signsIn(world, proxied, 'ann')).user_id, session.user_id, 'through the gateway, without a cookie');
    equal((await fetch(`${world.gateway.url}/executor/v1/api/status`)).status, 401, 'other routes need one');
    run("update public.profiles set idm_disabled = true where idm_uid = 'ann'");
    equal((await provision(world.gateway, 'ann', (await direct('ann')).json)).status, 403, 'a disabled profile');
    run("update public.profiles set idm_disabled = false where idm_uid = 'ann'");
  });
}

export async function the_executor_refuses_what_it_should(world) {
  idmSettings(world);
  await withExecutor(world, async (direct) => {
    equal((await direct('ann', undefined, { Origin: 'https://evil.example' })).status, 403, 'a foreign origin');
    equal((await direct('ann', undefined, { Origin: 'https://ui.example.test' })).status, 200, 'a configured origin');
    const preflight = await fetch(`${world.executorUrl}/api/idm-authenticate`, { method: 'OPTIONS', headers: { Origin: 'http://localhost:1', 'Access-Control-Request-Method': 'POST' } });
    equal([preflight.status, preflight.headers.get('access-control-allow-headers')], [200, 'Content-Type, Authorization'], 'preflight');
    equal((await direct('ann', '')).json, { success: false, error: 'username and password are required' }, 'no password');
    equal((await post(`${world.executorUrl}/api/idm-authenticate`, 'x')).status, 500, 'no JSON');
    const failures = () => rowCount('public.audit_logs', "action = 'idm_login_failed' and details ->> 'executor' = 'sign-in' and ip_address = '127.0.0.1'");
    const before = failures();
    const wrong = await direct('ann', 'wrong');
    equal([wrong.status, Object.keys(wrong.json), wrong.json.error], [401, ['success', 'error', 'response_time_ms'], 'Invalid credentials'], 'wrong password');
    equal((await direct('nobody', 'wrong')).json.error, 'Invalid credentials', 'an unknown name');
    equal(failures() - before, 2, 'audit');
    run("update public.idm_settings set auth_mode = 'local_only'");
    equal([(await direct('ann')).status, (await direct('ann')).json.error], [403, 'IDM authentication not enabled'], 'switched off');
    run('delete from public.idm_settings');
    equal([(await direct('ann')).status, (await direct('ann')).json.error], [503, 'IDM authentication not configured'], 'not set up');
    idmSettings(world, { ldaps_port: 1 });
    for (let i = 0; i < 5; i++) equal((await direct('ann')).status, 503, 'a directory that is away');
    idmSettings(world);
    equal((await direct('ann')).status, 200, 'its absence is nobody\'s fault');
  });
  await withExecutor(world, async (direct) => {
    equal([(await direct('ann')).status, (await direct('ann')).json.error], [503, 'The executor has no shared secret to sign with'], 'no secret');
  }, { EXECUTOR_SHARED_SECRET: '' });
}

export async function guessing_at_the_executor_is_locked(world) {
  idmSettings(world);
  await withExecutor(world, async (direct) => {
    const answers = await Promise.all(Array.from({ length: 12 }, (_, i) => direct(i % 2 ? 'ann' : 'ANN@example.test', `w${i}`)));
    equal([401, 429].map((status) => answers.filter((one) => one.status === status).length), [4, 8], 'parallel guesses');
    const locked = await direct('ann');
    equal([locked.status, locked.json.error], [429, 'Account temporarily locked'], 'the right password comes too late');
    check(locked.json.lockout_remaining_seconds > 590 && locked.json.lockout_remaining_seconds <= 600, locked.text);
    equal((await direct('ben')).status, 200, 'others are not concerned');
    for (let i = 0; i < 4; i++) await call(world.gateway, 'idm-authenticate', { body: { username: 'cy', password: 'wrong' } });
    const other = await direct('cy');
    check(other.status === 429 && other.json.lockout_remaining_seconds > 590, `a lock of the gateway counts here: ${other.text}`);
  });
  idmSettings(world);
  await withExecutor(world, async () => {
    const flood = await Promise.all(Array.from({ length: 60 }, () => post(`${world.executorUrl}/api/idm-authenticate`, {})));
    check(flood.filter((one) => one.status === 429).length >= 20, 'a flood is slowed down');
  });
}

export async function a_secret_in_the_database_is_the_executors_too(world) {
  idmSettings(world);
  const made = await call(world.gateway, 'set-executor-secret', { token: world.people.admin.token, body: { action: 'generate' } });
  equal(made.status, 200, made.text);
  try {
    await withExecutor(world, async (direct) => {
      await signsIn(world, await direct('ann'), 'ann');
    });
  } finally {
    run('update public.activity_settings set executor_shared_secret_encrypted = null');
  }
  equal(sql('select count(*)::int as n from basalt.used_tickets')[0].n > 0, true, 'used tickets');
}
