// Mail, Teams, log rows, and what is told about jobs.
import { randomUUID } from 'node:crypto';
import { call, CANARIES, check, equal, rowCount, run, sleep, SERVICE, sql, until } from './lib.mjs';

function settings({ mails, hook }, more = {}) {
  const row = {
    smtp_host: '127.0.0.1', smtp_port: mails.port, smtp_user: 'ops@mail.test', smtp_from_email: 'from@mail.test',
    teams_webhook_url: hook.url, ...more,
  };
  run(`delete from public.notification_settings; delete from public.notification_logs;
       delete from basalt.job_notices;
       insert into public.notification_settings (${Object.keys(row)})
       values (${Object.values(row).map((value) => (value === null ? 'null' : `'${value}'`))})`);
  mails.mails.length = 0;
  hook.posts.length = 0;
  hook.answer = 200;
}

const textOf = (mail) => mail.html;
const fail = { jobId: '11111111-2222-3333-4444-555555555555', jobType: 'firmware_update', status: 'failed' };

export async function without_settings_nothing_is_configured({ gateway }) {
  run('delete from public.notification_settings');
  const answer = await call(gateway, 'send-notification', { token: SERVICE, body: fail });
  equal([answer.status, answer.json], [200, { message: 'No notification settings configured' }], 'answer');
}

export async function a_failed_critical_job_reaches_both_channels_and_no_secret_does(world) {
  settings(world, { teams_mention_users: 'Ann, Bob' });
  const answer = await call(world.gateway, 'send-notification', {
    sign: true, body: { details: { error: 'no power', nested: [{ admin_password: CANARIES.detail }] }, ...fail },
  });
  equal(answer.json.results, {
    email: { success: true, message: 'Notification sent' }, teams: { success: true, message: 'Notification sent' },
  }, 'results');
  const [mail] = world.mails.mails;
  const [post] = world.hook.posts;
  equal(mail.to, ['ops@mail.test'], 'recipient');
  check(Buffer.from(mail.subject.match(/=\?UTF-8\?B\?(.*)\?=/)[1], 'base64').toString().endsWith('Job FAILED: firmware_update'),
    `subject: ${mail.subject}`);
  check(textOf(mail).includes('no power') && textOf(mail).includes('[REDACTED]'), 'mail text');
  equal([post.path, post.json['@type'], post.json.importance, post.json.themeColor],
    [`/${CANARIES.hook}`, 'MessageCard', 'high', 'FF0000'], 'card');
  check(post.json.sections[0].text.includes('<at>Ann</at> <at>Bob</at>'), 'mentions');
  check(post.json.sections[0].facts.some((fact) => fact.name === 'Severity' && fact.value === 'CRITICAL'), 'severity');
  check(!JSON.stringify([mail, post.json]).includes(CANARIES.detail), 'a secret of the details was sent');
  equal(sql('select notification_type, status, severity from public.notification_logs order by 1'),
    [{ notification_type: 'email', status: 'success', severity: 'critical' },
      { notification_type: 'teams', status: 'success', severity: 'critical' }], 'log');
  equal(rowCount('public.notification_settings', "teams_webhook_url like 'enc:v1:%'"), 1, 'webhook at rest');
}

export async function what_the_channels_refuse_is_reported_and_logged(world) {
  settings(world, { smtp_port: 1 });
  world.hook.answer = 403;
  const answer = await call(world.gateway, 'send-notification', { token: SERVICE, body: fail });
  equal(answer.status, 200, 'status');
  check(answer.json.results.email.error.includes('cannot be reached'), 'mail error');
  equal(answer.json.results.teams.error, 'Teams webhook failed: 403 the hook says no', 'Teams error');
  equal(rowCount('public.notification_logs', "status = 'failed' and error_message is not null"), 2, 'failed rows');
  check(!answer.text.includes(CANARIES.hook), 'the webhook address is shown');
}

export async function switched_off_events_and_directory_jobs_are_quiet(world) {
  settings(world);
  for (const body of [{ ...fail, status: 'running' }, { ...fail, jobType: 'idm_authenticate' }, { ...fail, status: 'cancelled' }]) {
    const answer = await call(world.gateway, 'send-notification', { token: SERVICE, body });
    equal(answer.json, { message: 'Notification disabled for this event' }, body.status);
  }
  equal([world.mails.mails.length, world.hook.posts.length], [0, 0], 'sent');
}

