#include "drivers/smtp/smtp.h"

#include "base/crypt.h"

#include <curl/curl.h>

#define PORT_DEFAULT 587
#define PORT_IMPLICIT_TLS 465
#define TIMEOUT_DEFAULT_MS 10000
#define ANSWERS_MAX (64u << 10) /* of a whole conversation */
#define ANSWER_SHOWN 160

/* What the callbacks of one conversation share. */
typedef struct {
    pool_t *pool;
    str_t rest; /* not sent yet */
    target_gate_t gate;
    size_t answered; /* bytes */
    str_t refusal;   /* the last answer of 4xx or 5xx */
} talk_t;

static size_t on_read(char *buffer, size_t size, size_t count, void *arg)
{
    talk_t *talk = arg;
    size_t len = size * count < talk->rest.len ? size * count : talk->rest.len;
    if (len > 0)
        memcpy(buffer, talk->rest.base, len);
    talk->rest = str_slice(talk->rest, len, talk->rest.len);
    return len;
}

/* A server that never comes to an end is left. */
static size_t on_answer(char *bytes, size_t size, size_t count, void *arg)
{
    talk_t *talk = arg;
    size_t len = size * count;
    str_t line = str_trim(str_make(bytes, len));
    talk->answered += len;
    if (talk->answered > ANSWERS_MAX)
        return CURL_WRITEFUNC_ERROR;
    if (line.len > 3 && (line.base[0] == '4' || line.base[0] == '5'))
        talk->refusal = pool_str(talk->pool, str_slice(line, 0, ANSWER_SHOWN));
    return len;
}

static long tls_level(const smtp_server_t *server)
{
    if (server->tls == SMTP_TLS_NONE)
        return CURLUSESSL_NONE;
    bool has_password = server->password.len > 0;
    return server->tls == SMTP_TLS_REQUIRED || has_password ? CURLUSESSL_ALL : CURLUSESSL_TRY;
}

/* What the server said, unless it holds what was said to it in confidence. */
static str_t quote_refusal(const talk_t *talk, const smtp_server_t *server)
{
    str_t text = pool_str(talk->pool, talk->refusal);
    for (size_t i = 0; i < text.len; i++) {
        if (text.base[i] < ' ' || text.base[i] > '~')
            ((char *)text.base)[i] = '?';
    }
    if (server->password.len == 0)
        return text;
    str_t plain =
        pool_printf(talk->pool, "%c%.*s%c%.*s", 0, STR_ARG(server->username), 0, STR_ARG(server->password));
    str_t secrets[] = {server->password, crypt_base64(talk->pool, server->password),
                       crypt_base64(talk->pool, plain)};
    for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
        if (str_find(text, secrets[i], 0) != SIZE_MAX)
            return STR("(not shown)");
    }
    return text;
}

static err_t *upstream(pool_t *pool, const char *code, const char *message)
{
    return err_make(pool, 502, ERR_FAMILY_UPSTREAM, code, "%s", message);
}

static err_t *explain(const talk_t *talk, const smtp_server_t *server, CURLcode code)
{
    pool_t *pool = talk->pool;
    if (target_was_refused(&talk->gate))
        return upstream(pool, "address", "The mail server's address is not allowed as a target");
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
        return err_make(pool, 504, ERR_FAMILY_UPSTREAM, "timeout", "The mail server did not answer in time");
    case CURLE_LOGIN_DENIED:
        return upstream(pool, "auth", "The mail server refused the login");
    case CURLE_USE_SSL_FAILED:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        return err_make(pool, 502, ERR_FAMILY_UPSTREAM, "tls", "No secure connection to the mail server: %s",
                        curl_easy_strerror(code));
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
        return upstream(pool, "connect", "The mail server cannot be reached");
    default:
        if (talk->refusal.len == 0)
            return upstream(pool, "protocol", "The mail server broke off the conversation");
        return err_make(pool, 502, ERR_FAMILY_UPSTREAM, "refused", "The mail server refused the mail: %.*s",
                        STR_ARG(quote_refusal(talk, server)));
    }
}

