#!/usr/bin/env python3
"""Latency of the functions that executors and people call most, one request after another: functions.py [N] [--no-disk].

Runs itself in tests/lib/with-database; BASALT_BUILD_DIR is the build to measure. Prints milliseconds and the gateway's CPU
microseconds for each request. `--no-disk`: commits do not wait for the disk. Never asserts.
"""
import hashlib
import hmac
import http.client
import json
import os
import statistics
import subprocess
import sys
import time
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
sys.path.insert(0, os.path.join(HERE, "..", "integration", "executor"))
from database import own_database  # noqa: E402

own_database(__file__)
from harness import SECRET, free_port, sql, token, until  # noqa: E402

SHARED = "bench-shared-secret-of-at-least-32-bytes"
TOP = os.path.join(HERE, "..", "..")


def start_gateway(port):
    at = os.environ["DATABASE_URL"].rsplit("@", 1)[1]
    build = os.environ.get("BASALT_BUILD_DIR", os.path.join(TOP, "build"))
    return subprocess.Popen([os.path.join(build, "bin", "basalt-gateway")], stderr=subprocess.DEVNULL, env={
        "PATH": os.environ["PATH"], "PGRST_DB_URI": "postgresql://authenticator:authenticator@" + at, "PGRST_DB_ANON_ROLE": "anon",
        "BASALT_INTERNAL_DB_URI": "postgresql://basalt_internal:internal@" + at, "PGRST_JWT_SECRET": SECRET,
        "BASALT_LISTEN": "127.0.0.1:%d" % port, "BASALT_SCHEDULER": "false", "BASALT_EXECUTOR_SHARED_SECRET": SHARED})


def operator():
    """A token like those of sign-ins: the session is looked up with every call."""
    user, session = str(uuid.uuid4()), str(uuid.uuid4())
    sql("insert into auth.users (id, email, aud, role) values ('%s', 'bench@example.test', 'authenticated', 'authenticated')" % user)
    sql("insert into user_roles (user_id, role) values ('%s', 'operator') on conflict do nothing" % user)
    sql("insert into auth.sessions (id, user_id) values ('%s', '%s')" % (session, user))
    return token("authenticated", user, session_id=session)


def signed(body):
    text, stamp = json.dumps(body, sort_keys=True, separators=(",", ":")), str(int(time.time()))
    proof = hmac.new(SHARED.encode(), (text + stamp).encode(), hashlib.sha256).hexdigest()
    return text, {"X-Executor-Signature": proof, "X-Executor-Timestamp": stamp}


def cpu_us(process):
    with open("/proc/%d/stat" % process.pid, encoding="ascii") as file:
        fields = file.read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 1_000_000 // os.sysconf("SC_CLK_TCK")


class Bench:
    def __init__(self):
        self.port = free_port()
        self.process = start_gateway(self.port)
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port)
        until("the gateway", self.is_up)

    def is_up(self):
        try:
            return self.ask("GET", "/auth/v1/health", None, {})[0] == 200
        except OSError:
            self.connection.close()
            return False

    def ask(self, method, path, body, headers):
        self.connection.request(method, path, body, dict(headers, **{"Content-Type": "application/json"}))
        answer = self.connection.getresponse()
        return answer.status, answer.read()

    def measure(self, name, wanted, count, request):
        times = []
        for _ in range(20):
            self.ask(*request())
        before = cpu_us(self.process)
        for _ in range(count):
            method, path, body, headers = request()
            start = time.perf_counter()
            status, text = self.ask(method, path, body, headers)
            times.append((time.perf_counter() - start) * 1000)
            if status != wanted:
                sys.exit("%s: %d %s" % (name, status, text[:300]))
        times.sort()
        print("%-34s p50 %6.2f ms   p99 %6.2f ms   cpu %5d us" % (name, statistics.median(times), times[int(count * 0.99)],
                                                                (cpu_us(self.process) - before) // count))


def main():
    count = int(next((word for word in sys.argv[1:] if word.isdigit()), 500))
    if "--no-disk" in sys.argv:
        sql("alter database postgres set synchronous_commit = off")
    bench = Bench()
    bearer = {"Authorization": "Bearer " + operator()}
    service = {"Authorization": "Bearer " + token("service_role")}
    server, job, task = (str(uuid.uuid4()) for _ in range(3))
    sql("insert into servers (id, ip_address) values ('%s', '192.0.2.1')" % server)
    sql("insert into jobs (id, job_type, status, target_scope) values ('%s', 'health_check', 'running', '{}')" % job)
    sql("insert into job_tasks (id, job_id) values ('%s', '%s')" % (task, job))
    made = json.dumps({"job_type": "power_action", "target_scope": {"server_ids": [server]}, "details": {"action": "on"}})
    update = {"job": {"job_id": job, "status": "running", "details": {"step": 1}}, "task": {"task_id": task, "progress": 5, "log": "l"}}
    path = "/functions/v1/"
    bench.measure("one row by REST (to compare)", 200, count, lambda: ("GET", "/rest/v1/jobs?id=eq." + job, None, bearer))
    row = json.dumps({"job_type": "power_action", "target_scope": {}, "created_by": None})
    bench.measure("one row written by REST (likewise)", 201, count, lambda: ("POST", "/rest/v1/jobs", row, service))
    bench.measure("create-job, operator", 201, count, lambda: ("POST", path + "create-job", made, bearer))
    bench.measure("update-job, operator", 200, count, lambda: ("POST", path + "update-job", json.dumps(update), bearer))
    bench.measure("update-job, service role", 200, count, lambda: ("POST", path + "update-job", json.dumps(update), service))

    def by_signature():
        text, headers = signed(update)
        return "POST", path + "update-job", text, headers

    bench.measure("update-job, executor's signature", 200, count, by_signature)
    bench.process.terminate()
    bench.process.wait()


main()
