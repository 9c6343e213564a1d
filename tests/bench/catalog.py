#!/usr/bin/python3
"""Load and reload of a large schema cache. Started by tests/bench/catalog."""
import http.client
import json
import os
import re
import subprocess
import threading
import time

HOST, PORT = os.environ["SCENE_ADDRESS"].split(":")
LOG = os.environ["SCENE_DIR"] + "/gateway.log"


# without and with the database
PATHS = (("no database", "/rest/v1/no_such_relation"), ("one row", "/rest/v1/small?id=eq.7"))


def memory_mib(field):
    with open("/proc/%s/status" % os.environ["SCENE_PID"]) as file:
        return int(re.search(field + r":\s+(\d+)", file.read()).group(1)) / 1024


def loads():
    with open(LOG) as file:
        return [json.loads(line) for line in file if '"schema_loaded"' in line]


def cpu_seconds():
    with open("/proc/%s/stat" % os.environ["SCENE_PID"]) as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def requests(seconds, path):
    """Latencies in ms of one small request after another."""
    conn, found = http.client.HTTPConnection(HOST, int(PORT), timeout=30), []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        start = time.monotonic()
        conn.request("GET", path)
        answer = conn.getresponse()
        answer.read()
        assert answer.status in (200, 404)
        found.append((time.monotonic() - start) * 1000)
        time.sleep(0.002)
    return sorted(found)


def document():
    """The OpenAPI document: its size in MiB, seconds, and by how many MiB the peak exceeds what was there before."""
    before = memory_mib("VmRSS")
    with open("/proc/%s/clear_refs" % os.environ["SCENE_PID"], "w") as file:
        file.write("5")
    start = time.monotonic()
    conn = http.client.HTTPConnection(HOST, int(PORT), timeout=60)
    conn.request("GET", "/rest/v1/")
    text = conn.getresponse().read()
    seconds = time.monotonic() - start
    json.loads(text)
    return len(text) / 2**20, seconds, memory_mib("VmHWM") - before


def show(name, found):
    print("%-42s %5d requests, p50 %.2f p99 %.2f max %.1f ms"
          % (name, len(found), found[len(found) // 2], found[int(len(found) * 0.99)], found[-1]))


def main():
    first = loads()[0]
    print("first load: %(tables)s tables, %(relationships)s relationships, %(routines)s routines" % first)
    print("    %.2f s; resident %.1f MiB, peak %.1f MiB" % (first["us"] / 1e6, memory_mib("VmRSS"), memory_mib("VmHWM")))
    for name, path in PATHS:
        show(name, requests(4, path))
    print("OpenAPI document: %.1f MiB in %.2f s, peak %.1f MiB above rest" % document())
    stop = threading.Event()

    def reload_often():
        while not stop.is_set():
            count = len(loads())
            subprocess.run(["psql", "-Xq", os.environ["SCENE_DB"], "-c", "notify pgrst, 'reload schema'"], check=True)
            while len(loads()) == count and not stop.is_set():
                time.sleep(0.05)

    thread = threading.Thread(target=reload_often, daemon=True)
    thread.start()
    for name, path in PATHS:
        show(name + " while it is loaded anew", requests(8, path))
    stop.set()
    thread.join()
    later = loads()[1:]
    print("reloads: %d, mean %.2f s; resident %.1f MiB, peak %.1f MiB"
          % (len(later), sum(l["us"] for l in later) / 1e6 / max(1, len(later)), memory_mib("VmRSS"), memory_mib("VmHWM")))
    start, count = cpu_seconds(), len(loads())
    for _ in range(5):
        subprocess.run(["psql", "-Xq", os.environ["SCENE_DB"], "-c", "notify pgrst, 'reload schema'"], check=True)
        while len(loads()) == count:
            time.sleep(0.05)
        count = len(loads())
    print("gateway's CPU for one reload: %.0f ms" % ((cpu_seconds() - start) * 200))


if __name__ == "__main__":
    main()
