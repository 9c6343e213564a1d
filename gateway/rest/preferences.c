#include "rest/errors.h"
#include "rest/grammar.h"
#include "rest/parse.h"

typedef enum { P_RESOLUTION, P_RETURN, P_COUNT, P_TX, P_MISSING, P_HANDLING, P_FAMILIES } family_t;

static const struct {
    str_t text;
    family_t family;
    int value;
} PREFERENCES[] = {
    {STR("resolution=merge-duplicates"), P_RESOLUTION, REST_RESOLUTION_MERGE},
    {STR("resolution=ignore-duplicates"), P_RESOLUTION, REST_RESOLUTION_IGNORE},
    {STR("return=representation"), P_RETURN, REST_RETURN_FULL},
    {STR("return=minimal"), P_RETURN, REST_RETURN_MINIMAL},
    {STR("return=headers-only"), P_RETURN, REST_RETURN_HEADERS},
    {STR("count=exact"), P_COUNT, REST_COUNT_EXACT},
    {STR("count=planned"), P_COUNT, REST_COUNT_PLANNED},
    {STR("count=estimated"), P_COUNT, REST_COUNT_ESTIMATED},
    {STR("tx=commit"), P_TX, REST_TX_COMMIT},
    {STR("tx=rollback"), P_TX, REST_TX_ROLLBACK},
    {STR("missing=default"), P_MISSING, REST_MISSING_DEFAULT},
    {STR("missing=null"), P_MISSING, REST_MISSING_NULL},
    {STR("handling=strict"), P_HANDLING, REST_HANDLING_STRICT},
    {STR("handling=lenient"), P_HANDLING, REST_HANDLING_LENIENT},
};

#define TIMEZONE STR("timezone=")
#define MAX_AFFECTED STR("max-affected=")

typedef struct {
    pool_t *pool;
    int families[P_FAMILIES]; /* 0: not given; the first one counts */
    rest_preferences_t *out;
    str_t *invalid;
    uint32_t invalid_capacity;
    bool has_seen_max_affected;
} reader_t;

static void read_one(reader_t *reader, str_t text)
{
    rest_preferences_t *out = reader->out;
    for (size_t i = 0; i < sizeof(PREFERENCES) / sizeof(PREFERENCES[0]); i++) {
        if (!str_eq(text, PREFERENCES[i].text))
            continue;
        if (reader->families[PREFERENCES[i].family] == 0)
            reader->families[PREFERENCES[i].family] = PREFERENCES[i].value;
        return;
    }
    if (str_starts_with(text, TIMEZONE)) {
        if (str_is_null(out->timezone))
            out->timezone = str_slice(text, TIMEZONE.len, text.len);
    } else if (str_starts_with(text, MAX_AFFECTED)) {
        if (!reader->has_seen_max_affected)
            out->has_max_affected =
                str_to_int64(str_trim(str_slice(text, MAX_AFFECTED.len, text.len)), &out->max_affected);
        reader->has_seen_max_affected = true;
    } else {
        reader->invalid = rest_grow(reader->pool, reader->invalid, out->invalid_count,
                                    &reader->invalid_capacity, sizeof(str_t));
        reader->invalid[out->invalid_count++] = text;
    }
}

static void read_value(reader_t *reader, str_t value)
{
    while (!str_is_null(value))
        read_one(reader, str_trim(str_split(&value, ',')));
}

static void finish(reader_t *reader, bool is_tx_overridable)
{
    rest_preferences_t *out = reader->out;
    out->resolution = (rest_resolution_t)reader->families[P_RESOLUTION];
    out->ret = (rest_return_t)reader->families[P_RETURN];
    out->count = (rest_count_t)reader->families[P_COUNT];
    out->tx = is_tx_overridable ? (rest_tx_t)reader->families[P_TX] : REST_TX_NONE;
    out->missing = (rest_missing_t)reader->families[P_MISSING];
    out->handling = (rest_handling_t)reader->families[P_HANDLING];
    out->invalid = reader->invalid;
}

void rest_parse_preferences(bool is_tx_overridable, pool_t *pool, const str_t *values, size_t count,
                            rest_preferences_t *out)
{
    *out = (rest_preferences_t){0};
    reader_t reader = {.pool = pool, .out = out};
    for (size_t i = 0; i < count; i++)
        read_value(&reader, values[i]);
    finish(&reader, is_tx_overridable);
}
