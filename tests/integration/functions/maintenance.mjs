// Maintenance windows: when they run, for which servers, once; what is analysed.
import { randomUUID } from 'node:crypto';
import { call, check, equal, rowCount, run, SERVICE, sql } from './lib.mjs';

const literal = (value) => (value === null ? 'null' : Array.isArray(value) ? `array[${value.map((v) => `'${v}'`)}]::text[]`
  : typeof value === 'object' ? `'${JSON.stringify(value)}'::jsonb` : `'${value}'`);

let fleets = 0;
function fleet() {
  fleets++;
  run(`delete from public.maintenance_windows; delete from public.jobs; delete from public.vcenter_hosts;
       delete from public.server_group_members; delete from public.notification_settings; delete from public.cluster_safety_checks`);
  const servers = Array.from({ length: 4 }, (_, i) => {
    const id = randomUUID();
    run(`insert into public.servers (id, ip_address) values ('${id}', '10.9.${fleets}.${i + 1}')`);
    return id;
  });
  for (const [i, cluster] of ['A', 'A', 'B'].entries())
    run(`insert into public.vcenter_hosts (name, cluster, server_id) values ('h${i}', '${cluster}', '${servers[i]}')`);
  return servers;
}

function addWindow(more = {}) {
  const id = randomUUID();
  const row = {
    id, title: 'Night', maintenance_type: 'firmware_only', planned_start: new Date(Date.now() - 60e3).toISOString(),
    planned_end: new Date(Date.now() + 3600e3).toISOString(), ...more,
  };
  const value = (name) => (name === 'server_ids' ? `${literal(row[name])}::uuid[]` : literal(row[name]));
  run(`insert into public.maintenance_windows (${Object.keys(row)}) values (${Object.keys(row).map(value)})`);
  return id;
}

const execute = (gateway) => call(gateway, 'execute-maintenance-windows', { token: SERVICE, body: {} });
const windowOf = (id) => sql(`select * from public.maintenance_windows where id = '${id}'`)[0];

export async function a_window_runs_one_job_per_cluster_and_one_for_the_other_servers({ gateway }) {
  const servers = fleet();
  run(`insert into public.cluster_safety_checks (cluster_id, total_hosts, healthy_hosts, min_required_hosts, safe_to_proceed)
       values ('A', 2, 2, 1, true)`);
  const id = addWindow({ cluster_ids: ['A', 'B'], server_ids: [servers[3], servers[0]], details: { update_scope: 'bios' } });
  const answer = await execute(gateway);
  equal([answer.status, answer.json.message, answer.json.processed], [200, 'Maintenance windows processed', 1], answer.text);
  equal(answer.json.results.map((one) => [one.window_id, one.status, one.servers]), [[id, 'executed', 2], [id, 'executed', 1], [id, 'executed', 1]], 'results');
  const jobs = sql(`select job_type, details, target_scope from public.jobs order by details ->> 'cluster_name' nulls last`);
  equal(jobs.map((job) => [job.job_type, job.details.cluster_name ?? null, job.details.update_scope, job.target_scope.server_ids.length]),
    [['rolling_cluster_update', 'A', 'bios', 2], ['rolling_cluster_update', 'B', 'bios', 1], ['rolling_cluster_update', null, 'bios', 1]], 'jobs');
  equal(rowCount('public.job_tasks'), 4, 'tasks');
  const window = windowOf(id);
  equal([window.status, window.job_ids.length, window.safety_check_snapshot.clusters[0].cluster_id], ['in_progress', 3, 'A'], 'window');
  equal(rowCount('public.audit_logs', `action = 'maintenance_window_executed' and details ->> 'window_id' = '${id}'`), 3, 'audit');
  equal((await execute(gateway)).json, { message: 'No windows to execute', processed: 0, recurring_instances_created: 0 }, 'again');
  run(`update public.jobs set status = 'running' where id = any ('{${window.job_ids}}');
       update public.jobs set status = 'completed' where id = '${window.job_ids[0]}'`);
  equal(windowOf(id).status, 'in_progress', 'one of three');
  run(`update public.jobs set status = 'completed' where id = any ('{${window.job_ids}}') and status = 'running'`);
  equal(windowOf(id).status, 'completed', 'all');
}

