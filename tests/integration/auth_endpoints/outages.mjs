// The database goes away: answers that let clients keep their session, and recovery.
import assert from 'node:assert/strict';
import { Gateway, NEW_API, run, until } from './lib.mjs';

export async function a_lost_connection_costs_at_most_one_503({ open }) {
  const { access_token: token, refresh_token: refresh } = await open.account('outage@example.com');
  for (let round = 0; round < 5; round++) {
    run(`select pg_terminate_backend(pid) from pg_stat_activity where usename = 'basalt_internal'`);
    const statuses = [];
    for (let i = 0; i < 12; i++) statuses.push((await open.get('/user', { token })).status);
    for (const status of statuses) assert.ok(status === 200 || status === 503, `${statuses}`);
    assert.equal(statuses.at(-1), 200, `${statuses}`);
  }
  assert.equal((await open.refresh(refresh)).status, 200);
}

export async function without_a_database_everything_is_503({ open }) {
  const { access_token: token, refresh_token: refresh } = await open.account('away@example.com');
  const url = new URL(process.env.DATABASE_URL);
  url.username = 'basalt_internal';
  url.password = 'internal';
  url.port = '1';
  const away = await Gateway.start({ BASALT_INTERNAL_DB_URI: url.toString() });
  try {
    for (const headers of [{}, NEW_API]) {
      const answers = [await away.get('/user', { token, headers }), await away.refresh(refresh, { headers }),
        await away.signIn('away@example.com', 'secret1', { headers }),
        await away.post('/signup', { email: 'x@example.com', password: 'secret1' }, { headers }),
        await away.post('/logout', undefined, { token, headers })];
      for (const answer of answers) {
        assert.equal(answer.status, 503, answer.text);
        assert.equal(headers === NEW_API ? answer.json.code : answer.json.error_code, 'unexpected_failure');
        assert.ok(answer.headers.get('retry-after'));
      }
    }
    assert.equal((await away.get('/health')).status, 200);
  } finally {
    await away.stop();
  }
  assert.equal((await open.refresh(refresh)).status, 200, 'the session has survived');
}

export async function a_mail_server_that_hangs_holds_up_nobody_else({ open }) {
  const { default: net } = await import('node:net');
  const { access_token: token } = await open.account('hang@example.com');
  for (let i = 0; i < 12; i++) await open.account(`hang${i}@example.com`);
  const sockets = [];
  const hanging = net.createServer((socket) => sockets.push(socket));
  await new Promise((resolve) => hanging.listen(0, '127.0.0.1', resolve));
  const stuck = await Gateway.start({ GOTRUE_SMTP_HOST: '127.0.0.1', GOTRUE_SMTP_PORT: String(hanging.address().port),
    GOTRUE_SMTP_ADMIN_EMAIL: 'a@b.c' });
  try {
    let answered = 0;
    const mails = Array.from({ length: 12 }, (_, i) => stuck.post('/recover', { email: `hang${i}@example.com` })
      .finally(() => { answered++; }));
    await until('a mail under way', () => sockets.length > 0);
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.equal((await stuck.get('/user', { token })).status, 200);
    assert.equal((await stuck.signIn('hang@example.com', 'secret1')).status, 200);
    assert.equal(answered, 0, 'sign-in waited for the mail server');
    const answer = await Promise.race(mails);
    assert.deepEqual([answer.status, answer.json.msg], [500, 'Error sending recovery email']);
    for (const socket of sockets) socket.destroy();
    hanging.close();
    await Promise.all(mails);
  } finally {
    await stuck.stop();
  }
}
