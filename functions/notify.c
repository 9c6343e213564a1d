#include "functions/notify.h"

#include "base/clock.h"
#include "base/emit.h"
#include "base/fetch.h"
#include "base/observe.h"
#include "drivers/smtp/smtp.h"
#include "functions/fn.h"
#include "functions/peer.h"

#define CHANNEL_TIMEOUT_MS 15000
#define TEAMS_ANSWER_SHOWN 200
#define TEXT_SHOWN 8000

/* Secrets come encrypted from the forms; rows of older databases may hold them in clear. */
static const char SETTINGS_SQL[] =
    "select s.smtp_host, coalesce(s.smtp_port, 587), s.smtp_user,"
    "       case when starts_with(s.smtp_password, 'enc:v1:')"
    "            then public.decrypt_password(s.smtp_password, k.key) else s.smtp_password end,"
    "       s.smtp_from_email,"
    "       case when starts_with(s.teams_webhook_url, 'enc:v1:')"
    "            then public.decrypt_password(s.teams_webhook_url, k.key) else s.teams_webhook_url end,"
    "       s.teams_mention_users, ' ' || array_to_string(s.critical_job_types, ' ') || ' ',"
    "       coalesce(s.notify_on_job_started, false), coalesce(s.notify_on_job_complete, false),"
    "       coalesce(s.notify_on_job_failed, false), coalesce(s.mention_on_critical_failures, false),"
    "       coalesce(s.notify_on_unsafe_cluster, false), coalesce(s.notify_on_cluster_warning, false),"
    "       coalesce(s.notify_on_cluster_status_change, false)"
    "  from public.notification_settings s"
    "  left join (select encryption_key as key from public.activity_settings limit 1) k on true"
    " order by s.created_at limit 1";

static const char LOG_SQL[] =
    "insert into public.notification_logs (notification_type, job_id, status, error_message,"
    "                                      delivery_details, is_test, severity)"
    " values ($1, (select id from public.jobs where id = $2::uuid), $3, $4, $5::jsonb, $6::boolean, $7)";

static bool is_true(const db_rows_t *rows, size_t column)
{
    return str_eq(db_value(rows, 0, column), STR("t"));
}

static void read_settings(const db_rows_t *rows, notify_settings_t *out)
{
    str_t *const texts[] = {&out->smtp_host,     NULL,
                            &out->smtp_user,     &out->smtp_password,
                            &out->smtp_from,     &out->webhook_url,
                            &out->mention_users, &out->critical_types};
    bool *const flags[] = {&out->on_started, &out->on_completed, &out->on_failed, &out->mentions_critical,
                           &out->on_unsafe,  &out->on_warning,   &out->on_change};
    size_t text_count = sizeof(texts) / sizeof(texts[0]);
    for (size_t i = 0; i < text_count; i++) {
        if (texts[i] != NULL)
            *texts[i] = db_value(rows, 0, i);
    }
    if (!str_to_int64(db_value(rows, 0, 1), &out->smtp_port))
        out->smtp_port = 0;
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        *flags[i] = is_true(rows, text_count + i);
}

err_t *notify_load(gateway_t *gateway, pool_t *pool, notify_settings_t **out)
{
    db_session_t *session = NULL;
    db_rows_t rows = {0};
    *out = NULL;
    err_t *err = fn_begin_service_for(gateway, pool, &session);
    if (err == NULL)
        err = db_session_query(session, FN_SQL(SETTINGS_SQL), NULL, 0, &rows);
    db_session_rollback(session);
    if (err != NULL || rows.row_count == 0)
        return err;
    *out = POOL_NEW(pool, notify_settings_t);
    read_settings(&rows, *out);
    return NULL;
}

bool notify_is_wanted(const notify_settings_t *settings, str_t status)
{
    return (str_eq(status, STR("running")) && settings->on_started) ||
           (str_eq(status, STR("completed")) && settings->on_completed) ||
           (str_eq(status, STR("failed")) && settings->on_failed);
}

void notify_add_fact(notice_t *notice, const char *name, str_t value)
{
    if (notice->fact_count < NOTIFY_FACTS_MAX && value.len > 0)
        notice->facts[notice->fact_count++] = (notify_fact_t){name, value};
}

static int time_left_ms(const notify_settings_t *settings)
{
    int64_t left_ms =
        settings->deadline_us == 0 ? CHANNEL_TIMEOUT_MS : (settings->deadline_us - clock_mono_us()) / 1000;
    return left_ms < 1 ? 1 : left_ms < CHANNEL_TIMEOUT_MS ? (int)left_ms : CHANNEL_TIMEOUT_MS;
}

/* --- mail */

static str_t mail_text(pool_t *pool, const notice_t *notice)
{
    buf_t out;
    buf_init(&out, pool, 1024);
    buf_append_str(&out, notice->title);
    buf_append_lit(&out, "\n\n");
    for (size_t i = 0; i < notice->fact_count; i++)
        buf_printf(&out, "%s: %.*s\n", notice->facts[i].name, STR_ARG(notice->facts[i].value));
    if (notice->text.len > 0)
        buf_printf(&out, "\n%.*s\n", STR_ARG(str_slice(notice->text, 0, TEXT_SHOWN)));
    buf_append_lit(&out, "\n-- \nSent by the server management system.\n");
    return buf_str(&out);
}

