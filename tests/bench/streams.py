#!/usr/bin/python3
"""Large answers in three formats and one slow reader at the same time. Started by tests/bench/streams."""
import argparse
import http.client
import os
import re
import socket
import subprocess
import threading
import time

HOST, PORT = os.environ["SCENE_ADDRESS"].split(":")
PID = os.environ["SCENE_PID"]
FORMATS = ("application/json", "text/csv", "application/x-ndjson")


def memory_kib(field):
    with open("/proc/%s/status" % PID) as file:
        return int(re.search(field + r":\s+(\d+)", file.read()).group(1))


def cpu_seconds():
    with open("/proc/%s/stat" % PID) as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def backends():
    """How many connections are held by somebody who reads rows."""
    query = "select count(*) from pg_stat_activity where usename = 'authenticator' and state = 'active' and query ~ 'rows'"
    return int(subprocess.run(["psql", "-XAtq", os.environ["SCENE_DB"], "-c", query], capture_output=True, text=True,
                              check=True).stdout)


def open_stream(accept, kilobytes, receive_buffer=None):
    sock = socket.socket()
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.connect((HOST, int(PORT)))
    sock.sendall(("GET /rest/v1/rpc/rows?kilobytes=%d HTTP/1.1\r\nHost: x\r\nAccept: %s\r\n\r\n"
                  % (kilobytes, accept)).encode())
    return sock


class Reader(threading.Thread):
    """Reads one answer to its end, at `rate` bytes a second when given."""

    def __init__(self, accept, kilobytes, rate=None):
        super().__init__(daemon=True)
        self.accept, self.rate, self.bytes, self.seconds, self.is_whole = accept, rate, 0, 0.0, False
        self.sock = open_stream(accept, kilobytes, 16384 if rate else None)

    def run(self):
        start, tail, buffer = time.monotonic(), b"", bytearray(1 << 18)
        while True:
            try:
                size = self.sock.recv_into(buffer, 4096 if self.rate else len(buffer))
            except OSError:
                break
            if size == 0:
                break
            self.bytes += size
            tail = (tail + bytes(buffer[:size][-8:]))[-8:]
            if tail.endswith(b"0\r\n\r\n"):
                self.is_whole = True
                break
            if self.rate:
                time.sleep(max(0.0, self.bytes / self.rate - (time.monotonic() - start)))
        self.seconds = time.monotonic() - start


class Small(threading.Thread):
    """One small request after another; keeps their latencies."""

    def __init__(self):
        super().__init__(daemon=True)
        self.ms, self.errors, self.is_over = [], 0, False

    def run(self):
        conn = http.client.HTTPConnection(HOST, int(PORT), timeout=30)
        while not self.is_over:
            start = time.monotonic()
            conn.request("GET", "/rest/v1/small?id=eq.7")
            answer = conn.getresponse()
            answer.read()
            self.errors += answer.status != 200
            self.ms.append((time.monotonic() - start) * 1000)
            time.sleep(0.01)

    def at(self, share):
        found = sorted(self.ms)
        return found[min(len(found) - 1, int(len(found) * share))]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1024, help="size of each answer")
    parser.add_argument("--slow-rate", type=int, default=50000, help="bytes a second of the slow reader")
    parser.add_argument("--deadline", type=int, default=60, help="BASALT_REST_STREAM_TIMEOUT in seconds")
    options = parser.parse_args()
    kilobytes = options.megabytes * 1024
    warm = Small()
    warm.start()
    time.sleep(2)
    before, peak, cpu = memory_kib("VmRSS"), 0, cpu_seconds()
    print("at rest: %.1f MiB resident; small requests p50 %.1f p99 %.1f ms" % (before / 1024, warm.at(0.5), warm.at(0.99)))
    warm.is_over = True
    warm.join()
    small, readers = Small(), [Reader(accept, kilobytes) for accept in FORMATS]
    slow = Reader("application/json", kilobytes, options.slow_rate)
    for thread in readers + [slow, small]:
        thread.start()
    limit = time.monotonic() + options.deadline + 600
    while any(t.is_alive() for t in readers + [slow]) and time.monotonic() < limit:
        peak = max(peak, memory_kib("VmRSS"))
        time.sleep(0.1)
    small.is_over = True
    small.join()
    cpu = cpu_seconds() - cpu
    for reader in readers:
        print("%-22s %6.1f MiB in %5.1f s, %s" % (reader.accept, reader.bytes / 2**20, reader.seconds,
                                                  "whole" if reader.is_whole else "CUT"))
    print("slow reader            %6.1f MiB in %5.1f s, %s" % (slow.bytes / 2**20, slow.seconds,
                                                                "whole" if slow.is_whole else "cut"))
    print("resident: peak %.1f MiB, growth %.1f MiB; afterwards %.1f MiB" % (peak / 1024, (peak - before) / 1024,
                                                                             memory_kib("VmRSS") / 1024))
    print("small requests meanwhile: %d, %d errors, p50 %.1f p99 %.1f max %.1f ms"
          % (len(small.ms), small.errors, small.at(0.5), small.at(0.99), max(small.ms)))
    print("gateway: %.1f s of CPU, %.1f ms per MiB" % (cpu, cpu * 1000 / (sum(r.bytes for r in readers) / 2**20)))
    time.sleep(1)
    print("connections still held: %d" % backends())


if __name__ == "__main__":
    main()
