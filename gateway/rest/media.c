#include "rest/media.h"

#include <stdlib.h>

static const struct {
    rest_media_kind_t kind;
    str_t mime;
} NAMES[] = {
    {REST_MEDIA_JSON, STR("application/json")},
    {REST_MEDIA_GEOJSON, STR("application/geo+json")},
    {REST_MEDIA_CSV, STR("text/csv")},
    {REST_MEDIA_TEXT, STR("text/plain")},
    {REST_MEDIA_XML, STR("text/xml")},
    {REST_MEDIA_OPENAPI, STR("application/openapi+json")},
    {REST_MEDIA_FORM, STR("application/x-www-form-urlencoded")},
    {REST_MEDIA_OCTETS, STR("application/octet-stream")},
    {REST_MEDIA_NDJSON, STR("application/x-ndjson")},
    {REST_MEDIA_ANY, STR("*/*")},
    {REST_MEDIA_ARRAY_STRIP, STR("application/vnd.pgrst.array+json;nulls=stripped")},
    {REST_MEDIA_SINGULAR, STR("application/vnd.pgrst.object+json")},
    {REST_MEDIA_SINGULAR_STRIP, STR("application/vnd.pgrst.object+json;nulls=stripped")},
};

static const struct {
    str_t name;
    rest_plan_option_t bit;
} PLAN_OPTIONS[] = {
    {STR("analyze"), REST_PLAN_ANALYZE},   {STR("verbose"), REST_PLAN_VERBOSE},
    {STR("settings"), REST_PLAN_SETTINGS}, {STR("buffers"), REST_PLAN_BUFFERS},
    {STR("wal"), REST_PLAN_WAL},
};

/* ---- tokens ---- */

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static str_t take(str_t *rest, const char *more)
{
    size_t n = 0;
    while (n < rest->len &&
           (is_alnum(rest->base[n]) || (rest->base[n] != '\0' && strchr(more, rest->base[n]))))
        n++;
    str_t word = str_slice(*rest, 0, n);
    *rest = str_slice(*rest, n, rest->len);
    return word;
}

static void skip_spaces(str_t *rest)
{
    size_t n = 0;
    while (n < rest->len && strchr(" \t\r\n", rest->base[n]) != NULL && rest->base[n] != '\0')
        n++;
    *rest = str_slice(*rest, n, rest->len);
}

static bool take_char(str_t *rest, char c)
{
    if (rest->len == 0 || rest->base[0] != c)
        return false;
    *rest = str_slice(*rest, 1, rest->len);
    return true;
}

/* `; key = value`, value quoted or a word. False: no further parameter. */
static bool next_parameter(str_t *rest, str_t *key, str_t *value)
{
    str_t walk = *rest;
    skip_spaces(&walk);
    if (!take_char(&walk, ';'))
        return false;
    skip_spaces(&walk);
    *key = take(&walk, "-");
    skip_spaces(&walk);
    if (key->len == 0 || !take_char(&walk, '='))
        return false;
    skip_spaces(&walk);
    size_t end = take_char(&walk, '"') ? str_find_char(walk, '"', 0) : SIZE_MAX;
    if (end != SIZE_MAX) {
        *value = str_slice(walk, 0, end);
        walk = str_slice(walk, end + 1, walk.len);
    } else {
        *value = take(&walk, "|-");
        if (value->len == 0)
            return false;
    }
    *rest = walk;
    return true;
}

/* ---- one type ---- */

typedef struct {
    str_t nulls, plan_for, options;
} parameters_t;

static parameters_t read_parameters(str_t rest)
{
    parameters_t out = {0};
    str_t key, value;
    while (next_parameter(&rest, &key, &value)) {
        if (str_eq_nocase(key, STR("nulls")))
            out.nulls = value;
        else if (str_eq_nocase(key, STR("for")))
            out.plan_for = value;
        else if (str_eq_nocase(key, STR("options")))
            out.options = value;
    }
    return out;
}

static uint8_t read_plan_options(str_t options)
{
    uint8_t bits = 0;
    while (!str_is_null(options)) {
        str_t name = str_split(&options, '|');
        for (size_t i = 0; i < sizeof(PLAN_OPTIONS) / sizeof(PLAN_OPTIONS[0]); i++)
            if (str_eq(name, PLAN_OPTIONS[i].name))
                bits |= PLAN_OPTIONS[i].bit;
    }
    return bits;
}

static rest_media_t plan_media(pool_t *pool, const parameters_t *parameters, bool is_json)
{
    rest_media_t of = {.kind = REST_MEDIA_JSON};
    /* a plan of a plan is nothing: its text cannot name itself again */
    if (!str_is_null(parameters->plan_for) &&
        str_find(parameters->plan_for, STR("vnd.pgrst.plan"), 0) == SIZE_MAX)
        of = rest_media_parse(pool, parameters->plan_for);
    return (rest_media_t){.kind = REST_MEDIA_PLAN,
                          .plan_for = of.kind,
                          .plan_for_other = of.other,
                          .plan_is_json = is_json,
                          .plan_options = read_plan_options(parameters->options)};
}

