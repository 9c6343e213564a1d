# shellcheck shell=bash
# Debian packages: what a build needs, what running needs, what only tests need. Sourced.

BUILD_PACKAGES="gcc cmake ninja-build pkg-config libc6-dev libh2o-evloop-dev libpq-dev libjwt-dev libjansson-dev
    libcurl4-openssl-dev libldap-dev libnfs-dev libsmbclient-dev libssl-dev libxml2-dev libpcre2-dev libcrypt-dev
    libqrencode-dev libargon2-dev zlib1g-dev"
RUN_PACKAGES="postgresql-15 postgresql-client-15 openssl curl ca-certificates util-linux procps"
TEST_PACKAGES="git universal-ctags libcmocka-dev python3 chromium slapd
    golang-go golang-github-vmware-govmomi-dev
    iproute2 python3-aiosmtpd rpcbind nfs-ganesha nfs-ganesha-vfs
    samba samba-ad-dc samba-ad-provision samba-dsdb-modules samba-vfs-modules"

missing_packages() {
    local name
    for name in "$@"; do
        dpkg-query --show --showformat='${db:Status-Status}' "$name" 2>/dev/null | grep -qx installed || echo "$name"
    done
}

# Services must not start by being installed: a policy refuses that for the time of the installation.
without_services() {
    local policy=/usr/sbin/policy-rc.d
    if [ -e "$policy" ]; then
        "$@"
        return
    fi
    printf '#!/bin/sh\nexit 101\n' | $SUDO tee "$policy" >/dev/null
    $SUDO chmod 0755 "$policy"
    local status=0
    "$@" || status=$?
    $SUDO rm -f "$policy"
    return "$status"
}

apt_get() {
    $SUDO env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -qq -y "$@" >&2
}

# install_packages NAME...: only what is missing.
install_packages() {
    local missing
    # shellcheck disable=SC2046
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    # shellcheck disable=SC2086
    note "installing:" $missing
    SUDO=
    if ! is_root; then
        command -v sudo >/dev/null || die "these packages are missing; install them as root:" $missing
        SUDO=sudo
    fi
    case " $(echo $missing) " in
    *" postgresql-15 "*)
        $SUDO mkdir -p /etc/postgresql-common/createcluster.d
        echo "create_main_cluster = false" | $SUDO tee /etc/postgresql-common/createcluster.d/basalt.conf >/dev/null
        ;;
    esac
    apt_get update || note "apt-get update failed; going on with the package lists that are here"
    # shellcheck disable=SC2086
    without_services apt_get install --no-install-recommends $missing || die "apt-get could not install:" $missing
}
