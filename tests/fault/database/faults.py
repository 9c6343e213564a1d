#!/usr/bin/python3
"""Restarts, killed backends and a dead network under clients that check every answer. Started by run. Times are printed
beside their goals and judge nothing; what may never happen does: a lost or doubled write, somebody else's answer, an answer
that is none, a request that never ends, a pool or threads that do not come back."""
import argparse
import datetime
import itertools
import os
import random
import re
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "..", "integration", "process"), os.path.join(HERE, "..", "..", "lib")]
from gateway import DIR, Gateway, ask, database, sql, until  # noqa: E402

from crowd import Crowd  # noqa: E402
from database import Count  # noqa: E402

POOL = 10
FULL_TIMES = {"restarts": 20, "backends": 300, "network": 60, "locks": 1, "soak": 1200}
SHORT = {"restarts": 3, "backends": 5, "network": 20, "locks": 1}
COUNT = Count()
VICTIM = ("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'authenticator'"
          " and backend_type = 'client backend' order by random() limit 1;\n")
OTHERS = "select count(*) from pg_stat_activity where usename = 'authenticator' and backend_type = 'client backend'"


def say(text, *values):
    print(text % values, flush=True)


def memory_kib(gateway):
    with open("/proc/%d/status" % gateway.process.pid) as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1))


def threads_of(gateway):
    return len(os.listdir("/proc/%d/task" % gateway.process.pid))


def start_database():
    """False: the remains of a killed server are still in the way, or taken for one that runs."""
    try:
        database("start")
        return sql("select 1", check=False) == "1"
    except subprocess.CalledProcessError:
        return False


def ready_at():
    """When the server said last that it accepts connections."""
    with open(os.path.join(DIR, "db", "postgresql.log"), errors="replace") as file:
        text = re.findall(r"^(\S+ \S+) UTC \[\d+\].*ready to accept connections", file.read(), re.M)[-1]
    return datetime.datetime.strptime(text + "+0000", "%Y-%m-%d %H:%M:%S.%f%z").timestamp()


def recovery(crowd, since):
    """Seconds from that time to the first success."""
    until(lambda: crowd.first_served_after(since) is not None, 60, "success again")
    return crowd.first_served_after(since)


def restart(crowd, how):
    """Seconds from the server's being ready to the first success."""
    served, refused = crowd.served, crowd.failed()
    until(lambda: crowd.served > served + crowd.count, 60, "load before " + how)
    database(how)
    until(lambda: crowd.failed() > refused, 20, "refusals after " + how)
    crowd.mark()
    until(start_database, 60, "the database starts")
    return recovery(crowd, ready_at())