export async function a_full_update_has_its_component_jobs({ gateway }) {
  const servers = fleet();
  const id = addWindow({ maintenance_type: 'full_update', server_ids: [servers[0], servers[1]] });
  const answer = await execute(gateway);
  equal(answer.json.results?.map((one) => one.status), ['executed'], answer.text);
  const [parent] = sql(`select id, job_type, target_scope from public.jobs where parent_job_id is null`);
  const children = sql(`select job_type, status, component_order, details, target_scope from public.jobs
                        where parent_job_id = '${parent.id}' order by component_order`);
  equal(children.map((job) => [job.job_type, job.status, job.component_order, job.details.component]),
    ['iDRAC', 'BIOS', 'CPLD', 'RAID', 'NIC', 'Backplane'].map((name, i) => ['firmware_update', 'pending', i + 1, name]), 'components');
  check(children.every((job) => JSON.stringify(job.target_scope) === JSON.stringify(parent.target_scope)), 'their scope is the parent\'s');
  equal(windowOf(id).job_ids, [parent.id], 'the window waits for the parent');
}

export async function overlapping_runs_execute_a_window_once({ gateway, second }) {
  const servers = fleet();
  addWindow({ server_ids: [servers[0]] });
  const answers = await Promise.all([gateway, second, gateway, second].map(execute));
  equal(answers.map((one) => one.json.processed).sort(), [0, 0, 0, 1], 'processed');
  equal(rowCount('public.jobs'), 1, 'jobs');
}

export async function what_is_not_approved_or_not_due_waits({ gateway, people }) {
  const servers = fleet();
  const unapproved = addWindow({ server_ids: [servers[0]], requires_approval: true });
  addWindow({ server_ids: [servers[0]], planned_start: new Date(Date.now() + 60e3).toISOString() });
  addWindow({ server_ids: [servers[0]], auto_execute: false });
  equal((await execute(gateway)).json.processed, 0, 'processed');
  run(`update public.maintenance_windows set approved_by = '${people.admin.id}', approved_at = now() where id = '${unapproved}'`);
  equal((await execute(gateway)).json.results.map((one) => one.window_id), [unapproved], 'approved');
}

export async function windows_without_servers_or_of_unknown_types_fail({ gateway }) {
  const servers = fleet();
  const empty = addWindow({ cluster_ids: ['nowhere'] }), odd = addWindow({ server_ids: [servers[0]], maintenance_type: 'custom' });
  const { json } = await execute(gateway);
  equal(json.results.find((one) => one.window_id === empty), { window_id: empty, status: 'failed', reason: 'no_servers' }, 'empty');
  check(json.results.find((one) => one.window_id === odd).error.startsWith('Unsupported maintenance type: custom. Supported types: firmware_update'), 'odd');
  equal([windowOf(empty).status, windowOf(odd).status, rowCount('public.jobs')], ['failed', 'failed', 0], 'states');
}

export async function recurring_windows_run_the_latest_of_what_was_missed({ gateway }) {
  const servers = fleet();
  const weekAgo = new Date(Date.now() - 7 * 86400e3).toISOString();
  const template = addWindow({
    server_ids: [servers[0]], recurrence_enabled: true, recurrence_pattern: '*/10 * * * *', last_executed_at: weekAgo,
    planned_start: weekAgo, planned_end: new Date(Date.parse(weekAgo) + 3600e3).toISOString(),
  });
  const first = await execute(gateway);
  equal([first.json.recurring_instances_created, first.json.processed], [1, 1], first.text);
  const instance = sql("select * from public.maintenance_windows where title = 'Night (Auto-scheduled)'");
  equal([instance.length, instance[0].status, instance[0].server_ids, instance[0].details.created_from_recurring_template],
    [1, 'in_progress', [servers[0]], template], 'instance');
  check(Date.now() - Date.parse(instance[0].planned_start) < 600e3, 'the latest run');
  equal(Date.parse(windowOf(template).last_executed_at), Date.parse(instance[0].planned_start), 'template');
}

