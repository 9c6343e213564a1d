#include "auth/mail.h"

#include "auth/redirect.h"
#include "base/observe.h"
#include "base/read_json.h"
#include "drivers/smtp/smtp.h"

#include <stdio.h>

#define TEMPLATE_MAX (64 * 1024)

static const struct {
    const char *name; /* end of GOTRUE_MAILER_SUBJECTS_ and GOTRUE_MAILER_TEMPLATES_ */
    const char *path; /* end of GOTRUE_MAILER_URLPATHS_, NULL: no link */
    const char *type, *subject, *body;
} MAILS[] = {
    [MAIL_CONFIRMATION] = {"CONFIRMATION", "CONFIRMATION", "signup", "Please confirm your e-mail address",
                           "<h2>Welcome</h2><p>Follow this link to confirm your address:</p>"
                           "<p><a href=\"{{ .ConfirmationURL }}\">Confirm my address</a></p>"
                           "<p>Or enter this code: {{ .Token }}</p>"},
    [MAIL_RECOVERY] =
        {"RECOVERY", "RECOVERY", "recovery", "Choose a new password",
         "<h2>New password</h2><p>Follow this link to choose a new password for your account:</p>"
         "<p><a href=\"{{ .ConfirmationURL }}\">Choose a new password</a></p>"
         "<p>Or enter this code: {{ .Token }}</p>"},
    [MAIL_MAGIC_LINK] =
        {"MAGIC_LINK", "RECOVERY", "magiclink", "Your link to sign in",
         "<h2>Sign in</h2><p>Follow this link to sign in:</p>"
         "<p><a href=\"{{ .ConfirmationURL }}\">Sign in</a></p><p>Or enter this code: {{ .Token }}</p>"},
    [MAIL_INVITE] =
        {"INVITE", "INVITE", "invite", "You are invited",
         "<h2>You are invited</h2><p>An account at {{ .SiteURL }} is waiting for you. Accept here:</p>"
         "<p><a href=\"{{ .ConfirmationURL }}\">Accept the invitation</a></p>"},
    [MAIL_EMAIL_CHANGE] =
        {"EMAIL_CHANGE", "EMAIL_CHANGE", "email_change", "Confirm the change of your e-mail address",
         "<h2>Change of address</h2><p>Confirm the change from {{ .Email }} to {{ .NewEmail }}:</p>"
         "<p><a href=\"{{ .ConfirmationURL }}\">Confirm the change</a></p>"},
    [MAIL_REAUTHENTICATION] = {"REAUTHENTICATION", NULL, NULL, "Confirm that it is you",
                               "<h2>Confirm that it is you</h2><p>Enter this code: {{ .Token }}</p>"},
};

static str_t setting(const auth_scope_t *scope, const char *prefix, const char *name)
{
    return config_str(scope->config, pool_printf(scope->pool, "%s%s", prefix, name).base);
}

str_t mail_action_link(const auth_scope_t *scope, mail_kind_t kind, const char *type, str_t token_hash,
                       str_t redirect_to)
{
    buf_t out;
    str_t base = config_str(scope->config, "API_EXTERNAL_URL");
    str_t path = setting(scope, "GOTRUE_MAILER_URLPATHS_", MAILS[kind].path);
    while (str_ends_with(base, STR("/")))
        base = str_slice(base, 0, base.len - 1);
    buf_init(&out, scope->pool, 256);
    if (!str_starts_with(path, STR("http://")) && !str_starts_with(path, STR("https://"))) {
        buf_append_str(&out, base);
        if (!str_starts_with(path, STR("/")))
            buf_append_char(&out, '/');
    }
    buf_append_str(&out, path);
    buf_printf(&out, "?token=%.*s&type=%s&redirect_to=", STR_ARG(token_hash), type);
    bool needs_encoding = str_find_char(redirect_to, '&', 0) != SIZE_MAX ||
                          str_find_char(redirect_to, '=', 0) != SIZE_MAX ||
                          str_find_char(redirect_to, '#', 0) != SIZE_MAX;
    if (needs_encoding)
        redirect_append_encoded(&out, redirect_to);
    else
        buf_append_str(&out, redirect_to);
    return buf_str(&out);
}

static str_t data_member(const auth_scope_t *scope, const mail_t *mail, str_t name)
{
    json_t *data = NULL;
    if (mail->data.len == 0 || read_json(scope->pool, mail->data, NULL, &data) != NULL)
        return STR_NULL;
    json_t *value = json_object_get(data, pool_cstr(scope->pool, name));
    if (json_is_string(value))
        return str_make(json_string_value(value), json_string_length(value));
    return value == NULL || json_is_null(value) ? STR_NULL : read_json_dump(scope->pool, value);
}