def kill_backends(crowd, seconds):
    """One every 50 ms. Returns how many were hit."""
    killed, end = 0, time.monotonic() + seconds
    with subprocess.Popen(["psql", "-XAtq", os.environ["SCENE_DB"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as killer:
        while time.monotonic() < end:
            killer.stdin.write(VICTIM + "\\echo .\n")
            killer.stdin.flush()
            line = killer.stdout.readline()
            killed += line == "t\n"
            while line != ".\n":
                line = killer.stdout.readline()
            time.sleep(0.05)
        killer.stdin.close()
    return killed


def lose_packets(gateway, crowd, seconds, before):
    """No packet between the gateway and its database. Returns the longest wait and the time that recovery took."""
    crowd.mark()
    database("drop")
    waited, most_threads, end = 0.0, 0, time.monotonic() + seconds
    while time.monotonic() < end:
        waited, most_threads = max(waited, crowd.oldest()), max(most_threads, threads_of(gateway))
        COUNT.check(ask("GET", "/live", where=gateway.admin)[0] == 200, "it lives without packets")
        time.sleep(0.25)
    waited = max(waited, crowd.slowest)
    crowd.mark()
    database("pass")
    took = recovery(crowd, time.time())
    until(lambda: threads_of(gateway) <= before, 60, "no more threads than before: %d, during it %d" % (before, most_threads))
    return waited, took, most_threads


def check_pool(gateway):
    until(lambda: (lambda pool: (pool["busy"], pool["waiting"]) == (0, 0) and pool["size"] <= POOL)
          (gateway.inspect("pools")[0]), 20, "the pool is back to its size: %r" % gateway.inspect("pools")[0])
    # the pool and the connection that listens; sessions that the server has not given up yet keep their locks
    until(lambda: int(sql(OTHERS)) <= POOL + 2, 90, "the server has no forgotten session: %s" % sql(OTHERS))


def judge(gateway, crowd, name):
    COUNT.check(gateway.process.poll() is None, name + ": the process lives")
    COUNT.check(not crowd.wrong, "%s: %d answers wrong" % (name, len(crowd.wrong)), "\n    ".join(crowd.wrong[:5]))
    lost, doubled = crowd.lost_and_doubled()
    say("  %d served, %d writes acknowledged, %d missing, %d doubled; answers %s", crowd.served, len(crowd.acknowledged),
        lost, doubled, {"%d %s" % key: count for key, count in sorted(crowd.answers.items())})
    COUNT.check(lost == 0, name + ": acknowledged writes missing", str(lost))
    COUNT.check(doubled == 0, name + ": writes done twice", str(doubled))
    sql("truncate api.writes")


class Stage:
    """A gateway with its clients, judged when they have gone."""

    def __init__(self, name, clients):
        self.name, self.gateway, self.crowd = name, Gateway(PGRST_DB_POOL=str(POOL)), Crowd(clients)

    def __enter__(self):
        self.crowd.__enter__()
        until(lambda: self.crowd.served > 10 * self.crowd.count, 60, "load")
        return self.gateway, self.crowd

    def __exit__(self, kind, *rest):
        self.crowd.__exit__()
        if kind is None:
            judge(self.gateway, self.crowd, self.name)
            check_pool(self.gateway)
        self.gateway.__exit__(kind, *rest)


def restarts(count, clients):
    delays = []
    with Stage("restarts", clients) as (_, crowd):
        for how in itertools.islice(itertools.cycle(("stop", "immediate", "kill")), count):
            delays.append(restart(crowd, how))
            say("  %-9s first success %.2f s after the database", how, delays[-1])
    say("restarts: %d under %d clients; first success at most %.2f s after the database (goal 1)", count, clients, max(delays))


def backends(seconds, clients):
    with Stage("backends", clients) as (_, crowd):
        killed = kill_backends(crowd, seconds)
        failed = crowd.failed()
    say("backends: %d killed in %d s, %d of %d requests failed", killed, seconds, failed, failed + crowd.served)
    COUNT.check(failed <= killed, "backends: more requests failed than backends were killed", "%d of %d" % (failed, killed))


def network(seconds, clients):
    with Stage("network", clients) as (gateway, crowd):
        before = threads_of(gateway)
        waited, took, most = lose_packets(gateway, crowd, seconds, before)
    say("network: lost for %d s; longest wait of a request %.1f s (goal 18), recovery %.2f s (goal 5), threads %d, at most %d",
        seconds, waited, took, before, most)


def locks(*_):
    """The network goes while a transaction is between its statement and its COMMIT."""
    idle = "select count(*) from pg_stat_activity where state like 'idle in transaction%'"
    with Gateway() as gateway:
        answers = []
        writer = threading.Thread(target=lambda: answers.append(
            ask("PATCH", "/slow?id=eq.1", {"note": "x"}, role="member", Prefer="handling=strict, max-affected=1")))
        writer.start()
        until(lambda: sql("select count(*) from pg_stat_activity where wait_event = 'PgSleep'") == "1", 10, "the statement runs")
        database("drop")
        try:
            until(lambda: sql(idle) == "1", 10, "the transaction waits for its COMMIT")
            began = time.monotonic()
            until(lambda: sql(idle) == "0", 60, "its locks are free although the gateway is gone")
            say("locks: free %.1f s after the gateway was lost", time.monotonic() - began)
        finally:
            database("pass")
        writer.join()
        COUNT.check(answers[0][0] == 503, "locks: the write is not acknowledged", str(answers[0]))
        COUNT.check(sql("select note from api.slow") == "", "locks: and not done")
        COUNT.check(gateway.process.poll() is None, "locks: the process lives")


def soak(seconds, clients):
    dice, end, sizes, done = random.Random(7), time.monotonic() + seconds, [], []
    with Stage("soak", clients) as (gateway, crowd):
        before = threads_of(gateway)
        while time.monotonic() < end:
            kind = dice.choice(("stop", "immediate", "kill", "backends", "network"))
            if kind == "backends":
                kill_backends(crowd, 10)
            elif kind == "network":
                lose_packets(gateway, crowd, dice.choice((2, 8, 30)), before)
            else:
                restart(crowd, kind)
            done.append(kind)
            served = crowd.served
            until(lambda: crowd.served > served + 20 * clients, 60, "load between faults")
            sizes.append(memory_kib(gateway))
            say("  %-9s %.1f MiB resident", kind, sizes[-1] / 1024)
    quarter = max(1, len(sizes) // 4)
    first, last = max(sizes[:quarter]), max(sizes[-quarter:])
    say("soak: %d faults in %d s; resident %.1f MiB in the first quarter, %.1f in the last (goal: +5)", len(done), seconds,
        first / 1024, last / 1024)
    COUNT.check(last - first < 32 * 1024, "soak: memory grows without end", "%d KiB" % (last - first))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help="restarts, backends, network, locks, soak; each with its size behind it")
    parser.add_argument("--clients", type=int, default=40)
    options = parser.parse_args()
    parts, chosen = {"restarts": restarts, "backends": backends, "network": network, "locks": locks, "soak": soak}, {}
    for word in options.parts:
        if word.isdigit() and chosen:
            chosen[list(chosen)[-1]] = int(word)
        elif word in parts:
            chosen[word] = FULL_TIMES[word]
        else:
            parser.error("unknown part: " + word)
    for name, size in (chosen or SHORT).items():
        try:
            parts[name](size, options.clients)
        except AssertionError as error:
            COUNT.check(False, name, str(error))
    COUNT.finish()


if __name__ == "__main__":
    main()