/* The recipient is the mailbox that signs in; a login that is no address gives way to the sender's. */
static str_t recipient(const notify_settings_t *settings, const notice_t *notice)
{
    if (notice->mail_to.len > 0)
        return notice->mail_to;
    bool is_address = str_find_char(settings->smtp_user, '@', 0) != SIZE_MAX;
    return is_address ? settings->smtp_user : settings->smtp_from;
}

static const err_t *send_mail(gateway_t *gateway, pool_t *pool, const notify_settings_t *settings,
                              const notice_t *notice)
{
    str_t to = recipient(settings, notice);
    bool has_password = settings->smtp_password.len > 0;
    smtp_server_t server = {.host = settings->smtp_host,
                            .port = (uint16_t)settings->smtp_port,
                            .username = has_password ? settings->smtp_user : STR_NULL,
                            .password = has_password ? settings->smtp_password : STR_NULL,
                            .ca_file = config_str(gateway->config, "BASALT_CA_FILE"),
                            .addr_policy = peer_policy(gateway),
                            .timeout_ms = time_left_ms(settings)};
    smtp_message_t message = {.from_address = settings->smtp_from,
                              .to = &to,
                              .to_count = 1,
                              .subject = notice->subject,
                              .text = mail_text(pool, notice)};
    if (settings->smtp_port < 0 || settings->smtp_port > UINT16_MAX)
        return err_make(pool, 400, ERR_FAMILY_REQUEST, "invalid", "The port of the mail server is not valid");
    return smtp_send(pool, &server, &message);
}

/* --- Teams */

/* Mentions as Teams shows them, behind the text. */
static str_t teams_text(pool_t *pool, const notify_settings_t *settings, const notice_t *notice)
{
    buf_t out;
    str_t rest = settings->mention_users;
    buf_init(&out, pool, 256);
    buf_append_str(&out, str_slice(notice->text, 0, TEXT_SHOWN));
    while (notice->is_critical && settings->mentions_critical && rest.len > 0) {
        str_t name = str_trim(str_split(&rest, ','));
        if (name.len > 0)
            buf_printf(&out, "%s<at>%.*s</at>", out.len > 0 ? " " : "", STR_ARG(name));
    }
    return buf_str(&out);
}

static void emit_facts(emit_t *emit, const notice_t *notice)
{
    emit_key(emit, STR("facts"));
    emit_array_begin(emit);
    for (size_t i = 0; i < notice->fact_count; i++) {
        emit_object_begin(emit);
        emit_kv_string(emit, "name", str_from_c(notice->facts[i].name));
        emit_kv_string(emit, "value", notice->facts[i].value);
        emit_object_end(emit);
    }
    emit_array_end(emit);
}

static str_t message_card(pool_t *pool, const notify_settings_t *settings, const notice_t *notice)
{
    buf_t out;
    emit_t emit;
    str_t text = teams_text(pool, settings, notice);
    buf_init(&out, pool, 1024);
    emit_init(&emit, &out);
    emit_object_begin(&emit);
    emit_kv_string(&emit, "@type", STR("MessageCard"));
    emit_kv_string(&emit, "@context", STR("https://schema.org/extensions"));
    emit_kv_string(&emit, "summary", notice->subject);
    emit_kv_string(&emit, "themeColor", str_from_c(notice->colour));
    emit_kv_string(&emit, "title", notice->subject);
    if (notice->is_critical)
        emit_kv_string(&emit, "importance", STR("high"));
    emit_key(&emit, STR("sections"));
    emit_array_begin(&emit);
    emit_object_begin(&emit);
    emit_kv_string(&emit, "activityTitle", notice->title);
    emit_facts(&emit, notice);
    if (text.len > 0)
        emit_kv_string(&emit, "text", text);
    emit_object_end(&emit);
    emit_array_end(&emit);
    emit_object_end(&emit);
    return buf_str(&out);
}

/* What the service said, in printable ASCII. Whoever knows the address may post there: an answer that names
 * its path is not shown. */
static str_t quote_answer(pool_t *pool, const notify_settings_t *settings, str_t body)
{
    str_t text = pool_str(pool, str_slice(body, 0, TEAMS_ANSWER_SHOWN));
    str_t rest = str_slice(settings->webhook_url, strlen("https://"), settings->webhook_url.len);
    size_t slash = str_find_char(rest, '/', 0);
    for (size_t i = 0; i < text.len; i++) {
        if (text.base[i] < ' ' || text.base[i] > '~')
            ((char *)text.base)[i] = ' ';
    }
    while (slash != SIZE_MAX && slash < rest.len) { /* each part of the path on its own */
        size_t next = str_find_char(rest, '/', slash + 1);
        str_t part = str_slice(rest, slash + 1, next);
        if (part.len > 7 && str_find(body, part, 0) != SIZE_MAX)
            return STR("(not shown)");
        slash = next;
    }
    return text;
}