export async function a_webhook_that_is_not_https_is_refused(world) {
  settings(world, { smtp_host: null, teams_webhook_url: 'http://127.0.0.1:9/x' });
  const answer = await call(world.gateway, 'send-notification', { token: SERVICE, body: fail });
  equal(answer.json.results, { email: null, teams: { error: 'The Teams webhook must be an https:// address' } }, 'results');
}

export async function local_targets_need_the_setting(world) {
  settings(world, { smtp_host: null });
  const answer = await call(world.strict, 'send-notification', { token: SERVICE, body: fail });
  check(answer.json.results.teams.error.includes('address'), answer.text);
  equal(world.hook.posts.length, 0, 'posts');
}

export async function tests_of_the_forms_really_send(world) {
  settings(world);
  const { people: { admin, viewer } } = world;
  const mail = await call(world.gateway, 'send-notification', {
    token: admin.token, body: { type: 'email', test: true, to: 'me@mail.test', subject: 'Hello\r\nBcc: x@y.z', body: 'It works' },
  });
  equal(mail.json.results, { email: { success: true, message: 'Notification sent' }, teams: null }, 'mail test');
  equal(world.mails.mails[0].to, ['me@mail.test'], 'recipient');
  check(world.mails.mails[0].subject.startsWith('Hello  Bcc'), 'a header was injected');
  check(textOf(world.mails.mails[0]).includes('It works'), 'text');
  const teams = await call(world.gateway, 'send-teams-notification', { token: admin.token, body: { test: true } });
  equal([teams.status, world.hook.posts.length], [200, 1], 'Teams test');
  equal(rowCount('public.notification_logs', 'is_test'), 2, 'log rows');
  equal((await call(world.gateway, 'send-teams-notification', { token: viewer.token, body: {} })).status, 403, 'viewer');
  equal((await call(world.gateway, 'send-notification', { token: viewer.token, body: fail })).status, 403, 'viewer');
  world.hook.answer = 500;
  equal((await call(world.gateway, 'send-teams-notification', { token: admin.token, body: {} })).status, 502, 'refused');
}

export async function alerts_of_clusters_and_targets_are_sent(world) {
  settings(world);
  const cluster = await call(world.gateway, 'send-notification', {
    token: SERVICE, body: {
      notification_type: 'cluster_safety_alert', cluster_name: 'C1', safe_to_proceed: false, total_hosts: 3,
      healthy_hosts: 1, warnings: ['one host is down'], severity: 'critical',
    },
  });
  equal(cluster.json, { success: true, message: 'Cluster safety alert sent' }, 'cluster');
  const sla = await call(world.gateway, 'send-notification', {
    sign: true, body: {
      alert_type: 'rpo_breach', notification_type: 'sla_violation_alert',
      violations: [{ current_rpo_minutes: 90, group_name: 'G1', severity: 'warning', target_rpo_minutes: 60 }],
    },
  });
  equal(sla.json, { success: true, message: 'SLA violation alert sent' }, 'SLA');
  equal(sql('select notification_type, status, severity, delivery_details from public.notification_logs order by 1'), [
    { notification_type: 'cluster_safety_alert', status: 'success', severity: 'critical',
      delivery_details: { status: 'unsafe', severity: 'critical', cluster_name: 'C1' } },
    { notification_type: 'sla_violation_alert', status: 'success', severity: 'warning',
      delivery_details: { alert_type: 'rpo_breach', violations_count: 1 } },
  ], 'log');
  check(world.hook.posts[1].json.sections[0].text.includes('90 minutes behind'), 'SLA text');
  run('update public.notification_settings set notify_on_unsafe_cluster = false');
  const muted = await call(world.gateway, 'send-notification', {
    token: SERVICE, body: { notification_type: 'cluster_safety_alert', cluster_name: 'C1', safe_to_proceed: false },
  });
  equal(muted.json.message, 'Notification disabled for this event', 'muted');
}

