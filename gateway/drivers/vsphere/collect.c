#include "drivers/vsphere/soap.h"

enum { PAGES_MAX = 10000, RENEWALS_MAX = 2, PAGE_DEFAULT = 500, REFS_MAX = 1000000 };

/* --- objects --- */

xmlNodePtr object_value(const object_t *object, const char *path)
{
    size_t best = 0;
    xmlNodePtr found = NULL;
    for (xmlNodePtr set = xml_child(object->node, "propSet"); set != NULL; set = xml_next(set, "propSet")) {
        xmlNodePtr name = xml_child(set, "name");
        xmlChar *text = name != NULL ? xmlNodeGetContent(name) : NULL;
        size_t len = text != NULL ? strlen((const char *)text) : 0;
        bool is_prefix = len > best && strncmp(path, (const char *)text, len) == 0 &&
                         (path[len] == '\0' || path[len] == '.');
        xmlFree(text);
        if (!is_prefix)
            continue;
        best = len;
        found = xml_child(set, "val");
        if (path[len] == '.')
            found = xml_at(found, path + len + 1);
    }
    return found;
}

str_t object_text(pool_t *pool, const object_t *object, const char *path)
{
    return xml_text(pool, object_value(object, path));
}

soap_ref_t object_ref(pool_t *pool, const object_t *object, const char *path)
{
    return soap_read_ref(pool, object_value(object, path));
}

/* --- requests --- */

static void write_properties(buf_t *out, const collect_t *collect)
{
    buf_printf(out, "<specSet><propSet><type>%s</type>", collect->type);
    for (size_t i = 0; collect->paths[i] != NULL; i++)
        buf_printf(out, "<pathSet>%s</pathSet>", collect->paths[i]);
    buf_append_lit(out, "</propSet>");
}

static void write_end(buf_t *out, const collect_t *collect)
{
    buf_printf(out, "</specSet><options><maxObjects>%d</maxObjects></options>",
               collect->page > 0 ? collect->page : PAGE_DEFAULT);
}

static str_t hand_over(pool_t *pool, pool_t *page, const xmlNode *response, const collect_t *collect)
{
    const xmlNode *result = xml_child(response, "returnval");
    for (const xmlNode *node = xml_child(result, "objects"); node != NULL; node = xml_next(node, "objects")) {
        object_t object = {.ref = soap_read_ref(page, xml_child(node, "obj")), .node = node};
        if (object.ref.id.len > 0)
            collect->on_object(collect->arg, page, &object);
    }
    return xml_text(pool, xml_child(result, "token"));
}

static str_t token_argument(pool_t *pool, str_t token)
{
    buf_t out;
    buf_init(&out, pool, token.len + 32);
    buf_append_lit(&out, "<token>");
    xml_escape(&out, token);
    buf_append_lit(&out, "</token>");
    return buf_str(&out);
}

/* Pages, each in memory of its own. */
static err_t *read_pages(vsphere_t *vsphere, pool_t *pool, str_t arguments, const collect_t *collect,
                         bool *has_begun)
{
    soap_call_t call = {
        .method = "RetrievePropertiesEx", .target = vsphere->property_collector, .arguments = arguments};
    for (int i = 0; i < PAGES_MAX; i++) {
        xmlDocPtr doc = NULL;
        xmlNodePtr response = NULL;
        pool_t *page = pool_create();
        err_t *err = soap_exchange(vsphere, page, &call, &doc, &response);
        err = err != NULL ? err_copy(pool, err) : NULL;
        str_t token = err == NULL ? hand_over(pool, page, response, collect) : STR_NULL;
        *has_begun = *has_begun || err == NULL;
        xmlFreeDoc(doc);
        pool_destroy(page);
        if (err != NULL || token.len == 0)
            return err;
        call.method = "ContinueRetrievePropertiesEx";
        call.arguments = token_argument(pool, token);
    }
    return err_make(pool, 502, ERR_FAMILY_UPSTREAM, "protocol", "The inventory has no end");
}

static err_t *open_view(vsphere_t *vsphere, pool_t *pool, const char *type, soap_ref_t *view)
{
    buf_t out;
    xmlDocPtr doc = NULL;
    xmlNodePtr response = NULL;
    buf_init(&out, pool, 256);
    soap_write_ref(&out, "container", vsphere->root_folder);
    buf_printf(&out, "<type>%s</type><recursive>true</recursive>", type);
    soap_call_t call = {
        .method = "CreateContainerView", .target = vsphere->view_manager, .arguments = buf_str(&out)};
    err_t *err = soap_exchange(vsphere, pool, &call, &doc, &response);
    if (err != NULL)
        return err;
    *view = soap_read_ref(pool, xml_child(response, "returnval"));
    xmlFreeDoc(doc);
    return view->id.len > 0 ? NULL
                            : err_make(pool, 502, ERR_FAMILY_UPSTREAM, "protocol",
                                       "The service made a view without a name");
}

/* Views end with the session anyway. */
static void close_view(vsphere_t *vsphere, pool_t *pool, soap_ref_t view)
{
    xmlDocPtr doc = NULL;
    xmlNodePtr response = NULL;
    soap_call_t call = {.method = "DestroyView", .target = view};
    err_t *err = soap_exchange(vsphere, pool, &call, &doc, &response);
    (void)err;
    xmlFreeDoc(doc);
}

