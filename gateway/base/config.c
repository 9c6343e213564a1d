#include "base/config.h"

#include "base/config_file.h"
#include "base/map.h"
#include "base/observe.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LINE_LIMIT 65536

typedef struct {
    str_t text; /* null: unset */
    int64_t number;
    bool is_given; /* not the default */
} value_t;

/* A name in the file that no row of the table has. */
typedef struct extra {
    struct extra *next;
    config_entry_t entry;
} extra_t;

/* Texts live in `pool` until the end, so that borrowed strings survive an override. */
struct config {
    pool_t *pool;
    const config_key_t *keys;
    size_t key_count;
    value_t *values;
    map_t *by_name; /* any name -> 1 + index of the key */
    extra_t *extras;
    pthread_rwlock_t lock;
};

typedef struct {
    const char *name;
    int64_t factor;
} unit_t;

static const unit_t DURATION_UNITS[] = {{"", 1000},     {"ms", 1},      {"s", 1000},     {"m", 60000},
                                        {"min", 60000}, {"h", 3600000}, {"d", 86400000}, {NULL, 0}};
static const unit_t SIZE_UNITS[] = {{"", 1},          {"B", 1},        {"k", 1 << 10},   {"KB", 1 << 10},
                                    {"KiB", 1 << 10}, {"M", 1 << 20},  {"MB", 1 << 20},  {"MiB", 1 << 20},
                                    {"G", 1 << 30},   {"GB", 1 << 30}, {"GiB", 1 << 30}, {NULL, 0}};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "90", "1m30s", "8MiB": numbers each with a unit; a bare number has the unit named "". */
static bool parse_units(str_t text, const unit_t *units, int64_t *out)
{
    int64_t total = 0;
    if (text.len == 0)
        return false;
    for (size_t at = 0; at < text.len;) {
        size_t digits = at;
        while (digits < text.len && is_digit(text.base[digits]))
            digits++;
        size_t end = digits;
        while (end < text.len && !is_digit(text.base[end]))
            end++;
        str_t name = str_trim(str_slice(text, digits, end));
        int64_t number;
        const unit_t *unit = units;
        while (unit->name != NULL && !str_eq_nocase(name, str_from_c(unit->name)))
            unit++;
        if (unit->name == NULL || !str_to_int64(str_slice(text, at, digits), &number) ||
            __builtin_mul_overflow(number, unit->factor, &number) ||
            __builtin_add_overflow(total, number, &total))
            return false;
        at = end;
    }
    *out = total;
    return true;
}

/* Also in quotation marks: some readers of env files hand them on. */
static bool parse_bool(str_t text, int64_t *out)
{
    if (text.len >= 2 && text.base[0] == '"' && text.base[text.len - 1] == '"')
        text = str_slice(text, 1, text.len - 1);
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1", "f", "t"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (str_eq_nocase(text, str_from_c(words[i]))) {
            *out = (int64_t)(i % 2);
            return true;
        }
    }
    int64_t number;
    bool is_number = str_to_int64(text, &number);
    *out = is_number && number > 0;
    return is_number;
}

static bool parse_value(config_type_t type, str_t text, int64_t *out)
{
    *out = 0;
    switch (type) {
    case CONFIG_INT:
        return str_to_int64(text, out);
    case CONFIG_BOOL:
        return parse_bool(text, out);
    case CONFIG_DURATION_MS:
        return parse_units(text, DURATION_UNITS, out);
    case CONFIG_BYTES:
        return parse_units(text, SIZE_UNITS, out);
    case CONFIG_STRING:
    case CONFIG_LIST:
        break;
    }
    return true;
}

/* Index of the key with that name, or SIZE_MAX. */
static size_t find_key(const config_t *config, str_t name)
{
    return (size_t)(uintptr_t)map_get(config->by_name, name) - 1;
}

/* An empty value means "not given", as in compose files that pass empty variables along: of numbers always,
 * of strings where there is a default, of lists never. */
static bool set_value(config_t *config, size_t index, str_t text)
{
    const config_key_t *key = &config->keys[index];
    if (key->type != CONFIG_STRING && key->type != CONFIG_LIST)
        text = str_trim(text);
    if (text.len == 0 && key->type != CONFIG_LIST && (key->type != CONFIG_STRING || key->fallback != NULL))
        return true;
    int64_t number;
    if (!parse_value(key->type, text, &number))
        return false;
    pthread_rwlock_wrlock(&config->lock);
    value_t *value = &config->values[index];
    if (str_is_null(value->text) || !str_eq(value->text, text))
        value->text = str_make(pool_cstr(config->pool, text), text.len);
    value->number = number;
    value->is_given = true;
    pthread_rwlock_unlock(&config->lock);
    return true;
}