/* Connectors of Teams answer 200 even if Teams itself refused, and say so in the body. */
static bool is_taken(const fetch_response_t *response)
{
    return response->status >= 200 && response->status <= 299 &&
           str_find(response->body, STR("delivery failed"), 0) == SIZE_MAX &&
           str_find(response->body, STR("returned HTTP error"), 0) == SIZE_MAX;
}

/* The address is a secret, too. It stands in no error and no log. */
static const err_t *send_teams(gateway_t *gateway, pool_t *pool, const notify_settings_t *settings,
                               const notice_t *notice)
{
    static const fetch_header_t JSON_BODY = {{"Content-Type", 12}, {"application/json", 16}};
    fetch_response_t response;
    fetch_request_t request = {.method = STR("POST"),
                               .url = settings->webhook_url,
                               .headers = &JSON_BODY,
                               .header_count = 1,
                               .body = message_card(pool, settings, notice),
                               .timeout_ms = time_left_ms(settings),
                               .response_max = 64 * 1024,
                               .ca_file = config_str(gateway->config, "BASALT_CA_FILE"),
                               .addr_policy = peer_policy(gateway)};
    if (!str_starts_with(settings->webhook_url, STR("https://")))
        return err_make(pool, 400, ERR_FAMILY_REQUEST, "invalid",
                        "The Teams webhook must be an https:// address");
    fetch_t *fetch = fetch_create();
    const err_t *err = fetch_perform(fetch, pool, &request, &response);
    fetch_destroy(fetch);
    if (err != NULL)
        return err_make(pool, 502, ERR_FAMILY_UPSTREAM, "connect",
                        "The Teams webhook cannot be reached (%.*s)", STR_ARG(err->code));
    if (is_taken(&response))
        return NULL;
    return err_make(pool, 502, ERR_FAMILY_UPSTREAM, "refused", "Teams webhook failed: %d %.*s",
                    response.status, STR_ARG(quote_answer(pool, settings, response.body)));
}

/* --- log rows */

static err_t *log_row(db_session_t *session, const notice_t *notice, const char *type, const err_t *error,
                      bool is_delivered)
{
    return db_session_query(
        session, FN_SQL(LOG_SQL),
        DB_PARAMS(str_from_c(type), str_is_uuid(notice->job_id) ? notice->job_id : STR_NULL,
                  is_delivered ? STR("success") : STR("failed"), error != NULL ? error->message : STR_NULL,
                  notice->log_details, notice->is_test ? STR("true") : STR("false"),
                  str_from_c(notice->severity)),
        NULL);
}

static err_t *log_outcomes(db_session_t *session, pool_t *pool, const notice_t *notice,
                           const notify_result_t *result)
{
    err_t *err = NULL;
    if (notice->log_type != NULL) {
        const err_t *why = result->email.error != NULL ? result->email.error : result->teams.error;
        if (why == NULL && !notify_is_delivered(result))
            why = err_make(pool, 0, ERR_FAMILY_REQUEST, "", "No channel is configured");
        return log_row(session, notice, notice->log_type, why, notify_is_delivered(result));
    }
    if (result->email.is_tried)
        err = log_row(session, notice, "email", result->email.error, result->email.error == NULL);
    if (err == NULL && result->teams.is_tried)
        err = log_row(session, notice, "teams", result->teams.error, result->teams.error == NULL);
    return err;
}

static void write_log(gateway_t *gateway, pool_t *pool, const notice_t *notice, const notify_result_t *result)
{
    db_session_t *session = NULL;
    err_t *err = fn_begin_service_for(gateway, pool, &session);
    if (err == NULL)
        err = log_outcomes(session, pool, notice, result);
    err = fn_end(session, err);
    if (err != NULL)
        observe(LOG_WARN, "notification_not_logged", F_STR("code", err->code),
                F_STR("message", err->message));
}

void notify_send(gateway_t *gateway, pool_t *pool, const notify_settings_t *settings, const notice_t *notice,
                 notify_channels_t channels, notify_result_t *result)
{
    bool has_mail = settings->smtp_host.len > 0 && settings->smtp_user.len > 0 && settings->smtp_from.len > 0;
    *result = (notify_result_t){0};
    if ((channels & NOTIFY_EMAIL) != 0 && has_mail)
        result->email = (notify_outcome_t){true, send_mail(gateway, pool, settings, notice)};
    if ((channels & NOTIFY_TEAMS) != 0 && settings->webhook_url.len > 0)
        result->teams = (notify_outcome_t){true, send_teams(gateway, pool, settings, notice)};
    write_log(gateway, pool, notice, result);
    observe(LOG_INFO, "notification", F_CSTR("severity", notice->severity),
            F_INT("mail_tried", result->email.is_tried), F_INT("teams_tried", result->teams.is_tried),
            F_INT("is_delivered", notify_is_delivered(result)));
}
