#include "base/config.h"

#include "base/map.h"
#include "base/observe.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define LINE_LIMIT 65536

typedef struct {
    str_t text; /* null: unset */
    int64_t number;
} value_t;

/* Texts live in `pool` until the end, so that borrowed strings survive an override. */
struct config {
    pool_t *pool;
    const config_key_t *keys;
    size_t key_count;
    value_t *values;
    map_t *by_name; /* any name -> 1 + index of the key */
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

static bool parse_bool(str_t text, int64_t *out)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1", "f", "t"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (str_eq_nocase(text, str_from_c(words[i]))) {
            *out = (int64_t)(i % 2);
            return true;
        }
    }
    return false;
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
        break;
    }
    return true;
}

/* Index of the key with that name, or SIZE_MAX. */
static size_t find_key(const config_t *config, str_t name)
{
    return (size_t)(uintptr_t)map_get(config->by_name, name) - 1;
}

/* An empty value of anything but a string means "not given": compose files pass empty variables along. */
static bool set_value(config_t *config, size_t index, str_t text)
{
    config_type_t type = config->keys[index].type;
    if (type != CONFIG_STRING) {
        text = str_trim(text);
        if (text.len == 0)
            return true;
    }
    int64_t number;
    if (!parse_value(type, text, &number))
        return false;
    pthread_rwlock_wrlock(&config->lock);
    value_t *value = &config->values[index];
    if (str_is_null(value->text) || !str_eq(value->text, text))
        value->text = str_make(pool_cstr(config->pool, text), text.len);
    value->number = number;
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
    return NULL;
}

/* NAME=value, optionally behind "export " and with the value in single or double quotes. */
static bool parse_line(str_t line, str_t *name, str_t *value)
{
    line = str_trim(line);
    if (line.len == 0 || line.base[0] == '#')
        return false;
    if (str_starts_with(line, STR("export ")))
        line = str_trim(str_slice(line, 7, line.len));
    str_t rest = line;
    *name = str_trim(str_split(&rest, '='));
    if (str_is_null(rest) || name->len == 0)
        return false;
    *value = str_trim(rest);
    bool is_quoted = value->len >= 2 && (value->base[0] == '"' || value->base[0] == '\'') &&
                     value->base[value->len - 1] == value->base[0];
    if (is_quoted)
        *value = str_slice(*value, 1, value->len - 1);
    return true;
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
    while (err == NULL && (len = getline(&line, &capacity, file)) >= 0) {
        str_t name, value;
        if (len > LINE_LIMIT || !parse_line(str_make(line, (size_t)len), &name, &value))
            continue;
        size_t index = find_key(config, name);
        if (index == SIZE_MAX)
            observe(LOG_DEBUG, "config_unknown_name", F_STR("name", name));
        else if (!set_value(config, index, value))
            err = bad_value(errors, config->keys[index].names, "configuration file");
    }
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
