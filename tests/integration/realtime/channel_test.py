#!/usr/bin/env python3
"""Channels as realtime-js sees them: both serializers, joins and their errors, filters, policies, tokens, broadcast."""
import json
import os
import sys
import time

from harness import ANON, SERVICE, Gateway, Refused, Socket, jwt, sql, until

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib"))
from database import Count  # noqa: E402

COUNT = Count()
ME, YOU = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
READY = ("ok", "Subscribed to PostgreSQL")
UNABLE = "Unable to subscribe to changes with given parameters. "


def same(what, found, expected):
    COUNT.check(found == expected, what, f"expected {expected!r}, found {found!r}")


def prepare():
    sql(f"""
        create type public.mood as enum ('low', 'high');
        create domain public.positive as int check (value > 0);
        create table public.things (id int primary key, t text, v varchar, n numeric, f float8, r float4, b bytea, ok bool,
            m public.mood, ts timestamp, tz timestamptz, d date, i8 int8, arr int[], j json, jb jsonb, u uuid, p public.positive,
            c char(5), secret text);
        create table public.owned (id uuid primary key default gen_random_uuid(), owner uuid, v text);
        alter table public.owned enable row level security;
        create policy mine on public.owned for select using (owner = auth.uid());
        create table public.whole (id int primary key, v text, w text);
        alter table public.whole replica identity full;
        create table public.whole_rls (id int primary key, v text);
        alter table public.whole_rls replica identity full;
        alter table public.whole_rls enable row level security;
        create policy everyone on public.whole_rls for select using (true);
        create table public.keyless (v text);
        alter table public.keyless replica identity full;
        create table public.hidden_key (id int primary key, v text);
        create table public.unpublished (id int primary key);
        create table public.raising (id int primary key, v int);
        alter table public.raising enable row level security;
        create policy raising on public.raising for select using (1 / v > 0);
        grant all on all tables in schema public to anon, authenticated, service_role;
        revoke select on public.things, public.hidden_key from anon, authenticated;
        grant select (id, t, v, n, f, r, b, ok, m, ts, tz, d, i8, arr, j, jb, u, p, c) on public.things to anon, authenticated;
        grant select (v) on public.hidden_key to anon;
        alter publication supabase_realtime add table public.things, public.owned, public.whole, public.whole_rls,
            public.keyless, public.hidden_key, public.raising;
    """)


def subscribe(gateway, topic, changes, key=ANON, vsn="1.0.0", **more):
    socket = Socket(gateway, key, vsn)
    socket.join(topic, changes, **more)
    same(f"{topic}: in force", socket.system(topic), READY)
    return socket


def table(name, event="*", **more):
    return {"event": event, "schema": "public", "table": name, **more}


def refused(gateway, key, vsn="1.0.0"):
    try:
        Socket(gateway, key, vsn).close()
        return None
    except Refused as refusal:
        return refusal.args


def upgrade(gateway):
    same("a key is needed", refused(gateway, ""), (401, '{"error":"API key is missing"}'))
    same("no token", refused(gateway, "nonsense"), (401, '{"error":"The token provided is not a valid JWT"}'))
    same("wrong signature", refused(gateway, jwt(secret="x" * 40, role="anon")),
         (401, '{"error":"Failed to validate JWT signature"}'))
    same("expired", refused(gateway, jwt(ttl=-50, role="anon")), (401, '{"error":"Token has expired"}'))
    same("a key without role", refused(gateway, jwt()), (401, '{"error":"Fields `role` and `exp` are required in JWT"}'))
    same("a vsn that nobody speaks", refused(gateway, ANON, "3.0.0"), (403, ""))
    same("no vsn is 1.0.0", refused(gateway, ANON, ""), None)


