"""What the process tells of itself: the admin listener, both logs, the dump of the schema."""
import json

from gateway import ADMIN, BASE, SECRET, Gateway, ask, call, expect, sql, until


def the_admin_listener_shows_what_is_in_force():
    with Gateway():
        expect([ask("GET", path, where=ADMIN)[0] for path in ("/live", "/ready", "/config", "/nothing")],
               [200, 200, 200, 404])
        status, text, headers = ask("GET", "/metrics", where=ADMIN)
        for name in ("pgrst_schema_cache_loads_total", "pgrst_db_pool_max", "pgrst_db_pool_available",
                     "pgrst_db_pool_waiting", "pgrst_db_pool_timeouts_total", "pgrst_jwt_cache_evictions_total"):
            expect(("\n%s" % name).encode() in text, True, name)
        expect(SECRET.encode() in ask("GET", "/config", where=ADMIN)[1], False, "a secret is shown")
        expect(ask("GET", "/inspect/schema", where=ADMIN)[1]["failed"], False)


def the_schema_is_dumped_by_a_command_and_by_the_admin_listener():
    status, said, _ = call(["--dump-schema"])
    dump = json.loads(said)
    expect((status, sorted(dump)), (0, ["dbMediaHandlers", "dbRelationships", "dbRepresentations", "dbRoutines", "dbTables"]))
    expect([key["qiName"] for key, _ in dump["dbTables"]], ["items", "writes"])
    table = dump["dbTables"][0][1]
    expect((table["tablePKCols"], table["tableColumns"]["id"]["colType"]), (["id"], "integer"))
    hasty = [value for key, value in dump["dbRoutines"] if key["qiName"] == "hasty"][0][0]
    expect((hasty["pdFuncSettings"], hasty["pdReturnType"]["tag"]), ([["statement_timeout", "200ms"]], "Single"))
    expect([[{"tag": "RelAnyElement"}, {"tag": "MTTextCSV"}], [{"tag": "BuiltinOvAggCsv"}, {"tag": "MTTextCSV"}]]
           in dump["dbMediaHandlers"], True)
    with Gateway():
        expect(ask("GET", "/schema_cache", where=ADMIN)[1], dump)
    lost = BASE["PGRST_DB_URI"].replace("/postgres?", "/no_such_database?")
    expect(call(["--dump-schema"], PGRST_DB_URI=lost)[:2], (1, ""))


def the_cache_of_tokens_is_measured():
    with Gateway(PGRST_JWT_CACHE_MAX_ENTRIES="2"):
        for role in ("anon", "member", "member", "slow", "slow"):
            expect(ask("GET", "/items?limit=1", role=role)[0], 200)
        ask("GET", "/items?limit=1")  # without a token nothing is looked up
        lines = ask("GET", "/metrics", where=ADMIN)[1].decode().splitlines()
        for line in ("pgrst_jwt_cache_requests_total 5", "pgrst_jwt_cache_hits_total 2",
                     "pgrst_jwt_cache_evictions_total 1"):
            expect(line in lines, True, line)


def what_is_given_up_by_the_peer_is_told():
    embed = "/orders?select=id,its:items(name)&items.id=eq.1"
    sql("create table api.orders (id int, item int references api.items); grant select on api.orders to anon;"
        "insert into api.orders values (1, 1)")
    try:
        with Gateway(PGRST_JWT_ROLE_CLAIM_KEY=".role") as gateway:
            expect(len(gateway.events("config_deprecated")), 1)
            status, body, headers = ask("GET", embed)
            expect((status, body, "299" in headers["Warning"]), (200, [{"id": 1, "its": {"name": "item 1"}}], True))
            expect(len(gateway.events("deprecated_target_name")), 1)
            sql("notify pgrst, 'reload config'")
            until("the notification is told", lambda: gateway.events("reload_notified"))
            expect('"payload":"reload config"' in gateway.events("reload_notified")[0], True)
        with Gateway(PGRST_URL_USE_LEGACY_TARGET_NAMES="false") as gateway:
            expect(ask("GET", embed)[1]["code"], "PGRST108")
            expect(len(gateway.events("config_deprecated")), 0)
    finally:
        sql("drop table api.orders")


def the_access_log_follows_the_level_and_keeps_to_one_line():
    with Gateway(BASALT_ACCESS_LOG="true", BASALT_LOG_LEVEL="warn") as gateway:
        ask("GET", "/items?limit=1")
        ask("GET", "/nothing?apikey=eq.hunter2hunter2", **{"User-Agent": 'a" 200 1 "b'})
        lines = until("the line", lambda: [line for line in gateway.log().splitlines() if " HTTP/1.1\" " in line])
        expect(len(lines), 1, lines)
        expect(lines[0].startswith("127.0.0.1 - anon [") and '"GET /nothing?apikey=' in lines[0] and '" 404 ' in lines[0], True, lines)
        expect("hunter2" in lines[0] or 'a" 200' in lines[0], False, lines)


def queries_are_logged_at_the_level_of_their_answers():
    for level, wanted in (("error", [500]), ("warn", [400, 500]), ("info", [200, 400, 500])):
        with Gateway(PGRST_LOG_QUERY="true", BASALT_LOG_LEVEL=level) as gateway:
            expect(ask("GET", "/items?id=eq.7")[0], 200)
            expect(ask("GET", "/items?id=eq.seven")[0], 400)
            expect(ask("POST", "/rpc/hasty", {})[0], 500)
            expect(ask("GET", "/nothing")[0], 404, "no query")
            lines = [json.loads(line) for line in gateway.events("query")]
            expect([line["status"] for line in lines], wanted, level)
            expect("seven" in gateway.log(), False, "a value is shown")


def of_requests_that_browsers_make_by_themselves_the_access_log_is_silent():
    with Gateway(BASALT_ACCESS_LOG="true", PGRST_SERVER_CORS_ALLOWED_ORIGINS="http://good.test") as gateway:
        for origin in ("http://good.test", "http://bad.test"):
            ask("OPTIONS", "/items", **{"Origin": origin, "Access-Control-Request-Method": "POST"})
        ask("OPTIONS", "/items")
        lines = [line for line in gateway.log().splitlines() if '"OPTIONS /items HTTP/1.1" 200' in line]
        expect(len(lines), 2, "the refused origin's question is a request like others")
