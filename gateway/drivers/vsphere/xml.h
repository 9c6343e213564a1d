/* Inside of the driver: XML from somebody else. No document type, no entities, no network; capped in depth
 * and number of elements; names are compared with their namespace. */
#ifndef VSPHERE_XML_H
#define VSPHERE_XML_H

#include "base/buf.h"
#include "base/err.h"

#include <libxml/tree.h>

#define XML_VIM "urn:vim25"
#define XML_SOAP "http://schemas.xmlsoap.org/soap/envelope/"

/* `*out` is freed by the caller with xmlFreeDoc. Error: 502 "protocol". */
err_t *xml_read(pool_t *pool, str_t text, xmlDocPtr *out) MUST_CHECK;

/* First child, and next sibling, of that name in `space`; NULL without. `node` may be NULL. */
xmlNodePtr xml_child_in(const xmlNode *node, const char *space, const char *name);
/* The same in urn:vim25; any name when NULL. */
xmlNodePtr xml_child(const xmlNode *node, const char *name);
xmlNodePtr xml_next(const xmlNode *node, const char *name);
/* Descendant by a path of names: "spec.ip.ipAddress". */
xmlNodePtr xml_at(const xmlNode *node, const char *path);

/* Text in `pool`; the null string for NULL or an empty element. */
str_t xml_text(pool_t *pool, const xmlNode *node);
/* xsi:type without its prefix; the attribute "type" of a reference. Null strings without. */
str_t xml_dynamic_type(pool_t *pool, const xmlNode *node);
str_t xml_reference_type(pool_t *pool, const xmlNode *node);
size_t xml_count(const xmlNode *node, const char *name);

/* Appends text with & < > " escaped; characters that XML forbids become U+FFFD. */
void xml_escape(buf_t *out, str_t text);

#endif