def envelope(gateway):
    for vsn in ("1.0.0", "2.0.0"):
        socket = Socket(gateway, ANON, vsn)
        same(f"{vsn}: heartbeat", socket.reply(socket.send("phoenix", "heartbeat", {})), ("ok", {}))
        socket.send_frame(1, b"no json")
        socket.send_frame(1, b'{"topic": "phoenix"}')
        socket.send_frame(2, b"\x09abc")
        same(f"{vsn}: garbage is dropped, the socket stays", socket.reply(socket.send("phoenix", "heartbeat", {})), ("ok", {}))
        same(f"{vsn}: push to a topic not joined", socket.reply(socket.send("realtime:x", "broadcast", {})),
             ("error", {"reason": "unmatched topic"}))
        same(f"{vsn}: leave of a topic not joined", socket.reply(socket.send("realtime:x", "phx_leave", {})), ("ok", {}))
        same(f"{vsn}: join outside realtime:", socket.reply(socket.send("other:x", "phx_join", {}, "1")),
             ("error", {"reason": "unmatched topic"}))
        same(f"{vsn}: join without a name", socket.reply(socket.send("realtime:", "phx_join", {}, "1")),
             ("error", {"reason": "TopicNameRequired: You must provide a topic name"}))
        same(f"{vsn}: join with nothing", socket.reply(socket.send("realtime:bare", "phx_join", {}, "77")),
             ("ok", {"postgres_changes": []}))
        socket.reply(socket.send("realtime:bare", "phx_join", {}, "78"))
        closed = socket.wait(lambda m: m[3] == "phx_close")
        same(f"{vsn}: a second join closes the first by its ref", closed and closed[1], "77")
        ref = socket.send("realtime:bare", "phx_leave", {}, "78")
        same(f"{vsn}: leave", socket.reply(ref), ("ok", {}))
        closed = socket.wait(lambda m: m[3] == "phx_close" and m[1] == "78")
        same(f"{vsn}: leave ends with phx_close of the join's ref", closed and closed[4], {})
        socket.close()


def join_errors(gateway):
    socket = Socket(gateway)
    for what, token, reason in (
            ("expired", jwt(ttl=-1000, role="authenticated"), "InvalidJWTToken: Token has expired 10"),
            ("malformed", "abc", "MalformedJWT: The token provided is not a valid JWT"),
            ("forged", jwt(secret="y" * 40, role="authenticated"), "JwtSignatureError: Failed to validate JWT signature"),
            ("without role", jwt(sub=ME), "InvalidJWTToken: Fields `role` and `exp` are required in JWT")):
        status, response = socket.join("errors", token=token)
        COUNT.check(status == "error" and response["reason"].startswith(reason[:45]), f"join with a token {what}", str(response))
    same("a token sb_.. is the socket's key", socket.join("errors", token="sb_publishable_x")[0], "ok")
    ids = []
    sent = [table("things"), table("things", "INSERT", filter="id=gt.1"), {"schema": "public"}, table("things")]
    status, response = socket.join("echo", sent)
    for element in response["postgres_changes"]:
        ids.append(element.pop("id"))
    same("the reply echoes the elements as they were sent", response["postgres_changes"], sent)
    COUNT.check(all(isinstance(i, int) and i > 0 for i in ids) and ids[0] == ids[3] and len(set(ids)) == 3,
                "ids are positive, equal for equal parameters only", str(ids))
    socket.close()


def system_errors(gateway):
    socket = Socket(gateway, SERVICE)
    cases = (
        ([table("nowhere")], UNABLE + "Please check Realtime is enabled for the given connect parameters: "
         "[event: *, schema: public, table: nowhere, filters: [], select: nil]"),
        ([table("unpublished", "INSERT")], UNABLE + "Please check Realtime is enabled for the given connect parameters: "
         "[event: INSERT, schema: public, table: unpublished, filters: [], select: nil]"),
        ([table("things", filter="id=eq.hey")], UNABLE + 'An exception happened so please check your connect parameters: '
         '[event: *, schema: public, table: things, filters: [{"id", "eq", "hey", false}], select: nil]. Exception: ERROR '
         '22P02 (invalid_text_representation) invalid input syntax for type integer: "hey"'),
        ([table("things", filter="nope=not.eq.1")], UNABLE + 'An exception happened so please check your connect parameters: '
         '[event: *, schema: public, table: things, filters: [{"nope", "eq", "1", true}], select: nil]. Exception: ERROR '
         'P0001 (raise_exception) invalid column for filter nope'),
        ([table("things", filter="id=foo.hey")], 'Error parsing `filter` params: ["foo", "hey"]'),
        ([table("things", filter="undefined")], 'Error parsing `filter` params: ["undefined"]'),
        ([table("things", filter="id=in.1,2")], "Error parsing `filter` params: `in` filter value must be wrapped by parentheses"),
        ([table("things", filter="id=eq.1,")],
         "Error parsing `filter` params: filter must not contain empty segments (check for extra commas)"),
        ([table("things", filter=f"id=in.({','.join(map(str, range(101)))})")],
         "Error parsing `filter` params: too many values for `in` filter. Maximum 100"),
        ([table("things"), {"event": "*"}], 'No subscription params provided. Please provide at least a `schema` or `table` '
         'to subscribe to: {"event": "*"}'),
    )
    for number, (changes, message) in enumerate(cases):
        topic = f"bad{number}"
        same(f"{changes[-1]}: the join itself is good", socket.join(topic, changes)[0], "ok")
        same(f"{changes[-1]}: said afterwards", socket.system(topic), ("error", message))
    for number, condition in enumerate(("v=like.a%", "m=like.l%", "id=match.1", "t=match.a(", "t=is.true", "arr=eq.x")):
        topic = f"refused{number}"
        socket.join(topic, [table("things", filter=condition)])
        found = socket.system(topic)
        COUNT.check(found is not None and found[0] == "error" and "Exception: ERROR" in found[1], f"{condition} is refused",
                    str(found))
    anon = Socket(gateway)
    anon.join("column", [table("things", filter="secret=eq.x")])
    COUNT.check("invalid column for filter secret" in (anon.system("column") or ("", ""))[1],
                "no filter on a column that the role may not read")
    ghost = Socket(gateway, jwt(role="ghost"))
    ghost.join("ghost", [table("things")])
    COUNT.check('role "ghost" does not exist' in (ghost.system("ghost") or ("", ""))[1], "a role that does not exist")
    for each in (socket, anon, ghost):
        each.close()


