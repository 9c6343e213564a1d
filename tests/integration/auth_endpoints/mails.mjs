// What goes out by mail and comes back through /verify.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { NEW_API, SERVICE, claimsOf, run, sql } from './lib.mjs';

const codeIn = (mail) => /code: (\d{6})/.exec(mail.html)[1];
const linkIn = (mail) => /href="([^"]+)"/.exec(mail.html)[1].replaceAll('&amp;', '&');
const follow = (gateway, link) => gateway.get(link.replace(`${gateway.url}/auth/v1`, ''));
const fragmentOf = (answer) => new URLSearchParams(answer.headers.get('location').split('#')[1]);

export async function sign_up_waits_for_the_mailed_link({ mailing, mails }) {
  const made = await mailing.post('/signup', { email: 'mail@example.com', password: 'secret1' });
  assert.equal(made.status, 200, made.text);
  assert.ok(!made.json.access_token);
  assert.ok(made.json.confirmation_sent_at);
  assert.equal(made.json.identities.length, 1);
  assert.equal((await mailing.signIn('mail@example.com', 'secret1')).json.error_code, 'email_not_confirmed');
  const mail = mails.at(-1);
  assert.deepEqual(mail.to, ['mail@example.com']);
  const link = linkIn(mail);
  assert.match(link, /\/auth\/v1\/verify\?token=[0-9a-f]{56}&type=signup&redirect_to=http:\/\/site\.test$/);
  const followed = await follow(mailing, link);
  assert.equal(followed.status, 303);
  assert.match(followed.headers.get('location'), /^http:\/\/site\.test#access_token=/);
  const fragment = fragmentOf(followed);
  assert.deepEqual([...fragment.keys()], ['access_token', 'expires_at', 'expires_in', 'refresh_token', 'sb', 'token_type', 'type']);
  assert.equal(fragment.get('type'), 'signup');
  assert.equal(claimsOf(fragment.get('access_token')).amr[0].method, 'otp');
  const me = await mailing.get('/user', { token: fragment.get('access_token') });
  assert.equal(me.json.identities[0].identity_data.email_verified, true);
  const again = await follow(mailing, link);
  assert.equal(again.status, 303);
  assert.match(again.headers.get('location'), /^http:\/\/site\.test#error=access_denied&error_code=otp_expired&error_description=.*&sb=$/);
}

export async function a_known_address_looks_like_a_new_one({ mailing, open }) {
  await open.account('exists@example.com');
  const fake = await mailing.post('/signup', { email: 'exists@example.com', password: 'secret1', data: { n: 1 } });
  assert.equal(fake.status, 200);
  assert.deepEqual(fake.json.identities, []);
  assert.equal(fake.json.role, '');
  assert.deepEqual(fake.json.user_metadata, { n: 1 });
  assert.equal(sql(`select from auth.users where id = '${fake.json.id}'`).length, 0);
}

export async function a_repeated_sign_up_mails_again_but_not_too_often({ mailing, mails }) {
  await mailing.post('/signup', { email: 'again@example.com', password: 'secret1' });
  const early = await mailing.post('/signup', { email: 'again@example.com', password: 'other12' }, { headers: NEW_API });
  assert.equal(early.status, 429);
  assert.equal(early.json.code, 'over_email_send_rate_limit');
  assert.match(early.json.message, /^For security purposes, you can only request this after \d seconds\.$/);
  run(`update auth.users set confirmation_sent_at = now() - interval '1 hour' where email = 'again@example.com'`);
  const before = mails.length;
  const later = await mailing.post('/signup', { email: 'again@example.com', password: 'other12' });
  assert.equal(later.status, 200);
  assert.equal(mails.length, before + 1);
  const done = await mailing.post('/verify', { type: 'signup', email: 'again@example.com', token: codeIn(mails.at(-1)) });
  assert.equal(done.status, 200, done.text);
  assert.equal((await mailing.signIn('again@example.com', 'secret1')).status, 200, 'the first password stays');
}

export async function without_a_mail_server_the_sign_up_is_rolled_back({ mailing }) {
  run(`delete from auth.users where email = 'nomail@example.com'`);
  const { Gateway } = await import('./lib.mjs');
  const mute = await Gateway.start({});
  try {
    const answer = await mute.post('/signup', { email: 'nomail@example.com', password: 'secret1' });
    assert.equal(answer.status, 500);
    assert.equal(answer.json.msg, 'Error sending confirmation email');
    assert.equal(sql(`select from auth.users where email = 'nomail@example.com'`).length, 0);
  } finally {
    await mute.stop();
  }
  assert.ok(mailing);
}

export async function a_forgotten_password_is_replaced_by_the_link({ mailing, open, mails }) {
  await open.account('forgot@example.com');
  const before = mails.length;
  const nobody = await mailing.post('/recover', { email: 'nobody-here@example.com' });
  assert.deepEqual([nobody.status, nobody.text, mails.length], [200, '{}', before]);
  const sent = await mailing.post('/recover?redirect_to=https://x.app.test/reset', { email: 'Forgot@example.com' });
  assert.deepEqual([sent.status, sent.text], [200, '{}']);
  assert.equal((await mailing.post('/recover', { email: 'forgot@example.com' })).status, 429);
  const followed = await follow(mailing, linkIn(mails.at(-1)));
  assert.match(followed.headers.get('location'), /^https:\/\/x\.app\.test\/reset#access_token=/);
  const fragment = fragmentOf(followed);
  assert.equal(fragment.get('type'), 'recovery');
  const changed = await mailing.put('/user', { password: 'brand-new' }, { token: fragment.get('access_token') });
  assert.equal(changed.status, 200, changed.text);
  assert.equal((await mailing.signIn('forgot@example.com', 'brand-new')).status, 200);
}

export async function redirects_go_only_where_they_may({ mailing, open, mails }) {
  await open.account('redirect@example.com');
  const cases = [
    ['https://x.app.test/a/b?c=d', 'https://x.app.test/a/b?c=d'], ['myapp://callback', 'myapp://callback'],
    ['http://site.test/deep', 'http://site.test/deep'], ['http://127.0.0.1:9999/x', 'http://127.0.0.1:9999/x'],
    ['https://evil.test', 'http://site.test'], ['https://x.app.test.evil.test/', 'http://site.test'],
    ['https://x.y.app.test/', 'http://site.test'], ['http://site.test@evil.test/', 'http://site.test'],
    ['http://site.test:81/', 'http://site.test'], ['http://evil.test\\@site.test/', 'http://site.test'],
    ['http://2130706433/', 'http://site.test'], ['http://10.0.0.1/', 'http://site.test'],
    ['javascript:alert(1)', 'http://site.test'], ['//evil.test', 'http://site.test'],
  ];
  for (const [wanted, given] of cases) {
    run(`update auth.users set recovery_sent_at = null where email = 'redirect@example.com'`);
    await mailing.post(`/recover?redirect_to=${encodeURIComponent(wanted)}`, { email: 'redirect@example.com' });
    const link = linkIn(mails.at(-1));
    assert.equal(decodeURIComponent(link.split('redirect_to=')[1]), given, wanted);
  }
}

export async function codes_expire_and_are_used_once({ mailing, open, mails }) {
  await open.account('code@example.com');
  await mailing.post('/otp', { email: 'code@example.com', create_user: false });
  const token = codeIn(mails.at(-1));
  const wrong = await mailing.post('/verify', { type: 'email', email: 'code@example.com', token: '000000' }, { headers: NEW_API });
  assert.equal(wrong.status, 403);
  assert.deepEqual(wrong.json, { code: 'otp_expired', message: 'Token has expired or is invalid' });
  run(`update auth.users set recovery_sent_at = now() - interval '2 hours' where email = 'code@example.com'`);
  assert.equal((await mailing.post('/verify', { type: 'email', email: 'code@example.com', token })).status, 403);
  run(`update auth.users set recovery_sent_at = now() where email = 'code@example.com'`);
  const good = await mailing.post('/verify', { type: 'email', email: 'Code@example.com', token });
  assert.equal(good.status, 200, good.text);
  assert.ok(good.json.access_token);
  assert.equal((await mailing.post('/verify', { type: 'email', email: 'code@example.com', token })).status, 403);
  assert.equal(sql(`select from auth.one_time_tokens where user_id = '${good.json.user.id}'`).length, 0);
}

export async function verify_refuses_odd_requests({ mailing }) {
  const cases = [
    [{ token: '123456', email: 'a@b.c' }, 400], [{ type: 'signup' }, 400], [{ type: 'signup', token: '1', token_hash: 'x', email: 'a@b.c' }, 400],
    [{ type: 'signup', token_hash: 'x', email: 'a@b.c' }, 400], [{ type: 'signup', token: '1' }, 400],
    [{ type: 'signup', token: '1', email: 'bad' }, 422], [{ type: 'who', token_hash: 'x' }, 400],
    [{ type: 'recovery', token_hash: 'x' }, 403], [{ type: 'sms', token: '1', phone: '491234567' }, 403],
    [{ type: 'sms', token: '1', phone: 'xyz' }, 400],
  ];
  for (const [body, status] of cases) assert.equal((await mailing.post('/verify', body)).status, status, JSON.stringify(body));
  assert.equal((await mailing.get('/verify?type=signup')).status, 400);
  assert.equal((await mailing.get('/verify?token=x')).status, 400);
}

export async function magic_links_create_users_only_when_asked({ mailing, mails }) {
  const no = await mailing.post('/otp', { email: 'magic@example.com', create_user: false });
  assert.deepEqual([no.status, no.json.error_code], [422, 'otp_disabled']);
  const yes = await mailing.post('/otp', { email: 'magic@example.com', data: { from: 'otp' } });
  assert.deepEqual([yes.status, yes.text], [200, '{}']);
  assert.equal(yes.headers.get('set-cookie'), null);
  const done = await mailing.post('/verify', { type: 'email', email: 'magic@example.com', token: codeIn(mails.at(-1)) });
  assert.equal(done.status, 200, done.text);
  assert.equal(done.json.user.user_metadata.from, 'otp');
}

export async function an_autoconfirmed_magic_link_hands_out_no_session({ open }) {
  const answer = await open.post('/otp', { email: 'sneaky@example.com' });
  assert.equal(answer.headers.get('set-cookie'), null);
  assert.ok(!answer.text.includes('access_token'));
}

export async function a_change_of_address_needs_both_ends({ mailing, open, mails }) {
  const { access_token: token, user } = await open.account('old@example.com');
  const asked = await mailing.put('/user', { email: 'new@example.com' }, { token });
  assert.equal(asked.status, 200, asked.text);
  assert.equal(asked.json.email, 'old@example.com');
  assert.equal(asked.json.new_email, 'new@example.com');
  const [toOld, toNew] = mails.slice(-2);
  assert.deepEqual([toOld.to[0], toNew.to[0]], ['old@example.com', 'new@example.com']);
  const half = await follow(mailing, linkIn(toNew));
  assert.match(half.headers.get('location'), /#message=Confirmation\+link\+accepted.*&sb=$/);
  assert.equal(sql(`select email from auth.users where id = '${user.id}'`)[0].email, 'old@example.com');
  assert.match((await follow(mailing, linkIn(toNew))).headers.get('location'), /error_code=otp_expired/);
  const hash = new URL(linkIn(toOld)).searchParams.get('token');
  const full = await mailing.post('/verify', { type: 'email_change', token_hash: hash });
  assert.equal(full.status, 200, full.text);
  assert.equal(full.json.user.email, 'new@example.com');
  assert.equal(full.json.user.identities[0].email, 'new@example.com');
  assert.ok(!full.json.user.new_email);
}

export async function pkce_exchanges_a_code_once({ mailing, open, mails }) {
  await open.account('pkce@example.com');
  const verifier = randomBytes(40).toString('hex');
  const challenge = createHash('sha256').update(verifier).digest('base64url');
  await mailing.post('/recover', { email: 'pkce@example.com', code_challenge: challenge, code_challenge_method: 's256' });
  const link = linkIn(mails.at(-1));
  assert.match(link, /token=pkce_[0-9a-f]{56}/);
  const followed = await follow(mailing, link);
  const code = new URL(followed.headers.get('location')).searchParams.get('code');
  const exchange = (auth_code, code_verifier) => mailing.post('/token?grant_type=pkce', { auth_code, code_verifier });
  assert.equal((await exchange('', '')).status, 400);
  assert.deepEqual([(await exchange('unknown', verifier)).status, (await exchange('unknown', verifier)).json.error_code], [404, 'flow_state_not_found']);
  assert.equal((await exchange(code, `${verifier}x`)).json.error_code, 'bad_code_verifier');
  const done = await exchange(code, verifier);
  assert.equal(done.status, 200, done.text);
  assert.equal(claimsOf(done.json.access_token).amr[0].method, 'recovery');
  assert.equal((await exchange(code, verifier)).status, 404);
  const bad = await mailing.post('/recover', { email: 'pkce@example.com', code_challenge: challenge });
  assert.equal(bad.status, 400);
}

export async function invited_people_set_their_password_later({ mailing, mails }) {
  const made = await mailing.post('/invite', { email: 'guest@example.com', data: { team: 'x' } }, { token: SERVICE });
  assert.equal(made.status, 200, made.text);
  assert.deepEqual(made.json.user_metadata, { team: 'x' });
  const followed = await follow(mailing, linkIn(mails.at(-1)));
  const fragment = fragmentOf(followed);
  assert.equal(fragment.get('type'), 'invite');
  const set = await mailing.put('/user', { password: 'chosen-by-guest' }, { token: fragment.get('access_token') });
  assert.equal(set.status, 200, set.text);
  assert.equal((await mailing.signIn('guest@example.com', 'chosen-by-guest')).status, 200);
  const twice = await mailing.post('/invite', { email: 'guest@example.com' }, { token: SERVICE });
  assert.equal(twice.json.error_code, 'email_exists');
}

export async function resend_is_silent_about_strangers({ mailing, mails }) {
  const before = mails.length;
  const none = await mailing.post('/resend', { type: 'signup', email: 'stranger@example.com' });
  assert.deepEqual([none.status, none.text, mails.length], [200, '{}', before]);
  assert.equal((await mailing.post('/resend', { type: 'what', email: 'a@b.c' })).status, 400);
  await mailing.post('/signup', { email: 'resend@example.com', password: 'secret1' });
  run(`update auth.users set confirmation_sent_at = now() - interval '1 hour' where email = 'resend@example.com'`);
  const sent = mails.length;
  assert.equal((await mailing.post('/resend', { type: 'signup', email: 'resend@example.com' })).status, 200);
  assert.equal(mails.length, sent + 1);
}

export async function guesses_of_codes_run_out({ mailing, open }) {
  const { Gateway } = await import('./lib.mjs');
  const fresh = await Gateway.start({});
  await open.account('guess@example.com');
  await mailing.post('/recover', { email: 'guess@example.com' });
  let limited = false;
  try {
    for (let i = 0; i < 90 && !limited; i++) {
      const answer = await fresh.post('/verify', { type: 'recovery', email: 'guess@example.com', token: String(100000 + i) },
        { headers: { 'x-forwarded-for': `10.0.0.${i}` } });
      limited = answer.status === 429;
      if (limited) assert.equal(answer.json.error_code, 'over_request_rate_limit');
      else assert.equal(answer.status, 403);
    }
  } finally {
    await fresh.stop();
  }
  assert.ok(limited, 'an untrusted X-Forwarded-For must not help');
}
