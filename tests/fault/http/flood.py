#!/usr/bin/python3
"""Attacks on one listener, each in a process of its own, while an honest client asks; then idle connections in thousands.
Started by run. Figures stand beside their goals; a failure is a gateway that died, an honest answer that was wrong or did not
come, an attacker's request that was answered as it must not be, memory out of bounds, connections that are never let go."""
import argparse
import json
import os
import re
import resource
import socket
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "..", "integration", "process"), os.path.join(HERE, "..", "..", "lib")]
from gateway import PORT, Gateway, ask, connection, until  # noqa: E402

from attacks import ATTACKS  # noqa: E402
from database import Count  # noqa: E402

COUNT = Count()
WANTED = (200, [{"id": 7, "name": "item 7"}])
SLACK_KIB = 96 * 1024  # far beyond the goal: memory that has no bound
SANITIZED = b"__asan" in subprocess.run(["nm", "-D", os.environ["SCENE_GATEWAY"]], capture_output=True, check=False).stdout


def memory_kib(gateway):
    with open("/proc/%d/status" % gateway.process.pid) as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1))


def cpu_seconds(gateway):
    with open("/proc/%d/stat" % gateway.process.pid) as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def descriptors(gateway):
    return len(os.listdir("/proc/%d/fd" % gateway.process.pid))


class Honest(threading.Thread):
    """One small request after another on one connection."""

    def __init__(self):
        super().__init__(daemon=True)
        self.ms, self.wrong, self.is_over = [], [], False

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.is_over = True
        self.join()

    def run(self):
        conn = connection(PORT)
        while not self.is_over:
            began = time.monotonic()
            try:
                status, body, _ = ask("GET", "/items?id=eq.7", conn=conn)
            except OSError as error:
                status, body, conn = 0, str(error), connection(PORT)
            self.ms.append((time.monotonic() - began) * 1000)
            if (status, body) != WANTED:
                self.wrong.append("%d %.200r" % (status, body))
            time.sleep(0.01)

    def at(self, share):
        found = sorted(self.ms) or [0]
        return found[int((len(found) - 1) * share)]


def attack(gateway, name, connections, seconds):
    before, cpu, peak, began = memory_kib(gateway), cpu_seconds(gateway), 0, time.monotonic()
    with Honest() as honest, subprocess.Popen(
            [sys.executable, os.path.join(HERE, "attacks.py"), name, str(PORT), str(connections), str(seconds)],
            stdout=subprocess.PIPE, text=True) as attacker:
        while attacker.poll() is None:
            peak = max(peak, memory_kib(gateway))
            time.sleep(0.05)
        tally = json.loads(attacker.stdout.read())
    cpu = (cpu_seconds(gateway) - cpu) / (time.monotonic() - began) * 100
    print("%-18s cpu %3.0f %%  memory %+5.1f MiB  honest p50 %5.1f p99 %6.1f ms  %s"
          % (name, cpu, (peak - before) / 1024, honest.at(0.5), honest.at(0.99), tally), flush=True)
    COUNT.check(gateway.process.poll() is None, name + ": the process lives")
    COUNT.check(not honest.wrong, name + ": the honest client is served", "; ".join(honest.wrong[:3]))
    until(lambda: gateway.inspect("pools")[0]["busy"] == 0, 10, name + ": no query goes on for those who left")
    odd = set(tally) - ATTACKS[name].allowed
    COUNT.check(not odd, name + ": answers that must not be", str(sorted(odd)))
    COUNT.check(SANITIZED or peak - before < SLACK_KIB, name + ": memory", "%d KiB" % (peak - before))


def idle(gateway, wanted):
    """Keep-alive connections that have each been served once."""
    before, began = memory_kib(gateway), time.monotonic()
    request = b"GET /items?id=eq.7 HTTP/1.1\r\nHost: x\r\n\r\n"
    connections = []
    for _ in range(wanted):
        sock = socket.create_connection(("127.0.0.1", PORT), timeout=30)
        sock.sendall(request)
        connections.append(sock)
        if len(connections) % 50 == 0:
            for one in connections[-50:]:
                COUNT.check(one.recv(4096).startswith(b"HTTP/1.1 200"), "idle: served")
    took = time.monotonic() - began
    with Honest() as honest:
        time.sleep(3)
    grown = memory_kib(gateway) - before
    print("idle: %d connections in %.1f s, memory %+.1f MiB (goal for 10,000: 40), a request among them p50 %.1f p99 %.1f ms (goal 20)"
          % (wanted, took, grown / 1024, honest.at(0.5), honest.at(0.99)), flush=True)
    COUNT.check(not honest.wrong, "idle: the honest client is served", "; ".join(honest.wrong[:3]))
    COUNT.check(SANITIZED or grown < SLACK_KIB, "idle: memory", "%d KiB" % grown)
    for sock in connections:
        sock.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("attacks", nargs="*", metavar="ATTACK", help=", ".join(ATTACKS))
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--idle", type=int, default=1000)
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with Gateway(BASALT_MAX_CONNECTIONS="12000") as gateway:
        with Honest():
            time.sleep(1)  # what is made for the first requests is no growth
        held = descriptors(gateway)
        for name in options.attacks or ATTACKS:
            attack(gateway, name, options.connections, options.seconds)
        if options.idle and not options.attacks:
            idle(gateway, options.idle)
        until(lambda: descriptors(gateway) <= held + 5, 30, "its connections are let go")
        print("at the end: %.1f MiB resident, %d descriptors (%d before)" % (memory_kib(gateway) / 1024, descriptors(gateway), held))
    COUNT.finish()


if __name__ == "__main__":
    main()