static err_t *bad_value(pool_t *errors, const char *names, const char *where)
{
    str_t rest = str_from_c(names);
    str_t name = str_split(&rest, ' ');
    return err_make(errors, 0, ERR_FAMILY_REQUEST, "config", "The value of %.*s in the %s is not valid",
                    STR_ARG(name), where);
}

static void index_names(config_t *config)
{
    for (size_t i = 0; i < config->key_count; i++) {
        str_t rest = str_from_c(config->keys[i].names);
        while (!str_is_null(rest)) {
            str_t name = str_split(&rest, ' ');
            if (name.len != 0)
                map_put(config->by_name, name, (void *)(uintptr_t)(i + 1));
        }
    }
}

static err_t *apply_defaults(config_t *config, pool_t *errors)
{
    for (size_t i = 0; i < config->key_count; i++)
        if (config->keys[i].fallback != NULL && !set_value(config, i, str_from_c(config->keys[i].fallback)))
            return bad_value(errors, config->keys[i].names, "defaults");
    for (size_t i = 0; i < config->key_count; i++)
        config->values[i].is_given = false;
    return NULL;
}

static void keep_extra(config_t *config, str_t name, str_t value)
{
    extra_t *extra = POOL_NEW(config->pool, extra_t);
    *extra = (extra_t){config->extras, {pool_str(config->pool, name), pool_str(config->pool, value)}};
    config->extras = extra;
}

static err_t *apply_line(config_t *config, pool_t *errors, str_t line)
{
    str_t name, value;
    config_line_t kind = config_line_parse(errors, line, &name, &value);
    if (kind == CONFIG_LINE_NONE)
        return NULL;
    if (kind == CONFIG_LINE_BROKEN)
        return err_make(errors, 0, ERR_FAMILY_REQUEST, "config",
                        "The line of %.*s in the configuration file cannot be read", STR_ARG(name));
    size_t index = find_key(config, name);
    if (index == SIZE_MAX)
        keep_extra(config, name, value);
    else if (set_value(config, index, value))
        return NULL;
    else if (kind == CONFIG_LINE_POSTGREST) /* goes on with its default there */
        observe(LOG_WARN, "config_value_ignored", F_STR("name", name));
    else
        return bad_value(errors, config->keys[index].names, "configuration file");
    return NULL;
}

static err_t *apply_file(config_t *config, pool_t *errors, const char *path)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return err_make(errors, 0, ERR_FAMILY_REQUEST, "config", "Cannot read the configuration file %s: %s",
                        path, strerror(errno));
    char *line = NULL;
    size_t capacity = 0;
    ssize_t len;
    err_t *err = NULL;
    while (err == NULL && (len = getline(&line, &capacity, file)) >= 0)
        if (len <= LINE_LIMIT)
            err = apply_line(config, errors, str_make(line, (size_t)len));
    free(line);
    fclose(file);
    return err;
}

/* The first name that the environment has wins, so the canonical one goes before its aliases. */
static err_t *apply_environment(config_t *config, pool_t *errors)
{
    for (size_t i = 0; i < config->key_count; i++) {
        str_t rest = str_from_c(config->keys[i].names);
        while (!str_is_null(rest)) {
            str_t name = str_split(&rest, ' ');
            const char *value = name.len != 0 ? getenv(pool_cstr(errors, name)) : NULL;
            if (value == NULL)
                continue;
            if (!set_value(config, i, str_from_c(value)))
                return bad_value(errors, config->keys[i].names, "environment");
            break;
        }
    }
    return NULL;
}

err_t *config_load(pool_t *errors, const config_key_t *keys, const char *file, config_t **out)
{
    pool_t *pool = pool_create();
    config_t *config = POOL_NEW(pool, config_t);
    config->pool = pool;
    config->keys = keys;
    while (keys[config->key_count].names != NULL)
        config->key_count++;
    config->values = POOL_ARRAY(pool, value_t, config->key_count);
    config->by_name = map_create(pool, config->key_count * 2);
    pthread_rwlock_init(&config->lock, NULL);
    index_names(config);
    err_t *err = apply_defaults(config, errors);
    if (err == NULL && file != NULL)
        err = apply_file(config, errors, file);
    if (err == NULL)
        err = apply_environment(config, errors);
    if (err != NULL) {
        config_destroy(config);
        config = NULL;
    }
    *out = config;
    return err;
}

void config_destroy(config_t *config)
{
    if (config == NULL)
        return;
    pthread_rwlock_destroy(&config->lock);
    pool_destroy(config->pool);
}

