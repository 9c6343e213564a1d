#include "drivers/vsphere/soap.h"

#include "base/clock.h"

enum { TIMEOUT_MS = 30000, DEADLINE_MS = 120000, FAREWELL_MS = 5000, ANSWER_MAX = 32 << 20, TEXT_MAX = 300 };

static str_t build(pool_t *pool, const soap_call_t *call)
{
    buf_t out;
    buf_init(&out, pool, 512 + call->arguments.len);
    buf_append_lit(&out,
                   "<?xml version=\"1.0\" encoding=\"UTF-8\"?><soapenv:Envelope xmlns:soapenv=\"" XML_SOAP
                   "\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><soapenv:Body>");
    buf_printf(&out, "<%s xmlns=\"" XML_VIM "\">", call->method);
    soap_write_ref(&out, "_this", call->target);
    buf_append_str(&out, call->arguments);
    buf_printf(&out, "</%s></soapenv:Body></soapenv:Envelope>", call->method);
    return buf_str(&out);
}

void soap_write_ref(buf_t *out, const char *name, soap_ref_t ref)
{
    buf_printf(out, "<%s type=\"", name);
    xml_escape(out, ref.type);
    buf_append_lit(out, "\">");
    xml_escape(out, ref.id);
    buf_printf(out, "</%s>", name);
}

soap_ref_t soap_read_ref(pool_t *pool, const xmlNode *node)
{
    return (soap_ref_t){.type = xml_reference_type(pool, node), .id = xml_text(pool, node)};
}

/* The session travels in a cookie of this name; its value may stand in quotes. */
static void take_cookie(vsphere_t *vsphere, const fetch_response_t *response)
{
    for (size_t i = 0; i < response->header_count; i++) {
        str_t rest = response->headers[i].value;
        if (!str_eq_nocase(response->headers[i].name, STR("Set-Cookie")))
            continue;
        str_t pair = str_trim(str_split(&rest, ';'));
        if (str_starts_with(pair, STR("vmware_soap_session=")) && pair.len < sizeof(vsphere->cookie)) {
            memcpy(vsphere->cookie, pair.base, pair.len);
            vsphere->cookie[pair.len] = '\0';
        }
    }
}

static str_t last_word(str_t type, const char *suffix)
{
    str_t end = str_from_c(suffix);
    return str_ends_with(type, end) ? str_slice(type, 0, type.len - end.len) : type;
}

/* The type stands in xsi:type, or only in the element's name with "Fault" behind it. */
static err_t *explain_fault(pool_t *pool, const xmlNode *fault)
{
    const xmlNode *detail = NULL, *text = NULL, *first = NULL;
    for (const xmlNode *child = fault->children; child != NULL; child = child->next) {
        if (child->type == XML_ELEMENT_NODE && strcmp((const char *)child->name, "detail") == 0)
            detail = child;
        if (child->type == XML_ELEMENT_NODE && strcmp((const char *)child->name, "faultstring") == 0)
            text = child;
    }
    first = xml_child(detail, NULL);
    str_t type = xml_dynamic_type(pool, first), message = str_slice(xml_text(pool, text), 0, TEXT_MAX);
    if (type.len == 0 && first != NULL)
        type = last_word(pool_str(pool, str_from_c((const char *)first->name)), "Fault");
    if (str_eq(type, STR("InvalidLogin")))
        return err_make(pool, 401, ERR_FAMILY_UPSTREAM, "auth", "401 Unauthorized");
    if (str_eq(type, STR("NotAuthenticated")))
        return err_make(pool, 401, ERR_FAMILY_UPSTREAM, "session", "The session has ended");
    err_t *err = err_make(pool, 502, ERR_FAMILY_UPSTREAM, "fault", "%.*s",
                          STR_ARG(message.len > 0 ? message : STR("The service refused without a reason")));
    return type.len > 0 ? err_details(pool, err, "%.*s", STR_ARG(type)) : err;
}

