"""A stand for tests of the executor: gateway, simulated iDRACs, executors, and a way to ask the database.

Needs DATABASE_URL (tests/lib/with-database) and built programs in BASALT_BUILD_DIR.
"""
import base64
import hashlib
import hmac
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
sys.path.insert(0, os.path.join(TOP, "tests", "lib"))
from database import Count, psql  # noqa: E402
from waiting import PATIENCE, free_port, until  # noqa: E402

SECRET = "executor-test-secret-of-at-least-32-bytes"
PASSWORD = "Canary-Device-7"
FINAL = ("completed", "failed", "cancelled")


def build_dir():
    for name in (os.environ.get("BASALT_BUILD_DIR"), "build-test", "build-asan", "build"):
        path = os.path.join(TOP, name) if name else None
        if path and os.path.exists(os.path.join(path, "bin", "basalt-executor")):
            return path
    sys.exit("no built programs: set BASALT_BUILD_DIR")


def token(role, subject=None, **claims):
    def part(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=")
    head = part(b'{"alg":"HS256","typ":"JWT"}') + b"." + part(
        json.dumps(dict({"role": role, "exp": int(time.time()) + 36000}, **({"sub": subject} if subject else {}), **claims)).encode())
    return (head + b"." + part(hmac.new(SECRET.encode(), head, hashlib.sha256).digest())).decode()


def sql(text):
    """Rows of a query as dictionaries; for statements an empty list."""
    if not text.lstrip().lower().startswith(("select", "with")):
        succeeded, _, err = psql(text)
        if not succeeded:
            raise RuntimeError(err)
        return []
    succeeded, out, err = psql("select coalesce(json_agg(to_json(q)), '[]') from (%s) q;" % text)
    if not succeeded:
        raise RuntimeError(err)
    return json.loads(out)


def print_tail(log):
    with open(log, encoding="utf-8", errors="replace") as file:
        print("-- the end of %s" % os.path.basename(log), *(line[:300] for line in file.read().splitlines()[-8:]), sep="\n   ")


class Stand:
    def __init__(self, servers=1, simulator_options=(), **settings):
        self.directory = tempfile.mkdtemp(prefix="basalt-executor-")
        self.processes = []
        self.logs = []
        self.service_key = token("service_role")
        self.port = free_port()
        self.url = "http://127.0.0.1:%d" % self.port
        self.start_gateway()
        self.addresses, self.admin = self.start_simulator(servers, simulator_options)
        sql("update activity_settings set idrac_request_delay_ms = 0")
        for name, value in settings.items():
            sql("update activity_settings set %s = %s" % (name, value))

    def spawn(self, name, command, env):
        log = os.path.join(self.directory, "%s-%d.log" % (name, len(self.logs)))
        self.logs.append(log)
        base = {"PATH": os.environ["PATH"], "ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1"}
        with open(log, "wb") as out:
            process = subprocess.Popen(command, env=dict(base, **env), stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        process.log = log
        self.processes.append(process)
        return process

    def start_gateway(self):
        self.gateway = self.spawn_gateway(self.port)
        try:
            until("the gateway", lambda: self.get("/rest/v1/servers?select=id&limit=1")[0] == 200 or self.gateway.poll() is not None)
            if self.gateway.poll() is not None:
                raise RuntimeError("the gateway ended with %d" % self.gateway.returncode)
        except Exception:
            print_tail(self.gateway.log)
            raise

    def spawn_gateway(self, port, **env):
        at = os.environ["DATABASE_URL"].rsplit("@", 1)[1]
        return self.spawn("gateway", [os.path.join(build_dir(), "bin", "basalt-gateway")], dict({
            "PGRST_DB_URI": "postgresql://authenticator:authenticator@" + at, "PGRST_DB_ANON_ROLE": "anon",
            "BASALT_INTERNAL_DB_URI": "postgresql://basalt_internal:internal@" + at, "PGRST_DB_SCHEMAS": "public",
            "PGRST_JWT_SECRET": SECRET, "BASALT_LISTEN": "127.0.0.1:%d" % port,
            "BASALT_LOG_LEVEL": "debug"}, **env))

    def start_simulator(self, count, options):
        ports = [free_port() for _ in range(count + 1)]
        addresses = ["127.0.0.%d:%d" % (11 + index, port) for index, port in enumerate(ports[1:])]
        ready = os.path.join(self.directory, "ready-%d" % len(self.logs))
        command = ["/usr/bin/python3", os.path.join(TOP, "tests", "simulators", "idrac.py"), "--admin",
                   "127.0.0.1:%d" % ports[0], "--ready-file", ready, "--transition", "0.6", *options]
        for address in addresses:
            command += ["--listen", address]
        self.spawn("simulator", command, {"IDRAC_SIM_PASSWORD": PASSWORD})
        until("the simulator", lambda: os.path.exists(ready))
        return addresses, "http://127.0.0.1:%d" % ports[0]

    def executor(self, **env):
        """Starts one; returns its process."""
        defaults = {"SUPABASE_URL": self.url, "SERVICE_ROLE_KEY": self.service_key, "API_SERVER_PORT": str(free_port()),
                    "BASALT_ALLOW_LOCAL_TARGETS": "true", "POLL_INTERVAL_SECONDS": "2", "BASALT_LEASE_SECONDS": "5",
                    "BASALT_EXECUTOR_ID": "test", "LOG_LEVEL": "debug"}
        defaults.update(env)
        process = self.spawn("executor", [os.path.join(build_dir(), "bin", "basalt-executor")], defaults)
        process.api = "http://127.0.0.1:" + defaults["API_SERVER_PORT"]
        return process

    # -- talking -----------------------------------------------------------------------------------------------------

    def call(self, method, url, body=None, key=None):
        """As the service role unless `key` is another token; "" is none."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Prefer": "return=representation"}
        if key != "":
            headers["Authorization"] = "Bearer " + (key or self.service_key)
        request = urllib.request.Request(url, data=data, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            text = error.read()
            return error.code, json.loads(text) if text else None
        except OSError:
            return 0, None

    def get(self, path):
        return self.call("GET", self.url + path)

    def jobs_api(self, path, body):
        return self.call("POST", self.url + "/jobs/v1/" + path, body)

    def simulator(self, method, path, body=None):
        status, answer = self.call(method, self.admin + "/servers/" + path, body)
        assert status == 200, (status, answer)
        return answer

    def fault(self, index, **fault):
        self.simulator("POST", "%d/faults" % index, fault)

    def was_asked(self, index, path):
        return any(path in request["path"] for request in self.simulator("GET", "%d/requests" % index))

    def clear_faults(self, index):
        self.simulator("DELETE", "%d/faults" % index)

    # -- rows --------------------------------------------------------------------------------------------------------

    def add_server(self, index, username="root", password=PASSWORD, address=None):
        identifier = str(uuid.uuid4())
        sql("insert into servers (id, ip_address, hostname, idrac_username, idrac_password_encrypted) values "
            "('%s', '%s', 'server-%d', '%s', '%s')" % (identifier, address or self.addresses[index], index, username, password))
        return identifier

    def add_job(self, job_type, scope=None, details=None, **columns):
        identifier = str(uuid.uuid4())
        names = "".join(", " + name for name in columns)
        values = "".join(", " + value for value in columns.values())
        sql("insert into jobs (id, job_type, target_scope, details%s) values ('%s', '%s', '%s', '%s'%s)" % (
            names, identifier, job_type, json.dumps(scope or {}), json.dumps(details or {}), values))
        return identifier

    def operator(self):
        """A token of a signed-in operator."""
        identifier = str(uuid.uuid4())
        sql("insert into auth.users (id, email, aud, role) values ('%s', '%s@example.test', 'authenticated', 'authenticated')"
            % (identifier, identifier))
        sql("insert into user_roles (user_id, role) values ('%s', 'operator')" % identifier)
        return token("authenticated", identifier)

    def job(self, identifier):
        found = sql("select * from jobs where id = '%s'" % identifier)
        return found[0] if found else None

    def wait(self, identifier, seconds=180):
        def is_final():
            row = self.job(identifier)
            return row if row["status"] in FINAL else None
        return until("the end of job %s: %s" % (identifier, self.job(identifier)["job_type"]), is_final, seconds)

    def run_job(self, job_type, scope=None, details=None, **columns):
        return self.wait(self.add_job(job_type, scope, details, **columns))

    # -- ending ------------------------------------------------------------------------------------------------------

    def kill(self, process):
        process.send_signal(signal.SIGKILL)
        process.wait()

    def finish(self, count):
        """Stops all; a sanitizer's report or the devices' password in any log is a failure."""
        for process in self.processes:  # before they are ended: what may have failed everything
            if count.failed and process.poll() not in (None, 0, -signal.SIGKILL):
                print("-- %s ended with %d" % (os.path.basename(process.log), process.returncode))
        for process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
        for log in self.logs:
            with open(log, encoding="utf-8", errors="replace") as file:
                text = file.read()
            name = os.path.basename(log)
            if count.failed:
                print_tail(log)
            for sign in ("ERROR: AddressSanitizer", "runtime error:", PASSWORD, self.service_key):
                count.check(sign not in text, "%s is clean of %s" % (name, "secrets" if sign in (PASSWORD, self.service_key) else sign),
                            text[max(0, text.find(sign) - 200):text.find(sign) + 1500] if sign.endswith(("r:", "er")) else "")
        if not os.environ.get("BASALT_TEST_KEEP"):
            shutil.rmtree(self.directory)


def scenario(count, name, function):
    """Runs one test; an exception is its failure."""
    try:
        function()
    except Exception as problem:  # noqa: BLE001
        count.check(False, name, "%s: %s" % (type(problem).__name__, problem))


__all__ = ["Count", "FINAL", "PASSWORD", "Stand", "free_port", "scenario", "sql", "until"]
