#!/usr/bin/python3
"""Scenes of the REST interface against a real database: what must hold when callers, functions, readers and the database
itself behave badly. Each scene is a function; its name is the behaviour that it protects."""
import csv
import http.client
import io
import json
import os
import random
import socket
import subprocess
import threading
import time
from urllib.parse import quote

import surface
from client import HOST, PORT, ROOT, Client, ask, expect, memory_kib, run, signed, sql, token, until


# ---- isolation ----

def misbehaving_functions_leak_nothing_to_other_callers():
    bad = ["/rpc/leak_setting", "/rpc/leak_role", "/rpc/leak_claims", "/rpc/leak_path", "/rpc/fail_midway"]
    wrong = []

    def run(number):
        sub = "user-%d" % (number % 20)
        client = Client(token(sub))
        dice = random.Random(number)
        for _ in range(60):
            if dice.random() < 0.3:
                client.ask("POST", dice.choice(bad), {})
                continue
            _, me, _ = client.ask("GET", "/rpc/whoami")
            status, notes, _ = client.ask("GET", "/notes?select=owner")
            if me["role"] != "member" or me["sub"] != sub:
                wrong.append(me)
            if status != 200 or not notes or any(note["owner"] != sub for note in notes):
                wrong.append((status, notes[:2]))

    threads = [threading.Thread(target=run, args=(i,)) for i in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expect(wrong[:3], [])


def requests_alike_get_answers_of_their_own():
    callers = [Client(token("user-%d" % i)) for i in range(3)]
    for n in range(1, 9):
        i = n % 3
        where = "id=in.(%d,%d)&name=like.item*&data->>n=neq.%d" % (n, n + 1, n + 5)
        status, rows, headers = callers[i].ask("GET", "/items?select=id,parent:parent_id(id)&order=id&" + where)
        wanted = [{"id": k, "parent": {"id": k // 2} if k > 1 else None} for k in (n, n + 1)]
        expect((status, rows), (200, wanted), where)
        expect("%28{}%2C{}%29".format(n, n + 1) in headers["Content-Location"], True, headers["Content-Location"])
        for op, wanted in (("eq", [n]), ("neq", []), ("gte", [n])):
            status, rows, _ = callers[i].ask("GET", "/items?select=id&id=eq.%d&id=%s.%d" % (n, op, n))
            expect((status, [row["id"] for row in rows]), (200, wanted), op)
        status, rows, _ = callers[i].ask("GET", "/notes?select=owner&body=neq.%d&limit=1" % n)
        expect((status, rows), (200, [{"owner": "user-%d" % i}]))
        expect(callers[i].ask("GET", "/rpc/joined?parts=%d&parts=b%d" % (n, n))[1], "%d+b%d" % (n, n))
        expect(callers[i].ask("POST", "/rpc/same_name", {"b": n})[0], 404)
        expect(callers[i].ask("GET", "/items?id=eq.x%d" % n)[0], 400)
        body = [{"id": 900 + n, "name": "n%d" % n}, {"name": "m%d" % n, "id": 950 + n}]
        status, rows, _ = callers[i].ask("POST", "/items?select=id,name", body, Prefer="return=representation, tx=rollback")
        expect((status, rows), (201, body))
        status, rows, _ = callers[i].ask("PATCH", "/items?select=name&id=eq.%d" % n, {"name": "new %d" % n},
                                         Prefer="return=representation, tx=rollback")
        expect((status, rows), (200, [{"name": "new %d" % n}]))
    sql("alter table api.items add column late int default 7; notify pgrst")
    try:
        until("the new column", lambda: callers[0].ask("GET", "/items?id=eq.2")[1][0].get("late") == 7)
    finally:
        sql("alter table api.items drop column late; notify pgrst")
    until("the column is forgotten", lambda: callers[0].ask("GET", "/items?id=eq.3")[0] == 200)


def the_anonymous_caller_has_no_claims_of_others():
    Client(token("user-1")).ask("POST", "/rpc/leak_claims", {})
    for _ in range(20):
        _, me, _ = ask("GET", "/rpc/whoami")
        expect((me["role"], me["sub"]), ("anon", None))


def the_role_in_force_stands_in_the_claims():
    # a role that only looks like the claim: nested, and as text
    for claims in ({"sub": "user-1", "user_metadata": {"role": "member"}}, {"sub": "user-1", "note": '"role":"member"'}, {"sub": "user-1", "a": ["role"]}):
        _, answer, _ = Client(signed(claims)).ask("GET", "/rpc/claims")
        expect((answer["role"], answer["me"], answer["sub"]), ("anon", "anon", "user-1"), str(claims))
    _, answer, _ = Client(token("user-2")).ask("GET", "/rpc/claims")
    expect((answer["role"], answer["me"], answer["sub"]), ("member", "member", "user-2"))


# ---- writes ----

def a_refused_write_leaves_no_row():
    refused = [
        ("PATCH", "/items?id=lt.4", {"name": "x"}, {"Accept": "application/vnd.pgrst.object+json"}, 406, "PGRST116"),
        ("PATCH", "/items?id=lt.4", {"name": "x"}, {"Prefer": "handling=strict, max-affected=2"}, 400, "PGRST124"),
        ("DELETE", "/canary", None, {"Prefer": "handling=strict, max-affected=0"}, 400, "PGRST124"),
        ("PUT", "/canary?id=eq.2", {"id": 3, "name": "x"}, {}, 400, "PGRST115"),
        ("POST", "/canary", [{"id": 5, "name": "a"}, {"id": 6, "name": "b"}],
         {"Prefer": "return=representation", "Accept": "application/vnd.pgrst.object+json"}, 406, "PGRST116"),
    ]
    before = sql("select md5(string_agg(t::text, '|' order by id)) from api.items t"), sql("table api.canary")
    for method, path, body, headers, status, code in refused:
        got, error, _ = ask(method, path, body, **headers)
        expect((got, error.get("code")), (status, code), path)
    expect((sql("select md5(string_agg(t::text, '|' order by id)) from api.items t"), sql("table api.canary")), before)


def reading_cannot_write():
    status, error, _ = ask("GET", "/rpc/write_row?n=900")
    expect((status, error["code"]), (405, "25006"))
    expect(sql("select count(*) from api.items where id = 900"), "0")


def an_acknowledged_write_survives_a_killed_backend():
    acknowledged, stop = [], threading.Event()

    def write():
        client, number = Client(), 0
        while not stop.is_set():
            number += 1
            key = 100000 + number
            try:
                status, _, _ = client.ask("POST", "/items", {"id": key, "name": "kept"})
            except (OSError, http.client.HTTPException):
                client = Client()
                continue
            if status == 201:
                acknowledged.append(key)

    thread = threading.Thread(target=write)
    thread.start()
    for _ in range(15):
        time.sleep(0.1)
        sql("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'authenticator'")
    until("writes go through", lambda: len(acknowledged) >= 20)
    stop.set()
    thread.join()
    kept = set(sql("select id from api.items where id > 100000").split())
    expect([key for key in acknowledged if str(key) not in kept], [])
    sql("delete from api.items where id > 100000")


# ---- large answers ----

ROWS_ARE_READ = "select count(*) from pg_stat_activity where usename = 'authenticator' and state = 'active'"


def large_answers_stream_in_every_format_with_little_memory():
    before = memory_kib("VmRSS")
    _, rows, _ = ask("GET", "/big?select=id,payload,flag")
    expect((len(rows), rows[-1]["id"], rows[2]["flag"]), (40000, 40000, True))
    _, data, headers = ask("GET", "/big", Accept="text/csv")
    table = list(csv.reader(io.StringIO(data.decode())))
    expect((len(table), table[0], headers["Content-Type"]), (40001, ["id", "payload", "at", "flag"], "text/csv; charset=utf-8"))
    _, data, headers = ask("GET", "/big", Accept="application/x-ndjson", Prefer="count=exact")
    lines = [json.loads(line) for line in data.splitlines()]
    expect((len(lines), lines[39999]["id"]), (40000, 40000))
    expect(headers["Content-Range"], "0-39999/40000")
    if os.environ.get("SCENE_SANITIZED") != "1" and memory_kib("VmHWM") - before > 48 * 1024:
        raise AssertionError("peak %d KiB above %d" % (memory_kib("VmHWM") - before, before))


def an_error_after_the_head_breaks_the_answer():
    try:
        ask("GET", "/late_error")
    except http.client.IncompleteRead:
        pass
    else:
        raise AssertionError("the answer ended as if it were complete")
    status, _, _ = ask("GET", "/items?limit=1")
    expect(status, 200)


def old_exchange(path):
    """HTTP/1.0: the end of the connection is the end of the answer. All bytes, or ConnectionResetError."""
    with socket.create_connection((HOST, int(PORT)), timeout=30) as sock:
        sock.sendall(("GET %s%s HTTP/1.0\r\nHost: x\r\n\r\n" % (ROOT, path)).encode())
        data = b""
        while True:
            piece = sock.recv(1 << 20)
            if not piece:
                return data
            data += piece


def an_old_client_sees_whether_its_answer_is_whole():
    head, _, body = old_exchange("/big?select=id,payload").partition(b"\r\n\r\n")
    expect((head.split()[1], len(json.loads(body))), (b"200", 40000))
    try:
        data = old_exchange("/late_error")
    except ConnectionResetError:
        return
    raise AssertionError("%d bytes ended as if they were the whole answer" % len(data))


def an_error_in_the_buffered_part_is_an_ordinary_error():
    status, error, _ = ask("GET", "/late_error?id=gt.29990")
    expect((status, error["code"]), (400, "22012"))


def a_reader_that_takes_nothing_is_cut_and_its_connection_returned():
    stuck = socket.create_connection((HOST, int(PORT)))
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stuck.sendall(("GET %s/big HTTP/1.1\r\nHost: x\r\n\r\n" % ROOT).encode())
    stuck.settimeout(60)
    stuck.recv(1, socket.MSG_PEEK)  # the query runs
    until("the stalled query is gone", lambda: sql(ROWS_ARE_READ) == "0")
    got = 0
    try:
        while True:
            piece = stuck.recv(1 << 20)
            if not piece:
                break
            got += len(piece)
    except OSError:
        pass
    if got > 8 << 20:
        raise AssertionError("the whole answer arrived")


def read_slowly(path, bearer=None, rate=600000):
    """Bytes of an answer that a lively but slow reader gets before it ends, and whether it ended properly."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        sock.settimeout(20)
        sock.connect((HOST, int(PORT)))
        head = "Authorization: Bearer %s\r\n" % bearer if bearer else ""
        sock.sendall(("GET %s%s HTTP/1.1\r\nHost: x\r\n%s\r\n" % (ROOT, path, head)).encode())
        got, tail, start = 0, b"", time.time()
        while not tail.endswith(b"\r\n0\r\n\r\n"):
            try:
                piece = sock.recv(16384)
            except ConnectionResetError:
                piece = b""
            if not piece:
                return got, False
            got, tail = got + len(piece), (tail + piece)[-16:]
            time.sleep(max(0, got / rate - (time.time() - start)))
        return got, True


def a_lively_but_slow_reader_is_cut_at_the_deadline_and_its_connection_returned():
    got, is_whole = read_slowly("/big", rate=400000)
    expect(is_whole, False)
    until("the connection is free again", lambda: sql(ROWS_ARE_READ) == "0")
    if not (1 << 20) < got < (8 << 20):
        raise AssertionError("%d bytes" % got)


def the_time_limit_of_the_role_goes_on_while_a_reader_is_slow():
    """What the documentation says of statement_timeout: the server's clock runs while it waits for the reader."""
    _, is_whole = read_slowly("/big?limit=20000", token("user-1", "hurried"), 2000000)
    expect(is_whole, False)
    got, is_whole = read_slowly("/big?limit=20000", token("user-1"), 4000000)
    expect(is_whole, True, "%d bytes" % got)


def a_query_whose_client_left_is_cancelled():
    gone = socket.create_connection((HOST, int(PORT)))
    gone.sendall(("GET %s/rpc/whoami HTTP/1.1\r\nHost: x\r\n\r\n" % ROOT).encode())
    gone.recv(65536)
    body = b'{"seconds": 600}'
    gone.sendall(("POST %s/rpc/nap HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                  % (ROOT, len(body))).encode() + body)
    until("the nap began", lambda: sql(ROWS_ARE_READ) == "1")
    gone.close()
    until("the nap was cancelled", lambda: sql(ROWS_ARE_READ) == "0")


# ---- hostile input ----

NASTY = ["'", "''", '"', '""', "\\", "--", "/*", ";", "); drop table api.canary; --", "' or '1'='1", "$1", "$$", "%s", "\x00", "\x01",
         "é", "\U0001f600", "a" * 300, "pg_sleep(5)", "(select 1)", "id)", "id,(", "*", "::text", "->>'x'", "!", "x y", "NULL",
         "current_user", "1e400", "-1", "{", "}", "[", "E'\\''", "\u202e", "api.canary", "\"id\" from api.canary", "%00", "\r\nX: y"]


def no_name_or_value_reaches_sql_as_sql():
    templates = ["/items?select={0}", "/items?select=id::{0}", "/items?select=x{0}:id", "/items?select=data->{0}", "/items?select=data->>{0}",
                 "/items?{0}=eq.1", "/items?id=eq.{0}", "/items?id=in.({0},1)", "/items?name=fts({0}).x", "/items?order={0}", "/items?order=id.{0}",
                 "/items?order=data->>{0}", "/items?or=({0}.eq.1)", "/items?or=(id.eq.{0})", "/items?select=items!{0}(id)",
                 "/items?select=...{0}(id)", "/{0}", "/rpc/{0}", "/rpc/whoami?{0}=1", "/items?limit={0}", "/items?offset={0}",
                 "/items?select=id.sum()::{0}", "/items?tags=cs.{0}", "/items?name=like(any).{0}", "/items?columns={0}", "/items?id=is.{0}"]
    bodies = [("/items?on_conflict={0}", {"id": 1, "name": "x"}), ("/items?columns={0}", {"id": 1}), ("/items?columns=id,name", None)]
    headers = ["Accept", "Prefer", "Accept-Profile", "Content-Profile", "Range", "Content-Type", "X-Anything", "Cookie"]
    client, bad, tried = Client(), [], 0

    def judge(what, answer):
        status, body, _ = answer
        code = body.get("code") if isinstance(body, dict) else None
        if code == "42601" or (status >= 500 and code != "22P05"):
            bad.append((what, status, body))

    for nasty in NASTY:
        for template in templates:
            path = template.format(quote(nasty, safe=""))
            judge(path, client.ask("GET", path))
            tried += 1
        for template, body in bodies:
            path = template.format(quote(nasty, safe=""))
            judge(path, client.ask("POST", path, body or {nasty: nasty, "name": nasty}, Prefer="tx=rollback"))
            judge(path, client.ask("POST", "/items", {nasty: 1, "id": 77}, Prefer="tx=rollback"))
            tried += 2
        clean = nasty.encode("utf-8", "ignore").decode("latin-1")
        for header in headers:
            if "\r" not in clean and "\x00" not in clean and "\x01" not in clean:
                judge(header + nasty, client.ask("GET", "/items?limit=1", **{header: clean}))
                tried += 1
    expect(bad[:5], [], "%d of %d" % (len(bad), tried))
    expect(sql("table api.canary"), "1|alive")


def hostile_bodies_get_the_clients_error():
    deep = "[" * 10000 + "]" * 10000
    cases = [(deep, "application/json"), ('{"a":' * 70 + "1" + "}" * 70, "application/json"), (b'{"name":"\xff"}', "application/json"),
             ('{"id":1,"name":"\\u0000"}', "application/json"), ("{", "application/json"), ("[{},]", "application/json"),
             ('a,b\n"x', "text/csv"), ("\xff=1", "application/x-www-form-urlencoded"), ('{"id":1e999999}', "application/json"),
             ('{"id":' + "9" * 100000 + "}", "application/json"), ("[" + ",".join(["1"] * 1000) + "]", "application/json"),
             ("{" + ",".join('"k%d":1' % i for i in range(20000)) + "}", "application/json")]
    for body, kind in cases:
        status, error, _ = ask("POST", "/items", body if isinstance(body, bytes) else body.encode("latin-1"), Content_Type=kind)
        if not 400 <= status < 500:
            raise AssertionError("%r: %s %r" % (body[:40], status, error))


def every_limit_has_its_edge():
    def nested(depth):
        return "items!parent_id(" * depth + "id" + ")" * depth

    edges = [  # at the limit, beyond it
        ("/items?id=in.(" + ",".join(["1"] * 20) + ")", "/items?id=in.(" + ",".join(["1"] * 21) + ")"),
        ("/items?" + "&".join(["id=gt.0"] * 10), "/items?" + "&".join(["id=gt.0"] * 11)),
        ("/items?or=" + "(or" * 2 + "(id.eq.1,id.eq.2)" + ")" * 2, "/items?or=" + "(or" * 3 + "(id.eq.1,id.eq.2)" + ")" * 3),
        ("/items?select=" + nested(2), "/items?select=" + nested(3)),
        ("/items?select=" + ",".join(["id"] * 12), "/items?select=" + ",".join(["id"] * 13)),
        ("/items?select=id," + ",".join("a%d:items!parent_id(id)" % i for i in range(4)),
         "/items?select=id," + ",".join("a%d:items!parent_id(id)" % i for i in range(5))),
    ]
    for inside, beyond in edges:
        status, answer, _ = ask("GET", inside)
        expect(status, 200, "%s %r" % (inside[:80], answer if status != 200 else ""))
        status, error, _ = ask("GET", beyond)
        expect((status, error["code"]), (400, "PGRST100"), beyond[:80])


def status_line(path):
    conn = http.client.HTTPConnection(HOST, int(PORT), timeout=30)
    conn.request("GET", ROOT + path)
    answer = conn.getresponse()
    answer.read()
    return answer.status, answer.reason, answer.getheader("X-Evil")


def the_status_line_has_the_words_of_the_peer():
    expect(status_line("/rpc/same_name?a=1"), (300, "Multiple Choices", None))
    expect(status_line("/items?limit=0&offset=99999"), (416, "Requested Range Not Satisfiable", None))
    expect(status_line("/rpc/own_status"), (418, "Short and stout", None))
    expect(status_line("/rpc/own_two_lines"), (418, "I'm a teapot", None))


# ---- life of the database ----

def a_new_table_is_served_after_a_notification():
    expect(ask("GET", "/fresh")[0], 404)
    sql("create table api.fresh (id int); grant select on api.fresh to anon; notify pgrst, 'reload schema'")
    until("the table is known", lambda: ask("GET", "/fresh")[0] == 200)
    sql("drop table api.fresh; notify pgrst, 'reload schema'")
    until("the table is forgotten", lambda: ask("GET", "/fresh")[1].get("code") == "PGRST205")


def the_gateway_recovers_after_the_database_restarted():
    subprocess.run(os.environ["SCENE_RESTART"], shell=True, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until("requests are served again", lambda: ask("GET", "/items?limit=1")[0] == 200)


SCENES = [value for name, value in list(globals().items())
          if callable(value) and getattr(value, "__module__", "") == __name__ and name.count("_") >= 2]


def main():
    passed, failed = run(SCENES + surface.SCENES)
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