rest_media_t rest_media_parse(pool_t *pool, str_t text)
{
    str_t rest = text;
    str_t main_type = take(&rest, ".*");
    bool ok = main_type.len > 0 && take_char(&rest, '/');
    str_t sub_type = take(&rest, ".*+-");
    if (!ok || sub_type.len == 0)
        return (rest_media_t){.kind = REST_MEDIA_OTHER, .other = text};
    str_t name = str_slice(text, 0, main_type.len + 1 + sub_type.len);
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++)
        if (str_eq_nocase(name, NAMES[i].mime) && NAMES[i].kind != REST_MEDIA_SINGULAR)
            return (rest_media_t){.kind = NAMES[i].kind};
    parameters_t parameters = read_parameters(rest);
    bool is_stripped = str_eq(parameters.nulls, STR("stripped"));
    if (str_eq_nocase(name, STR("application/vnd.pgrst.object+json")) ||
        str_eq_nocase(name, STR("application/vnd.pgrst.object")))
        return (rest_media_t){.kind = is_stripped ? REST_MEDIA_SINGULAR_STRIP : REST_MEDIA_SINGULAR};
    if (str_eq_nocase(name, STR("application/vnd.pgrst.array+json")) ||
        str_eq_nocase(name, STR("application/vnd.pgrst.array")))
        return (rest_media_t){.kind = is_stripped ? REST_MEDIA_ARRAY_STRIP : REST_MEDIA_JSON};
    if (str_eq_nocase(name, STR("application/vnd.pgrst.plan")) ||
        str_eq_nocase(name, STR("application/vnd.pgrst.plan+text")))
        return plan_media(pool, &parameters, false);
    if (str_eq_nocase(name, STR("application/vnd.pgrst.plan+json")))
        return plan_media(pool, &parameters, true);
    return (rest_media_t){.kind = REST_MEDIA_OTHER, .other = text};
}

/* ---- Accept ---- */

typedef struct {
    str_t text;
    double quality;
    int specificity;
} accepted_t;

static accepted_t read_accepted(pool_t *pool, str_t item)
{
    char *bare = pool_alloc(pool, item.len + 1);
    size_t len = 0;
    accepted_t out = {.quality = 1.0};
    for (size_t i = 0; i < item.len; i++)
        if (item.base[i] != ' ')
            bare[len++] = item.base[i];
    bare[len] = '\0';
    size_t q = str_find(str_make(bare, len), STR(";q="), 0);
    if (q != SIZE_MAX) {
        char *end;
        double quality = strtod(bare + q + 3, &end);
        if (end != bare + q + 3)
            out.quality = quality;
        len = q;
    }
    out.text = str_make(bare, len);
    for (size_t i = 0; i < len; i++)
        out.specificity += bare[i] == ';' ? 1 : bare[i] == '*' ? -1 : 0;
    return out;
}

static bool is_better(const accepted_t *a, const accepted_t *b)
{
    return a->quality > b->quality || (a->quality == b->quality && a->specificity > b->specificity);
}

#define ACCEPT_MAX 32

const rest_media_t *rest_media_accept(pool_t *pool, str_t header, uint32_t *count)
{
    static const rest_media_t ANY = {.kind = REST_MEDIA_ANY};
    if (header.len == 0 || str_eq(header, STR("*/*"))) {
        *count = 1;
        return &ANY;
    }
    accepted_t found[ACCEPT_MAX];
    uint32_t n = 0;
    while (!str_is_null(header) && n < ACCEPT_MAX) {
        accepted_t next = read_accepted(pool, str_split(&header, ','));
        uint32_t at = n++;
        for (; at > 0 && is_better(&next, &found[at - 1]); at--)
            found[at] = found[at - 1];
        found[at] = next;
    }
    rest_media_t *out = POOL_ARRAY(pool, rest_media_t, n);
    for (uint32_t i = 0; i < n; i++)
        out[i] = rest_media_parse(pool, found[i].text);
    *count = n;
    return out;
}

/* ---- names ---- */

static str_t plan_mime(pool_t *pool, const rest_media_t *media)
{
    rest_media_t of = {.kind = media->plan_for, .other = media->plan_for_other};
    str_t for_mime = rest_media_mime(pool, &of);
    buf_t out;
    buf_init(&out, pool, 96);
    buf_printf(&out, "application/vnd.pgrst.plan+%s; for=\"%.*s\"", media->plan_is_json ? "json" : "text",
               STR_ARG(for_mime));
    bool is_first = true;
    for (size_t i = 0; i < sizeof(PLAN_OPTIONS) / sizeof(PLAN_OPTIONS[0]); i++) {
        if ((media->plan_options & PLAN_OPTIONS[i].bit) == 0)
            continue;
        buf_append_str(&out, is_first ? STR("; options=") : STR("|"));
        buf_append_str(&out, PLAN_OPTIONS[i].name);
        is_first = false;
    }
    return buf_str(&out);
}

str_t rest_media_mime(pool_t *pool, const rest_media_t *media)
{
    if (media->kind == REST_MEDIA_OTHER)
        return media->other;
    if (media->kind == REST_MEDIA_PLAN)
        return plan_mime(pool, media);
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++)
        if (NAMES[i].kind == media->kind)
            return NAMES[i].mime;
    return STR("application/octet-stream");
}

str_t rest_media_content_type(pool_t *pool, const rest_media_t *media)
{
    if (media->kind == REST_MEDIA_JSON)
        return STR("application/json; charset=utf-8");
    str_t mime = rest_media_mime(pool, media);
    if (media->kind == REST_MEDIA_OCTETS || media->kind == REST_MEDIA_OTHER)
        return mime;
    return pool_concat(pool, 2, mime, STR("; charset=utf-8"));
}
