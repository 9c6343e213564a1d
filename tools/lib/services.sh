# shellcheck shell=bash
# Settings, start and stop of gateway and executor. Sourced after common.sh, keys.sh, postgres.sh.

# url_as URL ROLE PASSWORD: the same database for another login.
url_as() {
    local rest=${1#*://}
    case $rest in *@*) rest=${rest#*@} ;; esac
    printf 'postgresql://%s:%s@%s' "$2" "$3" "$rest"
}

# The database of the instance as its owner sees it: the private cluster, or DATABASE_URL.
database_url() {
    if [ -n "${DATABASE_URL:-}" ]; then
        printf '%s' "$DATABASE_URL"
    else
        pg_cluster_url "$STATE/db"
    fi
}

# Over the unix socket for the private cluster: measurably cheaper than TCP.
login_url() {
    if [ -n "${DATABASE_URL:-}" ]; then
        url_as "$DATABASE_URL" "$1" "$2"
    else
        printf 'postgresql://%s:%s@/postgres?host=%s&port=%s' "$1" "$2" "${RUN_DIR//\//%2F}" "$DB_PORT"
    fi
}

api_url() {
    local scheme=http
    [ -z "$WITH_TLS" ] || scheme=https
    printf '%s://127.0.0.1:%s' "$scheme" "$API_PORT"
}

# write_private FILE: standard input into a file that only the service account reads; true when it changed.
write_private() {
    local file=$1 text
    text=$(cat)
    if [ -e "$file" ] && [ "$(cat "$file")" = "$text" ]; then return 1; fi
    # shellcheck disable=SC2016
    printf '%s\n' "$text" | as_service sh -c 'umask 077 && cat >"$1.new" && mv "$1.new" "$1"' sh "$file"
}

# A further file of the user's wins over what is computed here.
extra_settings() {
    if [ -r "$STATE/$1.local.env" ]; then
        printf '# from %s.local.env\n' "$1"
        cat "$STATE/$1.local.env"
    fi
}

gateway_settings() {
    cat <<CONF
# Written by tools/up; own settings go into gateway.local.env beside this file.
BASALT_LISTEN=${BASALT_LISTEN:-127.0.0.1:$API_PORT}
BASALT_ADMIN_LISTEN=127.0.0.1:$ADMIN_PORT
PGRST_DB_URI=$(login_url authenticator "$AUTHENTICATOR_PASSWORD")
BASALT_INTERNAL_DB_URI=$(login_url basalt_internal "$INTERNAL_PASSWORD")
PGRST_DB_SCHEMAS=public,storage,graphql_public,orchestrator${BASALT_EXTRA_SCHEMAS:+,$BASALT_EXTRA_SCHEMAS}
PGRST_DB_EXTRA_SEARCH_PATH=public,extensions
PGRST_DB_ANON_ROLE=anon
PGRST_JWT_SECRET=$JWT_SECRET
SUPABASE_ANON_KEY=$ANON_KEY
SUPABASE_SERVICE_ROLE_KEY=$SERVICE_ROLE_KEY
API_EXTERNAL_URL=$(api_url)
GOTRUE_MAILER_AUTOCONFIRM=${GOTRUE_MAILER_AUTOCONFIRM:-true}
BASALT_EXECUTOR_SHARED_SECRET=$EXECUTOR_SHARED_SECRET
BASALT_EXECUTOR_URL=http://127.0.0.1:$EXECUTOR_PORT
${DATABASE_DIRECT_URL:+BASALT_DIRECT_DB_URI=$(url_as "$DATABASE_DIRECT_URL" authenticator "$AUTHENTICATOR_PASSWORD")}
${BASALT_UI_DIR:+BASALT_UI_DIR=$(realpath "$BASALT_UI_DIR")}
${BASALT_ALLOW_LOCAL_TARGETS:+BASALT_ALLOW_LOCAL_TARGETS=$BASALT_ALLOW_LOCAL_TARGETS}
${WITH_TLS:+BASALT_TLS_CERT=$STATE/tls/server.crt
BASALT_TLS_KEY=$STATE/tls/server.key}
CONF
    extra_settings gateway
}

executor_settings() {
    cat <<CONF
# Written by tools/up; own settings go into executor.local.env beside this file.
DSM_URL=$(api_url)
SERVICE_ROLE_KEY=$SERVICE_ROLE_KEY
EXECUTOR_SHARED_SECRET=$EXECUTOR_SHARED_SECRET
API_SERVER_PORT=$EXECUTOR_PORT
${BASALT_ALLOW_LOCAL_TARGETS:+BASALT_ALLOW_LOCAL_TARGETS=$BASALT_ALLOW_LOCAL_TARGETS}
${WITH_TLS:+BASALT_CA_FILE=$STATE/tls/ca.crt}
CONF
    extra_settings executor
}

# install_program NAME: a copy in the state directory, so that a rebuild never touches a running program and the
# service account can reach it. True when it changed.
install_program() {
    local from=$BUILD_DIR/bin/$1 to=$STATE/bin/$1
    [ -x "$from" ] || die "$from is missing: build first"
    if cmp -s "$from" "$to"; then return 1; fi
    as_service sh -c 'cat >"$1.new" && chmod 0755 "$1.new" && mv "$1.new" "$1"' sh "$to" <"$from"
}

# start_service NAME COMMAND...: under a supervisor of its own, in the background.
start_service() {
    local name=$1
    shift
    as_service setsid --fork env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/ LANG=C.UTF-8 \
        BASALT_ENV="$STATE/$name.env" \
        "$STATE/bin/supervise" "$name" "$RUN_DIR/$name.pid" "$STATE/log/$name.log" "$@"
}

stop_service() {
    local name=$1 pid i
    pid=$(pid_of "$name") || return 0
    kill -TERM "$pid" 2>/dev/null || return 0
    for ((i = 0; i < 150; i++)); do
        kill -0 "$pid" 2>/dev/null || return 0
        sleep 0.1
    done
    note "$name did not stop in 15 s; ending it"
    as_service pkill -KILL -s "$pid" 2>/dev/null || kill -KILL "$pid" 2>/dev/null || true
}

# wait_for NAME SECONDS COMMAND...
wait_for() {
    local name=$1 seconds=$2 deadline=$((SECONDS + $2))
    shift 2
    until "$@"; do
        if [ "$SECONDS" -ge "$deadline" ]; then
            note "the end of $STATE/log/$name.log:"
            tail -n 15 "$STATE/log/$name.log" >&2 || true
            die "$name is not ready after $seconds s"
        fi
        sleep 0.1
    done
}

curl_quiet() {
    local ca=()
    [ -z "$WITH_TLS" ] || ca=(--cacert "$STATE/tls/ca.crt")
    curl --silent --noproxy '*' --max-time 10 "${ca[@]}" "$@"
}

is_ready() { curl_quiet --fail --output /dev/null "http://127.0.0.1:$ADMIN_PORT/ready"; }
executor_answers() { curl_quiet --fail --output /dev/null "http://127.0.0.1:$EXECUTOR_PORT/api/health"; }
