// Signing up and in, the user object, both error formats.
import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { ANON, Gateway, NEW_API, SERVICE, claimsOf, run, sign, sql, until } from './lib.mjs';

export async function sign_up_with_autoconfirm_gives_a_session({ open }) {
  const { status, json, headers } = await open.post('/signup',
    { email: 'First@Example.com', password: 'secret1', data: { full_name: 'First', gone: null } });
  assert.equal(status, 200);
  assert.equal(json.token_type, 'bearer');
  assert.equal(json.expires_in, 3600);
  assert.match(json.refresh_token, /^[a-z0-9]{12}$/);
  const { user } = json;
  assert.equal(user.email, 'first@example.com');
  assert.equal(user.phone, '');
  assert.equal(user.role, 'authenticated');
  assert.deepEqual(user.app_metadata, { provider: 'email', providers: ['email'] });
  assert.deepEqual(user.user_metadata,
    { sub: user.id, email: user.email, full_name: 'First', email_verified: true, phone_verified: false });
  assert.equal(user.identities.length, 1);
  assert.equal(user.identities[0].id, user.id);
  assert.equal(user.identities[0].identity_data.email_verified, false);
  assert.equal(user.is_anonymous, false);
  for (const key of ['encrypted_password', 'confirmation_token', 'instance_id', 'is_sso_user', 'factors'])
    assert.ok(!(key in user), key);
  const claims = claimsOf(json.access_token);
  assert.equal(claims.sub, user.id);
  assert.equal(claims.aud, 'authenticated');
  assert.equal(claims.aal, 'aal1');
  assert.equal(claims.amr[0].method, 'password');
  assert.equal(claims.exp - claims.iat, 3600);
  assert.equal(claims.iss, `${open.url}/auth/v1`);
  assert.match(headers.get('set-cookie'), /^basalt-session=.*; Path=\/executor\/v1\/; .*HttpOnly; SameSite=Strict$/);
  const [session] = sql(`select * from auth.sessions where id = '${claims.session_id}'`);
  assert.equal(session.user_id, user.id);
  assert.equal(session.ip, '127.0.0.1');
  const audit = sql(`select payload from auth.audit_log_entries where payload->>'actor_id' = '${user.id}' order by created_at`);
  assert.deepEqual(audit.map((row) => row.payload.action), ['user_signedup', 'login']);
}

export async function a_second_sign_up_is_refused_under_autoconfirm({ open }) {
  await open.post('/signup', { email: 'twice@example.com', password: 'secret1' });
  const old = await open.post('/signup', { email: 'TWICE@example.com', password: 'secret1' });
  assert.equal(old.status, 422);
  assert.deepEqual(old.json, { code: 422, error_code: 'user_already_exists', msg: 'User already registered' });
  const fresh = await open.post('/signup', { email: 'twice@example.com', password: 'other12' }, { headers: NEW_API });
  assert.equal(fresh.status, 422);
  assert.deepEqual(fresh.json, { code: 'user_already_exists', message: 'User already registered' });
  assert.equal(fresh.headers.get('x-supabase-api-version'), '2024-01-01');
  assert.equal(fresh.headers.get('x-sb-error-code'), 'user_already_exists');
}

export async function an_unconfirmed_account_gives_no_session_without_its_password({ open, mailing }) {
  await mailing.post('/signup', { email: 'pending@example.com', password: 'right-one' });
  const wrong = await open.post('/signup', { email: 'pending@example.com', password: 'wrong-one' });
  assert.equal(wrong.status, 422);
  assert.equal(wrong.json.error_code, 'user_already_exists');
  const right = await open.post('/signup', { email: 'pending@example.com', password: 'right-one' });
  assert.equal(right.status, 200);
  assert.ok(right.json.access_token);
}