static value_t value_at(const config_t *config, size_t index)
{
    pthread_rwlock_t *lock = (pthread_rwlock_t *)&config->lock;
    pthread_rwlock_rdlock(lock);
    value_t value = config->values[index];
    pthread_rwlock_unlock(lock);
    return value;
}

static value_t get_value(const config_t *config, const char *name)
{
    size_t index = find_key(config, str_from_c(name));
    if (index == SIZE_MAX) {
        fprintf(stderr, "configuration key %s is in no table\n", name);
        abort();
    }
    return value_at(config, index);
}

str_t config_str(const config_t *config, const char *name)
{
    return get_value(config, name).text;
}

int64_t config_int(const config_t *config, const char *name)
{
    return get_value(config, name).number;
}

bool config_bool(const config_t *config, const char *name)
{
    return get_value(config, name).number != 0;
}

bool config_is_set(const config_t *config, const char *name)
{
    return !str_is_null(get_value(config, name).text);
}

bool config_is_given(const config_t *config, const char *name)
{
    return get_value(config, name).is_given;
}

const config_key_t *config_keys(const config_t *config)
{
    return config->keys;
}

typedef struct {
    config_entry_t *entries;
    size_t count, capacity;
} family_t;

/* The first one of a name stays. */
static void family_add(family_t *family, pool_t *pool, str_t name, str_t value)
{
    for (size_t i = 0; i < family->count; i++)
        if (str_eq(family->entries[i].name, name))
            return;
    if (family->count == family->capacity) {
        size_t capacity = family->capacity * 2 + 8;
        config_entry_t *grown = POOL_ARRAY(pool, config_entry_t, capacity);
        for (size_t i = 0; i < family->count; i++)
            grown[i] = family->entries[i];
        family->entries = grown;
        family->capacity = capacity;
    }
    family->entries[family->count++] = (config_entry_t){pool_str(pool, name), pool_str(pool, value)};
}

size_t config_family(const config_t *config, pool_t *pool, str_t prefix, const config_entry_t **out)
{
    family_t family = {0};
    for (char **entry = environ; *entry != NULL; entry++) {
        str_t value = str_from_c(*entry), name = str_split(&value, '=');
        if (str_starts_with(name, prefix))
            family_add(&family, pool, str_slice(name, prefix.len, name.len), value);
    }
    for (const extra_t *extra = config->extras; extra != NULL; extra = extra->next)
        if (str_starts_with(extra->entry.name, prefix))
            family_add(&family, pool, str_slice(extra->entry.name, prefix.len, extra->entry.name.len),
                       extra->entry.value);
    *out = family.entries;
    return family.count;
}

void config_keep_fixed(config_t *config, const config_t *old)
{
    for (size_t i = 0; i < config->key_count; i++) {
        if (config->keys[i].is_reloadable)
            continue;
        value_t value = value_at(old, i);
        value.text = pool_str(config->pool, value.text);
        config->values[i] = value;
    }
}

static bool is_same_text(str_t a, str_t b)
{
    return str_is_null(a) == str_is_null(b) && str_eq(a, b);
}

bool config_equals(const config_t *a, const config_t *b)
{
    for (size_t i = 0; i < a->key_count; i++) {
        value_t left = value_at(a, i), right = value_at(b, i);
        if (left.number != right.number || left.is_given != right.is_given ||
            !is_same_text(left.text, right.text))
            return false;
    }
    const extra_t *left = a->extras, *right = b->extras;
    while (left != NULL && right != NULL && str_eq(left->entry.name, right->entry.name) &&
           str_eq(left->entry.value, right->entry.value)) {
        left = left->next;
        right = right->next;
    }
    return left == NULL && right == NULL;
}

bool config_override(config_t *config, str_t name, str_t value)
{
    size_t index = find_key(config, name);
    return index != SIZE_MAX && set_value(config, index, value);
}

void config_dump(const config_t *config, buf_t *out, bool reveal)
{
    for (size_t i = 0; i < config->key_count; i++) {
        str_t rest = str_from_c(config->keys[i].names);
        str_t name = str_split(&rest, ' ');
        str_t text = value_at(config, i).text;
        if (str_is_null(text))
            continue;
        buf_append_str(out, name);
        buf_append_lit(out, "=\"");
        if (config->keys[i].is_secret && !reveal)
            buf_append_lit(out, "<redacted>");
        else
            for (size_t at = 0; at < text.len; at++) {
                if (text.base[at] == '"' || text.base[at] == '\\')
                    buf_append_char(out, '\\');
                buf_append_char(out, text.base[at]);
            }
        buf_append_lit(out, "\"\n");
    }
}