static err_t *read_view(vsphere_t *vsphere, pool_t *pool, const collect_t *collect, bool *has_begun)
{
    buf_t out;
    soap_ref_t view = {0};
    err_t *err = open_view(vsphere, pool, collect->type, &view);
    if (err != NULL)
        return err;
    buf_init(&out, pool, 1024);
    write_properties(&out, collect);
    buf_append_lit(&out, "<objectSet>");
    soap_write_ref(&out, "obj", view);
    buf_append_lit(&out,
                   "<skip>true</skip><selectSet xsi:type=\"TraversalSpec\"><name>view</name>"
                   "<type>ContainerView</type><path>view</path><skip>false</skip></selectSet></objectSet>");
    write_end(&out, collect);
    err = read_pages(vsphere, pool, buf_str(&out), collect, has_begun);
    close_view(vsphere, pool, view);
    return err;
}

static err_t *read_refs(vsphere_t *vsphere, pool_t *pool, const soap_ref_t *refs, size_t ref_count,
                        const collect_t *collect, bool *has_begun)
{
    buf_t out;
    buf_init(&out, pool, 512);
    write_properties(&out, collect);
    for (size_t i = 0; i < ref_count; i++) {
        buf_append_lit(&out, "<objectSet>");
        soap_write_ref(&out, "obj", refs[i]);
        buf_append_lit(&out, "</objectSet>");
    }
    write_end(&out, collect);
    return read_pages(vsphere, pool, buf_str(&out), collect, has_begun);
}

/* What has begun is not repeated, since its objects were handed over. Views end with their session. */
static bool may_renew(vsphere_t *vsphere, const err_t *err, bool has_begun)
{
    return err != NULL && !has_begun && str_eq(err->code, STR("session")) &&
           vsphere->renewals++ < RENEWALS_MAX;
}

static err_t *read_refs_renewing(vsphere_t *vsphere, pool_t *pool, const soap_ref_t *refs, size_t ref_count,
                                 const collect_t *collect, bool *has_begun)
{
    err_t *err = read_refs(vsphere, pool, refs, ref_count, collect, has_begun);
    while (may_renew(vsphere, err, *has_begun)) {
        err = session_login(vsphere, pool);
        if (err == NULL)
            err = read_refs(vsphere, pool, refs, ref_count, collect, has_begun);
    }
    return err;
}

static bool is_gone(const err_t *err)
{
    return str_eq(err->code, STR("fault")) && str_eq(err->details, STR("ManagedObjectNotFound"));
}

/* Halving finds the object that is gone, and makes answers that are too large smaller. */
err_t *collect_refs(vsphere_t *vsphere, pool_t *pool, const soap_ref_t *refs, size_t ref_count,
                    const collect_t *collect)
{
    bool has_begun = false;
    if (ref_count == 0)
        return NULL;
    err_t *err = read_refs_renewing(vsphere, pool, refs, ref_count, collect, &has_begun);
    if (err == NULL || has_begun || !(is_gone(err) || str_eq(err->code, STR("too_large"))))
        return err;
    if (ref_count == 1)
        return is_gone(err) ? NULL : err;
    err = collect_refs(vsphere, pool, refs, ref_count / 2, collect);
    return err != NULL
               ? err
               : collect_refs(vsphere, pool, refs + ref_count / 2, ref_count - ref_count / 2, collect);
}

static err_t *collect_view(vsphere_t *vsphere, pool_t *pool, const collect_t *collect)
{
    bool has_begun = false;
    err_t *err = read_view(vsphere, pool, collect, &has_begun);
    while (may_renew(vsphere, err, has_begun)) {
        err = session_login(vsphere, pool);
        if (err == NULL)
            err = read_view(vsphere, pool, collect, &has_begun);
    }
    return err;
}

/* --- long lists --- */

typedef struct {
    pool_t *pool;
    soap_ref_t *refs;
    size_t count, capacity;
} ref_list_t;

static void on_ref(void *arg, pool_t *page, const object_t *object)
{
    ref_list_t *list = arg;
    (void)page;
    if (list->count > REFS_MAX)
        return;
    if (list->count == list->capacity) {
        soap_ref_t *larger = POOL_ARRAY(list->pool, soap_ref_t, list->capacity * 2 + 64);
        if (list->count > 0)
            memcpy(larger, list->refs, list->count * sizeof(*larger));
        list->refs = larger;
        list->capacity = list->capacity * 2 + 64;
    }
    list->refs[list->count++] =
        (soap_ref_t){pool_str(list->pool, object->ref.type), pool_str(list->pool, object->ref.id)};
}

static err_t *collect_groups(vsphere_t *vsphere, const ref_list_t *list, const collect_t *collect)
{
    err_t *err = NULL;
    for (size_t done = 0, more; done < list->count && err == NULL; done += more) {
        more = list->count - done < (size_t)collect->page ? list->count - done : (size_t)collect->page;
        err = collect_refs(vsphere, list->pool, list->refs + done, more, collect);
    }
    return err;
}

err_t *collect_all(vsphere_t *vsphere, pool_t *pool, const collect_t *collect)
{
    static const char *const NAME[] = {"name", NULL};
    if (collect->page == 0)
        return collect_view(vsphere, pool, collect);
    pool_t *passing = pool_create(); /* the list and the requests are of no use afterwards */
    ref_list_t list = {.pool = passing};
    collect_t names = {.type = collect->type, .paths = NAME, .on_object = on_ref, .arg = &list};
    err_t *err = collect_view(vsphere, passing, &names);
    if (err == NULL && list.count > REFS_MAX) /* a part would pass for the whole */
        err = err_make(passing, 502, ERR_FAMILY_UPSTREAM, "protocol", "The service lists too many objects");
    if (err == NULL)
        err = collect_groups(vsphere, &list, collect);
    err = err != NULL ? err_copy(pool, err) : NULL;
    pool_destroy(passing);
    return err;
}