static void set_login(CURL *curl, pool_t *pool, const smtp_server_t *server)
{
    if (server->username.len == 0)
        return;
    curl_easy_setopt(curl, CURLOPT_USERNAME, pool_cstr(pool, server->username));
    curl_easy_setopt(curl, CURLOPT_PASSWORD, pool_cstr(pool, server->password));
    curl_easy_setopt(curl, CURLOPT_LOGIN_OPTIONS, "AUTH=CRAM-MD5;AUTH=PLAIN;AUTH=LOGIN");
}

static void set_server(CURL *curl, pool_t *pool, const smtp_server_t *server)
{
    unsigned port = server->port != 0 ? server->port : PORT_DEFAULT;
    bool is_implicit = port == PORT_IMPLICIT_TLS && server->tls != SMTP_TLS_NONE;
    bool is_v6 = str_find_char(server->host, ':', 0) != SIZE_MAX;
    str_t url = pool_printf(pool, "%s://%s%.*s%s:%u", is_implicit ? "smtps" : "smtp", is_v6 ? "[" : "",
                            STR_ARG(server->host), is_v6 ? "]" : "", port);
    curl_easy_setopt(curl, CURLOPT_URL, url.base);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(curl, CURLOPT_USE_SSL, tls_level(server));
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS,
                     (long)(server->timeout_ms > 0 ? server->timeout_ms : TIMEOUT_DEFAULT_MS));
    if (server->is_tls_unverified) {
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (server->ca_file.len > 0)
        curl_easy_setopt(curl, CURLOPT_CAINFO, pool_cstr(pool, server->ca_file));
    set_login(curl, pool, server);
}

/* A host and nothing more of a URL; a name that ends where its text does. */
static bool is_server_usable(const smtp_server_t *server)
{
    for (size_t i = 0; i < server->host.len; i++) {
        unsigned char c = (unsigned char)server->host.base[i];
        if (c <= ' ' || strchr("/?#@%\\[]\x7f", c) != NULL)
            return false;
    }
    return server->host.len > 0 &&
           (server->username.len == 0 || memchr(server->username.base, '\0', server->username.len) == NULL) &&
           (server->password.len == 0 || memchr(server->password.base, '\0', server->password.len) == NULL);
}

static void set_message(CURL *curl, talk_t *talk, const smtp_message_t *message,
                        struct curl_slist *recipients)
{
    curl_easy_setopt(curl, CURLOPT_MAIL_FROM, pool_cstr(talk->pool, message->from_address));
    curl_easy_setopt(curl, CURLOPT_MAIL_RCPT, recipients);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(curl, CURLOPT_READDATA, talk);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_answer);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, talk);
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
}

err_t *smtp_send(pool_t *pool, const smtp_server_t *server, const smtp_message_t *message)
{
    talk_t talk = {
        .pool = pool, .rest = smtp_build_message(pool, message), .gate = {.policy = server->addr_policy}};
    if (str_is_null(talk.rest) || !is_server_usable(server))
        return err_make(pool, 400, ERR_FAMILY_REQUEST, "invalid",
                        "The server, an address or the subject of the mail is not valid");
    CURL *curl = curl_easy_init();
    struct curl_slist *recipients = NULL;
    if (curl == NULL)
        return err_bug(pool, "libcurl gave no handle");
    for (size_t i = 0; i < message->to_count; i++)
        recipients = curl_slist_append(recipients, pool_cstr(pool, message->to[i]));
    set_server(curl, pool, server);
    target_guard(curl, &talk.gate);
    set_message(curl, &talk, message, recipients);
    CURLcode code = curl_easy_perform(curl);
    curl_slist_free_all(recipients);
    curl_easy_cleanup(curl);
    return code == CURLE_OK ? NULL : explain(&talk, server, code);
}
