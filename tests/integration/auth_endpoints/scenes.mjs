// Runs the scenes of the files beside this one; each gets an open gateway (autoconfirm) and a mailing one.
import { Gateway, mailServer } from './lib.mjs';
import * as accounts from './accounts.mjs';
import * as sessions from './sessions.mjs';
import * as mails from './mails.mjs';
import * as admin from './admin.mjs';
import * as factors from './factors.mjs';
import * as outages from './outages.mjs';

const wanted = process.argv.slice(2);
const sink = await mailServer();
const open = await Gateway.start({ GOTRUE_MAILER_AUTOCONFIRM: 'true', GOTRUE_EXTERNAL_ANONYMOUS_USERS_ENABLED: 'true' });
const mailing = await Gateway.start({
  GOTRUE_SMTP_HOST: '127.0.0.1', GOTRUE_SMTP_PORT: String(sink.port), GOTRUE_SMTP_ADMIN_EMAIL: 'auth@site.test',
  GOTRUE_URI_ALLOW_LIST: 'https://*.app.test/**,myapp://callback', GOTRUE_SMTP_MAX_FREQUENCY: '2s',
  GOTRUE_RATE_LIMIT_EMAIL_SENT: '1000',
});
let passed = 0, failed = 0;
for (const scene of [accounts, sessions, mails, admin, factors, outages].flatMap((file) => Object.entries(file))) {
  const [name, fn] = scene;
  if (wanted.length > 0 && !wanted.some((part) => name.includes(part))) continue;
  try {
    await fn({ open, mailing, mails: sink.mails });
    passed++;
    console.log(`ok ${name}`);
  } catch (error) {
    failed++;
    console.log(`FAILED ${name}\n${error.stack}`);
  }
}
for (const gateway of [open, mailing]) {
  const code = await gateway.stop();
  if (code !== 0 || /AddressSanitizer|runtime error|LeakSanitizer/.test(gateway.log)) {
    failed++;
    console.log(`FAILED clean exit of the gateway (${code})\n${gateway.log.slice(-4000)}`);
  } else passed++;
}
for (const secret of ['Canary-Pass-77', 'refresh_token":"']) {
  if (open.log.includes(secret) || mailing.log.includes(secret)) {
    failed++;
    console.log(`FAILED a secret stands in the log: ${secret}`);
  } else passed++;
}
sink.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
