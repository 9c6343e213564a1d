/* All that a function needs. A function is sequential code on a worker: it reads its body, works in one
 * database transaction, and replies. It never sees the event loop. Shapes and texts: docs/functions.md. */
#ifndef FUNCTIONS_FN_H
#define FUNCTIONS_FN_H

#include "api/fn_table.h"
#include "base/emit.h"
#include "base/read_json.h"
#include "db/session.h"

/* Replies: the last one counts. `json` must live in task->pool. */
void fn_reply(api_task_t *task, int status, str_t json);
/* {"error": message} */
void fn_fail(api_task_t *task, int status, str_t message);
/* {"success": false, "error": message} */
void fn_fail_success(api_task_t *task, int status, str_t message);

/* The body as JSON object. False after having replied 500 in the function's own catch shape (`reply`). */
bool fn_body(api_task_t *task, json_t **body, void (*reply)(api_task_t *task, int status, str_t message));

/* Begins a transaction as the service role (bypasses row security), or as the caller with the caller's
 * claims. */
db_session_who_t fn_service_who(const api_task_t *task);
err_t *fn_begin_service(api_task_t *task, db_session_t **session) MUST_CHECK;
err_t *fn_begin_caller(api_task_t *task, db_session_t **session) MUST_CHECK;
/* As the service role, for work that no request asked for. */
err_t *fn_begin_service_for(gateway_t *gateway, pool_t *pool, db_session_t **session) MUST_CHECK;

/* One statement as the service role in a transaction of its own, in one round trip (db_session_read, _write).
 */
err_t *fn_read_service(api_task_t *task, str_t sql, const str_t *params, size_t count,
                       db_rows_t *rows) MUST_CHECK;
err_t *fn_write_service(api_task_t *task, str_t sql, const str_t *params, size_t count,
                        db_rows_t *rows) MUST_CHECK;

/* Ends a transaction as `err` says: commits when it is NULL, else rolls back. Returns what went wrong, if
 * anything. */
err_t *fn_end(db_session_t *session, err_t *err) MUST_CHECK;

/* One statement as the service role whose only value is the reply, as JSON text; commits, replies 200.
 * On an error nothing is written and `fail` replies 500. */
void fn_reply_query(api_task_t *task, str_t sql, const str_t *params, size_t param_count,
                    void (*fail)(api_task_t *task, int status, str_t message));

/* What the user behind a verified token is by now: gone (deleted, banned, session ended), without any of
 * `roles` (space separated; NULL asks for none), or fine. */
typedef enum { FN_CALLER_GONE, FN_CALLER_LACKS_ROLE, FN_CALLER_FINE } fn_caller_t;
err_t *fn_caller_check(api_task_t *task, const char *roles, fn_caller_t *out) MUST_CHECK;
/* Whether the caller is fine; false on any trouble. */
bool fn_caller_has_role(api_task_t *task, const char *roles);

/* Milliseconds that may be waited: `most`, or what is left of the function's time; never below one. */
int fn_time_left_ms(const api_task_t *task, int most);

/* What the caller is shown of a database error: never more than message and code. */
str_t fn_error_text(api_task_t *task, const err_t *err);

/* One row in audit_logs within the function's transaction. `details` is a JSON object; user_id may be null.
 */
err_t *fn_audit(db_session_t *session, str_t user_id, const char *action, str_t details_json,
                str_t client_addr) MUST_CHECK;

/* Names a JSON string array's first member that is no UUID; the null string when all are. */
str_t fn_first_bad_uuid(const json_t *array);
/* '{"a","b"}' of a JSON array of strings, for a text[] or uuid[] parameter; the null string for no array. */
str_t fn_pg_array(pool_t *pool, const json_t *array);

/* Length as JavaScript counts it. */
size_t fn_utf16_units(str_t text);

/* How a dual-auth request proved itself. */
typedef enum { FN_PROOF_NONE, FN_PROOF_HMAC, FN_PROOF_JWT, FN_PROOF_SERVICE } fn_proof_t;
/* Order of docs/functions.md "Executor signature": HMAC headers when present decide alone; then the service
 * role; then a signed-in user. An error means that it could not be looked up. */
err_t *fn_executor_proof(api_task_t *task, fn_proof_t *out) MUST_CHECK;
/* Admits everybody with such a proof, users only with one of `roles`. False after having replied with `fail`:
 * 401 with the text `unauthorized`, or 403. */
bool fn_admit_executor(api_task_t *task, const char *roles, const char *unauthorized,
                       void (*fail)(api_task_t *task, int status, str_t message), fn_proof_t *proof);
#define FN_BAD_PROOF "Unauthorized: Invalid request signature or token"
/* Replies that the caller could not be looked up: 503 when the database is away, else 500. */
void fn_fail_lookup(api_task_t *task, const err_t *err,
                    void (*fail)(api_task_t *task, int status, str_t message));
/* Whether the request carries an API token (X-API-Token); who its owner is: then he is the caller. False
 * after having replied 401. */
bool fn_has_api_token(api_task_t *task);
bool fn_api_token(api_task_t *task);
/* The secret shared with the executor: the database's, else the configured one; the null string for none. */
str_t fn_shared_secret(api_task_t *task);

#define FN_SQL(text) str_make((text), sizeof(text) - 1)

/* The functions, one file each; wired in registry.c. */
void fn_create_job(api_task_t *task);
void fn_update_job(api_task_t *task);
void fn_encrypt_credentials(api_task_t *task);
void fn_get_service_key(api_task_t *task);
void fn_set_executor_secret(api_task_t *task);
void fn_generate_ssh_keypair(api_task_t *task);
void fn_cancel_stale_jobs(api_task_t *task);
void fn_trigger_vcenter_syncs(api_task_t *task);
void fn_cleanup_activity_logs(api_task_t *task);
void fn_cleanup_old_jobs(api_task_t *task);
void fn_delete_user(api_task_t *task);
void fn_network_diagnostics(api_task_t *task);
void fn_delete_managed_user(api_task_t *task);
void fn_break_glass_authenticate(api_task_t *task);
void fn_idm_authenticate(api_task_t *task);
void fn_idm_provision(api_task_t *task);
void fn_analyze_maintenance_windows(api_task_t *task);
void fn_execute_maintenance_windows(api_task_t *task);
void fn_send_notification(api_task_t *task);
void fn_send_teams_notification(api_task_t *task);
void fn_openmanage_sync(api_task_t *task);
void fn_vcenter_sync(api_task_t *task);
void fn_openmanage_test(api_task_t *task);
void fn_test_vcenter_connection(api_task_t *task);
void fn_sync_vcenter_direct(api_task_t *task);
void fn_preview_server_info(api_task_t *task);
void fn_refresh_server_info(api_task_t *task);
void fn_test_virtual_media_share(api_task_t *task);
void fn_validate_network_prerequisites(api_task_t *task);

#endif
