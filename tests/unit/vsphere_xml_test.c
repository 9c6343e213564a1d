#include "drivers/vsphere/xml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void assert_str(str_t actual, const char *expected)
{
    assert_int_equal(actual.len, strlen(expected));
    assert_memory_equal(actual.base, expected, actual.len);
}

static void assert_refused(void **state, str_t text, const char *why)
{
    xmlDocPtr doc = NULL;
    err_t *err = xml_read(*state, text, &doc);
    assert_non_null(err);
    assert_null(doc);
    assert_str(err->code, "protocol");
    assert_str(err->message, why);
}

static void no_document_type_whatever_it_declares(void **state)
{
    const char *why = "The answer carries a document type";
    assert_refused(state, STR("<!DOCTYPE a><a/>"), why);
    assert_refused(state, STR("<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>"), why);
    assert_refused(state, STR("<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>"), why);
    assert_refused(state, STR("<!DOCTYPE a [<!ENTITY % b SYSTEM \"file:///etc/passwd\">%b;]><a/>"), why);
    /* the same in UTF-16, where a search for the bytes would find nothing */
    static const char WIDE[] = "\xff\xfe<\0!\0D\0O\0C\0T\0Y\0P\0E\0 \0a\0>\0<\0a\0/\0>";
    assert_refused(state, str_make(WIDE, sizeof(WIDE)), why);
}

static void what_is_no_xml(void **state)
{
    const char *why = "The answer is not well-formed XML";
    assert_refused(state, STR(""), why);
    assert_refused(state, STR("{}"), why);
    assert_refused(state, STR("<a><b></a>"), why);
    assert_refused(state, STR("<a>&b;</a>"), why);
    assert_refused(state, STR("<a>"), why);
    buf_t deep;
    buf_init(&deep, *state, 4096);
    for (int i = 0; i < 1000; i++)
        buf_append_lit(&deep, "<a>");
    for (int i = 0; i < 1000; i++)
        buf_append_lit(&deep, "</a>");
    assert_refused(state, buf_str(&deep), why);
}

static void elements_are_counted(void **state)
{
    buf_t many;
    buf_init(&many, *state, 4096);
    buf_append_lit(&many, "<a>");
    for (int i = 0; i < 1000000; i++)
        buf_append_lit(&many, "<b/>");
    buf_append_lit(&many, "</a>");
    assert_refused(state, buf_str(&many), "The answer has too many elements");
}

static void names_are_read_with_their_namespace(void **state)
{
    xmlDocPtr doc = NULL;
    str_t text = STR("<v:a xmlns:v=\"urn:vim25\" xmlns:o=\"urn:other\"><o:b>wrong</o:b><b>none</b>"
                     "<v:b><v:c type=\"HostSystem\"> x&amp;y </v:c><v:c>2</v:c></v:b>"
                     "<v:d xmlns:XMLSchema-instance=\"http://www.w3.org/2001/XMLSchema-instance\""
                     " XMLSchema-instance:type=\"xsd:int\">7</v:d></v:a>");
    assert_null(xml_read(*state, text, &doc));
    const xmlNode *root = xmlDocGetRootElement(doc);
    assert_str(xml_text(*state, xml_at(root, "b.c")), " x&y ");
    assert_str(xml_reference_type(*state, xml_at(root, "b.c")), "HostSystem");
    assert_int_equal(xml_count(xml_child(root, "b"), "c"), 2);
    assert_str(xml_dynamic_type(*state, xml_child(root, "d")), "int");
    assert_null(xml_at(root, "b.x.c"));
    assert_true(str_is_null(xml_text(*state, xml_at(root, "x"))));
    xmlFreeDoc(doc);
}

static void text_cannot_become_markup(void **state)
{
    buf_t out;
    xmlDocPtr doc = NULL;
    buf_init(&out, *state, 64);
    buf_append_lit(&out, "<a xmlns=\"urn:vim25\" type=\"");
    xml_escape(&out, STR("\"><b/>&amp;"));
    buf_append_lit(&out, "\">");
    xml_escape(&out, STR("</a>]]>\r\n\x01&lt;"));
    buf_append_lit(&out, "</a>");
    assert_null(xml_read(*state, buf_str(&out), &doc));
    const xmlNode *root = xmlDocGetRootElement(doc);
    assert_str(xml_reference_type(*state, root), "\"><b/>&amp;");
    assert_str(xml_text(*state, root), "</a>]]>\r\n\xef\xbf\xbd&lt;");
    xmlFreeDoc(doc);
}

static int set_up(void **state)
{
    *state = pool_create();
    return 0;
}

static int tear_down(void **state)
{
    pool_destroy(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(no_document_type_whatever_it_declares, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_xml, set_up, tear_down),
        cmocka_unit_test_setup_teardown(elements_are_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_are_read_with_their_namespace, set_up, tear_down),
        cmocka_unit_test_setup_teardown(text_cannot_become_markup, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
