# shellcheck shell=bash
# An instance of its own for tests: own directory, own ports, the sanitized programs, gone at the end. Sourced.
#   test_instance_up / test_instance_down

# Tests pay for durability nowhere: their directories are thrown away.
export PG_THROWAWAY=${PG_THROWAWAY-1}

# Below the range from which the system takes the ports of clients.
free_port() {
    local port
    for port in $(shuf -i 20000-32000 -n 50); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || {
            echo "$port"
            return
        }
    done
    return 1
}

test_instance_up() {
    BASALT_HOME=$(mktemp -d /tmp/basalt-test-XXXXXX)
    BASALT_API_PORT=$(free_port) BASALT_DB_PORT=$(free_port) BASALT_ADMIN_PORT=$(free_port)
    BASALT_EXECUTOR_PORT=$(free_port)
    export BASALT_HOME BASALT_API_PORT BASALT_DB_PORT BASALT_ADMIN_PORT BASALT_EXECUTOR_PORT
    export BASALT_ALLOW_LOCAL_TARGETS=true
    unset DATABASE_URL
    BASALT_SKIP_BUILD=1 BASALT_BUILD_DIR=${BASALT_BUILD_DIR:-$top/build-test} "$top/tools/up" >&2
}

test_instance_down() {
    [ -n "${BASALT_HOME:-}" ] || return 0
    "$top/tools/down" >&2 || true
    rm -rf "$BASALT_HOME"
    unset BASALT_HOME
}
