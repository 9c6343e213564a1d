# shellcheck shell=bash
# A private PostgreSQL cluster in a directory: create, start, stop, ask. Sourced by tools/up, tools/test and tests.
#
#   pg_cluster_init   DIR PORT SOCKETDIR USER   creates the cluster once; on an existing one only rewrites its settings
#   pg_cluster_start  DIR                       starts it and waits until it answers; nothing to do when it runs
#   pg_cluster_stop   DIR                       stops it (fast); nothing to do when it is down
#   pg_cluster_status DIR                       true when it runs
#   pg_cluster_url    DIR [ROLE PASSWORD [DB]]  prints a connection URL over TCP; by default of the superuser
#   pg_url_split      URL                       sets PG_URL (without the password) and exports PGPASSWORD
#
# DIR holds data/ (the cluster), superuser_password (0600), postgresql.log and cluster (port, socket directory, user).
# USER is the account of the operating system that runs PostgreSQL when the caller is root; others run it themselves.
# With PG_THROWAWAY=1 in the environment pg_cluster_init does without durability, for directories that are removed soon:
# an fsync waits for everything that the machine has yet to write, a build's output for example.
# The superuser of the cluster is supabase_admin. Every login needs a password (scram-sha-256), also on the socket.

PG_SUPERUSER=supabase_admin

# Directory of the PostgreSQL programs: BASALT_PG_BIN, else the newest Debian version from 15 up, else pg_config's.
pg_bin() {
    local dir
    if [ -n "${BASALT_PG_BIN:-}" ]; then
        printf '%s\n' "$BASALT_PG_BIN"
        return
    fi
    dir=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
    if [ ! -x "$dir/initdb" ] && command -v pg_config >/dev/null; then
        dir=$(pg_config --bindir)
    fi
    if [ ! -x "$dir/initdb" ]; then
        echo "PostgreSQL's server programs (initdb, pg_ctl) were not found; set BASALT_PG_BIN" >&2
        return 1
    fi
    printf '%s\n' "$dir"
}

# Runs a command as the cluster's account. From / because that account may not be able to enter the caller's directory.
_pg_as() {
    local user=$1
    shift
    if [ "$(id -u)" -eq 0 ]; then
        (cd / && exec runuser -u "$user" -- "$@")
    else
        "$@"
    fi
}

_pg_load() {
    if [ ! -f "$1/cluster" ]; then
        echo "no PostgreSQL cluster in $1" >&2
        return 1
    fi
    { read -r _pg_port && read -r _pg_socket_dir && read -r _pg_user; } <"$1/cluster"
}

_pg_write_settings() {
    local dir=$1 port=$2 socket_dir=$3 preload='' durability=''
    # pg_cron works only when it is loaded at the start, in one database; as background workers, since it has no
    # password to log in with.
    if [ -e "$("$(pg_bin)/pg_config" --pkglibdir 2>/dev/null)/pg_cron.so" ]; then
        preload="shared_preload_libraries = 'pg_cron'
cron.database_name = 'postgres'
cron.use_background_workers = on"
    fi
    if [ -n "${PG_THROWAWAY:-}" ]; then
        durability="fsync = off
full_page_writes = off"
    fi
    cat <<CONF
# Written by Basalt at every start of tools/up; put own settings into postgresql.conf below the include.
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = '$socket_dir'
unix_socket_permissions = 0777
password_encryption = 'scram-sha-256'
wal_level = logical
max_connections = 100
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%u@%d '
$preload
$durability
CONF
}