VALUES = """insert into things values (1, 'te"xt', 'va', 1.50, 'NaN', 1.5, '\\x6869', true, 'low', '2024-01-02 03:04:05.6',
    '2024-01-02 03:04:05.6+02', '2024-01-02', 9007199254740993, '{1,2}', '{"a" : 1}', '{"b": [1]}', '%s', 5, 'ab', 's3cret')"""


def values(gateway):
    for vsn in ("1.0.0", "2.0.0"):
        sql("delete from things")
        socket = subscribe(gateway, "values", [table("things")], vsn=vsn)
        sql(VALUES % ME)
        sql("update things set t = 'new' where id = 1")
        sql("delete from things where id = 1")
        found = [change["data"] for change in socket.come(3)]
        record = {"id": 1, "t": 'te"xt', "v": "va", "n": 1.5, "f": None, "r": 1.5, "b": "6869", "ok": True, "m": "low",
                  "ts": "2024-01-02T03:04:05.6", "tz": "2024-01-02T01:04:05.6+00:00", "d": "2024-01-02",
                  "i8": 9007199254740993, "arr": [1, 2], "j": {"a": 1}, "jb": {"b": [1]}, "u": ME, "p": 5, "c": "ab   "}
        same(f"{vsn}: an INSERT", [found[0].get(k) for k in ("type", "schema", "table", "record", "old_record", "errors")],
             ["INSERT", "public", "things", record, None, None])
        COUNT.check("old_record" not in found[0] and "secret" not in json.dumps(found), f"{vsn}: nothing that is not for the role")
        same(f"{vsn}: columns of the role, with their types", [(c["name"], c["type"]) for c in found[0]["columns"]][:9],
             [("id", "int4"), ("t", "text"), ("v", "varchar"), ("n", "numeric"), ("f", "float8"), ("r", "float4"),
              ("b", "bytea"), ("ok", "bool"), ("m", "mood")])
        same(f"{vsn}: an UPDATE", (found[1]["record"]["t"], found[1]["old_record"]), ("new", {"id": 1}))
        same(f"{vsn}: a DELETE", (found[2]["old_record"], "record" in found[2], len(found[2]["columns"])), ({"id": 1}, False, 19))
        raw = socket.changes()[0]["data"]["commit_timestamp"]
        COUNT.check(len(raw) == 24 and raw.endswith("Z"), f"{vsn}: commit timestamp", raw)
        socket.close()


