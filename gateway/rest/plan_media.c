#include "rest/errors.h"
#include "rest/media.h"
#include "rest/plan.h"

typedef enum { PICK_NONE, PICK_BUILTIN, PICK_CUSTOM } pick_t;

/* Handlers that replace a relation's answer stand in only for whole rows: with a select of its own, the shape
 * of the rows is no longer the one that they take. */
static pick_t pick_handler(planner_t *p, rest_media_kind_t kind, str_t mime)
{
    const schema_snapshot_t *s = p->snapshot;
    p->handler = NULL;
    if (plan_is_default_select(p->root)) {
        p->handler = schema_media_handler(s, &p->target, STR("*/*"));
        if (p->handler == NULL)
            p->handler = schema_media_handler(s, &p->target, mime);
    }
    if (p->handler == NULL)
        p->handler = schema_media_handler(s, NULL, mime);
    if (p->handler != NULL)
        return PICK_CUSTOM;
    switch (kind) {
    case REST_MEDIA_ANY:
    case REST_MEDIA_JSON:
    case REST_MEDIA_CSV:
    case REST_MEDIA_GEOJSON:
    case REST_MEDIA_NDJSON:
        return PICK_BUILTIN;
    default:
        return PICK_NONE;
    }
}

static void set_builtin(planner_t *p, rest_plan_t *out, rest_media_kind_t kind)
{
    out->format = REST_FORMAT_JSON;
    switch (kind) {
    case REST_MEDIA_SINGULAR:
    case REST_MEDIA_SINGULAR_STRIP:
        out->is_singular = true;
        out->is_null_stripped = kind == REST_MEDIA_SINGULAR_STRIP;
        break;
    case REST_MEDIA_ARRAY_STRIP:
        out->is_null_stripped = true;
        break;
    case REST_MEDIA_CSV:
        out->format = REST_FORMAT_CSV;
        break;
    case REST_MEDIA_NDJSON:
        out->format = REST_FORMAT_NDJSON;
        break;
    case REST_MEDIA_GEOJSON:
        out->format = REST_FORMAT_BODY;
        p->is_geojson = true;
        break;
    default:
        break;
    }
}

static bool is_vendored(rest_media_kind_t kind)
{
    return kind == REST_MEDIA_SINGULAR || kind == REST_MEDIA_SINGULAR_STRIP || kind == REST_MEDIA_ARRAY_STRIP;
}

/* One accepted type; false when nothing produces it. */
static bool try_media(planner_t *p, rest_plan_t *out, const rest_media_t *media)
{
    rest_media_t wanted = *media;
    if (media->kind == REST_MEDIA_PLAN) {
        if (!p->settings->is_plan_enabled)
            return false;
        wanted = (rest_media_t){.kind = media->plan_for, .other = media->plan_for_other};
    }
    pick_t pick = is_vendored(wanted.kind) ? PICK_BUILTIN
                                           : pick_handler(p, wanted.kind, rest_media_mime(p->pool, &wanted));
    if (pick == PICK_NONE)
        return false;
    set_builtin(p, out, wanted.kind);
    out->media = wanted;
    if (pick == PICK_CUSTOM) {
        out->format = REST_FORMAT_BODY;
        out->media = rest_media_parse(p->pool, p->handler->resolved_type);
    } else if (wanted.kind == REST_MEDIA_ANY) {
        out->media = (rest_media_t){.kind = REST_MEDIA_JSON};
    }
    if (media->kind == REST_MEDIA_PLAN)
        out->media = *media;
    return true;
}

err_t *plan_media(planner_t *p, rest_plan_t *out)
{
    const rest_request_t *r = p->request;
    for (uint32_t i = 0; i < r->accept_count; i++)
        if (try_media(p, out, &r->accept[i]))
            return NULL;
    buf_t list;
    buf_init(&list, p->pool, 64);
    for (uint32_t i = 0; i < r->accept_count; i++) {
        if (i > 0)
            buf_append_lit(&list, ", ");
        buf_append_str(&list, rest_media_mime(p->pool, &r->accept[i]));
    }
    return rest_error(p->pool, REST_ERR_MEDIA, buf_str(&list));
}

err_t *plan_strict_preferences(const planner_t *p)
{
    const rest_preferences_t *prefer = &p->request->prefer;
    if (prefer->handling != REST_HANDLING_STRICT || prefer->invalid_count == 0)
        return NULL;
    buf_t list;
    buf_init(&list, p->pool, 64);
    for (uint32_t i = 0; i < prefer->invalid_count; i++) {
        if (i > 0)
            buf_append_lit(&list, ", ");
        buf_append_str(&list, prefer->invalid[i]);
    }
    return err_details(p->pool, rest_error(p->pool, REST_ERR_PREFERENCES, STR_NULL),
                       "Invalid preferences: %.*s", STR_ARG(buf_str(&list)));
}
