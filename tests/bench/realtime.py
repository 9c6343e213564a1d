#!/usr/bin/env python3
"""Commit to socket: how long after a commit is acknowledged its change is at a client, at rest and under load; and what
the capture costs the writers. Run: tests/lib/with-database tests/bench/realtime.py, with BASALT_TEST_GATEWAY naming a
release build and BASALT_SKIP_PRODUCT_MIGRATIONS=1."""
import ctypes
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration", "realtime"))
from harness import ANON, SERVICE, Gateway, Socket, jwt, sql  # noqa: E402

PQ = ctypes.CDLL("libpq.so.5")
PQ.PQconnectdb.restype = PQ.PQexec.restype = ctypes.c_void_p
PQ.PQexec.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
PQ.PQclear.argtypes = [ctypes.c_void_p]


class Writer:
    """One session of libpq: execute returns when the commit is acknowledged."""

    def __init__(self):
        self.conn = PQ.PQconnectdb(os.environ["DATABASE_URL"].encode())

    def execute(self, text):
        PQ.PQclear(PQ.PQexec(self.conn, text.encode()))


class Arrivals(threading.Thread):
    """Reads a socket and notes when each row's change came."""

    def __init__(self, socket):
        super().__init__(daemon=True)
        self.socket, self.at = socket, {}

    def run(self):
        beat = time.monotonic()
        while not self.socket.is_closed:
            self.socket.pump(0.5)
            if time.monotonic() - beat > 20:
                beat = time.monotonic()
                self.socket.send("phoenix", "heartbeat", {})
            for message in self.socket.inbox:
                if message[3] == "postgres_changes":
                    self.at[message[4]["data"]["record"]["id"]] = message[5]
            self.socket.inbox.clear()


def subscribe(gateway, name, key, **more):
    socket = Socket(gateway, key)
    socket.join(name, [{"event": "INSERT", "schema": "public", "table": name, **more}])
    if not socket.system(name):
        sys.exit("no subscription")
    arrivals = Arrivals(socket)
    arrivals.start()
    return arrivals


def latency(name, arrivals, writer, count, pause):
    committed = {}
    first = int(sql(f"select coalesce(max(id), 0) from {name}")) + 1
    for number in range(first, first + count):
        writer.execute(f"insert into public.{name} values ({number}, 'owner', repeat('x', 300))")
        committed[number] = time.time()
        time.sleep(pause)
    time.sleep(1)
    found = sorted(max(0.0, arrivals.at[n] - committed[n]) * 1000 for n in committed if n in arrivals.at)
    if len(found) != count:
        sys.exit(f"{count - len(found)} of {count} changes did not come")
    return f"p50 {statistics.median(found):6.2f} ms   p95 {found[int(count * 0.95)]:6.2f} ms   max {found[-1]:6.2f} ms"


def rate(script, seconds=6, clients=16):
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        done = subprocess.run(["pgbench", "-n", "-c", str(clients), "-j", "2", "-T", str(seconds), "-f", file.name,
                               os.environ["DATABASE_URL"]], capture_output=True, text=True, check=True)
    return float(re.search(r"tps = ([\d.]+)", done.stdout).group(1))


def writers(gateway):
    """Inserts per second, alternating: no triggers, triggers that nobody needs, watched."""
    insert = "insert into public.{} (owner, body) values ('owner', repeat('x', 300));"
    for name in ("plain", "idle", "watched"):
        sql(f"create table public.{name} (id bigint generated always as identity primary key, owner text, body text);"
            f"grant all on public.{name} to service_role; alter publication supabase_realtime add table public.{name}")
    sql("select basalt.feed_install('public.idle'::regclass)")
    subscribe(gateway, "watched", SERVICE)
    found = {name: [] for name in ("plain", "idle", "watched")}
    for _ in range(3):
        for name in found:
            found[name].append(rate(insert.format(name)))
    base = statistics.median(found["plain"])
    for name, each in found.items():
        print(f"inserts/s, 16 writers, durable, {name:8}: {statistics.median(each):8.0f}   {statistics.median(each) / base:.2f}")


def main():
    gateway = Gateway()
    sql("""create table public.open (id int primary key, owner text, body text);
           create table public.guarded (id int primary key, owner text, body text);
           alter table public.guarded enable row level security;
           create policy own on public.guarded for select using (owner = (select auth.jwt() ->> 'who'));
           grant all on public.open, public.guarded to anon, authenticated;
           alter publication supabase_realtime add table public.open, public.guarded""")
    writer = Writer()
    plain = subscribe(gateway, "open", ANON)
    guarded = subscribe(gateway, "guarded", jwt(role="authenticated", who="owner"), filter="owner=eq.owner")
    for what, count, pause in (("asleep, one in 250 ms", 60, 0.25), ("about 25 a second", 200, 0.04), ("about 400 a second", 1500, 0.002)):
        print(f"{what:24} no RLS, no filter   {latency('open', plain, writer, count, pause)}")
        print(f"{what:24} RLS and a filter    {latency('guarded', guarded, writer, count, pause)}")
    writers(gateway)
    with open(f"/proc/{gateway.process.pid}/smaps_rollup", encoding="ascii") as rollup:
        print("gateway", re.search(r"Pss:.*", rollup.read()).group(0))
    gateway.process.terminate()
    gateway.process.wait(20)


if __name__ == "__main__":
    main()
