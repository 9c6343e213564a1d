// Administrators: users and links.
import assert from 'node:assert/strict';
import { ANON, NEW_API, SERVICE, claimsOf, run, sql } from './lib.mjs';

const as_service = { token: SERVICE };

export async function only_admin_roles_get_in({ open }) {
  const { access_token: user } = await open.account('plain@example.com');
  for (const [token, status, code] of [[undefined, 401, 'no_authorization'], [ANON, 403, 'not_admin'], [user, 403, 'not_admin'], ['x.y.z', 403, 'bad_jwt']]) {
    const answer = await open.get('/admin/users', { token });
    assert.deepEqual([answer.status, answer.json.error_code], [status, code]);
  }
}

export async function users_are_created_read_changed_and_deleted({ open }) {
  const made = await open.post('/admin/users',
    { email: 'Managed@example.com', email_confirm: true, user_metadata: { full_name: 'M' }, app_metadata: { plan: 'x' } }, as_service);
  assert.equal(made.status, 200, made.text);
  const { id } = made.json;
  assert.deepEqual(made.json.user_metadata, { full_name: 'M', email_verified: true });
  assert.deepEqual(made.json.app_metadata, { plan: 'x', provider: 'email', providers: ['email'] });
  assert.deepEqual(made.json.identities[0].identity_data, { sub: id, email: 'managed@example.com', email_verified: false, phone_verified: false });
  const dup = await open.post('/admin/users', { email: 'managed@example.com' }, { ...as_service, headers: NEW_API });
  assert.equal(dup.status, 422);
  assert.deepEqual(dup.json, { code: 'email_exists', message: 'A user with this email address has already been registered' });
  assert.equal((await open.get(`/admin/users/${id}`, as_service)).json.email, 'managed@example.com');
  const changed = await open.put(`/admin/users/${id}`,
    { email: 'moved@example.com', email_confirm: true, password: 'secret9', user_metadata: { full_name: null, a: 1 }, role: 'authenticated' }, as_service);
  assert.equal(changed.status, 200, changed.text);
  assert.equal(changed.json.email, 'moved@example.com');
  assert.equal(changed.json.identities[0].identity_data.email_verified, true);
  assert.deepEqual(changed.json.user_metadata, { a: 1, email_verified: true });
  assert.equal((await open.signIn('moved@example.com', 'secret9')).status, 200);
  const gone = await open.del(`/admin/users/${id}`, undefined, as_service);
  assert.deepEqual([gone.status, gone.text], [200, '{}']);
  assert.deepEqual([(await open.get(`/admin/users/${id}`, as_service)).json.error_code], ['user_not_found']);
  assert.equal((await open.get('/admin/users/no-uuid', as_service)).status, 404);
}

export async function bad_users_are_refused({ open }) {
  for (const body of [{}, { email: 'a@b.c', password: 'x', password_hash: 'y' }, { email: 'a@b.c', id: 'nope' }, { email: 'nope' },
    { email: 'a@b.c', ban_duration: 'soon' }, { email: 'a@b.c', password: 'x'.repeat(73) }, { email: 'a@b.c', password_hash: 'md5' }]) {
    const answer = await open.post('/admin/users', body, as_service);
    assert.deepEqual([answer.status, answer.json.error_code], [400, 'validation_failed'], JSON.stringify(body));
  }
}

export async function a_changed_password_ends_all_sessions({ open }) {
  const { user, access_token: token } = await open.account('kicked@example.com');
  await open.put(`/admin/users/${user.id}`, { password: 'secret2' }, as_service);
  assert.equal((await open.get('/user', { token })).json.error_code, 'session_not_found');
}

export async function soft_deletion_leaves_no_trace_of_the_person({ open }) {
  const { user, access_token: token } = await open.account('soft@example.com');
  for (let i = 0; i < 2; i++) {
    const answer = await open.del(`/admin/users/${user.id}`, { should_soft_delete: true }, as_service);
    assert.deepEqual([answer.status, answer.text], [200, '{}']);
  }
  const [row] = sql(`select * from auth.users where id = '${user.id}'`);
  assert.match(row.email, /^[A-Za-z0-9_-]{43}$/);
  assert.equal(row.encrypted_password, null);
  assert.ok(row.deleted_at);
  assert.equal((await open.get(`/admin/users/${user.id}`, as_service)).status, 200);
  assert.equal((await open.get('/user', { token })).json.error_code, 'session_not_found');
  assert.ok(!JSON.stringify(sql(`select * from auth.identities where user_id = '${user.id}'`)).includes('soft@'));
  assert.equal((await open.post('/signup', { email: 'soft@example.com', password: 'secret1' })).status, 200);
}