export async function sign_up_refuses_bad_input({ open }) {
  const cases = [
    [{ email: 'x@example.com', password: '' }, 400, 'validation_failed'],
    [{ email: 'x@example.com', password: 'a'.repeat(73) }, 400, 'validation_failed'],
    [{ email: 'no-at-sign', password: 'secret1' }, 400, 'validation_failed'],
    [{ email: 'ä@example.com', password: 'secret1' }, 400, 'validation_failed'],
    [{ email: 'a@b@c.d', password: 'secret1' }, 400, 'validation_failed'],
    [{ email: 'x@example.com\nBcc: y@example.com', password: 'secret1' }, 400, 'validation_failed'],
    [{ email: 'x@example.com', phone: '123456', password: 'secret1' }, 400, 'validation_failed'],
    [{ phone: '4912345678', password: 'secret1' }, 400, 'phone_provider_disabled'],
    [{ email: 'x@example.com', password: 'secret1', code_challenge: 'a'.repeat(43) }, 400, 'validation_failed'],
    [{ email: ['x@example.com'], password: 'secret1' }, 400, 'bad_json'],
    [{ email: 'x@example.com', password: 7 }, 400, 'bad_json'],
    [{ email: 'x@example.com', password: 'secret1', data: 'text' }, 400, 'bad_json'],
  ];
  for (const [body, status, code] of cases) {
    const answer = await open.post('/signup', body);
    assert.equal(answer.status, status, JSON.stringify(body));
    assert.equal(answer.json.error_code, code, JSON.stringify(body));
  }
  for (const raw of ['', '{', 'null', '[]', '"x"', '['.repeat(5000)]) {
    const answer = await open.request('POST', '/signup', { raw, body: {} });
    assert.equal(answer.status, 400, raw.slice(0, 10));
    assert.equal(answer.json.error_code, 'bad_json');
    assert.match(answer.json.msg, /^Could not parse request body as JSON/);
  }
  const huge = await open.request('POST', '/signup', { raw: `{"email":"${'a'.repeat(1100000)}"}`, body: {} });
  assert.equal(huge.status, 413);
  assert.equal(huge.json.error_code, 'request_entity_too_large');
}

export async function weak_passwords_come_with_reasons({ open }) {
  const old = await open.post('/signup', { email: 'weak@example.com', password: 'abc' });
  assert.equal(old.status, 422);
  assert.deepEqual(old.json, { code: 422, error_code: 'weak_password', msg: 'Password should be at least 6 characters.',
    weak_password: { reasons: ['length'] } });
  const fresh = await open.post('/signup', { email: 'weak@example.com', password: 'abc' }, { headers: NEW_API });
  assert.deepEqual(fresh.json, { code: 'weak_password', message: 'Password should be at least 6 characters.',
    weak_password: { reasons: ['length'] } });
}

export async function unknown_paths_and_methods_are_not_json({ open }) {
  assert.equal((await open.get('/nowhere')).status, 404);
  assert.equal((await open.get('/signup')).status, 405);
}

export async function password_sign_in_tells_nothing_about_accounts({ open }) {
  await open.account('known@example.com', 'Canary-Pass-77');
  const wrong = await open.signIn('known@example.com', 'nope-nope');
  const nobody = await open.signIn('nobody@example.com', 'nope-nope');
  assert.equal(wrong.status, 400);
  assert.deepEqual(wrong.json, { code: 400, error_code: 'invalid_credentials', msg: 'Invalid login credentials' });
  assert.deepEqual(nobody.json, wrong.json);
  // The quickest of some tries is what the work costs; a stranger's must hold a password hash's worth of it as well.
  const quickest = { 'known@example.com': Infinity, 'nobody@example.com': Infinity };
  let tries = 0;
  await until('the same cost', async () => {
    for (const email of Object.keys(quickest)) {
      const start = performance.now();
      await open.signIn(email, 'nope-nope');
      quickest[email] = Math.min(quickest[email], performance.now() - start);
    }
    const [a, b] = Object.values(quickest);
    return ++tries >= 8 && Math.abs(a - b) < 0.5 * Math.max(a, b);
  });
}

export async function sign_in_accepts_every_bcrypt_and_refuses_the_banned({ open }) {
  // "secret1" at cost 4, 6 and 10 in the three spellings
  const hash = (await sql(`select extensions.crypt('secret1', extensions.gen_salt('bf', 4)) as hash`))[0].hash;
  for (const [i, spelling] of ['$2a$', '$2b$', '$2y$'].entries()) {
    const made = await open.post('/admin/users',
      { email: `hash${i}@example.com`, password_hash: spelling + hash.slice(4), email_confirm: true }, { token: SERVICE });
    assert.equal(made.status, 200, made.text);
    assert.equal((await open.signIn(`hash${i}@example.com`, 'secret1')).status, 200, spelling);
    assert.equal((await open.signIn(`hash${i}@example.com`, 'secret2')).status, 400, spelling);
  }
  const { user, access_token: token } = await open.account('banned@example.com');
  await open.put(`/admin/users/${user.id}`, { ban_duration: '24h' }, { token: SERVICE });
  assert.equal((await open.signIn('banned@example.com', 'secret1')).json.error_code, 'user_banned');
  const seen = await open.get('/user', { token });
  assert.deepEqual([seen.status, seen.json.error_code], [403, 'user_banned']);
  await open.put(`/admin/users/${user.id}`, { ban_duration: 'none' }, { token: SERVICE });
  assert.equal((await open.signIn('banned@example.com', 'secret1')).status, 200);
}

