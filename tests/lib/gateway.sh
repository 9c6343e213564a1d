# shellcheck shell=bash
# A gateway that serves /rest/v1 alone, on a cluster of its own: for scenes and measurements of the REST interface.
# Sourced; `top` is the checkout. Settings of the gateway are exported before.
#   rest_gateway_up SCHEMA.sql [DEFAULT_BUILD]   sets and exports SCENE_*; DEFAULT_BUILD is build-test
#   rest_gateway_down                            ends both; false when the gateway had died or a sanitizer complained
#   rest_gateway_discard                         for the EXIT trap: ends and removes whatever is left

# shellcheck source-path=SCRIPTDIR
for part in common packages postgres; do . "$top/tools/lib/$part.sh"; done
. "$top/tests/lib/instance.sh"

rest_gateway_up() {
    local schema=$1 build=${2:-build-test} port db_port password
    ensure_service_user
    scene_dir=$(mktemp -d /tmp/basalt-rest-XXXXXX)
    chmod 755 "$scene_dir"
    chown "$RUN_USER:" "$scene_dir"
    port=$(free_port) db_port=$(free_port) password=$(random_hex 12)
    pg_cluster_init "$scene_dir/db" "$db_port" "$scene_dir" "$RUN_USER" >/dev/null
    if [ -n "${SCENE_PG_SETTINGS:-}" ]; then printf '%s\n' "$SCENE_PG_SETTINGS" >>"$scene_dir/db/data/postgresql.conf"; fi
    pg_cluster_start "$scene_dir/db" >/dev/null
    pg_url_split "$(pg_cluster_url "$scene_dir/db")"
    psql -qX -v ON_ERROR_STOP=1 -v password="$password" -d "$PG_URL" -f "$schema"
    export PGRST_DB_URI="postgresql://authenticator:$password@/postgres?host=${scene_dir//\//%2F}&port=$db_port"
    export PGRST_JWT_SECRET PGRST_DB_ANON_ROLE=${PGRST_DB_ANON_ROLE:-anon} PGRST_DB_SCHEMAS=${PGRST_DB_SCHEMAS:-api}
    PGRST_JWT_SECRET=$(random_hex 32)
    scene_gateway=${BASALT_GATEWAY:-${BASALT_BUILD_DIR:-$top/$build}/bin/basalt-gateway}
    BASALT_LISTEN=127.0.0.1:$port "$scene_gateway" 2>"$scene_dir/gateway.log" &
    scene_pid=$!
    export SCENE_ADDRESS=127.0.0.1:$port SCENE_PID=$scene_pid SCENE_DB="$PG_URL" SCENE_DIR=$scene_dir
    export SCENE_RESTART="bash $top/tests/lib/restart-cluster $scene_dir/db"
    case $(ldd "$scene_gateway") in *libasan*) export SCENE_SANITIZED=1 ;; esac
    # a name that nobody has: 404 once the schema is known
    local answer='' started=$SECONDS
    while [ $SECONDS -lt $((started + 60)) ] && kill -0 "$scene_pid" 2>/dev/null; do
        answer=$(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$port/rest/v1/no_such_relation") || true
        [ "$answer" != 404 ] || return 0
        sleep 0.1
    done
    if kill -0 "$scene_pid" 2>/dev/null; then
        echo "FAILED the gateway does not serve: status ${answer:-none} after $((SECONDS - started)) s"
    else
        local code=0
        wait "$scene_pid" || code=$?
        echo "FAILED the gateway ended with status $code"
    fi
    rest_gateway_tell
    return 1
}

# The ends of both servers' logs: why scenes fail all together.
rest_gateway_tell() {
    local log
    for log in "$scene_dir/gateway.log" "$scene_dir/db/postgresql.log"; do
        echo "-- the end of $(basename "$log")"
        tail -n 25 "$log" | cut -c 1-400
    done
}

rest_gateway_down() {
    local status=0 code=0 complaint="ERROR: (Address|Leak)Sanitizer|runtime error:|Assertion"
    kill "$scene_pid" 2>/dev/null || status=1
    wait "$scene_pid" 2>/dev/null || code=$?
    [ $status -eq 0 ] || echo "FAILED the gateway died with status $code"
    scene_pid=
    if grep -qE "$complaint" "$scene_dir/gateway.log"; then
        grep -E -A 25 "$complaint" "$scene_dir/gateway.log" | head -n 60
        status=1
    fi
    return $status
}

rest_gateway_discard() {
    [ -z "${scene_pid:-}" ] || kill "$scene_pid" 2>/dev/null || true
    wait 2>/dev/null || true
    [ -z "${scene_dir:-}" ] || pg_cluster_stop "$scene_dir/db" >/dev/null 2>&1 || true
    [ -z "${scene_dir:-}" ] || rm -rf "$scene_dir"
}

# rest_gateway_scenes PROGRAM [ARG...]: runs it against the gateway and ends both; the last line printed is
# "N passed, N failed", and a gateway that died or complained counts as a failure.
rest_gateway_scenes() {
    local status=0 last
    "$@" >"$scene_dir/out" 2>&1 || status=$?
    head -n -1 "$scene_dir/out"
    last=$(tail -n 1 "$scene_dir/out")
    if ! rest_gateway_down; then
        [[ ! $last =~ ^(.*,\ )([0-9]+)\ failed$ ]] || last="${BASH_REMATCH[1]}$((BASH_REMATCH[2] + 1)) failed"
        status=1
    fi
    [ $status -eq 0 ] || rest_gateway_tell
    echo "$last"
    return $status
}
