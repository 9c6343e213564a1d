#include "api/access_log.h"

#include "base/log.h"

#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#define NEVER 1000

static _Atomic int status_min = NEVER;

void access_log_configure(const config_t *config)
{
    static const struct {
        const char *level;
        int status_min;
    } LEVELS[] = {{"crit", NEVER}, {"error", 500}, {"warn", 400}};
    int min = 0;
    for (size_t i = 0; i < sizeof(LEVELS) / sizeof(LEVELS[0]); i++)
        if (str_eq_nocase(config_str(config, "BASALT_LOG_LEVEL"), str_from_c(LEVELS[i].level)))
            min = LEVELS[i].status_min;
    atomic_store(&status_min, config_bool(config, "BASALT_ACCESS_LOG") ? min : NEVER);
}

/* What a caller wrote must not end the line or the field. */
static void append_safe(buf_t *out, str_t text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.base[i];
        if (c < ' ' || c == 0x7f || c == '"' || c == '\\')
            buf_printf(out, "\\x%02x", c);
        else
            buf_append_char(out, (char)c);
    }
}

static void append_time(buf_t *out)
{
    char text[64];
    struct tm parts;
    time_t now = time(NULL);
    localtime_r(&now, &parts);
    strftime(text, sizeof(text), "%d/%b/%Y:%H:%M:%S %z", &parts);
    buf_append_str(out, str_from_c(text));
}

/* What a browser asks by itself, answered before anybody is identified. */
static bool is_preflight(const api_context_t *ctx, int status)
{
    return ctx->identity == NULL && status == 200 && str_eq(http_method(ctx->request), STR("OPTIONS")) &&
           http_header(ctx->request, "origin").len > 0 &&
           http_header(ctx->request, "access-control-request-method").len > 0;
}

void access_log_write(const api_context_t *ctx, int status)
{
    http_request_t *request = ctx->request;
    if (status < atomic_load_explicit(&status_min, memory_order_relaxed) || is_preflight(ctx, status))
        return;
    buf_t line;
    buf_init(&line, ctx->pool, 256);
    str_t query = http_query(request), client = http_client_addr(request);
    buf_append_str(&line, str_eq(client, STR("unix")) ? STR("-") : client);
    buf_append_lit(&line, " - ");
    append_safe(&line, ctx->identity != NULL && ctx->identity->role.len > 0 ? ctx->identity->role : STR("-"));
    buf_append_lit(&line, " [");
    append_time(&line);
    buf_append_lit(&line, "] \"");
    append_safe(&line, http_method(request));
    buf_append_char(&line, ' ');
    append_safe(&line, http_path(request));
    buf_append_str(&line, query.len > 0 ? STR("?") : STR(""));
    append_safe(&line, log_redact(ctx->pool, query));
    buf_printf(&line, " HTTP/1.1\" %d ", status);
    if (http_answer_length(request) >= 0)
        buf_printf(&line, "%lld \"", (long long)http_answer_length(request));
    else
        buf_append_lit(&line, "- \"");
    append_safe(&line, http_header(request, "referer"));
    buf_append_lit(&line, "\" \"");
    append_safe(&line, http_header(request, "user-agent"));
    buf_append_lit(&line, "\"\n");
    /* one write, so that lines of several processes do not mix; a full pipe loses the line, not the loop's
     * time */
    ssize_t ignored = write(STDOUT_FILENO, line.base, line.len);
    (void)ignored;
}
