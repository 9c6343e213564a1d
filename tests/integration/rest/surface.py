"""What a request leaves in the session, what functions may say about the answer, and what browsers are told."""
import http.client
import json

from client import HOST, PORT, ROOT, Client, ask, expect, signed, sql, token, until


def raw(method, path, headers=(), body=None):
    """Status, list of header pairs in lower case, body: where headers may repeat or are odd."""
    conn = http.client.HTTPConnection(HOST, int(PORT), timeout=30)
    has_host = any(name == "Host" for name, _ in headers)
    conn.putrequest(method, ROOT + path, skip_host=has_host, skip_accept_encoding=True)
    for name, value in headers:
        conn.putheader(name, value)
    if body is not None:
        conn.putheader("Content-Length", str(len(body)))
    conn.endheaders(body)
    answer = conn.getresponse()
    found = answer.status, [(name.lower(), value) for name, value in answer.getheaders()], answer.read()
    conn.close()
    return found


def setting(name, headers=(), method="GET", bearer=None, path=""):
    headers = list(headers) + ([("Authorization", "Bearer " + bearer)] if bearer else [])
    if method == "POST":
        headers.append(("Content-Type", "application/json"))
    body = json.dumps({"name": name}).encode() if method == "POST" else None
    status, _, data = raw(method, "/rpc/setting" + (path if method == "POST" else "?name=" + name), headers, body)
    expect(status, 200, data)
    return json.loads(data)


# ---- the session ----

def functions_see_the_request_in_their_settings():
    expect(setting("request.method"), "GET")
    expect(setting("request.method", method="POST"), "POST")
    expect(setting("request.path"), "/rpc/setting")
    headers = json.loads(setting("request.headers", [("X-One", "1"), ("x-TWO", 'a "quote" \\'), ("X-Latin", b"\xe9"), ("X-Utf8", b"\xc3\xa9")]))
    expect([headers.get(name) for name in ("x-one", "x-two", "x-latin", "x-utf8", "cookie")], ["1", 'a "quote" \\', "é", "é", None])
    expect(json.loads(setting("request.headers", [("Host", "tenant.example")]))["host"], "tenant.example")
    sent = json.dumps({"name": "request.headers"}).encode()
    headers = json.loads(json.loads(raw("POST", "/rpc/setting", [("Content-Type", "application/json")], sent)[2]))
    expect(headers["content-length"], str(len(sent)))
    cookies = json.loads(setting("request.cookies", [("Cookie", 'a=1; b="two"; c=x=y;d')]))
    expect(cookies, {"a": "1", "b": '"two"', "c": "x=y", "d": ""})
    expect(setting("request.cookies"), "{}")


def claims_of_the_token_are_a_setting():
    claims = {"sub": "user-1", "role": "member", "nested": {"a": [1, None, "é"]}}
    found = json.loads(setting("request.jwt.claims", bearer=signed(claims)))
    expect(found, claims)
    expect(json.loads(setting("request.jwt.claims")), {"role": "anon"})


def the_subject_is_a_setting_of_its_own():
    subject = lambda **claims: setting("request.jwt.claim.sub", bearer=signed({"role": "member", **claims}))
    expect([subject(sub="user-1"), subject(), subject(sub=7), setting("request.jwt.claim.sub")],
           ["user-1", "", "", ""])


def names_are_looked_up_in_the_schema_of_the_request():
    expect(setting("search_path"), '"api", "public"')


def time_zones_are_those_of_the_request():
    expect(setting("timezone", [("Prefer", "timezone=America/Los_Angeles")]), "America/Los_Angeles")
    for handling in ("", "handling=strict, "):
        status, _, data = raw("GET", "/rpc/setting?name=timezone", [("Prefer", handling + "timezone=Nowhere/Land")])
        expect((status, json.loads(data)["code"]), (400, "22023"))


def settings_of_the_application_and_of_the_role_apply():
    expect(setting("app.settings.scene"), "one value; with 'quotes'")
    expect(setting("statement_timeout", bearer=token("x", "hurried")), "1s")
    expect(setting("statement_timeout"), "0")


def nothing_of_it_is_left_for_the_next_request():
    setting("timezone", [("Prefer", "timezone=America/Los_Angeles"), ("X-Secret", "s")], bearer=token("user-1"))
    for _ in range(20):
        expect("x-secret" in json.loads(setting("request.headers")), False)
        expect(json.loads(setting("request.jwt.claims")), {"role": "anon"})


# ---- what functions say about the answer ----

def answer_of(status=None, headers=None, path="/rpc/says"):
    query = [("status", status)] if status is not None else []
    query += [("headers", headers if isinstance(headers, str) else json.dumps(headers))] if headers is not None else []
    body = json.dumps(dict(query)).encode()
    return raw("POST", path, [("Content-Type", "application/json")], body)


def a_function_sets_the_status():
    for status in ("200", "204", "302", "418", "599"):
        expect(answer_of(status)[0], int(status))
    for status in ("abc", "", "199", "600", "-1", "20", "2000", "99999999999"):
        found, _, data = answer_of(status)
        wanted = (200, None) if status == "" else (500, "PGRST112")
        expect((found, json.loads(data).get("code") if found == 500 else None), wanted, status)


