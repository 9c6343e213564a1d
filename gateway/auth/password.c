#include "auth/password.h"

#include "auth/foreign_hash.h"
#include "base/crypt.h"
#include "base/rand.h"

#include <crypt.h>

#define BCRYPT_COST 10
#define BCRYPT_COST_MAX 14 /* an imported hash above would hold a worker for seconds */
#define BCRYPT_LEN 60

bool password_is_bcrypt(str_t hash)
{
    if (hash.len != BCRYPT_LEN || hash.base[0] != '$' || hash.base[1] != '2' || hash.base[3] != '$' ||
        hash.base[6] != '$')
        return false;
    if (hash.base[2] != 'a' && hash.base[2] != 'b' && hash.base[2] != 'y')
        return false;
    int64_t cost = 0;
    if (!str_to_int64(str_slice(hash, 4, 6), &cost) || cost < 4 || cost > BCRYPT_COST_MAX)
        return false;
    for (size_t i = 7; i < hash.len; i++) {
        char c = hash.base[i];
        if (!((c >= '.' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')))
            return false;
    }
    return true;
}

/* crypt() of a pool's copies, which are wiped afterwards; null string on failure. */
static str_t run_crypt(pool_t *pool, str_t password, str_t setting)
{
    struct crypt_data *data = pool_calloc(pool, 1, sizeof(*data));
    char *phrase = pool_cstr(pool, password);
    const char *hash = crypt_rn(phrase, pool_cstr(pool, setting), data, sizeof(*data));
    str_t out = hash != NULL ? pool_str(pool, str_from_c(hash)) : STR_NULL;
    crypt_wipe(phrase, password.len);
    crypt_wipe(data, sizeof(*data));
    return out;
}

static bool is_hashable(str_t password)
{
    return password.len > 0 && password.len <= AUTH_PASSWORD_MAX &&
           str_find_char(password, '\0', 0) == SIZE_MAX;
}

str_t password_hash(pool_t *pool, str_t password)
{
    char random[16], setting[CRYPT_GENSALT_OUTPUT_SIZE];
    rand_bytes(random, sizeof(random));
    if (!is_hashable(password) ||
        crypt_gensalt_rn("$2a$", BCRYPT_COST, random, sizeof(random), setting, sizeof(setting)) == NULL)
        return STR_NULL;
    return run_crypt(pool, password, str_from_c(setting));
}

bool password_is_hash(pool_t *pool, str_t hash)
{
    return password_is_bcrypt(hash) || argon_is_hash(pool, hash) || firebase_is_hash(pool, hash);
}

bool password_verify(pool_t *pool, str_t password, str_t hash, bool *is_known)
{
    bool is_hash = password_is_hash(pool, hash);
    if (is_known != NULL)
        *is_known = is_hash;
    if (!is_hash)
        return false;
    if (!is_hashable(password)) {
        password_waste_time(pool, STR("x"));
        return false;
    }
    if (str_starts_with(hash, STR("$argon2")))
        return argon_verify(pool, password, hash);
    if (str_starts_with(hash, STR("$fbscrypt")))
        return firebase_verify(pool, password, hash);
    str_t computed = run_crypt(pool, password, hash);
    return !str_is_null(computed) && crypt_equal(computed, hash);
}

void password_waste_time(pool_t *pool, str_t password)
{
    static const str_t NOBODY = {"$2a$10$abcdefghijklmnopqrstuuWbnzCqdFcG3o0O5kCqY1hsnS6n7hhTS", BCRYPT_LEN};
    (void)run_crypt(pool, is_hashable(password) ? password : STR("x"), NOBODY);
}

/* One weakness: its reason and sentence, added to both lists. */
typedef struct {
    buf_t reasons, sentences;
} weakness_t;

static void add_weakness(weakness_t *weakness, const char *reason, str_t sentence)
{
    if (weakness->sentences.len > 0) {
        buf_append_char(&weakness->sentences, ' ');
        buf_append_char(&weakness->reasons, ',');
    }
    buf_printf(&weakness->reasons, "\"%s\"", reason);
    buf_append_str(&weakness->sentences, sentence);
}

static bool has_any_of(str_t text, str_t set)
{
    for (size_t i = 0; i < text.len; i++)
        if (str_find_char(set, text.base[i], 0) != SIZE_MAX)
            return true;
    return false;
}

/* Sets are separated by ':'; "\:" stands for the colon itself. Calls for the first set that is not met. */
static bool lacks_required(pool_t *pool, str_t sets, str_t password, str_t *listed)
{
    bool lacks = false;
    buf_t set, list;
    buf_init(&set, pool, 64);
    buf_init(&list, pool, 128);
    for (size_t i = 0; i <= sets.len; i++) {
        bool is_end = i == sets.len || sets.base[i] == ':';
        if (!is_end && sets.base[i] == '\\' && i + 1 < sets.len && sets.base[i + 1] == ':')
            i++;
        if (!is_end) {
            buf_append_char(&set, sets.base[i]);
            continue;
        }
        lacks |= set.len > 0 && !has_any_of(password, buf_str(&set));
        if (list.len > 0)
            buf_append_lit(&list, ", ");
        buf_append_str(&list, buf_str(&set));
        buf_clear(&set);
    }
    *listed = buf_str(&list);
    return lacks;
}

err_t *password_check_strength(const auth_scope_t *scope, str_t password)
{
    pool_t *pool = scope->pool;
    str_t listed;
    weakness_t weakness;
    buf_init(&weakness.reasons, pool, 32);
    buf_init(&weakness.sentences, pool, 128);
    if (password.len > AUTH_PASSWORD_MAX)
        return auth_error(pool, 400, "validation_failed", "Password cannot be longer than %d characters",
                          AUTH_PASSWORD_MAX);
    if (str_find_char(password, '\0', 0) != SIZE_MAX)
        return auth_error(pool, 400, "validation_failed", "Password cannot contain a NUL character");
    int64_t min = config_int(scope->config, "GOTRUE_PASSWORD_MIN_LENGTH");
    min = min < 6 ? 6 : min;
    if ((int64_t)password.len < min)
        add_weakness(&weakness, "length",
                     pool_printf(pool, "Password should be at least %lld characters.", (long long)min));
    if (lacks_required(pool, config_str(scope->config, "GOTRUE_PASSWORD_REQUIRED_CHARACTERS"), password,
                       &listed))
        add_weakness(&weakness, "characters",
                     pool_printf(pool, "Password should contain at least one character of each: %.*s.",
                                 STR_ARG(listed)));
    if (weakness.sentences.len == 0)
        return NULL;
    err_t *err = auth_error(pool, 422, "weak_password", "%.*s", STR_ARG(buf_str(&weakness.sentences)));
    err->details_json =
        pool_printf(pool, "{\"weak_password\":{\"reasons\":[%.*s]}}", STR_ARG(buf_str(&weakness.reasons)));
    return err;
}

str_t password_random(pool_t *pool)
{
    return rand_base32(pool, 64);
}
