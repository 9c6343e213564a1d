# shellcheck shell=bash
# What backup, restore and import share: the instance's database, side databases, the swap. Sourced after common.sh,
# postgres.sh and services.sh. Passwords travel in PGPASSWORD only.
#
#   open_database         sets PG_URL, DB_NAME, SERVER_VERSION; starts the private cluster when it is down
#   close_database        stops it again when open_database had started it
#   sql DB ARG...         psql on a database of the server, stopping at the first error
#   create_side NAME      an empty database; drop_side NAME
#   swap_database NAME OLD   NAME takes the place of the instance's database, which is kept as OLD; all or nothing
#   list_archive FILE     the table of contents of a dump without what a restore must not replay
#   load_archive FILE DB LIST

PG_BIN_DIR=$(pg_bin) || exit 1
export PGCONNECT_TIMEOUT=10 PGAPPNAME=basalt-ops
cluster_was_started=

# url_of_database NAME: PG_URL with another database in it.
url_of_database() {
    local pattern='^([a-z]+://[^/?]*)(/[^?]*)?(\?.*)?$'
    [[ $PG_URL =~ $pattern ]] || die "DATABASE_URL is not a postgresql:// address"
    printf '%s/%s%s' "${BASH_REMATCH[1]}" "$1" "${BASH_REMATCH[3]}"
}

sql() {
    local name=$1
    shift
    "$PG_BIN_DIR/psql" --no-psqlrc --quiet --no-align --tuples-only --set ON_ERROR_STOP=1 --dbname "$(url_of_database "$name")" "$@"
}

open_database() {
    if [ -z "${DATABASE_URL:-}" ]; then
        [ -e "$STATE/db/cluster" ] || die "no instance in $STATE: run tools/up (or set BASALT_HOME)"
        if ! pg_cluster_status "$STATE/db"; then
            pg_cluster_start "$STATE/db" || die "the database of $STATE does not start"
            cluster_was_started=1
        fi
    fi
    pg_url_split "${DATABASE_DIRECT_URL:-$(database_url)}"
    local answer pattern='^[a-z]+://[^/?]*/([^?]+)'
    DB_NAME=postgres
    if [[ $PG_URL =~ $pattern ]]; then DB_NAME=${BASH_REMATCH[1]}; fi
    answer=$(sql "$DB_NAME" --command 'select current_setting($$server_version_num$$)::integer / 10000') ||
        die "the database does not answer"
    SERVER_VERSION=$answer
    [ "$("$PG_BIN_DIR/pg_dump" --version | grep -oE '[0-9]+' | head -n 1)" -ge "$SERVER_VERSION" ] ||
        die "the programs in $PG_BIN_DIR are older than the server ($SERVER_VERSION): set BASALT_PG_BIN to newer ones"
}

close_database() {
    if [ -n "$cluster_was_started" ]; then pg_cluster_stop "$STATE/db"; fi
    cluster_was_started=
}

create_side() {
    sql "$DB_NAME" --command "create database \"$1\" template template0 encoding 'UTF8'"
}

drop_side() {
    sql "$DB_NAME" --command "drop database if exists \"$1\" with (force)" 2>/dev/null || true
}

# Both names change in one transaction. Nobody may be connected, so connections are refused for that moment.
swap_database() {
    local side=$1 old=$2 status=0
    sql "$side" <<SQL || status=$?
set client_min_messages = error;
alter database "$DB_NAME" allow_connections false;
select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = '$DB_NAME' and pid <> pg_backend_pid() \g /dev/null
\c template1
begin;
alter database "$DB_NAME" rename to "$old";
alter database "$side" rename to "$DB_NAME";
commit;
SQL
    # After a success this is the database that was kept, otherwise the one still in place.
    if [ "$status" -eq 0 ]; then
        sql template1 --command "alter database \"$old\" allow_connections true"
    else
        sql template1 --command "alter database \"$DB_NAME\" allow_connections true"
    fi
    return "$status"
}

# Left out: rows in pg_extension that stand for missing extensions (the bootstrap makes them again), what the change feed
# put on watched tables (object ids of the old server), and the archive's own entries for the database.
list_archive() {
    local available
    available=$(sql "$DB_NAME" --command 'select name from pg_available_extensions') || return
    "$PG_BIN_DIR/pg_restore" --list "$1" | awk -v available="$available" '
        BEGIN { n = split(available, names, "\n"); for (i = 1; i <= n; i++) has[names[i]] = 1 }
        /^;/ || / DATABASE / { next }
        $4 == "EXTENSION" && !($6 in has) { next }
        $4 == "COMMENT" && $6 == "EXTENSION" { next }
        $4 == "TRIGGER" && / basalt_feed_/ { next }
        /SEQUENCE/ && / basalt / && / armed_[0-9]/ { next }
        /DATABASE PROPERTIES/ { next }
        { print }'
}

load_archive() {
    "$PG_BIN_DIR/pg_restore" --exit-on-error --single-transaction --use-list "$3" \
        --dbname "$(url_of_database "$2")" "$1"
}

# The tables whose rows a backup carries, counted in one statement; "schema.table<tab>rows".
# shellcheck disable=SC2034
COUNT_SQL="select string_agg(format('select %L, count(*) from %I.%I', n.nspname || '.' || c.relname, n.nspname, c.relname),
                             ' union all ') || ' order by 1'
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where c.relkind = 'r' and c.relpersistence = 'p' and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'realtime')
   and not exists (select from pg_depend d where d.objid = c.oid and d.classid = 'pg_class'::regclass and d.deptype = 'e')
   and (n.nspname <> 'basalt' or c.relname in ('vault_key', 'schedule_state', 'job_journal'))"

# Transient: they say what is under way on the server that is backed up.
# shellcheck disable=SC2034
TRANSIENT_TABLES=(basalt.outbox basalt.armed basalt.feed_state basalt.bootstrap basalt.job_leases basalt.job_notices
    'realtime.*')

# The newest migration of this checkout: what tells an older Basalt from a newer one.
newest_migration() { find "$top/migrations" -name '*.sql' -printf '%f\n' | sort | tail -n 1 | cut -d _ -f 1; }
