#!/usr/bin/python3
"""Basalt against PostgREST in one run: CPU per request, throughput, latency, memory, as ratios.

Both servers use the same PostgreSQL and take turns, workload by workload, so that a machine whose speed drifts hurts
both alike. CPU per request counts the server process and the PostgreSQL processes. Started by tests/bench/run.
"""
import argparse
import base64
import hashlib
import hmac
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

TICK = os.sysconf("SC_CLK_TCK")
SERVER = "10000000-0000-4000-8000-%012d"
WORKLOADS = [
    # name, method, path, body, connections
    ("point", "GET", "/servers?id=eq." + SERVER % 4711, None),
    ("list 100", "GET", "/servers?limit=100", None),
    ("list 1000", "GET", "/servers?limit=1000", None),
    ("row policy 100", "GET", "/guarded_servers?limit=100", None),
    ("list 25 count", "GET", "/servers?limit=25", None),
    ("embed", "GET", "/jobs?select=id,status,job_tasks(id,status,servers(hostname))&order=created_at.desc&limit=20", None),
    ("rpc", "POST", "/rpc/add", '{"a":1,"b":2}'),
    ("insert", "POST", "/notes", '{"body":"a short note"}'),
]
HEADERS = {"list 25 count": {"Prefer": "count=exact"}, "insert": {"Prefer": "return=representation"}}


def token(secret, user):
    def part(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

    claims = {"role": "authenticated", "sub": "00000000-0000-4000-8000-%012d" % user, "exp": int(time.time()) + 36000,
              "email": "user%d@example.test" % user, "aud": "authenticated"}
    text = part(b'{"alg":"HS256","typ":"JWT"}') + "." + part(json.dumps(claims).encode())
    return text + "." + part(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest())


def ticks_of(pid, with_children=False):
    try:
        with open("/proc/%d/stat" % pid) as file:
            fields = file.read().rsplit(")", 1)[1].split()
    except OSError:
        return 0
    return sum(int(fields[i]) for i in ((11, 12, 13, 14) if with_children else (11, 12)))


def children_of(pid):
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open("/proc/%s/stat" % name) as file:
                    if int(file.read().rsplit(")", 1)[1].split()[1]) == pid:
                        found.append(int(name))
            except OSError:
                pass
    return found


def cpu_us(server, postmaster):
    ticks = ticks_of(server) + ticks_of(postmaster, True) + sum(ticks_of(p) for p in children_of(postmaster))
    return ticks * 1e6 / TICK


def memory_kib(pid, field):
    with open("/proc/%d/smaps_rollup" % pid) as file:
        return int(re.search(r"^%s:\s+(\d+)" % field, file.read(), re.M).group(1))


class Load:
    def __init__(self, secret, seconds):
        self.token, self.seconds = token(secret, 1), seconds

    def run(self, base, workload, connections):
        name, method, path, body = workload
        with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
            script.write('wrk.method = %s\n' % json.dumps(method))
            script.write('wrk.headers["Authorization"] = "Bearer %s"\n' % self.token)
            for key, value in HEADERS.get(name, {}).items():
                script.write('wrk.headers[%s] = %s\n' % (json.dumps(key), json.dumps(value)))
            if body:
                script.write('wrk.headers["Content-Type"] = "application/json"\nwrk.body = %s\n' % json.dumps(body))
            script.write('done = function(s, l, r) io.write(string.format("RESULT %d %d %d %d %d\\n", s.requests,'
                         ' s.duration, l:percentile(50), l:percentile(99),'
                         ' s.errors.status + s.errors.connect + s.errors.read + s.errors.timeout)) end\n')
            script.flush()
            out = subprocess.run(["wrk", "-t1", "-c%d" % connections, "-d%ds" % self.seconds, "-s", script.name,
                                  base + path], capture_output=True, text=True, check=True).stdout
        requests, duration, p50, p99, errors = map(int, re.search(r"RESULT (.*)", out).group(1).split())
        if errors:
            sys.exit("%s on %s: %d of %d requests failed" % (name, base, errors, requests))
        return requests, duration / 1e6, p50, p99


def measure(load, server, postmaster, workload, connections):
    load_before = cpu_us(server["pid"], postmaster)
    own_before = ticks_of(server["pid"])
    requests, seconds, p50, p99 = load.run(server["url"], workload, connections)
    return {"cpu": (cpu_us(server["pid"], postmaster) - load_before) / requests,
            "own": (ticks_of(server["pid"]) - own_before) * 1e6 / TICK / requests,
            "rps": requests / seconds, "p50": p50, "p99": p99}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--basalt", required=True, help="PID=URL of the gateway's /rest/v1")
    parser.add_argument("--peer", required=True, help="PID=URL of PostgREST")
    parser.add_argument("--postmaster", type=int, required=True)
    parser.add_argument("--secret", required=True)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--only", help="regular expression on the workload's name")
    args = parser.parse_args()
    servers = {}
    for name in ("basalt", "peer"):
        pid, url = getattr(args, name).split("=", 1)
        servers[name] = {"pid": int(pid), "url": url}
    load = Load(args.secret, args.seconds)
    for name, server in servers.items():
        print("%-7s idle: PSS %5d KiB, private dirty %5d KiB, RSS %5d KiB" % (
            name, memory_kib(server["pid"], "Pss"), memory_kib(server["pid"], "Private_Dirty"),
            memory_kib(server["pid"], "Rss")))
    print("%-14s %21s %21s %17s %17s %17s" % ("workload", "cpu/req us (peer)", "server cpu us (peer)",
                                              "requests/s", "p50 us c=1", "p99 us"))
    for workload in WORKLOADS:
        if args.only and not re.search(args.only, workload[0]):
            continue
        runs = {"basalt": [], "peer": []}
        for _ in range(args.rounds):
            for name, server in servers.items():
                result = measure(load, server, args.postmaster, workload, args.connections)
                result["single"] = load.run(server["url"], workload, 1)[2]
                runs[name].append(result)
        median = {name: {key: statistics.median(r[key] for r in rs) for key in rs[0]} for name, rs in runs.items()}
        b, p = median["basalt"], median["peer"]

        def cell(key, inverse=False):
            ratio = b[key] / p[key] if inverse else p[key] / b[key]
            return "%7.0f %7.0f %4.1fx" % (b[key], p[key], ratio)

        print("%-14s %s %s %s %s %s" % (workload[0], cell("cpu"), cell("own"), cell("rps", True), cell("single"),
                                        cell("p99")), flush=True)
    for name, server in servers.items():
        print("%-7s after: RSS %6d KiB" % (name, memory_kib(server["pid"], "Rss")))


main()
