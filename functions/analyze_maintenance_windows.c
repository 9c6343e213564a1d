#include "functions/fn.h"

#define MIN_HOURS "4"

/* Days are UTC days. A day is good when every cluster seen in the range was checked and its newest check is
 * safe; a run of good days is a window, which a bad day ends and a day without checks does not. */
static const char ANALYZE_SQL[] =
    "with checks as ("
    "    select cluster_id, check_timestamp, safe_to_proceed, healthy_hosts, total_hosts,"
    "           (check_timestamp at time zone 'UTC')::date as day"
    "      from public.cluster_safety_checks"
    "     where check_timestamp >= $1::timestamptz and check_timestamp <= $2::timestamptz"
    "       and ($3::text[] is null or cluster_id = any ($3::text[]))"
    "), universe as ("
    "    select cluster_id, min(check_timestamp) as first_seen, count(*) as total,"
    "           count(*) filter (where safe_to_proceed) as safe"
    "      from checks group by cluster_id"
    "), newest as ("
    "    select distinct on (day, cluster_id) * from checks order by day, cluster_id, check_timestamp desc"
    "), days as ("
    "    select day, count(*) = (select count(*) from universe) and bool_and(safe_to_proceed) as is_good"
    "      from newest group by day"
    "), marked as ("
    "    select *, count(*) filter (where not is_good) over (order by day) as island from days"
    "), islands as ("
    "    select min(day) as first_day, max(day) + 1 as end_day, (max(day) + 1 - min(day)) * 24 as hours,"
    "           island = (select max(island) from marked) as is_open"
    "      from marked where is_good group by island"
    "), windows as ("
    "    select *, case when is_open or hours >= 48 then 1 when hours >= 24 then 2 else 3 end as rank"
    "      from islands where hours >= $4::float8"
    "), listed as ("
    "    select * from windows order by rank, hours desc, first_day limit 10"
    "), weekdays as ("
    "    select cluster_id, name, row_number() over (partition by cluster_id order by ratio desc, seen) as n"
    "      from (select cluster_id, to_char(day, 'FMDay') as name, min(check_timestamp) as seen,"
    "                   avg(safe_to_proceed::int) as ratio"
    "              from checks group by cluster_id, to_char(day, 'FMDay')) w"
    "), totals as ("
    "    select count(*) as found, count(*) filter (where rank = 1) as high, avg(hours) as mean from windows"
    ")"
    " select json_build_object("
    "    'optimal_windows', (select coalesce(json_agg(json_build_object("
    "            'start', to_char(first_day, 'YYYY-MM-DD\"T00:00:00.000Z\"'),"
    "            'end', to_char(end_day, 'YYYY-MM-DD\"T00:00:00.000Z\"'),"
    "            'duration_hours', hours,"
    "            'confidence', (array['high', 'medium', 'low'])[rank],"
    "            'all_clusters_safe', true,"
    "            'affected_clusters', (select json_agg(cluster_id order by first_seen) from universe),"
    "            'avg_healthy_hosts', (select avg(healthy_hosts)::float8 from newest where day = first_day),"
    "            'avg_total_hosts', (select avg(total_hosts)::float8 from newest where day = first_day))"
    "            order by rank, hours desc, first_day), '[]') from listed),"
    "    'cluster_statistics', (select coalesce(json_object_agg(cluster_id, json_build_object("
    "            'avg_uptime_pct', round(safe * 100.0 / total, 1)::float8,"
    "            'total_checks', total, 'safe_checks', safe,"
    "            'best_days', (select json_agg(name order by n) from weekdays w"
    "                           where w.cluster_id = u.cluster_id and n <= 3))"
    "            order by first_seen), '{}') from universe u),"
    "    'recommendations', (select to_json(array_remove(array["
    "            case when not exists (select from universe)"
    "                     then 'No safety check data available for the selected period'"
    "                 when found = 0 then 'No optimal maintenance windows found. Consider running more"
    " frequent safety checks.'"
    "                 when found <= 2 then 'Limited maintenance windows available. Monitor cluster health"
    " closely.'"
    "                 else found || ' optimal maintenance windows identified.' end,"
    "            case when found >= 3 and high > 0"
    "                     then high || ' high-confidence windows available for immediate planning.' end,"
    "            case when mean > 48"
    "                     then 'Clusters show good stability with extended safe periods.' end], null))"
    "        from totals))";

static void fail_analysis(api_task_t *task, int status, str_t message)
{
    buf_t out;
    emit_t emit;
    buf_init(&out, task->pool, 128);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_string(&emit, "error", message);
    emit_kv_raw(&emit, "optimal_windows", STR("[]"));
    emit_kv_raw(&emit, "cluster_statistics", STR("{}"));
    emit_kv_raw(&emit, "recommendations", STR("[]"));
    emit_object_end(&emit);
    fn_reply(task, status, buf_str(&out));
}

/* The settings page starts the scheduled checks by this name. */
static void run_checks(api_task_t *task)
{
    if (!fn_caller_has_role(task, "admin operator")) {
        fail_analysis(task, 403, STR("Insufficient permissions"));
        return;
    }
    fn_reply_query(
        task,
        STR("select json_build_object('optimal_windows', '[]'::json, 'cluster_statistics', '{}'::json,"
            " 'recommendations', json_build_array('Scheduled safety checks were started'))"
            "  from (select public.run_scheduled_cluster_safety_checks()) started"),
        NULL, 0, fail_analysis);
}

static void analyze(api_task_t *task, const json_t *body)
{
    str_t start = read_json_str(body, "start_date"), end = read_json_str(body, "end_date");
    const json_t *clusters = read_json_array(body, "clusters");
    const json_t *hours = json_object_get(body, "min_window_duration_hours");
    if (start.len == 0 || end.len == 0) {
        fail_analysis(task, 500, STR("start_date and end_date are required"));
        return;
    }
    str_t names = json_array_size(clusters) > 0 ? fn_pg_array(task->pool, clusters) : STR_NULL;
    str_t least =
        json_is_number(hours) ? pool_printf(task->pool, "%.6f", json_number_value(hours)) : STR(MIN_HOURS);
    fn_reply_query(task, FN_SQL(ANALYZE_SQL), DB_PARAMS(start, end, names, least), fail_analysis);
}

void fn_analyze_maintenance_windows(api_task_t *task)
{
    json_t *body = NULL;
    if (!fn_body(task, &body, fail_analysis))
        return;
    if (str_eq(read_json_str(body, "action"), STR("run_scheduled_checks")))
        run_checks(task);
    else
        analyze(task, body);
}