export async function maintenance_is_announced(world) {
  settings(world);
  for (const type of ['maintenance_reminder', 'maintenance_window_started', 'maintenance_window_failed']) {
    const answer = await call(world.gateway, 'send-notification', {
      token: SERVICE, body: { notification_type: type, maintenance_window: { title: 'Night shift' }, server_count: 2 },
    });
    equal(answer.json.results.teams.success, true, type);
  }
  equal(world.mails.mails.length, 3, 'mails');
  equal(rowCount('public.notification_logs', "notification_type = 'maintenance_reminder'"), 1, 'reminder row');
}

function insertJob(type, details = {}) {
  const id = randomUUID();
  run(`insert into public.jobs (id, job_type, target_scope, details)
       values ('${id}', '${type}', '{}', '${JSON.stringify(details)}')`);
  return id;
}

const cards = (world, status) => world.hook.posts.filter((post) => post.json.title.includes(`Job ${status}`));

export async function each_change_of_a_job_is_told_once_whoever_wrote_it(world) {
  settings(world, { notify_on_job_started: true });
  const byFunction = insertJob('health_check'), byRest = insertJob('health_check'), quiet = insertJob('health_check', { silent: true });
  const internal = insertJob('vcenter_sync', { is_internal: true }), directory = insertJob('idm_sync_users');
  for (const status of ['running', 'running', 'completed']) {
    const answer = await call(world.gateway, 'update-job', { token: SERVICE, body: { job: { id: byFunction, status } } });
    equal(answer.status, 200, answer.text);
  }
  await fetch(`${world.gateway.url}/rest/v1/jobs?id=eq.${byRest}`, {
    method: 'PATCH', headers: { authorization: `Bearer ${SERVICE}`, 'content-type': 'application/json' },
    body: JSON.stringify({ status: 'failed', details: { error: 'broken', password: CANARIES.detail } }),
  });
  run(`update public.jobs set status = 'running' where id in ('${quiet}', '${internal}', '${directory}');
       update public.jobs set status = 'completed' where id in ('${quiet}', '${internal}', '${directory}')`);
  await until('three notices', () => rowCount('basalt.job_notices', 'sent_at is not null') === 3);
  run(`update public.jobs set status = 'pending' where id = '${byRest}';
       update public.jobs set status = 'failed' where id = '${byRest}'`);
  await sleep(1000);
  equal(['RUNNING', 'COMPLETED', 'FAILED'].map((status) => cards(world, status).length), [1, 1, 1], 'cards');
  equal(rowCount('public.notification_logs', "status = 'success' and notification_type = 'teams'"), 3, 'log rows');
  equal(sql(`select job_id from public.notification_logs where severity = 'high' limit 1`)[0].job_id, byRest, 'job of the row');
  check(!JSON.stringify(world.hook.posts).includes(CANARIES.detail), 'a secret was sent');
}

export async function nothing_is_queued_that_nobody_asked_for(world) {
  settings(world, { notify_on_job_complete: false });
  const job = insertJob('health_check');
  run(`update public.jobs set status = 'running' where id = '${job}'; update public.jobs set status = 'completed' where id = '${job}'`);
  equal(rowCount('basalt.job_notices'), 0, 'notices');
}

export async function two_gateways_send_a_burst_once(world) {
  settings(world);
  const ids = Array.from({ length: 30 }, () => insertJob('health_check'));
  run(`update public.jobs set status = 'failed' where id in (${ids.map((id) => `'${id}'`)})`);
  await until('all notices', () => rowCount('basalt.job_notices', 'sent_at is null') === 0);
  await sleep(500);
  equal(cards(world, 'FAILED').length, 30, 'cards');
}

export async function a_notice_that_no_channel_took_is_sent_later(world) {
  settings(world, { smtp_host: null });
  world.hook.answer = 500;
  const job = insertJob('health_check');
  run(`update public.jobs set status = 'failed' where id = '${job}'`);
  await until('a first try', () => rowCount('public.notification_logs', "status = 'failed'") === 1);
  await until('it to be kept for later', () => rowCount('basalt.job_notices', 'sent_at is null and attempts = 1 and due_at > now()') === 1);
  world.hook.answer = 200;
  run('update basalt.job_notices set due_at = now(); notify basalt_notices');
  await until('the second', () => rowCount('basalt.job_notices', 'sent_at is not null and attempts = 2') === 1);
  equal(cards(world, 'FAILED').length, 2, 'posts');
}
