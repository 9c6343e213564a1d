#include "drivers/redfish/client.h"

#include "base/read_json.h"

enum { PAGES_MAX = 200 };

str_t redfish_link_path(str_t link)
{
    size_t scheme = str_find(link, STR("://"), 0);
    if (scheme != SIZE_MAX) {
        size_t slash = str_find_char(link, '/', scheme + 3);
        link = slash == SIZE_MAX ? STR_NULL : str_slice(link, slash, link.len);
    }
    if (!str_starts_with(link, STR("/redfish/")) || link.len > 1024)
        return STR_NULL;
    for (size_t i = 0; i < link.len; i++)
        if ((unsigned char)link.base[i] <= ' ' || link.base[i] == 0x7f)
            return STR_NULL;
    return link;
}

/* A member that is only a link has nothing but its address. */
static bool is_link_only(const json_t *member)
{
    return json_object_size(member) <= 1 && json_object_get(member, "@odata.id") != NULL;
}

static err_t *add_member(redfish_t *redfish, pool_t *pool, json_t *member, json_t *into)
{
    if (!is_link_only(member)) {
        json_array_append(into, member);
        return NULL;
    }
    str_t path = redfish_link_path(read_json_str(member, "@odata.id"));
    if (path.len == 0)
        return NULL;
    json_t *whole = NULL;
    err_t *err = redfish_get(redfish, pool, path, &whole);
    if (err != NULL)
        return err;
    json_array_append(into, whole);
    return NULL;
}

static void drop_array(void *array)
{
    json_decref(array);
}

err_t *redfish_members(redfish_t *redfish, pool_t *pool, str_t path, size_t limit, json_t **out)
{
    json_t *into = json_array();
    pool_on_dispose(pool, drop_array, into);
    *out = into;
    str_t next = path, last = STR_NULL;
    for (int page = 0; page < PAGES_MAX && json_array_size(into) < limit; page++) {
        json_t *body = NULL;
        err_t *err = redfish_get(redfish, pool, next, &body);
        if (err != NULL)
            return page > 0 && err->status == 400 ? NULL : err; /* "$skip out of range" ends the pages */
        json_t *members = read_json_array(body, "Members"), *member;
        size_t index;
        json_array_foreach(members, index, member)
        {
            if (json_array_size(into) >= limit)
                break;
            if (!json_is_object(member))
                continue;
            err = add_member(redfish, pool, member, into);
            if (err != NULL)
                return err;
        }
        last = next;
        next = redfish_link_path(read_json_str(body, "Members@odata.nextLink"));
        if (next.len == 0 || str_eq(next, last) || json_array_size(members) == 0)
            break;
    }
    return NULL;
}
