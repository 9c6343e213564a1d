#!/usr/bin/env python3
"""The change feed under the schedules that break simpler ones: nothing lost, nothing twice, order per row kept."""
import os
import subprocess
import sys
import tempfile
import time

from harness import SERVICE, Gateway, Session, Socket, sql, until

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib"))
from database import Count  # noqa: E402

COUNT = Count()
WRITERS = 8
COMMITS = int(os.environ.get("BASALT_TEST_COMMITS", "250"))  # of each writer


def pgbench(script, writers=WRITERS, commits=COMMITS):
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        done = subprocess.run(["pgbench", "-n", "-c", str(writers), "-j", "2", "-t", str(commits), "-f", file.name,
                               os.environ["DATABASE_URL"]], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)


def table(name, columns, more=""):
    sql(f"create table public.{name} ({columns}); grant all on public.{name} to anon, authenticated, service_role;"
        f"alter publication supabase_realtime add table public.{name}; {more}")


def watch(gateway, name, event="*", schema="public"):
    """A socket on which changes of the table are in force."""
    socket = Socket(gateway, SERVICE)
    socket.join(name, [{"event": event, "schema": schema, "table": name}])
    status = socket.system(name)
    COUNT.check(status == ("ok", "Subscribed to PostgreSQL"), f"a subscription to {name} comes into force", str(status))
    return socket


def cut_feed():
    """Ends the feed's session; returns how many there were."""
    return int(sql("with feed as materialized (select pid from pg_stat_activity where usename = 'basalt_internal' and "
                   "query like '%basalt.outbox%') select count(pg_terminate_backend(pid)) from feed"))


def records(socket):
    return [(change["data"]["type"], change["data"].get("record"), change["data"].get("old_record"))
            for change in socket.changes()]


def late_committers(gateway):
    """Ids become visible out of order: a cursor over the largest id would lose some."""
    table("late", "id bigint generated always as identity primary key, n int")
    socket = watch(gateway, "late")
    pgbench("""
        \\set pause random(0, 4000)
        \\set kind random(1, 10)
        begin;
        insert into public.late (n) values (1);
        savepoint a;
        insert into public.late (n) select 2 from generate_series(1, 3);
        \\if :kind > 7
        rollback to a;
        \\elif :kind > 5
        release a;
        insert into public.late (n) values (3);
        \\endif
        \\sleep :pause us
        insert into public.late (n) values (4);
        \\if :kind = 1
        rollback;
        \\else
        commit;
        \\endif
    """)
    expected = set(map(int, sql("select id from public.late").split()))
    socket.come(len(expected))
    came = [change["data"]["record"]["id"] for change in socket.changes()]
    COUNT.check(set(came) == expected, "late committers, savepoints and rollbacks: nothing lost, nothing made up",
                f"{len(expected - set(came))} lost, {len(set(came) - expected)} made up of {len(expected)}")
    COUNT.check(len(came) == len(set(came)), "late committers: nothing twice", f"{len(came) - len(set(came))} twice")
    socket.close()


def overlapping_updates(gateway):
    """Writers wait for each other's rows: each row's values must come in the order in which they were written."""
    table("counters", "id int primary key, v int not null", "insert into counters select i, 0 from generate_series(1, 5) i;")
    socket = watch(gateway, "counters")
    pgbench("""
        \\set a random(1, 2)
        \\set b random(3, 5)
        \\set pause random(0, 1500)
        begin;
        update public.counters set v = v + 1 where id = :a;
        \\sleep :pause us
        update public.counters set v = v + 1 where id = :b;
        commit;
    """)
    total = int(sql("select sum(v) from counters"))
    socket.come(total)
    last = {}
    wrong = 0
    for _, record, _ in records(socket):
        wrong += record["v"] != last.get(record["id"], 0) + 1
        last[record["id"]] = record["v"]
    COUNT.check(wrong == 0 and sum(last.values()) == total, "overlapping transactions: each row's changes in order",
                f"{wrong} out of order, {sum(last.values())} of {total}")
    socket.close()


def statements_in_order(gateway):
    """A row trigger that changes the same table makes the inner statement end before the outer one."""
    table("nested", "id int primary key, v text", """
        create function public.touch() returns trigger language plpgsql as
            $$ begin update public.nested set v = v || '+' where id = new.id; return null; end $$;
        create trigger a_touch after insert on public.nested for each row execute function public.touch();
        create table public.parent (id int primary key);
        create table public.child (id int primary key, parent int references public.parent on delete cascade);
        alter publication supabase_realtime add table public.child;
    """)
    socket = watch(gateway, "nested")
    sql("insert into nested values (1, 'a'), (2, 'b')")
    socket.come(4)
    kinds = [(kind, record["id"], record["v"]) for kind, record, _ in records(socket)]
    COUNT.check(kinds == [("INSERT", 1, "a"), ("INSERT", 2, "b"), ("UPDATE", 1, "a+"), ("UPDATE", 2, "b+")],
                "the outer statement comes before what its triggers did", str(kinds))
    socket.close()
    socket = watch(gateway, "child")
    sql("insert into parent values (1), (2); insert into child values (1, 1), (2, 2), (3, 2); delete from parent")
    socket.come(6)
    kinds = [kind for kind, _, _ in records(socket)]
    COUNT.check(kinds == ["INSERT"] * 3 + ["DELETE"] * 3, "cascaded deletes are seen", str(kinds))
    socket.close()


