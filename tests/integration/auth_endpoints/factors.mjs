// Second factors.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { SERVICE, claimsOf, run, sql } from './lib.mjs';

function totp(secret, shift = 0) {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  const bits = [...secret].map((c) => alphabet.indexOf(c).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30000) + shift));
  const mac = createHmac('sha1', key).update(counter).digest();
  return String((mac.readUInt32BE(mac[19] & 15) & 0x7fffffff) % 1000000).padStart(6, '0');
}

export async function an_authenticator_raises_the_session({ open }) {
  const first = await open.account('mfa@example.com');
  const other = (await open.signIn('mfa@example.com', 'secret1')).json;
  const token = first.access_token;
  const enrolled = await open.post('/factors', { friendly_name: 'phone', factor_type: 'totp' }, { token });
  assert.equal(enrolled.status, 200, enrolled.text);
  const { id, totp: { secret, uri, qr_code: picture } } = enrolled.json;
  assert.match(secret, /^[A-Z2-7]{32}$/);
  assert.equal(uri, `otpauth://totp/site.test:mfa@example.com?algorithm=SHA1&digits=6&issuer=site.test&period=30&secret=${secret}`);
  assert.match(picture, /^<svg /);
  assert.equal((await open.post('/factors', { friendly_name: 'phone', factor_type: 'totp' }, { token })).json.error_code, 'mfa_factor_name_conflict');
  const challenge = (await open.post(`/factors/${id}/challenge`, { factorId: id }, { token })).json;
  assert.equal(challenge.type, 'totp');
  const verify = (code, challenge_id = challenge.id) => open.post(`/factors/${id}/verify`, { challenge_id, code }, { token });
  assert.equal((await verify('')).status, 400);
  assert.deepEqual([(await verify('000000')).status, (await verify('000000')).json.error_code], [422, 'mfa_verification_failed']);
  assert.equal((await verify(totp(secret), '00000000-0000-4000-8000-000000000000')).json.error_code, 'mfa_factor_not_found');
  const done = await verify(totp(secret));
  assert.equal(done.status, 200, done.text);
  const claims = claimsOf(done.json.access_token);
  assert.equal(claims.aal, 'aal2');
  assert.deepEqual(claims.amr.map((entry) => entry.method), ['totp', 'password']);
  assert.equal(claims.session_id, claimsOf(token).session_id);
  assert.equal(done.json.user.factors[0].status, 'verified');
  assert.ok(!done.text.includes(secret));
  assert.equal((await verify(totp(secret))).json.error_code, 'mfa_ip_address_mismatch', 'a challenge serves once');
  assert.equal((await open.get('/user', { token: other.access_token })).json.error_code, 'session_not_found');
  const refreshed = await open.refresh(done.json.refresh_token);
  assert.equal(claimsOf(refreshed.json.access_token).aal, 'aal2');
  const weak = (await open.signIn('mfa@example.com', 'secret1')).json;
  assert.equal(claimsOf(weak.access_token).aal, 'aal1');
  const blocked = await open.put('/user', { password: 'another1' }, { token: weak.access_token });
  assert.deepEqual([blocked.status, blocked.json.error_code], [401, 'insufficient_aal']);
  assert.equal((await open.del(`/factors/${id}`, undefined, { token: weak.access_token })).json.error_code, 'insufficient_aal');
  assert.equal((await open.post('/factors', { friendly_name: 'two', factor_type: 'totp' }, { token: weak.access_token })).status, 403);
  const gone = await open.del(`/factors/${id}`, undefined, { token: done.json.access_token });
  assert.deepEqual(gone.json, { id });
  assert.equal(claimsOf((await open.refresh(refreshed.json.refresh_token)).json.access_token).aal, 'aal1');
}

export async function challenges_expire_and_factors_have_owners({ open }) {
  const { access_token: token, user } = await open.account('mfa2@example.com');
  const { access_token: stranger } = await open.account('mfa3@example.com');
  const { id, totp: { secret } } = (await open.post('/factors', { factor_type: 'totp' }, { token })).json;
  const { id: challenge_id } = (await open.post(`/factors/${id}/challenge`, undefined, { token })).json;
  assert.equal((await open.post(`/factors/${id}/challenge`, {}, { token: stranger })).json.error_code, 'mfa_factor_not_found');
  run(`update auth.mfa_challenges set created_at = now() - interval '1 hour' where id = '${challenge_id}'`);
  assert.equal((await open.post(`/factors/${id}/verify`, { challenge_id, code: totp(secret) }, { token })).json.error_code, 'mfa_challenge_expired');
  assert.equal((await open.post('/factors', { factor_type: 'phone', phone: '491' }, { token })).json.error_code, 'mfa_phone_enroll_not_enabled');
  assert.equal((await open.post('/factors', { factor_type: 'x' }, { token })).status, 400);
  const listed = await open.get(`/admin/users/${user.id}/factors`, { token: SERVICE });
  assert.equal(listed.json[0].id, id);
  const renamed = await open.put(`/admin/users/${user.id}/factors/${id}`, { friendly_name: 'new' }, { token: SERVICE });
  assert.equal(renamed.json.friendly_name, 'new');
  assert.equal((await open.del(`/admin/users/${user.id}/factors/${id}`, undefined, { token: SERVICE })).json.id, id);
  assert.equal(sql(`select from auth.mfa_factors where id = '${id}'`).length, 0);
}