pg_cluster_init() {
    local dir=$1 port=$2 socket_dir=$3 user=$4 bin
    bin=$(pg_bin) || return
    if [ "$(id -u)" -ne 0 ]; then
        user=$(id -un)
    elif [ "$user" = root ] || ! id "$user" >/dev/null 2>&1; then
        echo "PostgreSQL does not run as root and needs an existing account, not '$user'" >&2
        return 1
    fi
    if [ "${#socket_dir}" -gt 90 ]; then
        echo "socket directory is too long for a unix socket: $socket_dir" >&2
        return 1
    fi
    mkdir -p "$dir" "$socket_dir" || return
    if [ "$(id -u)" -eq 0 ]; then
        chown "$user" "$dir" "$socket_dir" || return
    fi
    chmod 0700 "$dir" || return

    if [ ! -s "$dir/data/PG_VERSION" ]; then
        # What an interrupted initdb left is no cluster; only an initialised one carries PG_VERSION and our include.
        rm -rf "$dir/data"
        if [ ! -s "$dir/superuser_password" ]; then
            (umask 077 && od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >"$dir/superuser_password") || return
        fi
        if [ "$(id -u)" -eq 0 ]; then
            chown "$user" "$dir/superuser_password" || return
        fi
        _pg_as "$user" "$bin/initdb" --pgdata="$dir/data.new" --username="$PG_SUPERUSER" \
            --pwfile="$dir/superuser_password" --locale=C.UTF-8 -E UTF8 -A scram-sha-256 \
            ${PG_THROWAWAY:+--no-sync} >"$dir/initdb.log" 2>&1 || {
            cat "$dir/initdb.log" >&2
            rm -rf "$dir/data.new"
            return 1
        }
        echo "include_if_exists 'basalt.conf'" >>"$dir/data.new/postgresql.conf"
        mv "$dir/data.new" "$dir/data" || return
        rm -f "$dir/initdb.log"
    fi
    _pg_write_settings "$dir" "$port" "$socket_dir" >"$dir/data/basalt.conf" || return
    printf '%s\n%s\n%s\n' "$port" "$socket_dir" "$user" >"$dir/cluster" || return
    if [ "$(id -u)" -eq 0 ]; then
        chown "$user" "$dir/data/basalt.conf" "$dir/cluster" || return
    fi
}

pg_cluster_status() {
    local _pg_port _pg_socket_dir _pg_user bin
    _pg_load "$1" 2>/dev/null || return 1
    bin=$(pg_bin) || return
    _pg_as "$_pg_user" "$bin/pg_ctl" status --pgdata="$1/data" >/dev/null 2>&1
}

pg_cluster_start() {
    local _pg_port _pg_socket_dir _pg_user bin
    _pg_load "$1" || return
    bin=$(pg_bin) || return
    if pg_cluster_status "$1"; then
        return 0
    fi
    if (exec 3<>"/dev/tcp/127.0.0.1/$_pg_port") 2>/dev/null; then
        echo "port $_pg_port is taken by another program; PostgreSQL was not started" >&2
        return 1
    fi
    if ! _pg_as "$_pg_user" "$bin/pg_ctl" start --wait --timeout=60 --silent \
        --pgdata="$1/data" --log="$1/postgresql.log" </dev/null >/dev/null; then
        echo "PostgreSQL did not start; the end of $1/postgresql.log:" >&2
        tail -n 15 "$1/postgresql.log" >&2
        return 1
    fi
}

pg_cluster_stop() {
    local _pg_port _pg_socket_dir _pg_user bin
    _pg_load "$1" || return
    bin=$(pg_bin) || return
    if pg_cluster_status "$1"; then
        _pg_as "$_pg_user" "$bin/pg_ctl" stop --mode=fast --wait --timeout=60 --silent --pgdata="$1/data"
    fi
}

pg_cluster_url() {
    local _pg_port _pg_socket_dir _pg_user role=${2:-$PG_SUPERUSER} password=${3:-} database=${4:-postgres}
    _pg_load "$1" || return
    if [ -z "$password" ]; then
        password=$(cat "$1/superuser_password") || return
    fi
    printf 'postgresql://%s:%s@127.0.0.1:%s/%s\n' "$role" "$password" "$_pg_port" "$database"
}

# Takes the password out of a URL, because command lines can be read by every account on the machine.
# shellcheck disable=SC2034  # PG_URL is for the caller
pg_url_split() {
    local pattern='^(postgres(ql)?://[^:@/?]*):([^@/?]*)@(.*)$'
    if [[ $1 =~ $pattern ]]; then
        PG_URL="${BASH_REMATCH[1]}@${BASH_REMATCH[4]}"
        printf -v PGPASSWORD '%b' "${BASH_REMATCH[3]//\%/\\x}"
        export PGPASSWORD
    else
        PG_URL=$1
    fi
}