def filters(gateway):
    sql("delete from things")
    conditions = {
        "id=eq.2": {2}, "id=neq.2": {1, 3, 10}, "id=gt.9": {10}, "id=lte.2": {1, 2}, "id=in.(2,10)": {2, 10},
        "id=not.in.(2,10)": {1, 3}, "t=eq.a,b": None, 't=eq."a,b"': {3}, "t=like.x%": {1}, "t=ilike.X%": {1}, "t=match.^x": {1},
        "t=is.null": {10}, "t=not.is.null": {1, 2, 3}, "t=neq.xa": {2, 3}, "t=isdistinct.xa": {2, 3, 10},
        "ok=is.true": {1}, "m=eq.high": {2}, "u=eq." + ME.upper(): {1}, "tz=gt.2024-01-01T00:00:00Z": {1},
        "n=gte.9": {3}, "id=gt.1,t=not.eq.b": {3}, "t=in.(xa,b)": {1, 2}, 'arr=eq."{1,2}"': {1}, " ": {1, 2, 3, 10},
        "c=eq.ab": {1}, "p=lt.3": {2},
    }
    good = {text: ids for text, ids in conditions.items() if ids is not None}
    socket = subscribe(gateway, "filters", [table("things", "INSERT", filter=text) for text in good], key=SERVICE)
    of_id = dict(zip([e["id"] for e in socket.reply("1")[1]["postgres_changes"]], good))
    sql(f"""insert into things (id, t, ok, m, u, tz, n, arr, c, p) values
        (1, 'xa', true, 'low', '{ME}', '2024-06-01', 1, '{{1,2}}', 'ab', 5), (2, 'b', false, 'high', null, null, null, null, null, 1),
        (3, 'a,b', null, null, null, '2023-01-01', 10, '{{}}', '', null), (10, null, null, null, null, null, 8.5, null, null, null)""")
    found = {text: set() for text in good}
    for change in socket.come(4):
        for each in change["ids"]:
            found[of_id[each]].add(change["data"]["record"]["id"])
    for text, ids in good.items():
        same(f"filter {text}", found[text], ids)
    socket.close()


def deletes(gateway):
    sql("insert into whole values (1, 'a', 'x'), (2, 'b', 'y'); insert into whole_rls values (1, 'a');"
        "insert into things (id, t) values (50, 'gone')")
    socket = subscribe(gateway, "deletes", [table("whole", "DELETE", filter="v=eq.a"), table("whole_rls", "DELETE", filter="v=eq.a"),
                                            table("things", "DELETE", filter="t=eq.gone"),
                                            table("things", "DELETE", filter="id=eq.50")], key=SERVICE)
    ids = [e["id"] for e in socket.reply("1")[1]["postgres_changes"]]
    sql("delete from whole; delete from whole_rls; delete from things where id = 50")
    found = [(c["ids"], c["data"]["old_record"]) for c in socket.come(3)]
    same("DELETE: full identity filters on any column, else on the key only; with RLS the key alone is shown", found,
         [([ids[0]], {"id": 1, "v": "a", "w": "x"}), ([ids[1]], {"id": 1}), ([ids[3]], {"id": 50})])
    socket.close()


def policies(gateway):
    me, you = (subscribe(gateway, who, [table("owned")], key=jwt(role="authenticated", sub=sub)) for who, sub in (("me", ME), ("you", YOU)))
    anon, service = subscribe(gateway, "anon", [table("owned")]), subscribe(gateway, "service", [table("owned")], key=SERVICE)
    sql(f"insert into owned (owner, v) values ('{ME}', 'mine'), ('{YOU}', 'yours')")
    shown = lambda socket, count: sorted(c["data"]["record"]["v"] for c in socket.come(count) if c["data"]["type"] == "INSERT")  # noqa: E731
    same("rows by policy, for each caller", [shown(service, 2), shown(me, 1), shown(you, 1), shown(anon, 0)],
         [["mine", "yours"], ["mine"], ["yours"], []])
    sql("drop policy mine on owned")
    sql(f"insert into owned (owner, v) values ('{ME}', 'later')")
    same("a policy that is gone shows nothing at once", [len(shown(service, 3)), shown(me, 1)], [3, ["mine"]])
    sql("create policy mine on public.owned for select using (owner = auth.uid())")
    sql("begin; insert into owned (owner, v) values ('%s', 'brief'); delete from owned where v = 'brief'; commit" % ME)
    sql("delete from owned")
    same("a DELETE goes to everyone, with the key alone", [sorted(c["data"]["old_record"]) for c in anon.come(4)], [["id"]] * 4)
    same("with RLS a row that no longer exists is shown to nobody", "brief" in shown(service, 7), False)
    for each in (me, you, anon, service):
        each.close()