static err_t *read_body(pool_t *pool, const char *method, const xmlDoc *doc, xmlNodePtr *response)
{
    xmlNodePtr root = xmlDocGetRootElement((xmlDocPtr)doc);
    char name[96];
    snprintf(name, sizeof(name), "%sResponse", method);
    bool is_envelope = root != NULL && root->ns != NULL &&
                       strcmp((const char *)root->name, "Envelope") == 0 &&
                       strcmp((const char *)root->ns->href, XML_SOAP) == 0;
    xmlNodePtr body = is_envelope ? xml_child_in(root, XML_SOAP, "Body") : NULL;
    xmlNodePtr fault = xml_child_in(body, XML_SOAP, "Fault");
    if (fault != NULL)
        return explain_fault(pool, fault);
    *response = xml_child(body, name);
    if (*response != NULL)
        return NULL;
    return err_make(pool, 502, ERR_FAMILY_UPSTREAM, "protocol", "The answer is no SOAP answer to %s", method);
}

/* Faults come with 500. Anything but 200 and 500 is no SOAP service speaking. */
static err_t *judge(pool_t *pool, const char *method, const fetch_response_t *response, xmlDocPtr *doc,
                    xmlNodePtr *element)
{
    if (response->status != 200 && response->status != 500)
        return err_make(pool, (uint16_t)response->status, ERR_FAMILY_UPSTREAM, "refused", "HTTP %d",
                        response->status);
    err_t *err = xml_read(pool, response->body, doc);
    if (err == NULL)
        err = read_body(pool, method, *doc, element);
    if (err != NULL && *doc != NULL) {
        xmlFreeDoc(*doc);
        *doc = NULL;
    }
    return err;
}

/* What is left of the deadline, but no more than one exchange may take; 0: nothing. */
static int time_left_ms(vsphere_t *vsphere, const soap_call_t *call)
{
    const vsphere_options_t *options = &vsphere->options;
    int64_t now = clock_mono_us();
    int timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : TIMEOUT_MS;
    if (call->is_farewell)
        return FAREWELL_MS;
    if (vsphere->due_us == 0)
        vsphere->due_us =
            now + (int64_t)(options->deadline_ms > 0 ? options->deadline_ms : DEADLINE_MS) * 1000;
    int64_t left_ms = (vsphere->due_us - now) / 1000;
    return left_ms < 1 ? 0 : left_ms < timeout_ms ? (int)left_ms : timeout_ms;
}

static void record(const vsphere_t *vsphere, const soap_call_t *call, const fetch_request_t *request,
                   const fetch_response_t *response, const err_t *err)
{
    vsphere_record_t made = {.operation = call->method,
                             .path = STR("/sdk"),
                             .url = request->url,
                             .headers = request->headers,
                             .header_count = request->header_count,
                             .request_body = call->is_secret ? STR_NULL : request->body,
                             .status = response->status,
                             .elapsed_us = response->elapsed_us,
                             .is_success = err == NULL,
                             .error = err != NULL ? err->message : STR_NULL};
    if (vsphere->options.on_record != NULL)
        vsphere->options.on_record(vsphere->options.arg, &made);
}

err_t *soap_exchange(vsphere_t *vsphere, pool_t *pool, const soap_call_t *call, xmlDocPtr *doc,
                     xmlNodePtr *response)
{
    const vsphere_options_t *options = &vsphere->options;
    fetch_response_t answer = {0};
    fetch_header_t headers[3] = {{STR("Content-Type"), STR("text/xml; charset=utf-8")},
                                 {STR("SOAPAction"), STR("urn:vim25/6.5")},
                                 {STR("Cookie"), str_from_c(vsphere->cookie)}};
    int timeout_ms = time_left_ms(vsphere, call);
    fetch_request_t request = {.method = STR("POST"),
                               .url = pool_concat(pool, 2, options->base_url, STR("/sdk")),
                               .headers = headers,
                               .header_count = vsphere->cookie[0] != '\0' ? 3 : 2,
                               .body = build(pool, call),
                               .timeout_ms = timeout_ms,
                               .response_max = ANSWER_MAX,
                               .is_tls_unverified = !options->is_verified,
                               .ca_file = options->ca_file,
                               .addr_policy = options->addr_policy,
                               .is_cancelled = call->is_farewell ? NULL : options->is_cancelled};
    *doc = NULL;
    *response = NULL;
    err_t *err = timeout_ms > 0 ? fetch_perform(vsphere->fetch, pool, &request, &answer)
                                : err_make(pool, 504, ERR_FAMILY_UPSTREAM, "timeout",
                                           "The service did not answer in time");
    if (err == NULL) {
        take_cookie(vsphere, &answer);
        err = judge(pool, call->method, &answer, doc, response);
    }
    record(vsphere, call, &request, &answer, err);
    return err;
}
