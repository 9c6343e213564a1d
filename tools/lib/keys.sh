# shellcheck shell=bash
# Keys and passwords of an instance, made once. Sourced.

base64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }

# make_jwt SECRET ROLE: an API key for ten years (realtime refuses keys without an end).
make_jwt() {
    local secret=$1 role=$2 now head body signature
    now=$(date +%s)
    head=$(printf '{"alg":"HS256","typ":"JWT"}' | base64url)
    body=$(printf '{"iss":"basalt","role":"%s","iat":%d,"exp":%d}' "$role" "$now" $((now + 315360000)) | base64url)
    signature=$(printf '%s.%s' "$head" "$body" | sign_hs256 "$secret")
    printf '%s.%s.%s' "$head" "$body" "$signature"
}

# HMAC-SHA256 of standard input (RFC 2104) out of two plain digests: openssl takes the key of its own HMAC on the
# command line, which every account of the machine can read.
sign_hs256() {
    local message key inner byte ipad= opad= i
    message=$(cat)
    key=$(printf '%s' "$1" | od -An -v -tx1 | tr -d ' \n')
    if [ "${#key}" -gt 128 ]; then key=$(printf '%s' "$1" | sha256sum | cut -c 1-64); fi
    for ((i = 0; i < 64; i++)); do
        byte=$((16#${key:i*2:2}0 >> 4))
        printf -v ipad '%s\\x%02x' "$ipad" $((byte ^ 0x36))
        printf -v opad '%s\\x%02x' "$opad" $((byte ^ 0x5c))
    done
    inner=$({ printf '%b' "$ipad" && printf '%s' "$message"; } | sha256sum | cut -c 1-64 | sed 's/../\\x&/g')
    { printf '%b' "$opad" && printf '%b' "$inner"; } | openssl dgst -sha256 -binary | base64url
}

# Adds to the file only what is not in it, so that a later version can add a key to an old instance.
ensure_key() {
    local name=$1 value=$2
    grep -q "^$name=" "$ENV_FILE" || printf '%s=%s\n' "$name" "$value" >>"$ENV_FILE"
}

ensure_keys() {
    if [ ! -e "$ENV_FILE" ]; then
        as_service sh -c 'umask 077 && : >"$1"' sh "$ENV_FILE"
    fi
    [ -z "${DATABASE_URL:-}" ] || ensure_key DATABASE_URL "$DATABASE_URL"
    ensure_key JWT_SECRET "${JWT_SECRET:-$(random_hex 32)}"
    local secret
    secret=$(sed -n 's/^JWT_SECRET=//p' "$ENV_FILE")
    ensure_key ANON_KEY "${ANON_KEY:-$(make_jwt "$secret" anon)}"
    ensure_key SERVICE_ROLE_KEY "${SERVICE_ROLE_KEY:-$(make_jwt "$secret" service_role)}"
    ensure_key EXECUTOR_SHARED_SECRET "$(random_hex 32)"
    ensure_key AUTHENTICATOR_PASSWORD "$(random_hex 24)"
    ensure_key INTERNAL_PASSWORD "$(random_hex 24)"
    ensure_key POSTGRES_PASSWORD "$(random_hex 24)"
    ensure_key ADMIN_EMAIL "${BASALT_ADMIN_EMAIL:-admin@basalt.local}"
    ensure_key ADMIN_PASSWORD "${BASALT_ADMIN_PASSWORD:-$(random_hex 10)}"
}

# A private authority and a certificate for this machine: tools/up --tls.
ensure_certificate() {
    local dir=$STATE/tls
    [ -s "$dir/server.crt" ] && return
    as_service mkdir -p -m 0700 "$dir"
    as_service sh -c '
        set -e; umask 077; cd "$1"
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -keyout ca.key -out ca.crt \
            -subj "/CN=Basalt private CA" -addext basicConstraints=critical,CA:TRUE \
            -addext keyUsage=critical,keyCertSign,cRLSign
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.csr \
            -subj "/CN=$2"
        printf "subjectAltName=DNS:%s,DNS:localhost,IP:127.0.0.1,IP:::1\nbasicConstraints=CA:FALSE\n" "$2" >server.ext
        openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 825 -sha256 \
            -extfile server.ext -out server.crt
        rm server.csr server.ext
        chmod 0644 ca.crt server.crt' sh "$dir" "$(hostname -f 2>/dev/null || hostname)" >/dev/null 2>&1 ||
        die "openssl could not make the certificate in $dir"
}
