"""A gateway of a scene's own: started with its own settings, asked over TCP or a unix socket, ended at the end."""
import base64
import hashlib
import hmac
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib"))
from waiting import until  # noqa: E402

BINARY = os.environ["SCENE_GATEWAY"]
DIR = os.environ["SCENE_DIR"]
PORTS = os.environ["SCENE_PORTS"].split()
PORT, ADMIN, OTHER_ADMIN = (int(port) for port in PORTS)
SECRET = "a secret of more than thirty-two characters"
BASE = {
    "PATH": os.environ["PATH"],
    "PGRST_DB_URI": os.environ["SCENE_URI"],
    "PGRST_DB_SCHEMAS": "api",
    "PGRST_DB_ANON_ROLE": "anon",
    "PGRST_JWT_SECRET": SECRET,
    "BASALT_REST_PREFIX": "/",
    "BASALT_LISTEN": "127.0.0.1:%d" % PORT,
    "BASALT_ADMIN_LISTEN": "127.0.0.1:%d" % ADMIN,
    "BASALT_SCHEMA_POLL": "0",
}


def token(role, **claims):
    def part(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

    text = part(b'{"alg":"HS256","typ":"JWT"}') + "." + part(json.dumps({"role": role, **claims}).encode())
    return text + "." + part(hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).digest())


def sql(text, check=True):
    out = subprocess.run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", os.environ["SCENE_DB"], "-c", text],
                         capture_output=True, text=True)
    if check and out.returncode != 0:
        raise AssertionError(out.stderr)
    return out.stdout.strip()


def database(action):
    subprocess.run("%s %s" % (os.environ["SCENE_DB_CONTROL"], action), shell=True, check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def expect(found, wanted, what=""):
    if found != wanted:
        raise AssertionError("%s\n    wanted %r\n    found  %r" % (what, wanted, found))


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self.path)


def connection(where):
    if isinstance(where, str):
        return UnixConnection(where)
    return http.client.HTTPConnection("127.0.0.1", where, timeout=60)


def ask(method, path, body=None, where=PORT, role=None, conn=None, **headers):
    """Status, the parsed body (or its bytes) and the headers."""
    own = conn or connection(where)
    if role:
        headers["Authorization"] = "Bearer " + token(role)
    if body is not None:
        headers["Content-Type"] = "application/json"
        body = json.dumps(body)
    own.request(method, path, body=body, headers=headers)
    answer = own.getresponse()
    data = answer.read()
    if conn is None:
        own.close()
    try:
        data = json.loads(data)
    except ValueError:
        pass
    return answer.status, data, answer.headers


def call(arguments, name=BINARY, **settings):
    """A command that ends by itself: status, standard output, standard error."""
    env = {key: value for key, value in {**BASE, **settings}.items() if value is not None}
    done = subprocess.run([name] + arguments, env=env, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


class Gateway:
    def __init__(self, arguments=(), name=BINARY, ready=True, **settings):
        env = {key: value for key, value in {**BASE, **settings}.items() if value is not None}
        self.log_path = os.path.join(DIR, "gateway-%d.log" % time.monotonic_ns())
        self.admin = int(env["BASALT_ADMIN_LISTEN"].split(":")[1]) if "BASALT_ADMIN_LISTEN" in env else None
        with open(self.log_path, "w") as log:
            self.process = subprocess.Popen([name, *arguments], env=env, stdout=log, stderr=log)
        if ready:
            until("the gateway is ready", self.is_ready)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("the gateway did not end")
        complaints = [line for line in self.log().splitlines() if "Sanitizer" in line or "runtime error" in line]
        if complaints and kind is None:
            raise AssertionError("\n".join(complaints[:5]))
        if kind is not None:
            lines = [line[:300] for line in self.log().splitlines() if not line.startswith("    #")]
            print("    " + "\n    ".join(lines[-12:]), flush=True)

    def is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError("the gateway ended: " + self.log())
        return ask("GET", "/ready", where=self.admin)[0] == 200

    def log(self):
        with open(self.log_path) as file:
            return file.read()

    def events(self, name):
        return [line for line in self.log().splitlines() if '"event":"%s"' % name in line]

    def signal(self, number):
        self.process.send_signal(number)

    def inspect(self, name):
        return ask("GET", "/inspect/" + name, where=self.admin)[1]
