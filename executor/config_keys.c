#include "executor/executor.h"

/* clang-format off */
const config_key_t EXECUTOR_CONFIG_KEYS[] = {
    {"SUPABASE_URL DSM_URL BASALT_URL", CONFIG_STRING, NULL, false, false, "Address of the gateway; plain HTTP only on loopback"},
    {"SERVICE_ROLE_KEY SUPABASE_SERVICE_ROLE_KEY", CONFIG_STRING, NULL, true, false, "Service role key of the gateway"},
    {"BASALT_CA_FILE", CONFIG_STRING, NULL, false, false, "PEM file of the CA that signed the gateway's certificate; unset: the system's"},
    {"BASALT_EXECUTOR_ID", CONFIG_STRING, NULL, false, false, "Name under which this executor holds leases; unset: the host name"},
    {"BASALT_EXECUTOR_LISTEN EXECUTOR_LISTEN", CONFIG_STRING, "127.0.0.1", false, false, "Address of the executor's own HTTP API"},
    {"API_SERVER_PORT", CONFIG_INT, "8081", false, false, "Port of the executor's own HTTP API"},
    {"API_SERVER_ENABLED", CONFIG_BOOL, "true", false, false, "Serve the executor's own HTTP API"},
    {"BASALT_EXECUTOR_ORIGINS", CONFIG_STRING, NULL, false, false, "Web origins, beside those of loopback, that may call the HTTP API; separated by commas"},
    {"BASALT_EXECUTOR_SHARED_SECRET EXECUTOR_SHARED_SECRET", CONFIG_STRING, NULL, true, false, "Signs sign-in tickets unless the database holds a secret; the same as the gateway's"},
    {"IDRAC_DEFAULT_USER IDRAC_USER", CONFIG_STRING, NULL, false, false, "Account for servers without any other credentials"},
    {"IDRAC_DEFAULT_PASSWORD IDRAC_PASSWORD", CONFIG_STRING, NULL, true, false, "Its password"},
    {"ENCRYPTION_KEY", CONFIG_STRING, NULL, true, false, "Base64 master key of stored passwords; unset: activity_settings.encryption_key"},
    {"BASALT_DEVICE_VERIFY_TLS", CONFIG_BOOL, "false", false, false, "Check the certificates of iDRACs; most are self-signed"},
    {"BASALT_ALLOW_LOCAL_TARGETS", CONFIG_BOOL, "false", false, false, "Devices may have loopback and link-local addresses (simulators)"},
    {"POLL_INTERVAL_SECONDS", CONFIG_INT, "10", false, false, "Looking for jobs without being told"},
    {"MAX_CONCURRENT_JOBS", CONFIG_INT, "5", false, false, "Jobs at the same time"},
    {"BASALT_LEASE_SECONDS", CONFIG_INT, "30", false, false, "Life of a job's lease; renewed at a third of it"},
    {"BASALT_EXECUTOR_STREAM", CONFIG_BOOL, "true", false, false, "Be told of new jobs by a stream, with polling behind it"},
    {"BASALT_CLAIM_ALL_TYPES", CONFIG_BOOL, "true", false, false, "Also take jobs of unknown types and fail them; false: leave them to another executor"},
    {"LOG_LEVEL BASALT_LOG_LEVEL", CONFIG_STRING, "info", false, false, "error, warn, info or debug"},
    {"LOG_FILE", CONFIG_STRING, NULL, false, false, "Append the log to this file instead of standard error"},
    {NULL, CONFIG_STRING, NULL, false, false, NULL},
};
/* clang-format on */
