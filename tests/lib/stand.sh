# shellcheck shell=bash
# A database whose loss can be played, for scenes that start their gateways themselves (tests/integration/process/gateway.py).
# Sourced; `top` is the checkout.
#   stand_up SCHEMA.sql [far]   a new cluster with that schema; exports SCENE_*. SCENE_DB_CONTROL start|stop|immediate|kill acts
#                               upon it, `standby` starts a second server that follows it on SCENE_STANDBY_PORT.
#                               With `far` it stands in a network namespace, reached through a pair of virtual devices, and
#                               `drop` loses every packet between it and the gateway until `pass` (root and iproute2)
#   stand_down                  for the EXIT trap: ends and removes it

# shellcheck source-path=SCRIPTDIR
for part in common packages postgres; do . "$top/tools/lib/$part.sh"; done
. "$top/tests/lib/instance.sh"

# Addresses of the range for benchmarks; the devices' names carry the number of this process.
_stand_make_network() {
    local third=$(($$ % 250))
    stand_net=basalt$$ stand_near=198.18.$third.1 stand_host=198.18.$third.2
    ip netns add "$stand_net"
    ip link add "n$$" type veth peer name "f$$" netns "$stand_net"
    ip addr add "$stand_near/30" dev "n$$"
    ip link set "n$$" up
    ip -n "$stand_net" addr add "$stand_host/30" dev "f$$"
    ip -n "$stand_net" link set lo up
    ip -n "$stand_net" link set "f$$" up
}

_stand_write_control() {
    local prefix=
    [ -z "$stand_net" ] || prefix="ip netns exec $stand_net"
    cat >"$stand_dir/control" <<CONTROL
set -eu
top=$top
for part in common packages postgres; do . "$top/tools/lib/\$part.sh"; done
case \$1 in
start) if [ -n "$prefix" ] && [ -z "\${2:-}" ]; then exec $prefix bash "\$0" start inside; fi && pg_cluster_start "$stand_dir/db" ;;
stop) pg_cluster_stop "$stand_dir/db" ;;
immediate) _pg_as "$RUN_USER" "\$(pg_bin)/pg_ctl" stop --mode=immediate --wait --silent --pgdata="$stand_dir/db/data" ;;
standby)
    _pg_as "$RUN_USER" "\$(pg_bin)/pg_basebackup" -d "\$SCENE_DB" -R -c fast -D "$stand_dir/standby"
    _pg_as "$RUN_USER" "\$(pg_bin)/pg_ctl" start -w -s -D "$stand_dir/standby" -l "$stand_dir/standby.log" -o "-p \$SCENE_STANDBY_PORT" ;;
kill) kill -9 "\$(head -n 1 "$stand_dir/db/data/postmaster.pid")" ;;
drop) tc qdisc replace dev n$$ root blackhole && tc -n "$stand_net" qdisc replace dev f$$ root blackhole ;;
pass) tc qdisc del dev n$$ root && tc -n "$stand_net" qdisc del dev f$$ root ;;
esac
CONTROL
}

stand_up() {
    local schema=$1 place=${2:-near} port password host
    stand_net=
    ensure_service_user
    stand_dir=$(mktemp -d /tmp/basalt-stand-XXXXXX)
    chmod 755 "$stand_dir"
    chown "$RUN_USER:" "$stand_dir"
    port=$(free_port) password=$(random_hex 12) host=${stand_dir//\//%2F}
    [ "$place" != far ] || _stand_make_network
    pg_cluster_init "$stand_dir/db" "$port" "$stand_dir" "$RUN_USER" >/dev/null
    if [ "$place" = far ]; then
        host=$stand_host
        echo "listen_addresses = '127.0.0.1,$stand_host'" >>"$stand_dir/db/data/postgresql.conf"
        echo "host all all $stand_near/32 scram-sha-256" >>"$stand_dir/db/data/pg_hba.conf"
    fi
    _stand_write_control
    export SCENE_DB_CONTROL="bash $stand_dir/control" SCENE_DIR=$stand_dir SCENE_DB SCENE_URI SCENE_PORTS SCENE_GATEWAY
    export SCENE_STANDBY_PORT
    $SCENE_DB_CONTROL start >/dev/null
    PGPASSWORD=$(cat "$stand_dir/db/superuser_password")
    export PGPASSWORD
    SCENE_DB="postgresql://$PG_SUPERUSER@/postgres?host=${stand_dir//\//%2F}&port=$port"
    SCENE_URI="postgresql://authenticator:$password@/postgres?host=$host&port=$port"
    SCENE_STANDBY_PORT=$(free_port)
    SCENE_PORTS="$(free_port) $(free_port) $(free_port)"
    SCENE_GATEWAY=${BASALT_GATEWAY:-${BASALT_BUILD_DIR:-$top/build-test}/bin/basalt-gateway}
    psql -qX -v ON_ERROR_STOP=1 -v password="$password" -d "$SCENE_DB" -f "$schema"
}

stand_down() {
    [ -n "${stand_dir:-}" ] || return 0
    [ ! -d "$stand_dir/standby" ] || _pg_as "$RUN_USER" "$(pg_bin)/pg_ctl" stop -m immediate -s -D "$stand_dir/standby" || true
    pg_cluster_stop "$stand_dir/db" >/dev/null 2>&1 || true
    rm -rf "$stand_dir"
    [ -z "$stand_net" ] || ip netns del "$stand_net" || true
}
