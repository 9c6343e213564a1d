/* Inside of the driver: one SOAP exchange, and objects of the PropertyCollector. */
#ifndef VSPHERE_SOAP_H
#define VSPHERE_SOAP_H

#include "drivers/vsphere/vsphere.h"
#include "drivers/vsphere/xml.h"

/* A managed object: its id may hold any character. */
typedef struct {
    str_t type, id;
} soap_ref_t;

struct vsphere {
    pool_t *pool; /* life of the client */
    vsphere_options_t options;
    fetch_t *fetch;
    char *password; /* heap, wiped */
    char cookie[512];
    bool is_signed_in;
    int renewals;
    int64_t due_us;        /* end of the deadline; 0: not yet begun */
    vsphere_about_t about; /* in pool */
    soap_ref_t root_folder, session_manager, property_collector, view_manager;
    soap_ref_t fields_manager; /* empty where there is none */
};

typedef struct {
    const char *method;
    soap_ref_t target;
    str_t arguments; /* XML behind _this */
    bool is_secret, is_farewell;
} soap_call_t;

/* `*response` is the {method}Response element; `*doc` is freed by the caller (NULL after an error). A session
 * that has ended is error 401 "session". */
err_t *soap_exchange(vsphere_t *vsphere, pool_t *pool, const soap_call_t *call, xmlDocPtr *doc,
                     xmlNodePtr *response) MUST_CHECK;

soap_ref_t soap_read_ref(pool_t *pool, const xmlNode *node);
/* <name type="T">id</name> */
void soap_write_ref(buf_t *out, const char *name, soap_ref_t ref);

/* Signs in with the stored name and password. */
err_t *session_login(vsphere_t *vsphere, pool_t *pool) MUST_CHECK;

/* One object with the properties that are set. */
typedef struct {
    soap_ref_t ref;
    const xmlNode *node;
} object_t;

/* Value of a property, or of a part of it: the longest requested path that is set, then down its elements. */
xmlNodePtr object_value(const object_t *object, const char *path);
str_t object_text(pool_t *pool, const object_t *object, const char *path);
soap_ref_t object_ref(pool_t *pool, const object_t *object, const char *path);

typedef struct {
    const char *type;
    const char *const *paths; /* ends with NULL */
    int page;                 /* how many objects are asked for at once; 0: all, they are small */
    void (*on_object)(void *arg, pool_t *pool, const object_t *object); /* `pool` lives as long as the page */
    void *arg;
} collect_t;

/* All objects of the type below the root folder, subtypes included. With a page they are listed first and
 * then asked for in groups of that size, so that no answer is large, whether the service knows pages or not.
 */
err_t *collect_all(vsphere_t *vsphere, pool_t *pool, const collect_t *collect) MUST_CHECK;
/* Only the objects named, in one answer. One that is gone costs the others nothing; an answer that is too
 * large is asked for in halves. */
err_t *collect_refs(vsphere_t *vsphere, pool_t *pool, const soap_ref_t *refs, size_t ref_count,
                    const collect_t *collect) MUST_CHECK;

#endif
