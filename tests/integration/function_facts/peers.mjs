// Functions that ask others or take what others tell.
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { API_TOKEN, CANARIES, VCENTER_PASSWORD } from './world.mjs';
import { server } from './jobs.mjs';

const clear = (db, ...tables) => db.run(tables.map((name) => `delete from public.${name}`).join(';'));
const body = (vcenter, more = {}) => ({ host: '127.0.0.1', port: vcenter.port, username: vcenter.user, password: VCENTER_PASSWORD, verify_ssl: false, ...more });
const lastAudit = (db, action) => db.row(`select user_id, details from public.audit_logs where action = '${action}' order by timestamp desc limit 1`);
const commands = (db) => db.rows('select * from public.idrac_commands order by timestamp, created_at');

async function vcenterSettings({ db, vcenter }) {
  await clear(db, 'vcenters', 'vcenter_settings', 'vcenter_hosts', 'idrac_commands');
  await db.insert('vcenter_settings', { host: '127.0.0.1', port: vcenter.port, username: vcenter.user, password: VCENTER_PASSWORD, verify_ssl: false });
}

// Rows of exchanges: who, what, and nothing secret in them.
async function checkCommands(world, secret) {
  const rows = await commands(world.db);
  for (const row of rows) {
    ok(row.full_url.startsWith('https://') && row.endpoint && row.operation_type && row.source && row.response_time_ms >= 0, JSON.stringify(row));
    ok(!JSON.stringify(row).includes(secret), 'a secret in a row');
    equal(row.initiated_by, world.people[world.asking].id);
  }
  ok(rows.some((row) => JSON.stringify([row.request_headers, row.request_body]).includes('[REDACTED]')), 'redacted');
  return rows;
}

async function notifications({ db, mails, hook }, more = {}) {
  await clear(db, 'notification_settings', 'notification_logs');
  await db.insert('notification_settings', { smtp_host: '127.0.0.1', smtp_port: mails.port, smtp_user: 'ops@mail.test', smtp_from_email: 'from@mail.test',
    teams_webhook_url: hook.url, ...more });
  mails.mails.length = 0;
  hook.posts.length = 0;
}

const device = ({ device: simulator }) => ({ address: simulator.addresses[0], username: simulator.username, password: simulator.password });
const preview = (world, more = {}) => {
  const { address, username, password } = device(world);
  return { ip_address: address, username, password, ...more };
};
const refresh = async (world, more = {}) => {
  const { address, username, password } = device(world);
  await clear(world.db, 'servers', 'idrac_commands');
  const id = await server(world.db, { ip_address: address, idrac_username: username, idrac_password_encrypted: password });
  return { server_id: id, ip_address: address, ...more };
};
const nowhere = '127.0.0.1:1';
const garbage = async ({ device: simulator }) => simulator.fault(0, { kind: 'garbage', path: 'Systems/System.Embedded.1$' });
const healed = ({ device: simulator }) => simulator.clearFaults(0);