def a_function_sets_headers():
    status, headers, _ = answer_of(headers=[{"X-Thing": "a"}, {"Set-Cookie": "a=1"}, {"Set-Cookie": "b=2"}, {"Cache-Control": "no-store"}])
    expect((status, [v for n, v in headers if n in ("x-thing", "set-cookie", "cache-control")]), (200, ["a", "a=1", "b=2", "no-store"]))
    _, headers, _ = answer_of(headers=[{"Content-Type": "text/plain"}])
    expect([v for n, v in headers if n == "content-type"], ["text/plain"])
    _, headers, data = answer_of(headers=[{"Content-Length": "1"}, {"Transfer-Encoding": "gzip"}, {"Connection": "upgrade"}])
    expect(([v for n, v in headers if n == "content-length"], [n for n, v in headers if n == "transfer-encoding"]), ([str(len(data))], []))


def headers_of_a_function_cannot_split_the_answer():
    for value in ("a\r\nX-Bad: 1", "a\nX-Bad: 1", "a\r"):
        status, headers, _ = answer_of(headers=[{"X-Thing": value}, {"X-Good": "1"}])
        expect((status, [n for n, _ in headers if n in ("x-bad", "x-thing", "x-good")]), (200, ["x-good"]), repr(value))
    status, headers, _ = answer_of(headers=[{"X-Thing: 1\r\nX-Bad": "1"}])
    expect((status, [n for n, _ in headers if n.startswith("x-") and n != "x-request-id"]), (200, []))


def headers_that_are_none_are_the_functions_error():
    for headers in ("{}", "[1]", '["a"]', '[{"a":1}]', '[{"a":"1","b":"2"}]', "[{}]", "nonsense", "[", '{"X-Thing":"1"}'):
        status, _, data = answer_of(headers=headers)
        expect((status, json.loads(data)["code"]), (500, "PGRST111"), headers)
    expect(answer_of(headers="[]")[0], 200)


def a_status_of_a_refused_answer_writes_nothing():
    status, _, data = answer_of("abc", path="/rpc/writes_and_says")
    expect((status, json.loads(data)["code"]), (500, "PGRST112"))


# ---- browsers ----

ORIGIN = ("Origin", "https://ui.test")


def cors(headers):
    return {name[15:]: value for name, value in headers if name.startswith("access-control-")}


def any_origin_may_ask_and_sees_what_it_needs():
    status, headers, _ = raw("GET", "/items?limit=1", [ORIGIN])
    found = cors(headers)
    expect((status, found["allow-origin"], "allow-credentials" in found), (200, "*", False))
    expect({"Content-Range", "Location", "Content-Location"} <= set(found["expose-headers"].split(", ")), True)
    expect(cors(raw("GET", "/items?limit=1")[1]), {})
    expect(cors(raw("GET", "/nowhere", [ORIGIN])[1])["allow-origin"], "*", "an error can be read, too")


def a_preflight_is_answered_without_the_database():
    ask_for = [ORIGIN, ("Access-Control-Request-Method", "PATCH"), ("Access-Control-Request-Headers", "x-client-info, apikey,,content-profile")]
    status, headers, body = raw("OPTIONS", "/no_such_table", ask_for)
    found = cors(headers)
    expect((status, body, found["allow-origin"], found["max-age"]), (200, b"", "*", "86400"))
    expect({"PATCH", "DELETE", "PUT"} <= set(found["allow-methods"].split(", ")), True)
    expect({"Authorization", "x-client-info", "apikey", "content-profile"} <= set(found["allow-headers"].split(", ")), True)
    status, headers, _ = raw("OPTIONS", "/items", [ORIGIN])
    expect((status, "allow" in dict(headers), cors(headers)["allow-origin"]), (200, True, "*"), "without the question it is no preflight")


def only_named_origins_may_ask_once_there_are_any():
    """Told just after the database came back: the message may come before anybody listens again."""
    sql("alter role authenticator set pgrst.server_cors_allowed_origins = 'https://ui.test, https://other.test'; notify pgrst, 'reload config'")
    try:
        until("the setting is in force", lambda: cors(raw("GET", "/items?limit=1", [ORIGIN])[1]).get("allow-origin") == "https://ui.test")
        found = cors(raw("GET", "/items?limit=1", [ORIGIN])[1])
        expect(found["allow-credentials"], "true")
        for origin in ("https://evil.test", "https://ui.test.evil.test", "null", "https://UI.test", "http://ui.test", "https://ui.test:8443", ""):
            expect(cors(raw("GET", "/items?limit=1", [("Origin", origin)])[1]), {}, origin)
            status, headers, _ = raw("OPTIONS", "/items", [("Origin", origin), ("Access-Control-Request-Method", "GET")])
            expect("allow-methods" in cors(headers), False, origin)
    finally:
        sql("alter role authenticator reset pgrst.server_cors_allowed_origins; notify pgrst, 'reload config'")
    until("the setting is gone", lambda: cors(raw("GET", "/items?limit=1", [ORIGIN])[1]).get("allow-origin") == "*")


SCENES = [value for name, value in list(globals().items())
          if callable(value) and getattr(value, "__module__", "") == __name__ and name.count("_") >= 2]