def bare_errors(gateway):
    socket = subscribe(gateway, "bare", [table("keyless", filter="v=eq.zzz"), table("hidden_key", "INSERT"), table("raising")])
    sql("insert into keyless values ('a'); insert into hidden_key values (1, 'a'); insert into raising values (1, 0), (2, 1)")
    found = [(c["data"]["table"], c["data"]["errors"], c["data"]["record"]) for c in socket.come(3)]
    same("400 without a key whatever the filter, 401 without the right to the key, a raising policy hides its row alone", found,
         [("keyless", ["Error 400: Bad Request, no primary key"], {}), ("hidden_key", ["Error 401: Unauthorized"], {}),
          ("raising", None, {"id": 2, "v": 1})])
    sql("insert into things (id, t, v) values (90, repeat('x', 1100000), 'short')")
    big = subscribe(gateway, "big", [table("things")])
    sql("update things set v = 'small' where id = 90")
    data = big.come(1)[0]["data"]
    same("413: only small values of a large record", (data["errors"], data["record"].get("v"), "t" in data["record"]),
         (["Error 413: Payload Too Large"], "small", False))
    socket.close()
    big.close()


def tokens(gateway):
    socket = Socket(gateway)
    ref = str(socket.ref + 1)
    socket.join("token", [table("owned")], token=jwt(role="authenticated", sub=YOU))
    socket.system("token")
    mine = jwt(role="authenticated", sub=ME)
    seen = len(socket.inbox)
    socket.send("realtime:token", "access_token", {"access_token": mine}, ref)
    same("a new token subscribes again", socket.system("token", after=seen), READY)
    sql(f"insert into owned (owner, v) values ('{ME}', 'mine'), ('{YOU}', 'yours')")
    same("and its claims count", [c["data"]["record"]["v"] for c in socket.come(1)], ["mine"])
    for ignored in (None, 5, "sb_secret", mine):
        socket.send("realtime:token", "access_token", {"access_token": ignored}, ref)
    seen = len(socket.inbox)
    socket.settle(0.3)
    same("null, other types, sb_ keys and the same token are ignored", len(socket.inbox), seen)
    socket.send("realtime:token", "access_token", {"access_token": jwt(ttl=-30, role="authenticated", sub=ME)}, ref)
    status, message = socket.system("token", after=seen)
    COUNT.check(status == "error" and message.startswith("Token has expired 3"), "an expired token ends the channel", message)
    closed = socket.wait(lambda m: m[3] == "phx_close")
    same("with phx_close of the join's ref", closed and closed[1], ref)
    short = Socket(gateway)
    short.join("short", [table("owned")], token=jwt(ttl=4, role="authenticated", sub=ME))
    found = short.wait(lambda m: m[3] == "system" and m[4]["status"] == "error")
    COUNT.check(found is not None and found[4]["message"].startswith("Token has expired"),
                "a token that runs out ends the channel", str(found))
    same("the socket survives", short.reply(short.send("phoenix", "heartbeat", {})), ("ok", {}))
    sql("delete from owned")
    for each in (socket, short):
        each.close()


def wildcards(gateway):
    socket = subscribe(gateway, "wild", [{"event": "insert", "schema": "public"}, {"event": "*", "table": "whole"},
                                         {"event": "UPDATE", "schema": "*"}], key=SERVICE)
    ids = [e["id"] for e in socket.reply("1")[1]["postgres_changes"]]
    sql("insert into whole values (7, 'a', 'b'); update whole set v = 'c'")
    found = [(sorted(c["ids"]), c["data"]["type"]) for c in socket.come(2)]
    same("schema only, table only, any schema", found, [(sorted([ids[0], ids[1]]), "INSERT"), (sorted([ids[1], ids[2]]), "UPDATE")])
    socket.close()
    gone = Socket(gateway, SERVICE)
    gone.join("leaver", [table("whole")])
    gone.system("leaver")
    gone.reply(gone.send("realtime:leaver", "phx_leave", {}, "1"))
    sql("update whole set v = 'd'")
    gone.settle(0.3)
    same("nothing after leaving", gone.changes(), [])
    gone.close()