export const scenes = {
  'openmanage-sync': {
    '200 success': async ({ db, people }) => {
      await clear(db, 'servers', 'vcenter_hosts', 'openmanage_settings', 'idrac_commands');
      await db.insert('openmanage_settings', { host: 'o', username: 'u' });
      const known = await server(db, { service_tag: 'KNOWN', hostname: 'kept' });
      const host = await db.insert('vcenter_hosts', { name: 'h', serial_number: 'NEW1' });
      return { headers: { 'x-api-token': API_TOKEN },
        body: { manual: true, devices: [{ service_tag: 'KNOWN', ip_address: '10.1.1.1', model: 'R650' },
          { service_tag: 'NEW1', ip_address: '10.1.1.2', cpu_count: 2, memory_gb: 512, device_id: '77' }, { service_tag: 'LOST' },
          { service_tag: 'CLASH', ip_address: '10.1.1.2' }] },
        writes: { servers: 1, vcenter_hosts: 0, openmanage_settings: 0, audit_logs: 1, idrac_commands: 1, api_tokens: 0 },
        check: async (answer) => {
          deepEqual(answer.json.summary, { total: 4, new: 1, updated: 1, auto_linked: 1, errors: 2 });
          equal(answer.json.errors.length, 2);
          const row = await db.row(`select hostname, model, ip_address, last_openmanage_sync is not null as is_synced from public.servers where id = '${known}'`);
          deepEqual(row, { hostname: 'kept', model: 'R650', ip_address: '10.1.1.1', is_synced: true });
          const fresh = await db.row("select id, vcenter_host_id, cpu_count, memory_gb, openmanage_device_id from public.servers where service_tag = 'NEW1'");
          deepEqual({ ...fresh, id: 0 }, { id: 0, vcenter_host_id: host, cpu_count: 2, memory_gb: 512, openmanage_device_id: '77' });
          equal(await db.value(`select server_id from public.vcenter_hosts where id = '${host}'`), fresh.id);
          const audit = await lastAudit(db, 'openmanage_sync');
          deepEqual([audit.user_id, audit.details.total_devices, audit.details.errors, audit.details.manual, audit.details.scheduled], [people.operator.id, 4, 2, true, false]);
          const [command] = await commands(db);
          deepEqual([command.operation_type, command.command_type, command.endpoint, command.success], ['openmanage_api', 'EDGE_FUNCTION_SYNC', '/sync', true]);
        } };
    },
    '401 bad JWT': { as: 'gone', body: { devices: [] } },
    '500 other, empty body': { as: 'operator', body: { devices: [{ service_tag: 'X', ip_address: '10.1.1.9' }] }, breaks: ['audit_logs:insert'] },
  },
  'vcenter-sync': {
    '200 success': async ({ db, people }) => {
      await clear(db, 'vcenter_hosts', 'vcenters', 'servers', 'jobs', 'idrac_commands');
      const source = await db.insert('vcenters', { name: 'v', host: 'v', username: 'u' });
      const one = await server(db, { service_tag: 'SERIAL1' });
      const job = await db.insert('jobs', { job_type: 'vcenter_sync', status: 'running', details: { mine: 1 }, target_scope: {} });
      const host = (n, more = {}) => ({ name: `h${n}`, vcenter_id: `host-${n}`, cluster: 'C', serial_number: `SERIAL${n}`, esxi_version: '8', status: 'connected', maintenance_mode: false, ...more });
      return { as: 'operator', body: { job_id: job, vcenter_id: source, hosts: [host(1), host(2), { name: 'no id' }] },
        writes: { vcenter_hosts: 2, servers: 0, jobs: 0, job_tasks: 2, audit_logs: 2, idrac_commands: 1 },
        check: async (answer) => {
          deepEqual(answer.json.summary, { total: 3, new: 2, updated: 0, auto_linked: 1, errors: 1 });
          match(answer.json.errors[0], /^no id: /);
          const rows = await db.rows('select source_vcenter_id, server_id, cluster, status from public.vcenter_hosts order by name');
          deepEqual(rows, [one, null].map((id) => ({ source_vcenter_id: source, server_id: id, cluster: 'C', status: 'connected' })));
          const done = await db.row(`select status, details from public.jobs where id = '${job}'`);
          deepEqual([done.status, done.details.mine, done.details.hosts_synced, done.details.errors], ['failed', 1, 2, 1]);
          const audit = await lastAudit(db, 'vcenter_sync');
          deepEqual([audit.user_id, audit.details.total_hosts, audit.details.linked_servers], [people.operator.id, 3, 1]);
        } };
    },
    '500 other': { as: 'operator', body: { hosts: [{ name: 'h', vcenter_id: 'host-1' }] }, breaks: ['audit_logs:insert'] },
  },
  'test-vcenter-connection': {
    '200 success': async (world) => {
      await vcenterSettings(world);
      return { as: 'admin', writes: { vcenter_settings: 0, idrac_commands: '+' }, check: async (answer) => {
        equal(answer.json.version, '8.0.2.00100');
        await checkCommands(world, VCENTER_PASSWORD);
        equal(await world.vcenter.sessions(), 0, 'open sessions');
      } };
    },
    '200 connection failed': async (world) => ({ as: 'admin', body: body(world.vcenter, { password: 'Wrong' }), writes: { idrac_commands: '+' },
      check: (answer) => deepEqual([answer.json.success, answer.json.error], [false, 'Connection failed: 401 Unauthorized']) }),
  },
  'sync-vcenter-direct': {
    '200 success': async (world) => {
      await vcenterSettings(world);
      return { as: 'admin', writes: { vcenter_settings: 0, vcenter_hosts: 3, server_groups: 2, audit_logs: 1, idrac_commands: '+' }, check: async (answer) => {
        deepEqual(answer.json.summary, { new: 3, updated: 0, auto_linked: 0, errors: 0 });
        deepEqual((await lastAudit(world.db, 'vcenter_direct_sync')).details, { new_hosts: 3, updated_hosts: 0, linked_servers: 0, errors: 0 });
        await checkCommands(world, VCENTER_PASSWORD);
        equal(await world.vcenter.sessions(), 0, 'open sessions');
      } };
    },
    '500 no settings, vCenter failure, other': async ({ db }) => {
      await clear(db, 'vcenters', 'vcenter_settings');
      return { as: 'admin', writes: { audit_logs: 1 }, check: (answer) => equal(answer.json.error, 'vCenter settings not configured') };
    },
  },
  'validate-network-prerequisites': {
    '200 success': async (world) => {
      await vcenterSettings(world);
      return { as: 'admin', writes: { idrac_commands: '+' }, check: (answer) => {
        deepEqual(answer.json.results.overall, { passed: true, criticalFailures: [] });
        equal(answer.json.results.vcenter.reachable, true);
      } };
    },
    '500 other': { as: 'viewer', breaks: ['servers:select'] },
  },
  'network-diagnostics': {
    '200 success': async ({ db }) => {
      await clear(db, 'idrac_commands', 'jobs');
      const row = { command_type: 'GET', endpoint: '/e', full_url: '/', operation_type: 'idrac_api' };
      await db.insert('idrac_commands', { ...row, success: true, response_time_ms: 10 });
      await db.insert('idrac_commands', { ...row, success: false, response_time_ms: 31, error_message: 'no' });
      return { as: 'viewer', check: (answer) => {
        deepEqual([answer.json.successRate, answer.json.avgLatency, answer.json.activeConnections], [50, 21, 0]);
        deepEqual([answer.json.recentErrors[0].endpoint, answer.json.recentErrors[0].error], ['/e', 'no']);
      } };
    },
    '500 other': { as: 'viewer', breaks: ['idrac_commands:select'] },
  },
  'preview-server-info': {
    '200 success': async (world) => {
      await clear(world.db, 'idrac_commands');
      return { as: 'operator', body: preview(world), writes: { idrac_commands: 5 }, check: async (answer) => {
        equal(answer.json.auth_method, 'session_token');
        ok(answer.json.serverInfo.service_tag && answer.json.serverInfo.supported_endpoints.systems);
        const rows = await checkCommands(world, world.device.password);
        deepEqual(rows.map((row) => row.operation_type).sort(), ['idrac_api', 'idrac_api', 'idrac_api', 'session_create', 'session_delete']);
      } };
    },
    '400 credential set': async (world) => ({ as: 'operator', body: { ip_address: nowhere, credential_set_id: randomUUID() } }),
    '500 root call failed': async (world) => ({ as: 'operator', body: preview(world, { ip_address: nowhere }), writes: { idrac_commands: 1 } }),
    '500 system call failed': async (world) => {
      await garbage(world);
      return { as: 'operator', body: preview(world), writes: { idrac_commands: 4 }, after: healed };
    },
  },
  'refresh-server-info': {
    '200 success': async (world) => {
      const asked = await refresh(world);
      return { as: 'operator', body: asked, writes: { servers: 0, idrac_commands: 5, audit_logs: 1 }, check: async (answer) => {
        const stored = await world.db.row(`select * from public.servers where id = '${asked.server_id}'`);
        for (const [name, value] of Object.entries(answer.json.server))
          deepEqual(name === 'last_seen' ? new Date(stored[name]).toISOString() : stored[name], value, name);
        equal(stored.connection_status, 'online');
        const audit = await lastAudit(world.db, 'server_refresh');
        deepEqual([audit.user_id, audit.details.server_id, audit.details.ip_address], [world.people.operator.id, asked.server_id, asked.ip_address]);
        await checkCommands(world, world.device.password);
      } };
    },
    '500 root call failed': async (world) => ({ as: 'operator', body: await refresh(world, { ip_address: nowhere, idrac_username: 'a', idrac_password: 'b' }), writes: { idrac_commands: 1 } }),
    '500 system call failed': async (world) => {
      await garbage(world);
      return { as: 'operator', body: await refresh(world), writes: { idrac_commands: 4 }, after: healed };
    },
    '500 database update': async (world) => ({ as: 'operator', body: await refresh(world), writes: { idrac_commands: 5 }, breaks: ['servers:update'] }),
  },
  'test-virtual-media-share': {
    '200 success': { as: 'operator', body: { host: '127.0.0.1', share_type: 'http', export_path: '/x/' },
      check: (answer) => deepEqual([answer.json.port, answer.json.base_url], [80, 'http://127.0.0.1/x']) },
    '400 no host and no settings': async ({ db }) => {
      await clear(db, 'virtual_media_settings');
      return { as: 'operator', body: {} };
    },
  },
  'send-notification': {
    '200 success': async (world) => {
      await notifications(world, { smtp_password: CANARIES.mail });
      const id = await world.db.insert('jobs', { job_type: 'firmware_update', status: 'failed', target_scope: {}, details: {} });
      return { sign: true, body: { jobId: id, jobType: 'firmware_update', status: 'failed', details: { password: CANARIES.detail, why: 'w' } },
        writes: { notification_logs: 2 }, check: async (answer) => {
          equal(answer.json.results.teams.success, true);
          const rows = await world.db.rows('select notification_type, job_id, status, severity, is_test from public.notification_logs order by notification_type');
          deepEqual(rows.map((row) => [row.notification_type, row.job_id, row.severity, row.is_test]),
            [['email', id, 'critical', false], ['teams', id, 'critical', false]]);
          equal(rows[1].status, 'success');
          equal(world.hook.posts.length, 1);
        } };
    },
    '200 no settings row': async ({ db }) => {
      await clear(db, 'notification_settings');
      return { as: 'service', body: { jobId: 'x', status: 'failed' }, check: (answer) => equal(answer.json.message, 'No notification settings configured') };
    },
    '200 event not enabled': async (world) => {
      await notifications(world);
      return { as: 'service', body: { jobType: 'health_check', status: 'running' }, check: (answer) => equal(answer.json.message, 'Notification disabled for this event') };
    },
    '200 cluster_safety_alert or sla_violation_alert': async (world) => {
      await notifications(world);
      return { as: 'service', writes: { notification_logs: 1 }, body: { notification_type: 'sla_violation_alert', alert_type: 'rpo_breach', summary: 's',
        violations: [{ group_id: 'g', group_name: 'G', severity: 'critical', current_rpo_minutes: 9, target_rpo_minutes: 5 }] },
      check: async () => {
        const row = await world.db.row("select status, severity, delivery_details from public.notification_logs where notification_type = 'sla_violation_alert'");
        deepEqual([row.status, row.severity, row.delivery_details.violations_count], ['success', 'critical', 1]);
        deepEqual([world.mails.mails.length, world.hook.posts.length], [1, 1]);
      } };
    },
  },
};
