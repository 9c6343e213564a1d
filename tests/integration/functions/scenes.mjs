// Runs the scenes of the files beside this one against three gateways on one database: two ordinary ones, and `strict`,
// which may not call local targets and, without an internal login, leaves the queue of notices to the others.
import { CANARIES, freePort, Gateway, mailServer, makePeople, run, SERVICE, ANON, webhook } from './lib.mjs';
import { startDirectory } from './directory.mjs';
import * as executor from './executor.mjs';
import * as maintenance from './maintenance.mjs';
import * as notifications from './notifications.mjs';
import * as signins from './signins.mjs';

const wanted = process.argv.slice(2);
// The clients' clock for idle connections stands still while psql is awaited: the server must not be the first to close.
const env = {
  BASALT_IDLE_TIMEOUT: '1h',
  BASALT_SCHEDULER: 'false',
  GOTRUE_MAILER_AUTOCONFIRM: 'true', BASALT_EXECUTOR_SHARED_SECRET: CANARIES.shared, SUPABASE_SERVICE_ROLE_KEY: SERVICE,
  SUPABASE_ANON_KEY: ANON, BASALT_CA_FILE: `${process.env.BASALT_TEST_DIR}/peer.crt`, BASALT_LOG_LEVEL: 'debug',
  ASAN_OPTIONS: 'detect_leaks=1',
};
const executorUrl = `http://127.0.0.1:${await freePort()}`;
env.BASALT_EXECUTOR_URL = executorUrl;
const mails = await mailServer();
const hook = await webhook();
const gateway = await Gateway.start({ ...env, BASALT_ALLOW_LOCAL_TARGETS: 'true' });
const second = await Gateway.start({ ...env, BASALT_ALLOW_LOCAL_TARGETS: 'true' });
const directory = await startDirectory();
const world = { gateway, second, mails, hook, directory, executorUrl, people: await makePeople(gateway) };
world.strict = await Gateway.start({ ...env, BASALT_INTERNAL_DB_URI: '' });
const gateways = [gateway, second, world.strict];
const scenes = { ...notifications, ...maintenance, ...signins, ...executor };
let passed = 0, failed = 0;

function count(isGood, what, detail = '') {
  if (isGood) {
    passed++;
    console.log(`ok ${what}`);
  } else {
    failed++;
    console.log(`FAILED ${what}\n${detail}`);
  }
}

for (const [name, scene] of Object.entries(scenes)) {
  if (wanted.length > 0 && !wanted.some((part) => name.includes(part))) continue;
  try {
    run('delete from public.auth_rate_limits');
    await scene(world);
    count(true, name);
  } catch (error) {
    count(false, name, `${error.stack}\n${error.cause?.stack ?? ""}`);
  }
}
for (const one of gateways) {
  const code = await one.stop();
  count(code === 0 && !/AddressSanitizer|runtime error|LeakSanitizer/.test(one.log), 'clean exit of a gateway',
    `${code}\n${one.log.slice(-4000)}`);
}
for (const [name, secret] of Object.entries(CANARIES)) {
  const line = gateways.flatMap((one) => one.log.split('\n')).find((text) => text.includes(secret));
  count(line === undefined, `no secret in the logs: ${name}`, line);
}
await directory.close();
mails.close();
hook.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
