#include "options_check.h"

#include "base/log.h"
#include "options.h"

static err_t *refuse(pool_t *errors, const char *message)
{
    return err_make(errors, 0, ERR_FAMILY_REQUEST, "config", "%s", message);
}

typedef struct {
    const char *key;
    const char *words; /* what it may be, separated by blanks */
    const char *message;
} choice_t;

static const choice_t CHOICES[] = {
    {"BASALT_LOG_LEVEL", "crit error warn info debug", "Invalid logging level. Check your configuration."},
    {"PGRST_DB_TX_END", "commit commit-allow-override rollback rollback-allow-override",
     "Invalid transaction termination. Check your configuration."},
    {"PGRST_OPENAPI_MODE", "follow-privileges ignore-privileges disabled",
     "Invalid openapi-mode. Check your configuration."},
    {"PGRST_CLIENT_ERROR_VERBOSITY", "verbose minimal",
     "Invalid client-error-verbosity. Check your configuration."},
};

static err_t *check_choice(pool_t *errors, const config_t *config, const choice_t *choice)
{
    str_t value = config_str(config, choice->key), words = str_from_c(choice->words);
    while (!str_is_null(words))
        if (str_eq_nocase(value, str_split(&words, ' ')))
            return NULL;
    return refuse(errors, choice->message);
}

unsigned options_socket_mode(str_t text)
{
    unsigned mode = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.base[i] < '0' || text.base[i] > '7' || mode > 0777)
            return 0;
        mode = mode * 8 + (unsigned)(text.base[i] - '0');
    }
    return mode >= 0600 && mode <= 0777 ? mode : 0;
}

static err_t *check_mode(pool_t *errors, const config_t *config, const char *key)
{
    if (options_socket_mode(config_str(config, key)) != 0)
        return NULL;
    return err_make(errors, 0, ERR_FAMILY_REQUEST, "config",
                    "Invalid %s: needs to be an octal number between 600 and 777", key);
}

static err_t *check_schemas(pool_t *errors, const config_t *config)
{
    str_t list = config_str(config, "PGRST_DB_SCHEMAS");
    while (!str_is_null(list)) {
        str_t name = str_trim(str_split(&list, ','));
        if (str_eq(name, STR("pg_catalog")) || str_eq(name, STR("information_schema")))
            return err_make(errors, 0, ERR_FAMILY_REQUEST, "config",
                            "db-schemas does not allow schema: '%.*s'", STR_ARG(name));
    }
    return NULL;
}

static err_t *check_ports(pool_t *errors, const config_t *config)
{
    str_t port = config_str(config, "PGRST_SERVER_PORT"),
          admin = config_str(config, "PGRST_ADMIN_SERVER_PORT");
    if (admin.len > 0 && str_eq(port, admin))
        return refuse(errors, "admin-server-port cannot be the same as server-port");
    return NULL;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* RFC 3986: a scheme, then only characters of an address, each '%' before two hexadecimal digits. */
static bool is_uri(str_t text)
{
    size_t colon = str_find_char(text, ':', 0);
    if (colon == SIZE_MAX || colon == 0 || !is_letter(text.base[0]))
        return false;
    for (size_t i = 1; i < text.len; i++) {
        char c = text.base[i];
        bool is_plain = is_letter(c) || (c >= '0' && c <= '9');
        bool is_escape = c == '%' && i + 2 < text.len && is_hex(text.base[i + 1]) && is_hex(text.base[i + 2]);
        const char *others = i < colon ? "+-." : "-._~:/?#[]@!$&'()*+,;=";
        if (!is_plain && (c == '\0' || strchr(others, c) == NULL) && !(is_escape && i > colon))
            return false;
    }
    return true;
}

/* "host", "host:port" or "[address]:port": a name, no user, a port that exists. */
static bool is_authority(str_t text)
{
    size_t bracket = str_find_char(text, ']', 0);
    size_t colon = str_find_char(text, ':', bracket == SIZE_MAX ? 0 : bracket);
    int64_t port = 1;
    if (text.len == 0 || colon == 0 || str_find_char(text, '@', 0) != SIZE_MAX)
        return false;
    if (colon != SIZE_MAX && colon + 1 < text.len &&
        !str_to_int64(str_slice(text, colon + 1, text.len), &port))
        return false;
    return port > 0 && port < 65536;
}

/* A proxy's address: http or https, a host, nothing behind the path. */
static bool is_proxy_uri(str_t text)
{
    size_t mark = str_find(text, STR("://"), 0);
    if (mark == SIZE_MAX || !is_uri(text))
        return false;
    str_t scheme = str_slice(text, 0, mark), rest = str_slice(text, mark + 3, text.len);
    bool is_http = str_eq_nocase(scheme, STR("http")) || str_eq_nocase(scheme, STR("https"));
    return is_http && is_authority(str_slice(rest, 0, str_find_char(rest, '/', 0))) &&
           str_find_char(text, '?', 0) == SIZE_MAX && str_find_char(text, '#', 0) == SIZE_MAX;
}

static err_t *check_addresses(pool_t *errors, const config_t *config)
{
    str_t audience = config_str(config, "PGRST_JWT_AUD");
    str_t proxy = config_str(config, "PGRST_OPENAPI_SERVER_PROXY_URI");
    if (str_find_char(audience, ':', 0) != SIZE_MAX && !is_uri(audience))
        return refuse(errors, "jwt-aud should be a string or a valid URI");
    if (proxy.len > 0 && !is_proxy_uri(proxy))
        return refuse(errors, "Malformed proxy uri, a correct example: https://example.com:8443/basePath");
    return NULL;
}

static err_t *check_tokens(pool_t *errors, const config_t *config)
{
    token_verifier_t *verifier = NULL;
    token_options_t options = options_token(config);
    options.cache_max = 0;
    err_t *err = token_verifier_create(errors, &options, &verifier);
    token_verifier_destroy(verifier);
    if (err == NULL && !str_starts_with(options.role_claim_key, STR("$")))
        observe(LOG_WARN, "config_deprecated", F_CSTR("name", "PGRST_JWT_ROLE_CLAIM_KEY"),
                F_STR("value", options.role_claim_key),
                F_CSTR("instead", "a JSON path, which begins with a dollar sign"));
    return err;
}

err_t *options_check(pool_t *errors, const config_t *config)
{
    err_t *err = NULL;
    for (size_t i = 0; err == NULL && i < sizeof(CHOICES) / sizeof(CHOICES[0]); i++)
        err = check_choice(errors, config, &CHOICES[i]);
    if (err == NULL)
        err = check_mode(errors, config, "PGRST_SERVER_UNIX_SOCKET_MODE");
    if (err == NULL)
        err = check_mode(errors, config, "PGRST_ADMIN_SERVER_UNIX_SOCKET_MODE");
    if (err == NULL)
        err = check_schemas(errors, config);
    if (err == NULL)
        err = check_ports(errors, config);
    if (err == NULL)
        err = check_addresses(errors, config);
    return err != NULL ? err : check_tokens(errors, config);
}