def publication_changes(gateway):
    """A wildcard picks up tables that are published later (the schema reload tells at once, else a minute)."""
    socket = subscribe(gateway, "later", [{"event": "INSERT", "schema": "public"}], key=SERVICE)
    time.sleep(2.2)  # the list of tables is known from the first tick on
    seen = len(socket.inbox)
    sql("""create table public.newcomer (id int primary key); grant all on public.newcomer to service_role;
           alter publication supabase_realtime add table public.newcomer""")
    same("a new table of the publication: subscribed again", socket.system("later", after=seen), READY)
    sql("insert into newcomer values (1)")
    same("and seen", [c["data"]["table"] for c in socket.come(1)], ["newcomer"])
    socket.close()


def database_away(gateway):
    """A subscription asked for while the database refuses is made when it is back."""
    kill = "with p as materialized (select pid from pg_stat_activity where usename = 'basalt_internal') select count(pg_terminate_backend(pid)) from p"
    sql("alter role basalt_internal nologin")
    sql(kill)
    socket = Socket(gateway, SERVICE)
    same("the join itself is good", socket.join("away", [table("whole")])[0], "ok")
    status, message = socket.system("away")
    COUNT.check(status == "error" and "parameters" not in message, "the outage is told", message)
    sql("alter role basalt_internal login")
    found = socket.wait(lambda m: m[3] == "system" and m[4]["status"] == "ok")
    COUNT.check(found is not None, "and the subscription made afterwards")
    sql("insert into whole values (4711, 'a', 'b')")
    same("changes come", [c["data"]["record"]["id"] for c in socket.come(1)], [4711])
    socket.close()


def broadcast(gateway):
    sockets = [Socket(gateway, vsn=vsn) for vsn in ("1.0.0", "2.0.0", "2.0.0")]
    for socket in sockets:
        socket.join("talk", broadcast={"ack": True, "self": socket is sockets[2]})
    payload = {"type": "broadcast", "event": "hi", "payload": {"n": 12345678901234567890, "x": 1.10}}
    same("ack", sockets[0].reply(sockets[0].send("realtime:talk", "broadcast", payload, "1")), ("ok", {}))
    for socket in sockets[1:]:
        found = socket.wait(lambda m: m[0] != "binary" and m[3] == "broadcast")
        same("a text broadcast arrives unchanged", found and found[4], payload)
    sockets[0].settle(0.2)
    same("not to the sender", [m for m in sockets[0].inbox if m[3] == "broadcast"], [])
    frame = bytes([3, 1, 2, 13, 2, 0, 1]) + b"1" + b"99" + b"realtime:talk" + b"ev" + b'{"a":1}'
    sockets[2].send_frame(2, frame)
    same("ack of a binary frame", sockets[2].reply("99"), ("ok", {}))
    found = sockets[0].wait(lambda m: m[3] == "broadcast")
    same("kind 3 with JSON reaches 1.0.0", found and found[4], {"type": "broadcast", "event": "ev", "payload": {"a": 1}})
    for socket in sockets[1:]:
        found = socket.wait(lambda m: m[0] == "binary")
        same("and 2.0.0 as kind 4, to oneself where asked for", found and found[1],
             bytes([4, 13, 2, 0, 1]) + b"realtime:talk" + b"ev" + b'{"a":1}')
    for socket in sockets:
        socket.close()


def private(gateway):
    sql("""create policy read_some on realtime.messages for select to authenticated
               using (realtime.topic() like 'club%' and extension in ('broadcast', 'presence'));
           create policy write_own on realtime.messages for insert to authenticated
               with check (realtime.topic() = 'club:' || (auth.jwt() ->> 'club') and extension = 'broadcast')""")
    member, guest, anon = (Socket(gateway) for _ in range(3))
    mine, others = jwt(role="authenticated", sub=ME, club="a"), jwt(role="authenticated", sub=YOU, club="b")
    same("a private channel that policies open", member.join("club:a", token=mine, private=True)[0], "ok")
    same("another reader", guest.join("club:a", token=others, private=True)[0], "ok")
    same("a role without policy", anon.join("club:a", private=True),
         ("error", {"reason": "Unauthorized: You do not have permissions to read from this Channel topic: club:a"}))
    same("a topic without policy", member.join("other", token=mine, private=True)[0], "error")
    same("the public channel of that name is another", anon.join("club:a")[0], "ok")
    message = {"type": "broadcast", "event": "e", "payload": {"from": "guest"}}
    guest.send("realtime:club:a", "broadcast", message, "1")
    message = {"type": "broadcast", "event": "e", "payload": {"from": "member"}}
    member.send("realtime:club:a", "broadcast", message, "1")
    found = guest.wait(lambda m: m[3] == "broadcast")
    same("who may write is heard by who may read", found and found[4], message)
    for socket in (member, anon):
        socket.settle(0.2)
        same("who may not write is not heard, nor across privacy", [m for m in socket.inbox if m[3] == "broadcast"], [])
    same("presence needs its own right", guest.reply(guest.send("realtime:club:a", "presence", {"event": "track"}, "1")),
         ("error", {"reason": "Unauthorized"}))
    same("probes leave nothing behind", sql("select count(*) from realtime.messages"), "0")
    member.send("realtime:club:a", "access_token", {"access_token": jwt(role="anon")}, "1")
    same("a token without the right ends the channel", member.system("club:a"),
         ("error", "You no longer have permission to read from this Channel topic: club:a"))
    for socket in (member, guest, anon):
        socket.close()


