#include "drivers/vsphere/xml.h"

#include <libxml/parser.h>
#include <stdlib.h>

#define XSI "http://www.w3.org/2001/XMLSchema-instance"

/* A tree takes some 150 bytes for each element, however short that is on the wire. */
#define ELEMENTS_MAX 1000000

typedef struct {
    size_t elements;
    const char *refusal; /* NULL: none */
    startElementNsSAX2Func start;
} guard_t;

static void refuse(xmlParserCtxtPtr parser, const char *why)
{
    ((guard_t *)parser->_private)->refusal = why;
    xmlStopParser(parser);
}

/* SOAP has no document types (SOAP 1.1, 3); without one there are no entities. */
static void on_document_type(void *arg, const xmlChar *name, const xmlChar *external, const xmlChar *system)
{
    (void)name, (void)external, (void)system;
    refuse(arg, "The answer carries a document type");
}

static void on_element(void *arg, const xmlChar *name, const xmlChar *prefix, const xmlChar *space,
                       int space_count, const xmlChar **spaces, int attribute_count, int defaulted,
                       const xmlChar **attributes)
{
    guard_t *guard = ((xmlParserCtxtPtr)arg)->_private;
    if (++guard->elements > ELEMENTS_MAX)
        refuse(arg, "The answer has too many elements");
    else
        guard->start(arg, name, prefix, space, space_count, spaces, attribute_count, defaulted, attributes);
}

err_t *xml_read(pool_t *pool, str_t text, xmlDocPtr *out)
{
    guard_t guard = {0};
    xmlParserCtxtPtr parser = xmlNewParserCtxt();
    if (parser == NULL)
        abort();
    guard.start = parser->sax->startElementNs;
    parser->_private = &guard;
    parser->sax->internalSubset = on_document_type;
    parser->sax->startElementNs = on_element;
    /* Without XML_PARSE_HUGE the library itself bounds depth (256) and the length of a text (10 MB). */
    *out =
        text.len > 0 && text.len < INT32_MAX
            ? xmlCtxtReadMemory(parser, text.base, (int)text.len, NULL, NULL,
                                XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NOCDATA)
            : NULL;
    if (guard.refusal != NULL && *out != NULL) {
        xmlFreeDoc(*out);
        *out = NULL;
    }
    xmlFreeParserCtxt(parser);
    if (*out != NULL)
        return NULL;
    return err_make(pool, 502, ERR_FAMILY_UPSTREAM, "protocol", "%s",
                    guard.refusal != NULL ? guard.refusal : "The answer is not well-formed XML");
}

static xmlNodePtr first_of(xmlNodePtr node, const char *space, const char *name)
{
    for (; node != NULL; node = node->next) {
        if (node->type == XML_ELEMENT_NODE && node->ns != NULL &&
            strcmp((const char *)node->ns->href, space) == 0 &&
            (name == NULL || strcmp((const char *)node->name, name) == 0))
            return node;
    }
    return NULL;
}

xmlNodePtr xml_child_in(const xmlNode *node, const char *space, const char *name)
{
    return node != NULL ? first_of(node->children, space, name) : NULL;
}

xmlNodePtr xml_child(const xmlNode *node, const char *name)
{
    return xml_child_in(node, XML_VIM, name);
}

xmlNodePtr xml_next(const xmlNode *node, const char *name)
{
    return node != NULL ? first_of(node->next, XML_VIM, name) : NULL;
}

xmlNodePtr xml_at(const xmlNode *node, const char *path)
{
    char name[64];
    str_t rest = str_from_c(path);
    while (node != NULL && !str_is_null(rest)) {
        str_t part = str_split(&rest, '.');
        if (part.len >= sizeof(name))
            return NULL;
        memcpy(name, part.base, part.len);
        name[part.len] = '\0';
        node = xml_child(node, name);
    }
    return (xmlNodePtr)node;
}

/* Copies and frees what libxml2 allocated. */
static str_t take(pool_t *pool, xmlChar *text)
{
    str_t copy = text != NULL && text[0] != '\0' ? pool_str(pool, str_from_c((const char *)text)) : STR_NULL;
    xmlFree(text);
    return copy;
}

str_t xml_text(pool_t *pool, const xmlNode *node)
{
    return node != NULL ? take(pool, xmlNodeGetContent(node)) : STR_NULL;
}

str_t xml_dynamic_type(pool_t *pool, const xmlNode *node)
{
    str_t type = node != NULL ? take(pool, xmlGetNsProp(node, BAD_CAST "type", BAD_CAST XSI)) : STR_NULL;
    size_t colon = str_find_char(type, ':', 0);
    return colon != SIZE_MAX ? str_slice(type, colon + 1, type.len) : type;
}

str_t xml_reference_type(pool_t *pool, const xmlNode *node)
{
    return node != NULL ? take(pool, xmlGetNoNsProp(node, BAD_CAST "type")) : STR_NULL;
}

size_t xml_count(const xmlNode *node, const char *name)
{
    size_t count = 0;
    for (const xmlNode *child = xml_child(node, name); child != NULL; child = xml_next(child, name))
        count++;
    return count;
}

void xml_escape(buf_t *out, str_t text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.base[i];
        if (c == '&')
            buf_append_lit(out, "&amp;");
        else if (c == '<')
            buf_append_lit(out, "&lt;");
        else if (c == '>')
            buf_append_lit(out, "&gt;");
        else if (c == '"')
            buf_append_lit(out, "&quot;");
        else if (c == '\r') /* a parser would make a line feed of it */
            buf_append_lit(out, "&#13;");
        else if (c < ' ' && c != '\t' && c != '\n')
            buf_append_lit(out, "\xef\xbf\xbd");
        else
            buf_append_char(out, (char)c);
    }
}