export async function a_recurring_run_that_is_over_is_skipped_and_approval_is_the_templates({ gateway }) {
  const servers = fleet();
  const day = (n) => new Date(Date.now() - n * 86400e3).toISOString();
  const config = { enabled: true, interval: 1, unit: 'weeks' };
  const late = addWindow({ server_ids: [servers[0]], recurrence_enabled: true, details: { recurrence_config: config },
    last_executed_at: day(10), planned_start: day(10), planned_end: new Date(Date.parse(day(10)) + 3600e3).toISOString() });
  addWindow({ server_ids: [servers[1]], recurrence_enabled: true, recurrence_pattern: '* * * * *', requires_approval: true,
    last_executed_at: day(1), planned_start: day(2), planned_end: day(1) });
  const { json } = await execute(gateway);
  equal([json.recurring_instances_created, json.processed], [1, 0], JSON.stringify(json));
  equal(windowOf(late).skip_count, 1, 'skipped');
}

export async function only_the_scheduler_and_operators_execute({ gateway, people }) {
  fleet();
  equal((await call(gateway, 'execute-maintenance-windows', { body: {} })).status, 401, 'nobody');
  equal((await call(gateway, 'execute-maintenance-windows', { token: people.viewer.token, body: {} })).status, 403, 'viewer');
  equal((await call(gateway, 'execute-maintenance-windows', { token: people.operator.token, body: {} })).status, 200, 'operator');
}

export async function windows_are_found_where_all_clusters_were_safe({ gateway, people: { viewer, operator } }) {
  fleet();
  const checkAt = (cluster, day, safe, hour = 10) => run(`insert into public.cluster_safety_checks
    (cluster_id, check_timestamp, total_hosts, healthy_hosts, min_required_hosts, safe_to_proceed)
    values ('${cluster}', '2030-01-${day} ${hour}:00Z', 4, ${safe ? 4 : 1}, 2, ${safe})`);
  for (const [day, a, b] of [['01', true, true], ['02', true, true], ['03', true, false], ['05', true, true], ['07', true, true]]) {
    checkAt('A', day, a);
    checkAt('B', day, b);
  }
  checkAt('A', '01', false, 8); // an older check of a day that ended well
  const body = { start_date: '2030-01-01T00:00:00Z', end_date: '2030-01-31T00:00:00Z' };
  const { status, json } = await call(gateway, 'analyze-maintenance-windows', { token: viewer.token, body });
  equal(status, 200, JSON.stringify(json));
  equal(json.optimal_windows.map((one) => [one.start, one.end, one.duration_hours, one.confidence, one.avg_healthy_hosts]), [
    ['2030-01-05T00:00:00.000Z', '2030-01-08T00:00:00.000Z', 72, 'high', 4],
    ['2030-01-01T00:00:00.000Z', '2030-01-03T00:00:00.000Z', 48, 'high', 4],
  ], 'windows');
  equal(json.optimal_windows[0].affected_clusters.sort(), ['A', 'B'], 'clusters');
  equal([json.cluster_statistics.B.avg_uptime_pct, json.cluster_statistics.A.total_checks], [80, 6], 'statistics');
  equal(json.cluster_statistics.B.best_days, ['Tuesday', 'Wednesday', 'Saturday'], 'best days');
  equal(json.recommendations, ['Limited maintenance windows available. Monitor cluster health closely.',
    'Clusters show good stability with extended safe periods.'], 'recommendations');
  const one = await call(gateway, 'analyze-maintenance-windows', { token: viewer.token, body: { ...body, clusters: ['A'], min_window_duration_hours: 100 } });
  equal(one.json.optimal_windows.length, 1, 'one cluster');
  const checks = { action: 'run_scheduled_checks' };
  equal((await call(gateway, 'analyze-maintenance-windows', { token: viewer.token, body: checks })).status, 403, 'viewer');
  run('update public.scheduled_safety_checks set enabled = true');
  equal((await call(gateway, 'analyze-maintenance-windows', { token: operator.token, body: checks })).status, 200, 'operator');
  equal(rowCount('public.jobs', "job_type = 'cluster_safety_check'"), 2, 'jobs');
}