def rest_broadcast(gateway):
    socket, private_one = Socket(gateway, vsn="2.0.0"), Socket(gateway)
    socket.join("news")
    private_one.join("club:a", token=jwt(role="authenticated", club="a"), private=True)
    headers = {"apikey": ANON, "Authorization": "", "Content-Type": "application/json"}
    post = lambda path, body, **more: gateway.request("POST", path, body.encode(), {**headers, **more})  # noqa: E731
    body = json.dumps({"messages": [{"topic": "news", "event": "e", "payload": {"n": 1}}]})
    same("several messages", post("/api/broadcast?apikey=x&vsn=2.0.0", body), (202, ""))
    found = socket.wait(lambda m: m[0] == "binary")
    same("reach subscribers", found and found[1], bytes([4, 13, 1, 0, 1]) + b"realtime:news" + b"e" + b'{"n": 1}')
    same("no token", gateway.request("POST", "/api/broadcast", body.encode()), (401, '{"message":"Unauthorized"}'))
    same("a forged token", post("/api/broadcast", body, apikey=jwt(secret="z" * 40, role="anon"))[0], 401)
    same("an incomplete message", post("/api/broadcast", '{"messages":[{"topic":"x","event":"e"}]}'),
         (422, '{"errors":{"messages":[{"payload":["can\'t be blank"]}]}}'))
    same("no messages", post("/api/broadcast", "[")[0], 422)
    same("one message", post("/api/broadcast/news/events/a%20b", '{"one":1}'), (202, ""))
    found = socket.wait(lambda m: m[0] == "binary" and b"a b" in m[1])
    same("with its decoded event", found and found[1][-12:], b'a b{"one":1}')
    same("bytes", post("/api/broadcast/news/events/b", "xyz", **{"Content-Type": "application/octet-stream"}), (202, ""))
    found = socket.wait(lambda m: m[0] == "binary" and m[1].endswith(b"xyz"))
    same("arrive as bytes", found and found[1][:5], bytes([4, 13, 1, 0, 0]))
    same("other types", post("/api/broadcast/news/events/b", "xyz", **{"Content-Type": "text/plain"})[0], 415)
    same("a private topic that the role may not write", post("/api/broadcast/club%3Aa/events/e?private=true", "{}"),
         (403, '{"message":"Unauthorized"}'))
    same("one that it may", post("/api/broadcast/club%3Aa/events/e?private=true", '{"ok":true}',
                                 Authorization="Bearer " + jwt(role="authenticated", club="a")), (202, ""))
    found = private_one.wait(lambda m: m[3] == "broadcast")
    same("reaches the private channel", found and found[4]["payload"], {"ok": True})
    same("ping", gateway.request("GET", "/api/ping"), (200, '{"message":"Success"}'))
    socket.close()
    private_one.close()