export async function get_user_judges_its_token({ open }) {
  const { user, access_token: token } = await open.account('me@example.com');
  const me = await open.get('/user', { token });
  assert.equal(me.status, 200);
  assert.equal(me.json.id, user.id);
  const claims = claimsOf(token);
  const now = Math.floor(Date.now() / 1000);
  const refused = async (bearer, status, code) => {
    const answer = await open.get('/user', { token: bearer });
    assert.deepEqual([answer.status, answer.json.error_code], [status, code], code + status);
  };
  await refused(undefined, 401, 'no_authorization');
  await refused(ANON, 403, 'bad_jwt');
  await refused('nonsense', 403, 'bad_jwt');
  await refused(sign(claims, 'some-other-secret-of-32-characters!!'), 403, 'bad_jwt');
  await refused(sign({ ...claims, exp: now - 1 }), 403, 'bad_jwt');
  await refused(sign({ ...claims, nbf: now + 5 }), 403, 'bad_jwt');
  await refused(sign({ ...claims, sub: 'no-uuid' }), 400, 'bad_jwt');
  await refused(sign({ ...claims, sub: '00000000-0000-4000-8000-000000000000', session_id: undefined }), 403, 'user_not_found');
  await refused(sign({ ...claims, session_id: '00000000-0000-4000-8000-000000000000' }), 403, 'session_not_found');
  await refused(sign({ ...claims, session_id: 'no-uuid' }), 403, 'bad_jwt');
  const { exp, ...endless } = claims;
  assert.equal((await open.get('/user', { token: sign(endless) })).status, 200, `a token without exp passes (${exp})`);
}

export async function put_user_changes_metadata_and_password({ open }) {
  const first = await open.account('change@example.com');
  const second = (await open.signIn('change@example.com', 'secret1')).json;
  const token = first.access_token;
  const merged = await open.put('/user', { data: { a: 1, b: { c: 2 }, rate: 4.7 } }, { token });
  assert.equal(sql(`select raw_user_meta_data ->> 'rate' as rate from auth.users where id = '${first.user.id}'`)[0].rate, '4.7');
  assert.equal(merged.status, 200);
  assert.equal(merged.json.user_metadata.a, 1);
  const gone = await open.put('/user', { data: { a: null } }, { token });
  assert.ok(!('a' in gone.json.user_metadata));
  assert.deepEqual(gone.json.user_metadata.b, { c: 2 });
  assert.equal((await open.put('/user', { app_metadata: { role: 'x' } }, { token })).json.error_code, 'not_admin');
  assert.equal((await open.put('/user', { password: 'secret1' }, { token })).json.error_code, 'same_password');
  assert.equal((await open.put('/user', { password: '' }, { token })).json.error_code, 'weak_password');
  const changed = await open.put('/user', { password: 'secret2' }, { token });
  assert.equal(changed.status, 200, changed.text);
  assert.equal((await open.signIn('change@example.com', 'secret1')).status, 400);
  assert.equal((await open.signIn('change@example.com', 'secret2')).status, 200);
  assert.equal((await open.get('/user', { token })).status, 200, 'the own session stays');
  assert.equal((await open.get('/user', { token: second.access_token })).json.error_code, 'session_not_found');
  await open.account('taken@example.com');
  const taken = await open.put('/user', { email: 'taken@example.com' }, { token });
  assert.deepEqual([taken.status, taken.json.error_code], [422, 'email_exists']);
}

export async function triggers_see_the_insert_and_their_errors_are_told({ open }) {
  run(`create table public.profiles (id uuid primary key, email text, name text, role text);
    create function public.on_user() returns trigger language plpgsql security definer as $$ begin
      if new.email like 'forbidden%' then raise exception 'no such people' using hint = 'go away'; end if;
      insert into public.profiles values (new.id, new.email, new.raw_user_meta_data ->> 'full_name', new.role);
      return new; end $$;
    create trigger on_user after insert on auth.users for each row execute function public.on_user();`);
  try {
    const made = await open.post('/signup', { email: 'profile@example.com', password: 'secret1', data: { full_name: 'P' } });
    assert.deepEqual(sql(`select * from public.profiles where id = '${made.json.user.id}'`),
      [{ id: made.json.user.id, email: 'profile@example.com', name: 'P', role: '' }]);
    const old = await open.post('/signup', { email: 'forbidden@example.com', password: 'secret1' });
    assert.equal(old.status, 500);
    assert.deepEqual(old.json, { code: 'P0001', message: 'no such people', hint: 'go away' });
    const fresh = await open.post('/signup', { email: 'forbidden@example.com', password: 'secret1' }, { headers: NEW_API });
    assert.equal(fresh.status, 500);
    assert.deepEqual(fresh.json, { code: 'unexpected_failure', message: 'Database error saving new user' });
    assert.equal(sql(`select from auth.users where email = 'forbidden@example.com'`).length, 0);
  } finally {
    run('drop trigger on_user on auth.users; drop function public.on_user; drop table public.profiles');
  }
}