static str_t value_of(const auth_scope_t *scope, const mail_t *mail, str_t name)
{
    if (str_eq(name, STR(".ConfirmationURL")))
        return MAILS[mail->kind].path == NULL ? STR_NULL
                                              : mail_action_link(scope, mail->kind, MAILS[mail->kind].type,
                                                                 mail->token_hash, mail->redirect_to);
    const struct {
        str_t name, value;
    } values[] = {
        {STR(".Token"), mail->code},
        {STR(".TokenHash"), mail->token_hash},
        {STR(".Email"), mail->email},
        {STR(".NewEmail"), mail->new_email},
        {STR(".SendingTo"), mail->to},
        {STR(".RedirectTo"), mail->redirect_to},
        {STR(".SiteURL"), config_str(scope->config, "GOTRUE_SITE_URL")},
    };
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        if (str_eq(name, values[i].name))
            return values[i].value;
    if (str_starts_with(name, STR(".Data.")))
        return data_member(scope, mail, str_slice(name, 6, name.len));
    return STR_NULL;
}

static void append_escaped(buf_t *out, str_t value)
{
    for (size_t i = 0; i < value.len; i++) {
        switch (value.base[i]) {
        case '&':
            buf_append_lit(out, "&amp;");
            break;
        case '<':
            buf_append_lit(out, "&lt;");
            break;
        case '>':
            buf_append_lit(out, "&gt;");
            break;
        case '"':
            buf_append_lit(out, "&#34;");
            break;
        case '\'':
            buf_append_lit(out, "&#39;");
            break;
        default:
            buf_append_char(out, value.base[i]);
        }
    }
}

str_t mail_render(const auth_scope_t *scope, str_t text, const mail_t *mail, bool is_html)
{
    buf_t out;
    buf_init(&out, scope->pool, text.len + 512);
    for (size_t at = 0; at < text.len;) {
        size_t open = str_find(text, STR("{{"), at);
        size_t close = open == SIZE_MAX ? SIZE_MAX : str_find(text, STR("}}"), open);
        if (close == SIZE_MAX) {
            buf_append_str(&out, str_slice(text, at, text.len));
            break;
        }
        buf_append_str(&out, str_slice(text, at, open));
        str_t value = value_of(scope, mail, str_trim(str_slice(text, open + 2, close)));
        if (is_html)
            append_escaped(&out, value);
        else
            buf_append_str(&out, value);
        at = close + 2;
    }
    return buf_str(&out);
}

/* A configured template is a file; what cannot be read falls back to ours, and says so. */
static str_t load_template(const auth_scope_t *scope, mail_kind_t kind)
{
    str_t path = setting(scope, "GOTRUE_MAILER_TEMPLATES_", MAILS[kind].name);
    if (path.len == 0)
        return str_from_c(MAILS[kind].body);
    FILE *file = fopen(pool_cstr(scope->pool, path), "rb");
    char *bytes = pool_alloc(scope->pool, TEMPLATE_MAX);
    size_t len = file != NULL ? fread(bytes, 1, TEMPLATE_MAX, file) : 0;
    if (file != NULL)
        fclose(file);
    if (len > 0)
        return str_make(bytes, len);
    observe(LOG_WARN, "auth_mail_template_unreadable", F_STR("path", path));
    return str_from_c(MAILS[kind].body);
}

static err_t *deliver(auth_call_t *call, const mail_t *mail, str_t subject, str_t html)
{
    const config_t *config = call->scope.config;
    smtp_server_t server = {.host = config_str(config, "GOTRUE_SMTP_HOST"),
                            .port = (uint16_t)config_int(config, "GOTRUE_SMTP_PORT"),
                            .username = config_str(config, "GOTRUE_SMTP_USER"),
                            .password = config_str(config, "GOTRUE_SMTP_PASS"),
                            .addr_policy = TARGET_ANY, /* the operator's own choice */
                            .timeout_ms = 8000};
    if (server.host.len == 0)
        return err_make(call->pool, 502, ERR_FAMILY_UPSTREAM, "connect",
                        "No mail server is configured (GOTRUE_SMTP_HOST)");
    smtp_message_t message = {.from_address = config_str(config, "GOTRUE_SMTP_ADMIN_EMAIL"),
                              .from_name = config_str(config, "GOTRUE_SMTP_SENDER_NAME"),
                              .to = &mail->to,
                              .to_count = 1,
                              .subject = subject,
                              .html = html};
    return smtp_send(call->pool, &server, &message);
}

err_t *mail_send(auth_call_t *call, const mail_t *mail, const char *failure)
{
    err_t *err = call_take_mail(call);
    if (err != NULL)
        return err;
    str_t subject = setting(&call->scope, "GOTRUE_MAILER_SUBJECTS_", MAILS[mail->kind].name);
    if (subject.len == 0)
        subject = str_from_c(MAILS[mail->kind].subject);
    err = deliver(call, mail, mail_render(&call->scope, subject, mail, false),
                  mail_render(&call->scope, load_template(&call->scope, mail->kind), mail, true));
    if (err == NULL)
        return NULL;
    observe(LOG_ERROR, "auth_mail_failed", F_CSTR("kind", MAILS[mail->kind].name), F_STR("code", err->code),
            F_STR("message", err->message));
    return call_error(call, 500, "unexpected_failure", "%s", failure);
}
