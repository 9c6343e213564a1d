# shellcheck shell=bash
# What the commands in tools/ share: messages, where the state lives, who runs the services, the settings of an
# instance. Sourced; needs $top (the checkout). Sets, after `locate_state`:
#   STATE       directory of the instance (keys, database, logs, copies of the programs)
#   RUN_USER    account that runs the services: the caller, or `basalt` when the caller is root
#   RUN_DIR     short directory for sockets and pid files, 0700

API_PORT=${BASALT_API_PORT:-54321}
DB_PORT=${BASALT_DB_PORT:-54322}
ADMIN_PORT=${BASALT_ADMIN_PORT:-54329}
EXECUTOR_PORT=${BASALT_EXECUTOR_PORT:-8081}
BUILD_DIR=${BASALT_BUILD_DIR:-$top/build}
SERVICE_USER=basalt
# A socket's whole path may have 107 bytes; the longest name put into the directory has 24.
SOCKET_DIR_MAX=80

step() { printf '==> %s\n' "$*" >&2; }
note() { printf '    %s\n' "$*" >&2; }
die() {
    printf 'basalt: %s\n' "$*" >&2
    exit 1
}

is_root() { [ "$(id -u)" -eq 0 ]; }

ensure_service_user() {
    RUN_USER=$(id -un)
    is_root || return 0
    RUN_USER=$SERVICE_USER
    id "$SERVICE_USER" >/dev/null 2>&1 ||
        useradd --system --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin "$SERVICE_USER"
}

# Runs a command as the service account, from / because that account may not enter the caller's directory.
as_service() {
    if is_root; then
        (cd / && exec runuser -u "$RUN_USER" -- "$@")
    else
        "$@"
    fi
}

# Where the state is, without creating anything: BASALT_HOME, else .basalt in the checkout, else /var/lib/basalt
# when the service account cannot reach the checkout.
locate_state() {
    RUN_USER=$(id -un)
    is_root && RUN_USER=$SERVICE_USER
    if [ -n "${BASALT_HOME:-}" ]; then
        STATE=$(realpath -m "$BASALT_HOME")
    elif is_root && id "$SERVICE_USER" >/dev/null 2>&1 && ! as_service test -x "$top"; then
        STATE=/var/lib/basalt
    else
        STATE=$top/.basalt
    fi
    RUN_DIR=$STATE/run
    if [ "${#RUN_DIR}" -gt "$SOCKET_DIR_MAX" ]; then
        RUN_DIR=/tmp/basalt-$(printf '%s' "$STATE" | sha256sum | cut -c 1-12)
    fi
    ENV_FILE=$STATE/instance.env
    export STATE RUN_DIR ENV_FILE
}

create_state() {
    mkdir -p "$STATE" || die "cannot create $STATE"
    if is_root; then chown "$RUN_USER:" "$STATE"; fi
    chmod 0700 "$STATE"
    as_service mkdir -p -m 0700 "$RUN_DIR" "$STATE/bin" "$STATE/log" ||
        die "$RUN_USER cannot write to $STATE; set BASALT_HOME to a directory that it can reach"
    if [ "$(stat -c %U "$RUN_DIR")" != "$RUN_USER" ]; then
        die "$RUN_DIR belongs to somebody else"
    fi
}

# NAME=value lines into variables of the same names; only what tools/up wrote itself is read.
load_env() {
    [ -r "$ENV_FILE" ] || return 1
    local name value
    while IFS='=' read -r name value; do
        case $name in '' | '#'*) continue ;; esac
        printf -v "$name" '%s' "$value"
        export "${name?}"
    done <"$ENV_FILE"
}

random_hex() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }

# True when something answers on a TCP port of this machine.
port_is_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

pid_of() {
    local pid
    pid=$(cat "$RUN_DIR/$1.pid" 2>/dev/null) && [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null && printf '%s' "$pid"
}