export async function the_list_pages_as_clients_expect({ open }) {
  run(`insert into auth.users (instance_id, id, aud, role, email, created_at, updated_at, confirmation_token, recovery_token, email_change, email_change_token_new)
    select '00000000-0000-0000-0000-000000000000', gen_random_uuid(), 'paged', 'authenticated', 'page' || i || '@example.com', now() + i * interval '1 s', now(), '', '', '', ''
    from generate_series(1, 7) i`);
  const list = (query) => open.get(`/admin/users${query}`, { ...as_service, headers: { 'x-jwt-aud': 'paged' } });
  const first = await list('?page=&per_page=');
  assert.equal(first.json.users.length, 7);
  assert.equal(first.json.aud, 'paged');
  assert.equal(first.json.users[0].email, 'page7@example.com');
  assert.equal(first.headers.get('x-total-count'), '7');
  assert.equal(first.headers.get('link'), '</admin/users?page=1&per_page=50>; rel="last"');
  const second = await list('?page=2&per_page=3');
  assert.deepEqual(second.json.users.map((user) => user.email), ['page4@example.com', 'page3@example.com', 'page2@example.com']);
  assert.equal(second.headers.get('link'), '</admin/users?page=3&per_page=3>; rel="next", </admin/users?page=3&per_page=3>; rel="last"');
  assert.deepEqual((await list('?filter=page6')).json.users.map((user) => user.email), ['page6@example.com']);
  assert.equal((await list('?sort=created_at%20asc')).json.users[0].email, 'page1@example.com');
  assert.equal((await list('?page=x')).status, 400);
  assert.equal((await list('?sort=email')).status, 400);
  assert.match(second.headers.get('access-control-expose-headers'), /x-total-count/);
}

export async function generated_links_sign_in_once({ open }) {
  await open.account('link@example.com');
  const made = await open.post('/admin/generate_link', { type: 'recovery', email: 'link@example.com' }, as_service);
  assert.equal(made.status, 200, made.text);
  const { hashed_token: hash, action_link: link } = made.json;
  assert.equal(made.json.email, 'link@example.com');
  assert.equal(made.json.verification_type, 'recovery');
  assert.equal(new URL(link).searchParams.get('token'), hash);
  assert.ok(link.startsWith(`${open.url}/auth/v1/verify?token=`));
  const session = await open.post('/verify', { type: 'recovery', token_hash: hash });
  assert.equal(session.status, 200, session.text);
  assert.equal((await open.get('/user', { token: session.json.access_token })).status, 200);
  assert.equal((await open.post('/verify', { type: 'recovery', token_hash: hash })).json.error_code, 'otp_expired');
  const fresh = await open.post('/admin/generate_link', { type: 'magiclink', email: 'linknew@example.com' }, as_service);
  assert.equal(fresh.json.verification_type, 'signup');
  const signed = await open.post('/verify', { type: 'signup', token_hash: fresh.json.hashed_token });
  assert.equal(signed.status, 200, signed.text);
  const cases = [[{ type: 'recovery', email: 'nobody@example.com' }, 404, 'user_not_found'], [{ type: 'signup', email: 'link@example.com', password: 'secret1' }, 422, 'email_exists'],
    [{ type: 'what', email: 'link@example.com' }, 400, 'validation_failed'], [{ type: 'signup', email: 'other@example.com' }, 400, 'validation_failed']];
  for (const [body, status, code] of cases) {
    const answer = await open.post('/admin/generate_link', body, as_service);
    assert.deepEqual([answer.status, answer.json.error_code], [status, code], JSON.stringify(body));
  }
}

export async function an_admin_token_with_a_session_needs_it_alive({ open }) {
  const { user } = await open.account('admin-session@example.com');
  await open.put(`/admin/users/${user.id}`, { role: 'service_role' }, as_service);
  const { access_token: token } = (await open.signIn('admin-session@example.com', 'secret1')).json;
  assert.equal((await open.get('/admin/users', { token })).status, 200);
  run(`delete from auth.sessions where id = '${claimsOf(token).session_id}'`);
  assert.equal((await open.get('/admin/users', { token })).json.error_code, 'session_not_found');
}