def keys_and_bulk(gateway):
    table("keyed", "id int primary key, v text")
    socket = watch(gateway, "keyed")
    sql("insert into keyed select i, 'v' || i from generate_series(1, 1200) i")
    sql("update keyed set id = id + 5000")
    sql("insert into keyed values (5001, 'x') on conflict (id) do update set v = excluded.v")
    socket.come(2401)
    moved = [(old["id"], new["id"], new["v"]) for kind, new, old in records(socket)[1200:2400]]
    COUNT.check(moved == [(i, i + 5000, f"v{i}") for i in range(1, 1201)],
                "an update of keys pairs old and new rows, over several pages", str(moved[:3]))
    last = records(socket)[-1]
    COUNT.check(last[0] == "UPDATE" and last[1] == {"id": 5001, "v": "x"}, "an upsert that updates is an UPDATE", str(last))
    socket.close()


def partitions(gateway):
    table("parts", "id int, r int, v text, primary key (id, r)) partition by range (r", """
        create table public.parts_low partition of public.parts for values from (0) to (10);
        create table public.parts_high partition of public.parts for values from (10) to (20);
        grant all on public.parts_low, public.parts_high to service_role;
    """)
    socket = Socket(gateway, SERVICE)
    socket.join("parts", [{"event": "*", "schema": "public", "table": "parts_low"},
                          {"event": "*", "schema": "public", "table": "parts_high"}])
    COUNT.check(socket.system("parts") == ("ok", "Subscribed to PostgreSQL"), "partitions can be subscribed to")
    sql("insert into parts values (1, 5, 'a'), (2, 15, 'b')")
    sql("insert into parts_low values (3, 6, 'c')")
    sql("update parts set r = 16 where id = 1")
    sql("delete from parts where id = 2")
    socket.come(6)
    came = [(c["data"]["table"], c["data"]["type"], (c["data"].get("record") or c["data"]["old_record"])["id"])
            for c in socket.changes()]
    COUNT.check(came == [("parts_low", "INSERT", 1), ("parts_high", "INSERT", 2), ("parts_low", "INSERT", 3),
                         ("parts_low", "DELETE", 1), ("parts_high", "INSERT", 1), ("parts_high", "DELETE", 2)],
                "writes through the parent and past it, and moves, are seen once under the partition's name", str(came))
    socket.close()


def foreign_types(gateway):
    """Types whose output may fail: the write goes through, subscribers learn of the gap."""
    sql("create extension if not exists hstore schema extensions")
    table("hashes", "id int primary key, h extensions.hstore")
    socket = watch(gateway, "hashes")
    sql("insert into hashes values (1, 'a=>1'::extensions.hstore)")
    socket.come(1)
    COUNT.check(socket.changes() and socket.changes()[0]["data"]["record"] == {"id": 1, "h": {"a": "1"}},
                "a table with a type of an extension is captured", str(socket.changes()))
    sql("""create type public.shaky as enum ('a');
           create function public.shake(public.shaky) returns json language plpgsql immutable as
               $$ begin raise exception 'no'; end $$;
           create cast (public.shaky as json) with function public.shake(public.shaky)""")
    table("shaken", "id int primary key, s public.shaky")
    socket = watch(gateway, "shaken")
    sql("insert into shaken values (1, 'a')")
    COUNT.check(sql("select count(*) from shaken") == "1", "a capture that fails does not fail the write")
    COUNT.check(socket.wait(lambda m: m[3] == "phx_error") is not None, "and the channel is told that it has a gap")
    socket.close()