def messages_from_sql(gateway):
    one, two, private_one = Socket(gateway), Socket(gateway, vsn="2.0.0"), Socket(gateway)
    one.join("sql")
    two.join("sql")
    private_one.join("club:a", token=jwt(role="authenticated", club="a"), private=True)
    first = Socket(gateway)
    first.join("first")
    until("the feed to read messages", lambda: sql("select realtime.send('{}', 'e', 'first', false)") or first.pump(0.3)
          or any(m[3] == "broadcast" for m in first.inbox))
    sql("select realtime.send('{\"n\": 1}', 'ev', 'sql', false)")
    found = one.wait(lambda m: m[3] == "broadcast")
    COUNT.check(found and found[4]["event"] == "ev" and found[4]["payload"]["n"] == 1 and found[4]["meta"]["id"]
                == found[4]["payload"]["id"], "realtime.send reaches public channels, with the row's id", str(found))
    found = two.wait(lambda m: m[0] == "binary")
    COUNT.check(found and found[1][0] == 4 and b'"n": 1' in found[1], "and 2.0.0 as kind 4", str(found))
    sql("select realtime.send_binary('\\x00ff', 'raw', 'sql', false)")
    found = two.wait(lambda m: m[0] == "binary" and m[1].endswith(b"\x00\xff"))
    COUNT.check(found is not None, "send_binary arrives as bytes")
    sql("""create function public.tell() returns trigger language plpgsql security definer as
               $$ begin perform realtime.broadcast_changes('club:a', tg_op, tg_op, tg_table_name, tg_table_schema, new, old);
                  return null; end $$;
           create trigger tell after insert on public.unpublished for each row execute function public.tell();
           insert into public.unpublished values (1)""")
    found = private_one.wait(lambda m: m[3] == "broadcast")
    COUNT.check(found and found[4]["event"] == "INSERT" and found[4]["payload"]["record"] == {"id": 1},
                "broadcast_changes reaches the private channel", str(found))
    same("a transaction rolled back says nothing", sql("begin; select realtime.send('{}', 'no', 'sql', false); rollback"), "")
    one.settle(0.3)
    same("nothing of it arrived", [m[4]["event"] for m in one.inbox if m[3] == "broadcast"], ["ev"])
    for socket in (first, one, two, private_one):
        socket.close()


def presence(gateway):
    one, two = Socket(gateway), Socket(gateway, vsn="2.0.0")
    one.join("here", presence={"enabled": True, "key": "a"})
    state = one.wait(lambda m: m[3] == "presence_state")
    same("nobody yet", state and state[4], {})
    track = lambda who: {"type": "presence", "event": "track", "payload": who}  # noqa: E731
    same("track", one.reply(one.send("realtime:here", "presence", track({"n": 1}), "1")), ("ok", {}))
    diff = one.wait(lambda m: m[3] == "presence_diff")
    first = diff[4]["joins"]["a"]["metas"][0]
    same("one's own joining is told", (first["n"], diff[4]["leaves"]), (1, {}))
    two.join("here", presence={"enabled": True, "key": "b"})
    state = two.wait(lambda m: m[3] == "presence_state")
    same("the state after a join", state and state[4], {"a": {"metas": [first]}})
    one.send("realtime:here", "presence", track({"n": 2}), "1")
    diff = two.wait(lambda m: m[3] == "presence_diff")
    second = diff[4]["joins"]["a"]["metas"][0]
    same("an update leaves and joins", (second["n"], second["phx_ref_prev"], diff[4]["leaves"]["a"]["metas"]),
         (2, first["phx_ref"], [first]))
    same("a payload that is no map", one.reply(one.send("realtime:here", "presence", track(5), "1")),
         ("error", {"reason": "Presence track payload must be a map"}))
    one.close()
    left = two.wait(lambda m: m[3] == "presence_diff" and m[4]["leaves"] and not m[4]["joins"])
    same("a socket that goes leaves", left and left[4]["leaves"]["a"]["metas"][0]["n"], 2)
    two.close()


def limits(gateway):
    socket = Socket(gateway)
    for number in range(4):
        socket.join(f"many{number}")
    same("channels of a socket are limited", socket.join("many9"), ("error", {"reason": "ChannelRateLimitReached: Too many channels"}))
    socket.send_frame(1, b'{"topic":"phoenix","event":"heartbeat","ref":"5","payload":"' + b"x" * 5000001 + b'"}')
    until("the end of the socket", lambda: socket.pump(0.05) or socket.is_closed)
    same("a frame that is too large ends the socket", socket.close_code, 1009)


def main():
    prepare()
    gateway = Gateway()
    try:
        for part in (upgrade, envelope, join_errors, system_errors, values, filters, deletes, policies, bare_errors, tokens,
                     wildcards, publication_changes, database_away, broadcast, private, rest_broadcast, messages_from_sql,
                     presence):
            part(gateway)
    finally:
        gateway.stop(COUNT)
    gateway = Gateway(BASALT_REALTIME_MAX_CHANNELS="4")
    try:
        limits(gateway)
    finally:
        gateway.stop(COUNT)
    COUNT.finish()


if __name__ == "__main__":
    main()
