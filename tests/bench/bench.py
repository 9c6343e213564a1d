#!/usr/bin/python3
"""Basalt against PostgREST in one run: CPU per request, throughput, latency, memory, as ratios beside their goals.

Both servers use the same PostgreSQL and take turns, workload by workload and round by round, so that a machine whose speed
drifts hurts both alike; a figure is the median of the rounds. CPU per request counts the server and PostgreSQL's
processes. Nothing here fails because of a time. Started by tests/bench/run.
"""
import argparse
import os
import re
import signal
import statistics
import sys

import floor
import memory
from load import Generator
from process import children_of, cpu_us, go_first, peak_kib, reset_peak, tree_cpu_us
from server import basalt, peer
from table import Ratio, amount, count_met, markdown
from workloads import WORKLOADS

PGBENCH_CONNECTIONS = 4
PEAK_GOAL, CONNECTION_GOAL, BODY_GOAL = 15, 12, 2.2
COLUMNS = [("CPU", "cpu"), ("server alone", "own"), ("requests/s", "rate"), ("p50, c=1", "p50"), ("p99", "p99"),
           ("pgbench", "pgbench"), ("pgbench p50, c=1", "floor")]


class Bench:
    def __init__(self, args):
        self.args, self.generator = args, Generator(args.load, os.environ["PGRST_JWT_SECRET"], args.first)
        self.database = floor.Database(args.db_uri, args.db_log, args.postmaster, args.first)
        self.ratios = []

    def measure(self, server, workload):
        """One turn of a server: under load, then alone."""
        postmaster = self.args.postmaster
        for backend in children_of(postmaster) if self.args.first else []:
            go_first(backend)
        all_before, own_before = cpu_us(server.pid) + tree_cpu_us(postmaster), cpu_us(server.pid)
        load = self.generator.run(server, workload, self.args.connections, self.args.seconds)
        own = cpu_us(server.pid) - own_before
        everything = cpu_us(server.pid) + tree_cpu_us(postmaster) - all_before
        alone = self.generator.run(server, workload, 1, self.args.seconds)
        return {"cpu": everything / load.requests, "own": own / load.requests, "rate": load.rate, "p99": load.p99,
                "p50": alone.p50}

    def rounds(self, servers, workload):
        """{figure: Ratio}"""
        self.database.configure("synchronous_commit", "on" if workload.is_flushed else "off")
        statements = floor.capture(self.database, servers[0], workload, self.generator.tokens(workload)[0])
        turns, floors = [[] for _ in servers], []
        for _ in range(self.args.rounds):
            for server, results in zip(servers, turns):
                if workload.method == "POST":
                    self.database.execute("truncate notes")
                results.append(self.measure(server, workload))
            if len(turns[0]) % 2:  # in every other round
                floors.append([floor.measure(self.database, statements, connections, self.args.seconds)[index]
                               for connections, index in ((PGBENCH_CONNECTIONS, 0), (1, 1))])
        ours, theirs = [{key: statistics.median(turn[key] for turn in results) for key in results[0]}
                        for results in turns]
        found = {key: Ratio(ours[key], theirs[key], getattr(workload.goals, key), key == "rate") for key in ours}
        # The tail of each round belongs together: what disturbed one server was near the other.
        tail = statistics.median(b["p99"] / a["p99"] for a, b in zip(*turns))
        found["p99"] = Ratio(ours["p99"], ours["p99"] * tail, workload.goals.p99)
        floor_rate, floor_p50 = [statistics.median(values) for values in zip(*floors)]
        found["pgbench"] = Ratio(ours["rate"], floor_rate, workload.goals.pgbench, True)
        found["floor"] = Ratio(ours["p50"], floor_p50)
        return found

    def suite(self, servers):
        rows, figures = [], []
        for workload in WORKLOADS:
            if not re.search(self.args.only, workload.name):
                continue
            found = self.rounds(servers, workload)
            self.ratios += found.values()
            rows.append([workload.name] + [str(found[key]) for _, key in COLUMNS])
            figures.append([workload.name] + [found[key].figures() for _, key in COLUMNS])
            print(" · ".join([workload.name] + ["%s %s" % (title, found[key]) for title, key in COLUMNS]), flush=True)
        if rows:
            print("\nPeer by ours and the goal (requests/s: ours by the peer's; pgbench: ours by pgbench's; its p50 by ours)\n")
            print(markdown(["workload"] + [title for title, _ in COLUMNS], rows))
            print("\nOurs / peer's (last columns: / pgbench's). CPU per request, p50 and p99 in us\n")
            print(markdown(["workload"] + [title for title, _ in COLUMNS], figures))

    def mixed(self, servers):
        """Point reads while two clients read 10,000 rows each, over and over."""
        by_name = {workload.name: workload for workload in WORKLOADS}
        point, large = by_name["point"], by_name["list 10 000"]
        turns = [[] for _ in servers]
        for _ in range(self.args.rounds):
            for server, results in zip(servers, turns):
                readers = self.generator.start(server, large, 2, self.args.seconds + 1)
                results.append(self.generator.run(server, point, self.args.connections, self.args.seconds))
                self.generator.finish(readers, server, large)

        def ratio(key, is_rate=False):
            return Ratio(*[statistics.median(getattr(load, key) for load in results) for results in turns],
                         is_rate=is_rate)

        rows = [[title, str(found), found.figures()] for title, found in [
            ("requests/s", ratio("rate", True)), ("p50 us", ratio("p50")), ("p99 us", ratio("p99"))]]
        print("\nPoint reads beside two readers of 10,000 rows\n")
        print(markdown(["figure", "ratio", "ours / peer's"], rows))

    def memory_rows(self, peaks, idles, connections, factors):
        rows = []
        for title, pair, goal in [
                ("idle, PSS KiB", [idle["Pss"] for idle in idles], None),
                ("idle, private dirty KiB", [idle["Private_Dirty"] for idle in idles], None),
                ("idle, RSS KiB", [idle["Rss"] for idle in idles], None),
                ("idle keep-alive connection, KiB", connections, CONNECTION_GOAL),
                ("peak RSS over the suite, KiB", peaks, PEAK_GOAL)]:
            if pair:
                found = Ratio(pair[0], pair[1], goal)
                self.ratios.append(found)
                rows.append([title, str(found), found.figures()])
        body = Ratio(1 / max(factors[0].values()), 1, 1 / BODY_GOAL, True)
        self.ratios.append(body)
        rows.append(["large body, (peak - idle) / body", "%s 2.2" % ("≤" if body.is_met else ">"),
                     " / ".join(amount(max(factor.values())) for factor in factors)])
        return rows

    def run(self):
        args, token = self.args, self.generator.admin
        programs = [lambda: basalt(args.gateway, args.first, BASALT_MAX_BODY="%dMB" % (args.body_mib + 8)),
                    lambda: peer(args.peer, args.first)]
        idles, connections, factors, peaks = [], [], [], []
        for program in programs if args.memory else []:
            with program() as server:
                idles.append(memory.idle(server))
                connections.append(memory.per_connection_kib(server, token, args.idle_connections))
            with program() as server:
                self.database.execute("truncate notes restart identity")
                factors.append(memory.body_factors(server, token, args.body_mib << 20))
        with programs[0]() as ours, programs[1]() as theirs:
            servers = [ours, theirs]
            for server in servers:
                reset_peak(server.pid)
            self.suite(servers)
            peaks = [peak_kib(server.pid) for server in servers]
            if args.mixed:
                self.mixed(servers)
        if args.memory:
            print("\nMemory\n")
            print(markdown(["figure", "ratio", "ours / peer's"],
                           self.memory_rows(peaks, idles, connections, factors)))
        print("\n" + count_met(self.ratios))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gateway", required=True, help="program of the gateway")
    parser.add_argument("--peer", required=True, help="program of PostgREST")
    parser.add_argument("--load", required=True, help="program made of load.c")
    parser.add_argument("--postmaster", type=int, required=True)
    parser.add_argument("--db-log", required=True, help="the server's log")
    parser.add_argument("--db-uri", default=os.environ.get("PGRST_DB_URI"))
    parser.add_argument("--seconds", type=float, default=.7, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--idle-connections", type=int, default=1000)
    parser.add_argument("--body-mib", type=int, default=32)
    parser.add_argument("--only", default="", help="regular expression on the workload's name")
    parser.add_argument("--first", action="store_true", help="others of this machine wait meanwhile (as root)")
    parser.add_argument("--no-memory", dest="memory", action="store_false")
    parser.add_argument("--no-mixed", dest="mixed", action="store_false")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the servers are ended, too
    Bench(parser.parse_args()).run()


main()