export async function anonymous_users_get_a_session({ open, mailing }) {
  assert.equal((await mailing.post('/signup', {})).json.error_code, 'anonymous_provider_disabled');
  const { status, json } = await open.post('/signup', { data: { tour: true } });
  assert.equal(status, 200);
  assert.equal(json.user.is_anonymous, true);
  assert.equal(json.user.email, '');
  assert.deepEqual(json.user.identities, []);
  assert.deepEqual(json.user.app_metadata, {});
  assert.deepEqual(json.user.user_metadata, { tour: true });
  assert.equal(claimsOf(json.access_token).is_anonymous, true);
  assert.equal(claimsOf(json.access_token).amr[0].method, 'anonymous');
  const grown = await open.put('/user', { email: 'grown@example.com', password: 'secret1' }, { token: json.access_token });
  assert.equal(grown.status, 200, grown.text);
  assert.equal(grown.json.is_anonymous, false);
  assert.equal((await open.signIn('grown@example.com', 'secret1')).status, 200);
}

export async function what_is_not_enabled_says_so({ open }) {
  const cases = [
    ['GET', '/authorize?provider=github', 400, 'validation_failed'],
    ['POST', '/token?grant_type=id_token', 400, 'provider_disabled'],
    ['POST', '/token?grant_type=web3', 422, 'web3_provider_disabled'],
    ['POST', '/token?grant_type=who', 400, 'invalid_credentials'],
    ['POST', '/sso', 404, 'saml_provider_disabled'],
    ['GET', '/sso/saml/metadata', 404, 'saml_provider_disabled'],
    ['GET', '/oauth/authorize', 404, 'feature_disabled'],
    ['POST', '/passkeys/authentication/options', 404, 'passkey_disabled'],
  ];
  for (const [method, path, status, code] of cases) {
    const answer = await open.request(method, path, method === 'POST' ? { body: {} } : {});
    assert.deepEqual([answer.status, answer.json.error_code], [status, code], path);
  }
  const back = await open.get('/callback');
  assert.equal(back.status, 303);
  assert.match(back.headers.get('location'), /^http:\/\/site\.test\?error=/);
}

export async function a_key_set_signs_and_is_published({ open }) {
  assert.deepEqual((await open.get('/.well-known/jwks.json')).json, { keys: [] });
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwk = { ...privateKey.export({ format: 'jwk' }), kid: 'k1', key_ops: ['sign', 'verify'] };
  const keyed = await Gateway.start({ GOTRUE_JWT_KEYS: JSON.stringify([jwk]), GOTRUE_MAILER_AUTOCONFIRM: 'true' });
  try {
    const { access_token: token } = (await keyed.post('/signup', { email: 'keyed@example.com', password: 'secret1' })).json;
    const [header, payload, signature] = token.split('.');
    assert.deepEqual(JSON.parse(Buffer.from(header, 'base64url')), { alg: 'ES256', kid: 'k1', typ: 'JWT' });
    const published = await keyed.get('/.well-known/jwks.json');
    assert.equal(published.headers.get('cache-control'), 'public, max-age=600');
    const [key] = published.json.keys;
    assert.ok(!('d' in key));
    assert.ok(verify('sha256', Buffer.from(`${header}.${payload}`),
      { key: createPublicKey({ key, format: 'jwk' }), dsaEncoding: 'ieee-p1363' }, Buffer.from(signature, 'base64url')));
    assert.equal((await keyed.get('/user', { token })).status, 200);
    assert.equal((await keyed.get('/admin/users', { token: SERVICE })).status, 200, 'the secret still verifies');
    assert.equal((await open.get('/user', { token })).status, 403, 'a gateway without the key refuses');
  } finally {
    await keyed.stop();
  }
}
