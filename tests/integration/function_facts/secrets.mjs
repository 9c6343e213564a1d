// What makes, stores and shows secrets.
import { deepEqual, equal, ok } from 'node:assert/strict';
import { CANARIES, SERVICE } from './world.mjs';
import { server } from './jobs.mjs';

const decrypted = (db, table, column, id) => db.value(`select public.decrypt_password(t.${column}, s.encryption_key)
  from public.${table} t, public.activity_settings s where t.id = '${id}'`);
const key = (value) => `update public.activity_settings set encryption_key = ${value}`;

// Runs a scene while the master key is another; the first one is put back.
const withKey = (value, scene) => async ({ db }) => {
  await db.run(key(value));
  return { ...scene, undo: `${key('(select encryption_key from facts.keys)')}; ${withoutSecret}` };
};
const withoutSecret = 'update public.activity_settings set executor_shared_secret_encrypted = null';
const withSecret = `update public.activity_settings set executor_shared_secret_encrypted = public.encrypt_password('${CANARIES.shared}', encryption_key)`;

export const scenes = {
  'encrypt-credentials': {
    '200 success': async ({ db, people }) => {
      const id = await server(db);
      return { as: 'operator', body: { type: 'server', server_id: id, username: 'root', password: `\\x41${CANARIES.detail}` },
        writes: { servers: 0, audit_logs: 1 },
        check: async (answer) => {
          equal(answer.json.message, 'Password encrypted and stored successfully');
          equal(await decrypted(db, 'servers', 'idrac_password_encrypted', id), `\\x41${CANARIES.detail}`);
          equal(await db.value(`select idrac_username from public.servers where id = '${id}'`), 'root');
          deepEqual(await db.row("select user_id, details from public.audit_logs where action = 'credentials_encrypted' order by timestamp desc limit 1"),
            { user_id: people.operator.id, details: { type: 'server', target_id: id } });
        } };
    },
    '200 type return_only, or ssh_key without ssh_key_id': {
      as: 'operator', body: { type: 'return_only', password: CANARIES.detail }, writes: { audit_logs: 1 },
      check: (answer) => ok(answer.json.encrypted.startsWith('enc:v1:')),
    },
    '400 too long': { as: 'operator', body: { type: 'server', password: 'x'.repeat(256) } },
    '500 no key': withKey('null', { as: 'operator', body: { type: 'return_only', password: 'x' } }),
    '500 cipher failed': withKey("'no base64 at all!'", { as: 'operator', body: { type: 'return_only', password: 'x' } }),
    '500 activity row missing': { as: 'operator', body: { type: 'activity_settings', password: 'x' }, breaks: ['activity_settings:skip'] },
    '500 update failed': async ({ db }) => ({ as: 'operator', body: { type: 'server', server_id: await server(db), password: 'x' }, breaks: ['audit_logs:insert'] }),
  },
  'get-service-key': {
    '200 success': { as: 'admin', writes: { audit_logs: 1 }, shows: [SERVICE],
      check: (answer) => { equal(answer.json.service_role_key, SERVICE); equal(answer.headers.get('cache-control'), 'no-store'); } },
    '500 other': { as: 'admin', breaks: ['audit_logs:insert'] },
  },
  'set-executor-secret': {
    '200 success': { as: 'admin', body: { action: 'check' } },
    '200 action=generate': async ({ db }) => ({
      as: 'admin', body: { action: 'generate' }, writes: { activity_settings: 0, audit_logs: 1 }, undo: withoutSecret,
      check: async (answer) => {
        equal(Buffer.from(answer.json.secret, 'base64').length, 32);
        equal(await db.value('select public.decrypt_password(executor_shared_secret_encrypted, encryption_key) from public.activity_settings'), answer.json.secret);
        equal(answer.headers.get('cache-control'), 'no-store');
      },
    }),
    '200 action=reveal': async ({ db }) => {
      await db.run(withSecret);
      return { as: 'admin', body: { action: 'reveal' }, writes: { audit_logs: 1 }, undo: withoutSecret, shows: [CANARIES.shared],
        check: (answer) => equal(answer.json.secret, CANARIES.shared) };
    },
    '401 bad token': { as: 'gone', body: { action: 'check' } },
    '400 generate without encryption key': withKey('null', { as: 'admin', body: { action: 'generate' } }),
    '400 reveal without encryption key': async (world) => {
      await world.db.run(withSecret);
      return withKey('null', { as: 'admin', body: { action: 'reveal' } })(world);
    },
    '404 reveal without secret': async ({ db }) => {
      await db.run(withoutSecret);
      return { as: 'admin', body: { action: 'reveal' } };
    },
    '500 encrypt': withKey("'no base64 at all!'", { as: 'admin', body: { action: 'generate' } }),
    '500 save': { as: 'admin', body: { action: 'generate' }, breaks: ['activity_settings:update'] },
    '500 decrypt': async ({ db }) => {
      await db.run(withSecret);
      return { as: 'admin', body: { action: 'reveal' }, breaks: ['decrypt_password(text, text):execute'], undo: withoutSecret };
    },
  },
  'generate-ssh-keypair': {
    '200 success': { as: 'operator', body: { comment: 'a\r\nb' }, writes: { audit_logs: 1 }, check: (answer) => checkPair(answer, 'ab') },
    '200 returnFingerprint': ({ db }) => ({ as: 'admin', body: { comment: 'k1', returnFingerprint: true }, writes: { audit_logs: 1 },
      check: async (answer) => {
        checkPair(answer, 'k1');
        ok(/^SHA256:[A-Za-z0-9+/]{43}$/.test(answer.json.fingerprint));
        deepEqual(await db.value("select details from public.audit_logs where action = 'ssh_keypair_generated' order by timestamp desc limit 1"),
          { comment: 'k1', fingerprint: answer.json.fingerprint });
      } }),
    // Making a key cannot be made to fail; writing down that one was made can.
    '500 generation failed': { as: 'operator', body: {}, breaks: ['audit_logs:insert'] },
  },
};

function checkPair(answer, comment) {
  ok(answer.json.publicKey.startsWith('ssh-ed25519 AAAAC3NzaC1lZDI1NTE5') && answer.json.publicKey.endsWith(` ${comment}`), answer.json.publicKey);
  ok(answer.json.privateKey.startsWith('-----BEGIN OPENSSH PRIVATE KEY-----\n'));
  equal(answer.json.comment, comment);
  equal(answer.headers.get('cache-control'), 'no-store');
}