def open_transactions(gateway):
    """A transaction that wrote unwatched keeps the table from counting as watched until it is over."""
    table("opened", "id int primary key")
    early, idle = Session(), Session()
    socket = Socket(gateway, SERVICE)
    socket.join("warm", [{"event": "*", "schema": "public", "table": "opened"}])
    socket.system("warm")
    socket.close()  # the triggers are there now
    sql("delete from basalt.armed")
    COUNT.check(until("the feed's session", cut_feed) == 1, "the feed has one session")
    early.run("begin; insert into public.opened values (1);")
    skipped = early.run("select count(*) from basalt.outbox where relid = 'public.opened'::regclass") == "0"
    idle.run("begin; select 1;")
    socket = Socket(gateway, SERVICE)
    socket.join("opened", [{"event": "*", "schema": "public", "table": "opened"}])
    early_ok = socket.system("opened", 1.5)
    early.run("insert into public.opened values (2); commit;")
    COUNT.check(socket.system("opened") is not None, "the subscription comes into force when open writers are done")
    if not skipped:  # the feed was back before the writer: it was captured, and there was nothing to wait for
        COUNT.check(True, "captured from the start")
    else:
        COUNT.check(early_ok is None, "no subscription is in force while a writer that skipped capture is open")
    idle.run("insert into public.opened values (3); commit;")
    socket.wait(lambda _: any(r[1] == {"id": 3} for r in records(socket)))
    COUNT.check(any(r[1] == {"id": 3} for r in records(socket)), "a transaction opened before the subscription is seen",
                str(records(socket)))
    early.close()
    idle.close()
    socket.close()


def bell(gateway):
    """Bursts with pauses around the moments at which the feed falls asleep: each must be seen at once. What a busy machine
    takes is not the feed's: its time runs from when database and gateway have answered something else."""
    table("rung", "id bigint generated always as identity primary key, at timestamptz default clock_timestamp()")
    socket = watch(gateway, "rung")
    started = time.monotonic()
    writers, other = [Session() for _ in range(2)], Session()
    count = 0
    worst = 0.0
    while time.monotonic() - started < 12:
        count += 1
        writers[count % 2].run("insert into public.rung default values;")
        other.run("select 1;")
        socket.reply(socket.send("phoenix", "heartbeat", {}))
        answered = time.time()
        got = socket.wait(lambda m: m[0] != "binary" and m[3] == "postgres_changes"
                          and m[4]["data"]["record"]["id"] == count)
        if got is None:
            COUNT.check(False, "every write wakes the feed", f"number {count} did not come")
            return
        worst = max(worst, got[5] - answered)
        socket.inbox.clear()
        time.sleep((count % 40) / 200)  # 0 to 195 ms
    COUNT.check(worst < 0.6, f"{count} writes around sleep: none waits for the safety poll", f"worst {worst:.3f} s")
    for session in [*writers, other]:
        session.close()
    socket.close()


def lost_connection(gateway):
    """The feed's connection dies again and again while writers write."""
    table("torn", "id bigint generated always as identity primary key")
    socket = watch(gateway, "torn")
    writer = subprocess.Popen(["pgbench", "-n", "-c", "4", "-T", "600", "-f", "/dev/stdin", os.environ["DATABASE_URL"]],
                              stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)
    writer.stdin.write("begin;\ninsert into public.torn default values;\n\\sleep 3 ms\ncommit;\n\\sleep 5 ms\n")
    writer.stdin.close()
    kills = 0
    while kills < 7:
        socket.pump(0.7)
        kills += cut_feed()
    writer.terminate()
    writer.wait()
    until("the writers' sessions to end", lambda: sql("select count(*) from pg_stat_activity where application_name = 'pgbench'") == "0")
    expected = set(map(int, sql("select id from public.torn").split()))
    socket.come(len(expected))
    came = [change["data"]["record"]["id"] for change in socket.changes()]
    COUNT.check(sorted(came) == sorted(expected), "after a lost connection the feed goes on where it was",
                f"{len(expected - set(came))} lost, {len(came) - len(set(came))} twice of {len(expected)}")
    socket.close()


def unwatched(gateway):
    table("quiet", "id int primary key")
    before = sql("select count(*) from basalt.outbox")
    sql("insert into quiet select generate_series(1, 100)")
    COUNT.check(sql("select count(*) from basalt.outbox") == before, "a table that nobody watches is not captured")
    COUNT.check(sql("select has_table_privilege('authenticated', 'basalt.outbox', 'select') or "
                    "has_table_privilege('anon', 'basalt.outbox', 'select') or "
                    "has_schema_privilege('authenticated', 'basalt', 'usage')") == "f", "API roles cannot see the outbox")
    sql("select basalt.feed_prune(pg_current_snapshot())")
    COUNT.check(sql("select count(*) from basalt.outbox") == "0", "pruning empties what was read")
    COUNT.check(sql("select basalt.feed_contains('10:20:12', '10:15:12'), basalt.feed_contains('10:20:12', '10:15:'),"
                    " basalt.feed_contains('10:14:', '10:15:')") == "t|f|f", "a cursor behind the pruning is noticed")


PARTS = (late_committers, overlapping_updates, statements_in_order, keys_and_bulk, partitions, foreign_types, bell,
         lost_connection, open_transactions, unwatched)


def main():
    gateway = Gateway()
    try:
        for part in PARTS:
            if len(sys.argv) == 1 or part.__name__ in sys.argv[1:]:
                part(gateway)
    finally:
        gateway.stop(COUNT)
    COUNT.finish()


if __name__ == "__main__":
    main()
