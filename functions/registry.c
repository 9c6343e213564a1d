#include "functions/fn.h"

#define KIB 1024

/* clang-format off */
const fn_entry_t FN_TABLE[] = {
    {"create-job", "POST", FN_AUTH_ROLE, "admin operator", "Insufficient permissions", 1024 * KIB, 30000, fn_create_job,
     "Queues a job; its tasks and, for a full update, its component jobs"},
    {"update-job", "POST", FN_AUTH_OWN, NULL, NULL, 4096 * KIB, 30000, fn_update_job,
     "Reports or changes a job and its tasks (executor signature, service role, admin or operator)"},
    {"encrypt-credentials", "POST", FN_AUTH_ROLE, "admin operator",
     "Permission denied. Admin or operator role required.", 1024 * KIB, 30000, fn_encrypt_credentials,
     "Encrypts a secret and stores or returns the ciphertext"},
    {"get-service-key", "GET POST", FN_AUTH_ROLE, "admin", "Forbidden: Admin role required", 64 * KIB, 10000, fn_get_service_key,
     "Shows an administrator the service role key for setting up an executor"},
    {"set-executor-secret", "POST", FN_AUTH_ROLE, "admin", "Admin access required", 64 * KIB, 10000,
     fn_set_executor_secret, "Makes, checks or shows the secret that executors sign with"},
    {"generate-ssh-keypair", "POST", FN_AUTH_ROLE, "admin operator", "Insufficient permissions", 64 * KIB, 10000,
     fn_generate_ssh_keypair, "An Ed25519 key pair in OpenSSH's formats"},
    {"cancel-stale-jobs", "POST", FN_AUTH_EXECUTOR, "admin operator", NULL, 64 * KIB, 60000, fn_cancel_stale_jobs,
     "Cancels jobs that wait or run for too long"},
    {"trigger-vcenter-syncs", "POST", FN_AUTH_EXECUTOR, "admin operator", NULL, 64 * KIB, 60000,
     fn_trigger_vcenter_syncs, "Queues a sync of every vCenter that is due"},
    {"cleanup-activity-logs", "POST", FN_AUTH_EXECUTOR, "admin", NULL, 64 * KIB, 300000, fn_cleanup_activity_logs,
     "Deletes activity rows beyond their retention, or counts them"},
    {"cleanup-old-jobs", "POST", FN_AUTH_EXECUTOR, "admin", NULL, 64 * KIB, 300000, fn_cleanup_old_jobs,
     "Deletes ended jobs beyond their retention, or counts them"},
    {"delete-user", "POST", FN_AUTH_ROLE, "admin", "Only admins can delete users", 64 * KIB, 30000, fn_delete_user,
     "Removes a user with profile, roles and sign-in"},
    {"network-diagnostics", "POST", FN_AUTH_USER, NULL, NULL, 64 * KIB, 10000, fn_network_diagnostics,
     "Success rate and latency of the device calls of the last day"},
    {"send-notification", "POST", FN_AUTH_OWN, NULL, NULL, 1024 * KIB, 60000, fn_send_notification,
     "Sends a notification by mail and Teams (executor signature, service role, admin or operator)"},
    {"send-teams-notification", "POST", FN_AUTH_ROLE, "admin operator", "Insufficient permissions", 64 * KIB, 60000,
     fn_send_teams_notification, "Tests the Teams channel"},
    {"openmanage-sync", "POST", FN_AUTH_OWN, NULL, NULL, 8192 * KIB, 120000, fn_openmanage_sync,
     "Takes an OpenManage inventory (API token, admin or operator); without a body queues a job that fetches one"},
    {"vcenter-sync", "POST", FN_AUTH_OWN, NULL, NULL, 8192 * KIB, 120000, fn_vcenter_sync,
     "Takes a vCenter's hosts (executor signature, service role, admin or operator)"},
    {NULL, NULL, FN_AUTH_NONE, NULL, NULL, 0, 0, NULL, NULL},
};
/* clang-format on */
