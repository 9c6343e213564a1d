// Refresh families and sign-out.
import assert from 'node:assert/strict';
import { Gateway, claimsOf, run, sql, until } from './lib.mjs';

export async function refresh_rotates_within_the_session({ open }) {
  const first = await open.account('rotate@example.com');
  const second = await open.refresh(first.refresh_token);
  assert.equal(second.status, 200, second.text);
  assert.notEqual(second.json.refresh_token, first.refresh_token);
  assert.equal(claimsOf(second.json.access_token).session_id, claimsOf(first.access_token).session_id);
  assert.deepEqual(claimsOf(second.json.access_token).amr.map((entry) => entry.method), ['password']);
  assert.equal(second.json.user.last_sign_in_at, first.user.last_sign_in_at);
  const rows = sql(`select token, revoked, parent from auth.refresh_tokens where user_id = '${first.user.id}' order by id`);
  assert.deepEqual(rows, [
    { token: first.refresh_token, revoked: true, parent: null },
    { token: second.json.refresh_token, revoked: false, parent: first.refresh_token }]);
}

export async function a_lost_answer_gets_the_active_token_again({ open }) {
  const first = await open.account('lost@example.com');
  const second = (await open.refresh(first.refresh_token)).json;
  run(`update auth.refresh_tokens set updated_at = now() - interval '1 hour' where token = '${first.refresh_token}'`);
  const again = await open.refresh(first.refresh_token);
  assert.equal(again.status, 200);
  assert.equal(again.json.refresh_token, second.refresh_token);
}

export async function a_stolen_token_ends_the_family({ open }) {
  const first = await open.account('stolen@example.com');
  const second = (await open.refresh(first.refresh_token)).json;
  const third = (await open.refresh(second.refresh_token)).json;
  run(`update auth.refresh_tokens set updated_at = now() - interval '1 hour' where user_id = '${first.user.id}'`);
  const reused = await open.refresh(first.refresh_token);
  assert.deepEqual([reused.status, reused.json.error_code, reused.json.msg],
    [400, 'refresh_token_already_used', 'Invalid Refresh Token: Already Used']);
  assert.equal(sql(`select from auth.refresh_tokens where user_id = '${first.user.id}' and not revoked`).length, 0);
  run(`update auth.refresh_tokens set updated_at = now() - interval '1 hour' where user_id = '${first.user.id}'`);
  assert.equal((await open.refresh(third.refresh_token)).json.error_code, 'refresh_token_already_used');
  assert.equal((await open.get('/user', { token: third.access_token })).status, 200, 'access tokens live on until they expire');
}

export async function within_the_reuse_interval_an_older_token_still_works({ open }) {
  const first = await open.account('window@example.com');
  const second = (await open.refresh(first.refresh_token)).json;
  await open.refresh(second.refresh_token);
  const late = await open.refresh(first.refresh_token);
  assert.equal(late.status, 200, late.text);
}

export async function fifty_tabs_refresh_at_once_and_all_live_on({ open }) {
  const first = await open.account('tabs@example.com');
  const answers = await Promise.all(Array.from({ length: 50 }, () => open.refresh(first.refresh_token)));
  for (const answer of answers) assert.equal(answer.status, 200, answer.text);
  const tokens = [...new Set(answers.map((answer) => answer.json.refresh_token))];
  assert.equal(tokens.length, 1, 'one rotation for all of them');
  assert.equal((await open.refresh(tokens[0])).status, 200);
}

export async function bad_refresh_tokens_are_told_apart({ open }) {
  const cases = [['short', 'validation_failed'], ['UPPERCASE123', 'validation_failed'], ['***not base64***', 'validation_failed'],
    ['aaaaaaaaaaaa', 'refresh_token_not_found']];
  for (const [token, code] of cases) {
    const answer = await open.refresh(token);
    assert.deepEqual([answer.status, answer.json.error_code], [400, code], token);
  }
  const { user, refresh_token: token } = await open.account('gone@example.com');
  run(`update auth.users set banned_until = now() + interval '1 day' where id = '${user.id}'`);
  assert.equal((await open.refresh(token)).json.error_code, 'user_banned');
}

export async function a_session_past_not_after_is_expired({ open }) {
  const { access_token: access, refresh_token: token } = await open.account('late@example.com');
  run(`update auth.sessions set not_after = now() - interval '1 second' where id = '${claimsOf(access).session_id}'`);
  assert.equal((await open.refresh(token)).json.error_code, 'session_expired');
}

