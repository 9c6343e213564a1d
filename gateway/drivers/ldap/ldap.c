#include "drivers/ldap/ldap.h"

#include "base/buf.h"

#include <curl/curl.h>
#include <stdlib.h>

#define TIMEOUT_DEFAULT_MS 10000
#define ANSWER_MAX (4u << 20)

typedef struct {
    buf_t body;
    bool is_too_large;
    target_gate_t gate;
} answer_t;

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
    answer_t *answer = arg;
    size_t len = size * count;
    if (len > ANSWER_MAX - answer->body.len) {
        answer->is_too_large = true;
        return CURL_WRITEFUNC_ERROR;
    }
    buf_append(&answer->body, bytes, len);
    return len;
}

static err_t *refused_login(pool_t *pool)
{
    return err_make(pool, 401, ERR_FAMILY_UPSTREAM, "credentials", "Invalid credentials");
}

static err_t *explain(pool_t *pool, CURLcode code, const answer_t *answer)
{
    if (target_was_refused(&answer->gate))
        return err_make(pool, 502, ERR_FAMILY_UPSTREAM, "address",
                        "The directory server's address is not allowed as a target");
    if (answer->is_too_large)
        return err_make(pool, 502, ERR_FAMILY_UPSTREAM, "refused", "The directory's answer is too large");
    switch (code) {
    case CURLE_LOGIN_DENIED:
        return refused_login(pool);
    case CURLE_OPERATION_TIMEDOUT:
        return err_make(pool, 504, ERR_FAMILY_UPSTREAM, "timeout",
                        "The directory server did not answer in time");
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_USE_SSL_FAILED:
        return err_make(pool, 502, ERR_FAMILY_UPSTREAM, "tls",
                        "No secure connection to the directory server: %s", curl_easy_strerror(code));
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
        return err_make(pool, 502, ERR_FAMILY_UPSTREAM, "connect", "The directory server cannot be reached");
    default: /* a search that the server refuses, a base that is not there */
        return err_make(pool, 502, ERR_FAMILY_UPSTREAM, "refused", "The directory server refused: %s",
                        curl_easy_strerror(code));
    }
}

/* Texts go to the library as C strings. */
static bool has_nul(str_t text)
{
    return text.len > 0 && memchr(text.base, '\0', text.len) != NULL;
}

static bool is_login_usable(const ldap_login_t *login)
{
    bool is_anonymous = str_is_null(login->name) && str_is_null(login->password);
    return is_anonymous || (login->name.len > 0 && login->password.len > 0 && !has_nul(login->name) &&
                            !has_nul(login->password));
}

static void set_tls(CURL *curl, pool_t *pool, const ldap_server_t *server)
{
    if (server->is_tls_unverified) {
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (server->ca_pem.len > 0) {
        struct curl_blob blob = {
            .data = (void *)server->ca_pem.base, .len = server->ca_pem.len, .flags = CURL_BLOB_COPY};
        curl_easy_setopt(curl, CURLOPT_CAINFO_BLOB, &blob);
    } else if (server->ca_file.len > 0) {
        curl_easy_setopt(curl, CURLOPT_CAINFO, pool_cstr(pool, server->ca_file));
    }
}

static void set_exchange(CURL *curl, pool_t *pool, const ldap_server_t *server, const ldap_login_t *login,
                         str_t url, answer_t *answer)
{
    curl_easy_setopt(curl, CURLOPT_URL, pool_cstr(pool, url));
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, server->is_tls ? "ldaps" : "ldap");
    answer->gate.policy = server->addr_policy;
    target_guard(curl, &answer->gate);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS,
                     (long)(server->timeout_ms > 0 ? server->timeout_ms : TIMEOUT_DEFAULT_MS));
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    set_tls(curl, pool, server);
    if (login->name.len > 0) {
        curl_easy_setopt(curl, CURLOPT_USERNAME, pool_cstr(pool, login->name));
        curl_easy_setopt(curl, CURLOPT_PASSWORD, pool_cstr(pool, login->password));
    }
}

err_t *ldap_search(pool_t *pool, const ldap_server_t *server, const ldap_login_t *login,
                   const ldap_query_t *query, ldap_entries_t *out)
{
    answer_t answer = {0};
    *out = (ldap_entries_t){0};
    if (!is_login_usable(login))
        return refused_login(pool);
    str_t url = ldap_build_url(pool, server, query);
    if (has_nul(url) || server->host.len == 0)
        return err_make(pool, 502, ERR_FAMILY_UPSTREAM, "refused", "The directory server's address is wrong");
    CURL *curl = curl_easy_init();
    if (curl == NULL)
        return err_bug(pool, "libcurl gave no handle");
    buf_init(&answer.body, pool, 4096);
    set_exchange(curl, pool, server, login, url, &answer);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_cleanup(curl);
    if (code != CURLE_OK)
        return explain(pool, code, &answer);
    ldap_parse_ldif(pool, buf_str(&answer.body), query->entries_max, out);
    return NULL;
}
