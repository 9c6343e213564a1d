/* Notifications by mail and Teams: settings, delivery, log rows. What is said is made by notify_text.c and
 * notify_alert.c; who asks is send_notification.c and notice_queue.c. Worker threads only. */
#ifndef FUNCTIONS_NOTIFY_H
#define FUNCTIONS_NOTIFY_H

#include "api/gateway.h"

#include <jansson.h>

#define NOTIFY_FACTS_MAX 16

/* The row of notification_settings, its two secrets decrypted. Null strings: not set. */
typedef struct {
    str_t smtp_host, smtp_user, smtp_password, smtp_from, webhook_url;
    str_t mention_users;  /* names separated by commas */
    str_t critical_types; /* job types between spaces, " a b " */
    int64_t smtp_port;
    bool on_started, on_completed, on_failed, mentions_critical;
    bool on_unsafe, on_warning, on_change; /* clusters */
    int64_t deadline_us;                   /* of clock_mono_us, set by a caller who has one; 0: none */
} notify_settings_t;

typedef struct {
    const char *name;
    str_t value;
} notify_fact_t;

/* One message, in the words of no channel. Texts are plain. */
typedef struct {
    const char *log_type; /* NULL: one log row per channel, of type email and teams */
    str_t subject, title; /* one line each; the subject is the mail's */
    str_t text;           /* behind the facts; may be null */
    const char *colour;   /* six hex digits */
    notify_fact_t facts[NOTIFY_FACTS_MAX];
    size_t fact_count;
    const char *severity; /* as notification_logs spells it */
    bool is_critical, is_test;
    str_t job_id;      /* a UUID or null */
    str_t log_details; /* JSON object */
    str_t mail_to;     /* null: the settings' recipient */
} notice_t;

typedef enum { NOTIFY_EMAIL = 1, NOTIFY_TEAMS = 2, NOTIFY_ALL = 3 } notify_channels_t;

/* What came of one channel. */
typedef struct {
    bool is_tried;      /* false: not configured, or not asked for */
    const err_t *error; /* NULL when it was delivered */
} notify_outcome_t;

typedef struct {
    notify_outcome_t email, teams;
} notify_result_t;

static inline bool notify_is_delivered(const notify_result_t *result)
{
    return (result->email.is_tried && result->email.error == NULL) ||
           (result->teams.is_tried && result->teams.error == NULL);
}

/* `*out` is NULL when there is no row. Errors are the database's. */
err_t *notify_load(gateway_t *gateway, pool_t *pool, notify_settings_t **out) MUST_CHECK;

/* Whether the settings ask for news of a job that took `status`. */
bool notify_is_wanted(const notify_settings_t *settings, str_t status);

/* Sends on the configured ones of `channels`, waiting for each; then one log row per channel tried, or one of
 * notice->log_type. A log row that cannot be written is observed, not returned. */
void notify_send(gateway_t *gateway, pool_t *pool, const notify_settings_t *settings, const notice_t *notice,
                 notify_channels_t channels, notify_result_t *result);

void notify_add_fact(notice_t *notice, const char *name, str_t value);

/* A job that took `status`. `details` (may be NULL) is shown without secrets. */
void notify_job(pool_t *pool, const notify_settings_t *settings, str_t job_id, str_t job_type, str_t status,
                const json_t *details, notice_t *out);
void notify_test(pool_t *pool, str_t message, str_t subject, notice_t *out);
/* `event`: maintenance_reminder, maintenance_window_started, ..._completed, ..._failed. False: another. */
bool notify_maintenance(pool_t *pool, str_t event, const json_t *body, notice_t *out);
/* The bodies of send-notification for these. */
void notify_cluster_alert(pool_t *pool, const json_t *body, notice_t *out);
void notify_sla_alert(pool_t *pool, const json_t *body, notice_t *out);

/* At most 500 bytes of `text` without line breaks and other control characters: for headers, titles, facts.
 */
str_t notify_line(pool_t *pool, str_t text);

/* A deep copy of `value` with what stands under names of secrets masked. Owner: the caller. */
json_t *notify_redact(const json_t *value);

#endif