export async function a_lock_that_cannot_be_had_is_503_never_409({ open }) {
  const { user, access_token: access, refresh_token: token } = await open.account('locked@example.com');
  const session = claimsOf(access).session_id;
  const { spawn } = await import('node:child_process');
  const holder = spawn('psql', ['-XAtq', process.env.DATABASE_URL, '-c',
    `begin; select from auth.sessions where id = '${session}' for update; select pg_sleep(600); commit`], { stdio: 'ignore' });
  await until('the lock', () => sql("select from pg_stat_activity where wait_event = 'PgSleep'").length === 1);
  const answer = await open.refresh(token);
  holder.kill();
  assert.equal(answer.status, 503, answer.text);
  assert.ok(answer.headers.get('retry-after'));
  assert.equal(sql(`select from auth.refresh_tokens where user_id = '${user.id}' and not revoked`).length, 1);
  run(`select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep(600)%' and pid <> pg_backend_pid()`);
  assert.equal((await open.refresh(token)).status, 200);
}

export async function sign_out_has_three_scopes({ open }) {
  const tokens = [];
  for (let i = 0; i < 3; i++) tokens.push(i === 0 ? await open.account('out@example.com') : (await open.signIn('out@example.com', 'secret1')).json);
  const alive = async (i) => (await open.get('/user', { token: tokens[i].access_token })).status === 200;
  const bad = await open.post('/logout?scope=everything', undefined, { token: tokens[0].access_token });
  assert.equal(bad.status, 400);
  const local = await open.post('/logout?scope=local', undefined, { token: tokens[0].access_token });
  assert.deepEqual([local.status, local.text], [204, '']);
  assert.match(local.headers.get('set-cookie'), /^basalt-session=; .*Max-Age=0/);
  assert.deepEqual([await alive(0), await alive(1), await alive(2)], [false, true, true]);
  const gone = await open.post('/logout', undefined, { token: tokens[0].access_token });
  assert.deepEqual([gone.status, gone.json.error_code], [403, 'session_not_found']);
  await open.post('/logout?scope=others', undefined, { token: tokens[1].access_token });
  assert.deepEqual([await alive(1), await alive(2)], [true, false]);
  await open.post('/logout', undefined, { token: tokens[1].access_token });
  assert.equal(await alive(1), false);
  assert.equal((await open.refresh(tokens[1].refresh_token)).json.error_code, 'refresh_token_not_found');
}

export async function what_nobody_can_use_any_more_is_removed({ open }) {
  const first = await open.account('clean@example.com');
  const second = (await open.refresh(first.refresh_token)).json;
  const third = (await open.refresh(second.refresh_token)).json;
  const other = (await open.signIn('clean@example.com', 'secret1')).json;
  await open.post('/factors', { friendly_name: 'half', factor_type: 'totp' }, { token: third.access_token });
  const mine = `user_id = '${first.user.id}'`;
  run(`update auth.refresh_tokens set updated_at = now() - interval '2 days' where ${mine};
    update auth.sessions set not_after = now() - interval '2 days' where id = '${claimsOf(other.access_token).session_id}';
    update auth.mfa_factors set created_at = now() - interval '2 days' where ${mine};
    insert into auth.flow_state (id, user_id, provider_type, authentication_method, created_at)
      values (gen_random_uuid(), '${first.user.id}', 'email', 'recovery', now() - interval '2 days')`);
  const cleaner = await Gateway.start({ BASALT_AUTH_CLEANUP_INTERVAL: '1s' });
  try {
    await until('the cleaning', () => sql(`select from auth.mfa_factors where ${mine}`).length === 0);
  } finally {
    await cleaner.stop();
  }
  assert.deepEqual(sql(`select token from auth.refresh_tokens where ${mine} order by id`).map((row) => row.token),
    [second.refresh_token, third.refresh_token], 'the parent of the active token stays');
  assert.equal(sql(`select from auth.sessions where ${mine}`).length, 1);
  assert.equal(sql(`select from auth.flow_state where ${mine}`).length, 0);
  assert.equal(sql(`select from auth.mfa_factors where ${mine}`).length, 0);
  assert.equal((await open.refresh(second.refresh_token)).json.refresh_token, third.refresh_token);
}
