#include "drivers/vsphere/soap.h"

#include "base/crypt.h"

#include <stdlib.h>

vsphere_t *vsphere_create(const vsphere_options_t *options)
{
    pool_t *pool = pool_create();
    vsphere_t *vsphere = POOL_NEW(pool, vsphere_t);
    vsphere->pool = pool;
    vsphere->options = *options;
    vsphere->options.base_url = pool_str(pool, options->base_url);
    vsphere->options.username = pool_str(pool, options->username);
    vsphere->options.ca_file = options->ca_file.len > 0 ? pool_str(pool, options->ca_file) : STR_NULL;
    vsphere->options.password = STR_NULL;
    vsphere->password = crypt_keep(options->password);
    vsphere->fetch = fetch_create();
    return vsphere;
}

static err_t *ask_service(vsphere_t *vsphere, pool_t *pool)
{
    xmlDocPtr doc = NULL;
    xmlNodePtr response = NULL;
    soap_call_t call = {.method = "RetrieveServiceContent",
                        .target = {STR("ServiceInstance"), STR("ServiceInstance")}};
    err_t *err = soap_exchange(vsphere, pool, &call, &doc, &response);
    if (err != NULL)
        return err;
    const xmlNode *content = xml_child(response, "returnval");
    vsphere->root_folder = soap_read_ref(vsphere->pool, xml_child(content, "rootFolder"));
    vsphere->session_manager = soap_read_ref(vsphere->pool, xml_child(content, "sessionManager"));
    vsphere->property_collector = soap_read_ref(vsphere->pool, xml_child(content, "propertyCollector"));
    vsphere->view_manager = soap_read_ref(vsphere->pool, xml_child(content, "viewManager"));
    vsphere->fields_manager = soap_read_ref(vsphere->pool, xml_child(content, "customFieldsManager"));
    vsphere->about =
        (vsphere_about_t){.name = xml_text(vsphere->pool, xml_at(content, "about.fullName")),
                          .version = xml_text(vsphere->pool, xml_at(content, "about.version")),
                          .build = xml_text(vsphere->pool, xml_at(content, "about.build")),
                          .instance_uuid = xml_text(vsphere->pool, xml_at(content, "about.instanceUuid"))};
    xmlFreeDoc(doc);
    if (vsphere->root_folder.id.len > 0 && vsphere->session_manager.id.len > 0 &&
        vsphere->property_collector.id.len > 0 && vsphere->view_manager.id.len > 0)
        return NULL;
    return err_make(pool, 502, ERR_FAMILY_UPSTREAM, "protocol",
                    "The service names no session manager or inventory");
}

static str_t credentials(pool_t *pool, const vsphere_t *vsphere)
{
    buf_t out;
    /* Room for the worst case: no growing, hence no copies of the password left behind. */
    buf_init(&out, pool, 64 + 6 * (vsphere->options.username.len + strlen(vsphere->password)));
    buf_append_lit(&out, "<userName>");
    xml_escape(&out, vsphere->options.username);
    buf_append_lit(&out, "</userName><password>");
    xml_escape(&out, str_from_c(vsphere->password));
    buf_append_lit(&out, "</password>");
    return buf_str(&out);
}

err_t *session_login(vsphere_t *vsphere, pool_t *pool)
{
    xmlDocPtr doc = NULL;
    xmlNodePtr response = NULL;
    soap_call_t call = {.method = "Login",
                        .target = vsphere->session_manager,
                        .arguments = credentials(pool, vsphere),
                        .is_secret = true};
    vsphere->cookie[0] = '\0';
    err_t *err = soap_exchange(vsphere, pool, &call, &doc, &response);
    crypt_wipe((char *)call.arguments.base, call.arguments.len);
    if (err != NULL)
        return err;
    xmlFreeDoc(doc);
    vsphere->is_signed_in = vsphere->cookie[0] != '\0';
    if (vsphere->is_signed_in)
        return NULL;
    return err_make(pool, 502, ERR_FAMILY_UPSTREAM, "protocol",
                    "The login succeeded without a session cookie");
}

err_t *vsphere_open(vsphere_t *vsphere, pool_t *pool, vsphere_about_t *about)
{
    err_t *err = ask_service(vsphere, pool);
    if (err == NULL && about != NULL)
        *about = vsphere->about;
    return err != NULL ? err : session_login(vsphere, pool);
}

static void logout(vsphere_t *vsphere)
{
    xmlDocPtr doc = NULL;
    xmlNodePtr response = NULL;
    pool_t *pool = pool_create();
    soap_call_t call = {.method = "Logout", .target = vsphere->session_manager, .is_farewell = true};
    err_t *err = soap_exchange(vsphere, pool, &call, &doc, &response);
    (void)err; /* it stands in the record; the service ends idle sessions by itself */
    xmlFreeDoc(doc);
    pool_destroy(pool);
}

void vsphere_destroy(vsphere_t *vsphere)
{
    if (vsphere == NULL)
        return;
    if (vsphere->is_signed_in)
        logout(vsphere);
    crypt_forget(vsphere->password);
    crypt_wipe(vsphere->cookie, sizeof(vsphere->cookie));
    fetch_destroy(vsphere->fetch);
    pool_destroy(vsphere->pool);
}
