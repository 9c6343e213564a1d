#include "drivers/smtp/smtp.h"

#include <curl/curl.h>

#define PORT_DEFAULT 587
#define PORT_IMPLICIT_TLS 465
#define TIMEOUT_DEFAULT_MS 10000

typedef struct {
    str_t rest; /* not sent yet */
} upload_t;

static size_t on_read(char *buffer, size_t size, size_t count, void *arg)
{
    upload_t *upload = arg;
    size_t len = size * count < upload->rest.len ? size * count : upload->rest.len;
    if (len > 0)
        memcpy(buffer, upload->rest.base, len);
    upload->rest = str_slice(upload->rest, len, upload->rest.len);
    return len;
}

static long tls_level(const smtp_server_t *server)
{
    if (server->tls == SMTP_TLS_NONE)
        return CURLUSESSL_NONE;
    bool has_password = server->password.len > 0;
    return server->tls == SMTP_TLS_REQUIRED || has_password ? CURLUSESSL_ALL : CURLUSESSL_TRY;
}

static err_t *explain(pool_t *pool, CURLcode code, long answer)
{
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
        return err_make(pool, 504, ERR_FAMILY_UPSTREAM, "timeout", "The mail server did not answer in time");
    case CURLE_LOGIN_DENIED:
        return err_make(pool, 502, ERR_FAMILY_UPSTREAM, "auth", "The mail server refused the login");
    case CURLE_USE_SSL_FAILED:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
        return err_make(pool, 502, ERR_FAMILY_UPSTREAM, "tls", "No secure connection to the mail server: %s",
                        curl_easy_strerror(code));
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
        return err_make(pool, 502, ERR_FAMILY_UPSTREAM, "connect", "The mail server cannot be reached");
    default:
        return err_make(pool, 502, ERR_FAMILY_UPSTREAM, "refused",
                        "The mail server refused the mail (%s, answer %ld)", curl_easy_strerror(code),
                        answer);
    }
}

static void set_login(CURL *curl, pool_t *pool, const smtp_server_t *server)
{
    if (server->username.len == 0)
        return;
    curl_easy_setopt(curl, CURLOPT_USERNAME, pool_cstr(pool, server->username));
    curl_easy_setopt(curl, CURLOPT_PASSWORD, pool_cstr(pool, server->password));
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
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS,
                     (long)(server->timeout_ms > 0 ? server->timeout_ms : TIMEOUT_DEFAULT_MS));
    if (server->is_tls_unverified) {
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    set_login(curl, pool, server);
}

err_t *smtp_send(pool_t *pool, const smtp_server_t *server, const smtp_message_t *message)
{
    upload_t upload = {.rest = smtp_build_message(pool, message)};
    if (str_is_null(upload.rest))
        return err_make(pool, 400, ERR_FAMILY_REQUEST, "invalid",
                        "An address or the subject of the mail is not valid");
    CURL *curl = curl_easy_init();
    struct curl_slist *recipients = NULL;
    long answer = 0;
    if (curl == NULL)
        return err_bug(pool, "libcurl gave no handle");
    set_server(curl, pool, server);
    for (size_t i = 0; i < message->to_count; i++)
        recipients = curl_slist_append(recipients, pool_cstr(pool, message->to[i]));
    curl_easy_setopt(curl, CURLOPT_MAIL_FROM, pool_cstr(pool, message->from_address));
    curl_easy_setopt(curl, CURLOPT_MAIL_RCPT, recipients);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(curl, CURLOPT_READDATA, &upload);
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer);
    curl_slist_free_all(recipients);
    curl_easy_cleanup(curl);
    return code == CURLE_OK ? NULL : explain(pool, code, answer);
}
