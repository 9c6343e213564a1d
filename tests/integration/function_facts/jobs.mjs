// Jobs: made, changed, cancelled, cleaned away, made by windows and by vCenters that are due.
import { randomUUID } from 'node:crypto';
import { deepEqual, equal, ok } from 'node:assert/strict';
import { CANARIES } from './world.mjs';

const NOWHERE = '00000000-0000-0000-0000-000000000000';
const OLD = '2001-01-01T00:00:00Z';

export const job = (db, more = {}) => db.insert('jobs', { job_type: 'health_check', status: 'pending', target_scope: {}, details: {}, ...more });
let addresses = 0;
export const server = (db, more = {}) => db.insert('servers', { ip_address: `10.77.0.${++addresses}`, ...more });
const noJobs = (db) => db.run('delete from public.maintenance_windows; delete from public.jobs');
const settings = (db, text) => db.run(`update public.activity_settings set ${text}`);

export const scenes = {
  'create-job': {
    '201 success': async ({ db, people }) => {
      const [one, set] = [await server(db), await db.insert('credential_sets', { name: randomUUID(), username: 'u' })];
      return {
        as: 'operator',
        body: {
          job_type: 'power_action', target_scope: { type: 'specific', server_ids: [one] }, details: { action: 'on' },
          schedule_at: '2031-01-02T03:04:05Z', credential_set_ids: [set], created_by: NOWHERE,
        },
        writes: { jobs: 1, job_tasks: 1, audit_logs: 1 },
        check: async (answer) => {
          const { id } = answer.json.job;
          const row = await db.row(`select * from public.jobs where id = '${id}'`);
          deepEqual(answer.json.job, row);
          deepEqual([row.status, row.created_by, row.details, row.credential_set_ids, row.schedule_at],
            ['pending', people.operator.id, { action: 'on' }, [set], '2031-01-02T03:04:05+00:00']);
          deepEqual(await db.rows(`select server_id, status from public.job_tasks where job_id = '${id}'`), [{ server_id: one, status: 'pending' }]);
          deepEqual(await db.row(`select user_id, action, details from public.audit_logs where details ->> 'job_id' = '${id}'`), {
            user_id: people.operator.id, action: 'job_created',
            details: { job_id: id, job_type: 'power_action', target_scope: { type: 'specific', server_ids: [one] } },
          });
        },
      };
    },
    '400 details over 10000 characters': {
      as: 'operator', body: { job_type: 'vcenter_sync', target_scope: {}, details: { a: 'x'.repeat(9993) } },
    },
    '500 database error or invalid body': { as: 'operator', body: { job_type: 'vcenter_sync', target_scope: {} }, breaks: ['audit_logs:insert'] },
  },
  'update-job': {
    '200 success': async ({ db }) => {
      const parent = await job(db, { status: 'running', details: { kept: false } });
      const child = await job(db, { parent_job_id: parent, details: { mine: 1 } });
      const task = await db.insert('job_tasks', { job_id: parent, status: 'running' });
      const waiting = await db.insert('job_tasks', { job_id: parent, status: 'pending' });
      const step = await db.insert('workflow_executions', { job_id: parent, workflow_type: 'w', step_number: 1, step_name: 's', step_status: 'running' });
      return {
        sign: true,
        body: { job: { job_id: parent, status: 'failed', completed_at: '2030-01-01T00:00:00Z', details: { why: '✓ 1.0' } }, task: { task_id: task, status: 'failed', progress: 0, log: 'l' } },
        writes: { jobs: 0, job_tasks: 0, workflow_executions: 0 },
        check: async () => {
          const read = (id) => db.row(`select status, details, completed_at from public.jobs where id = '${id}'`);
          deepEqual(await read(parent), { status: 'failed', details: { why: '✓ 1.0' }, completed_at: '2030-01-01T00:00:00+00:00' });
          const taken = await read(child);
          deepEqual([taken.status, taken.details], ['cancelled', { mine: 1, cancellation_reason: 'Auto-cancelled: parent job failed' }]);
          deepEqual(await db.row(`select status, progress, log from public.job_tasks where id = '${task}'`), { status: 'failed', progress: 0, log: 'l' });
          deepEqual(await db.row(`select status, log from public.job_tasks where id = '${waiting}'`), { status: 'cancelled', log: 'Cancelled - parent job failed' });
          deepEqual(await db.row(`select step_status, step_error from public.workflow_executions where id = '${step}'`),
            { step_status: 'failed', step_error: 'Auto-failed: parent job failed' });
        },
      };
    },
    '200 ping': async ({ db, bare }) => {
      await db.run(`update public.activity_settings set executor_shared_secret_encrypted = public.encrypt_password('${CANARIES.shared}', encryption_key)`);
      return { sign: true, body: { action: 'ping' }, gateway: bare, undo: 'update public.activity_settings set executor_shared_secret_encrypted = null',
        check: (answer) => deepEqual([answer.json.auth_method, answer.json.secret_configured_in_edge, answer.json.secret_prefix], ['hmac', true, null]) };
    },
    '200 terminal job and details only': async ({ db }) => ({
      as: 'operator', body: { job: { id: await job(db, { status: 'completed' }), details: { late: true } } },
      check: (answer) => equal(answer.json.current_status, 'completed'),
    }),
    '409 terminal job to non-terminal status': async ({ db }) => ({
      sign: true, body: { job: { job_id: await job(db, { status: 'cancelled' }), status: 'running' } },
      check: (answer) => equal(answer.json.error, 'Job is already cancelled - cannot change to running'),
    }),
  },
  'cancel-stale-jobs': {
    '200 success': async ({ db }) => {
      await noJobs(db);
      const waiting = await job(db, { created_at: OLD, details: { mine: 1 } });
      const running = await job(db, { status: 'running', created_at: OLD, started_at: OLD });
      const task = await db.insert('job_tasks', { job_id: running, status: 'running' });
      await job(db, { created_at: OLD, schedule_at: '2040-01-01T00:00:00Z' });
      return {
        as: 'service', writes: { jobs: 0, job_tasks: 0, audit_logs: 1 },
        check: async (answer) => {
          deepEqual(answer.json.cancelled_jobs.map((one) => [one.id, one.status, one.reason]).sort(), [
            [waiting, 'pending', 'Auto-cancelled: stuck in pending state for >24 hours'],
            [running, 'running', 'Auto-cancelled: stuck in running state for >48 hours']].sort());
          const { details } = await db.row(`select details from public.jobs where id = '${waiting}'`);
          deepEqual([details.mine, details.cancelled_by], [1, 'system']);
          equal(await db.value(`select status from public.job_tasks where id = '${task}'`), 'cancelled');
          match(answer.json.executed_at);
        },
      };
    },
    '200 disabled': async ({ db }) => {
      await settings(db, 'auto_cancel_stale_jobs = false');
      return { sign: true, body: {}, undo: 'update public.activity_settings set auto_cancel_stale_jobs = true',
        check: (answer) => deepEqual([answer.json.message, answer.json.cancelled_jobs, answer.json.total_cancelled], ['Auto-cancel stale jobs is disabled', [], 0]) };
    },
    '500 database error': async ({ db }) => {
      await job(db, { created_at: OLD });
      return { as: 'service', breaks: ['audit_logs:insert'] };
    },
  },
  'cleanup-activity-logs': {
    '200 success': async ({ db }) => {
      const row = { command_type: 'GET', endpoint: '/', full_url: '/', operation_type: 'idrac_api' };
      await db.insert('idrac_commands', { ...row, timestamp: OLD });
      await db.insert('idrac_commands', row);
      return { as: 'admin', body: { retentionDays: 30 }, writes: { idrac_commands: -1, activity_settings: 0, audit_logs: 1 },
        check: (answer) => { deepEqual([answer.json.deleted, answer.json.retentionDays, answer.json.preview], [1, 30, false]); match(answer.json.cutoffDate); } };
    },
    '200 auto cleanup disabled and no override': async ({ db }) => {
      await settings(db, 'auto_cleanup_enabled = false');
      return { as: 'service', undo: 'update public.activity_settings set auto_cleanup_enabled = true',
        check: (answer) => deepEqual(answer.json, { success: true, message: 'Auto-cleanup is disabled', deleted: 0, preview: false }) };
    },
    '500 database error': { as: 'admin', body: { retentionDays: 30 }, breaks: ['idrac_commands:delete'] },
  },
  'cleanup-old-jobs': {
    '200 success': async ({ db }) => {
      await noJobs(db);
      const old = await job(db, { status: 'completed', created_at: OLD });
      await db.insert('job_tasks', { job_id: old, status: 'completed' });
      await db.insert('cluster_safety_checks', { job_id: old, cluster_id: 'c', total_hosts: 1, healthy_hosts: 1, min_required_hosts: 1, safe_to_proceed: true });
      const stale = await job(db, { created_at: new Date(Date.now() - 2 * 864e5).toISOString() });
      await job(db, { status: 'completed' });
      return { as: 'admin', body: { retentionDays: 30 },
        writes: { jobs: -1, job_tasks: -1, cluster_safety_checks: -1, activity_settings: 0, audit_logs: 1 },
        check: async (answer) => {
          deepEqual([answer.json.deleted, answer.json.cancelled], [{ jobs: 1, tasks: 1 }, { pending: 1, running: 0, orphaned: 0 }]);
          deepEqual(await db.row(`select status, notes from public.jobs where id = '${stale}'`),
            { status: 'cancelled', notes: 'Auto-cancelled: exceeded stale pending threshold' });
        } };
    },
    '200 preview=true': async ({ db }) => {
      await noJobs(db);
      await job(db, { status: 'completed', created_at: OLD });
      await job(db, { status: 'failed', job_type: 'vcenter_sync', created_at: OLD });
      return { as: 'admin', body: { preview: true, retentionDays: 3650 }, check: (answer) => deepEqual(answer.json.counts, {
        total: 2, background: 1, user: 1, tasks: 0, byType: [{ jobType: 'health_check', count: 1 }, { jobType: 'vcenter_sync', count: 1 }],
        stale: { pending: 0, running: 0 } }) };
    },
    '200 auto cleanup disabled and no override': async ({ db }) => {
      await settings(db, 'job_auto_cleanup_enabled = false');
      return { as: 'service', undo: 'update public.activity_settings set job_auto_cleanup_enabled = true' };
    },
    '500 database error': { as: 'admin', body: { retentionDays: 30 }, breaks: ['jobs:delete'] },
  },
  'execute-maintenance-windows': {
    '200 success': async ({ db, people }) => {
      await noJobs(db);
      const one = await server(db);
      await db.insert('vcenter_hosts', { name: 'w', cluster: 'WindowCluster', server_id: one });
      const id = await window(db, { cluster_ids: ['WindowCluster'], created_by: people.admin.id });
      return { as: 'service', body: {}, writes: { jobs: 1, job_tasks: 1, maintenance_windows: 0, audit_logs: 1 },
        check: async (answer) => {
          const [result] = answer.json.results;
          deepEqual([result.window_id, result.status, result.servers], [id, 'executed', 1]);
          const row = await db.row(`select status, job_ids, started_at is not null as is_started from public.maintenance_windows where id = '${id}'`);
          deepEqual(row, { status: 'in_progress', job_ids: [result.job_id], is_started: true });
          const made = await db.row(`select job_type, created_by, target_scope, details from public.jobs where id = '${result.job_id}'`);
          deepEqual([made.job_type, made.created_by, made.target_scope, made.details.cluster_name],
            ['rolling_cluster_update', people.admin.id, { type: 'specific', server_ids: [one] }, 'WindowCluster']);
        } };
    },
    '200 nothing to run': async ({ db }) => {
      await db.run('delete from public.maintenance_windows');
      await window(db, { cluster_ids: ['WindowCluster'], requires_approval: true });
      return { sign: true, body: {}, check: (answer) => equal(answer.json.processed, 0) };
    },
    '500 query failure': { as: 'service', breaks: ['maintenance_windows:select'] },
  },
  'analyze-maintenance-windows': {
    '200 success': async ({ db }) => {
      for (const [cluster, day, isSafe] of [['A', '2030-05-01', true], ['B', '2030-05-01', true], ['A', '2030-05-02', true], ['B', '2030-05-02', false]])
        await db.insert('cluster_safety_checks', { cluster_id: cluster, check_timestamp: `${day}T10:00:00Z`, total_hosts: 4, healthy_hosts: 4, min_required_hosts: 1, safe_to_proceed: isSafe });
      return { as: 'viewer', body: { start_date: '2030-05-01T00:00:00Z', end_date: '2030-05-03T00:00:00Z' },
        check: (answer) => {
          deepEqual(answer.json.optimal_windows, [{ start: '2030-05-01T00:00:00.000Z', end: '2030-05-02T00:00:00.000Z', duration_hours: 24,
            confidence: 'medium', all_clusters_safe: true, affected_clusters: ['A', 'B'], avg_healthy_hosts: 4, avg_total_hosts: 4 }]);
          equal(answer.json.cluster_statistics.B.avg_uptime_pct, 50);
        } };
    },
  },
  'trigger-vcenter-syncs': {
    '200 success': async ({ db }) => {
      await db.run('delete from public.vcenters');
      const add = (name) => db.insert('vcenters', { name, host: name, username: 'u', sync_enabled: true });
      const [due, busy] = [await add('due'), await add('busy')];
      await db.run("update public.vcenters set next_sync_at = now() - interval '1 minute'");
      await job(db, { job_type: 'vcenter_sync', status: 'running', details: { vcenter_id: busy } });
      return { as: 'service', writes: { jobs: 1, vcenters: 0 },
        check: async (answer) => {
          deepEqual(answer.json, { triggered: 1, skipped: 1, skippedNames: ['busy'], message: 'Triggered 1 sync(s), skipped 1 (already running)' });
          deepEqual(await db.row(`select status, created_by, target_scope, details from public.jobs where details ->> 'vcenter_id' = '${due}'`),
            { status: 'pending', created_by: null, target_scope: { vcenter_ids: [due] }, details: { vcenter_id: due, vcenter_name: 'due', triggered_by: 'scheduled', silent: true } });
          ok(await db.value(`select next_sync_at > now() + interval '14 minutes' from public.vcenters where id = '${due}'`));
        } };
    },
    '200 none due': async ({ db }) => {
      await db.run('delete from public.vcenters');
      return { sign: true, body: {}, check: (answer) => deepEqual(answer.json, { triggered: 0, message: 'No vCenters due for sync' }) };
    },
    '500 query failure': { as: 'service', breaks: ['vcenters:select'] },
  },
};

const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
function match(text) { ok(ISO.test(text), text); }

function window(db, more) {
  const at = (seconds) => new Date(Date.now() + seconds * 1000).toISOString();
  return db.insert('maintenance_windows', { title: 'Night', maintenance_type: 'firmware_only', planned_start: at(-60), planned_end: at(3600), ...more });
}
