"""A gateway to test, sockets that speak to it frame by frame, and sessions of psql that stay open."""
import base64
import hashlib
import hmac
import json
import os
import re
import select
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib"))
from database import psql  # noqa: E402
from waiting import PATIENCE, free_port, until  # noqa: E402

SECRET = "a-secret-of-the-realtime-tests-that-is-long-enough"


def jwt(ttl=3600, secret=SECRET, **claims):
    encode = lambda raw: base64.urlsafe_b64encode(raw).rstrip(b"=")  # noqa: E731
    body = encode(b'{"alg":"HS256","typ":"JWT"}') + b"." + encode(
        json.dumps({"exp": int(time.time()) + ttl, **claims}).encode())
    return (body + b"." + encode(hmac.new(secret.encode(), body, hashlib.sha256).digest())).decode()


ANON = jwt(role="anon")
SERVICE = jwt(role="service_role")


def login_url(user, password):
    return re.sub(r"//[^@/]*@", f"//{user}:{password}@", os.environ["DATABASE_URL"])


def sql(text):
    succeeded, out, err = psql(text)
    if not succeeded:
        raise RuntimeError(err)
    return out.strip()


class Gateway:
    def __init__(self, **env):
        self.port, self.admin = free_port(), free_port()
        self.log = tempfile.NamedTemporaryFile("w+", prefix="basalt-realtime-", suffix=".log", delete=False)
        settings = {
            "PGRST_DB_URI": login_url("authenticator", "authenticator"),
            "BASALT_INTERNAL_DB_URI": login_url("basalt_internal", "internal"),
            "PGRST_JWT_SECRET": SECRET, "PGRST_DB_ANON_ROLE": "anon", "BASALT_LISTEN": f"127.0.0.1:{self.port}",
            "BASALT_REALTIME_ERROR_BACKOFF": "20ms", "BASALT_ADMIN_LISTEN": f"127.0.0.1:{self.admin}",
            "LSAN_OPTIONS": "exitcode=0", **env}  # other rooms' leaks are their tests' business
        self.process = subprocess.Popen([os.environ["BASALT_TEST_GATEWAY"]], env={**os.environ, **settings},
                                        stdout=self.log, stderr=self.log)
        try:
            until("the gateway", self.is_up)
        except TimeoutError as problem:
            raise RuntimeError(f"the gateway does not start: {self.output()[-4000:]}") from problem

    def is_up(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1):
                return True
        except OSError:
            return False

    def request(self, method, path, body=None, headers=None):
        """Status, and the body as text."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/realtime/v1{path}", method=method,
                                         data=body, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def inspect(self, name):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/inspect/{name}", timeout=PATIENCE) as answer:
            return json.load(answer)

    def output(self):
        with open(self.log.name, encoding="utf-8") as log:
            return log.read()

    def stop(self, count):
        """Ends it; a sanitizer's report, or a leak of this room, is a failure."""
        self.process.terminate()
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = "killed: it did not end"
        report = re.search(r"runtime error.*|ERROR: AddressSanitizer.*|/gateway/realtime/.*|/db/dedicated.*",
                           self.output())
        count.check(code == 0 and report is None, "the gateway ends cleanly", f"{code} {report and report.group(0)}")
        if code == 0 and report is None:
            os.unlink(self.log.name)
        else:
            print(f"log: {self.log.name}")


class Refused(Exception):
    """The upgrade was answered by something else: status and body."""


class Socket:
    """One websocket. Messages are kept as (join_ref, ref, topic, event, payload), whatever the serializer."""

    def __init__(self, gateway, key=ANON, vsn="1.0.0"):
        self.vsn, self.ref, self.inbox, self.bytes, self.is_closed, self.close_code = vsn, 0, [], b"", False, None
        self.sock = socket.create_connection(("127.0.0.1", gateway.port))
        query = f"?apikey={key}" + (f"&vsn={vsn}" if vsn else "")
        self.sock.sendall((f"GET /realtime/v1/websocket{query} HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\n"
                           "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").encode())
        head = b""
        while b"\r\n\r\n" not in head:
            piece = self.sock.recv(4096)
            if not piece:
                break
            head += piece
        head, self.bytes = head.split(b"\r\n\r\n", 1)
        status = int(head.split()[1])
        if status != 101:
            self.sock.close()
            raise Refused(status, self.bytes.decode())

    def send_frame(self, opcode, data):
        mask = os.urandom(4)
        size = len(data)
        head = bytes([0x80 | opcode])
        if size < 126:
            head += bytes([0x80 | size])
        elif size < 65536:
            head += bytes([0x80 | 126]) + struct.pack("!H", size)
        else:
            head += bytes([0x80 | 127]) + struct.pack("!Q", size)
        body = (int.from_bytes(data, "big") ^ int.from_bytes((mask * (size // 4 + 1))[:size], "big")).to_bytes(size, "big")
        self.sock.sendall(head + mask + body)

    def send(self, topic, event, payload, join_ref=None, ref=True):
        """Sends a message; returns its ref."""
        if ref is True:
            self.ref += 1
            ref = str(self.ref)
        if self.vsn == "2.0.0":
            text = json.dumps([join_ref, ref, topic, event, payload])
        else:
            text = json.dumps({"topic": topic, "event": event, "payload": payload, "ref": ref, "join_ref": join_ref})
        self.send_frame(1, text.encode())
        return ref

    def _parse_frames(self):
        while len(self.bytes) >= 2:
            opcode, size, at = self.bytes[0] & 15, self.bytes[1] & 127, 2
            if len(self.bytes) < {126: 4, 127: 10}.get(size, 2):
                return
            if size == 126:
                size, at = struct.unpack("!H", self.bytes[2:4])[0], 4
            elif size == 127:
                size, at = struct.unpack("!Q", self.bytes[2:10])[0], 10
            if len(self.bytes) < at + size:
                return
            data, self.bytes = self.bytes[at:at + size], self.bytes[at + size:]
            self._take(opcode, data)

    def _take(self, opcode, data):
        if opcode == 8:
            self.is_closed = True
            self.close_code = struct.unpack("!H", data[:2])[0] if len(data) >= 2 else 1005
        elif opcode == 9:
            self.send_frame(10, data)
        elif opcode == 2:
            self.inbox.append(("binary", data))
        elif opcode == 1:
            message = json.loads(data)
            if isinstance(message, dict):
                message = [message.get("join_ref"), message["ref"], message["topic"], message["event"],
                           message["payload"]]
            self.inbox.append(tuple(message) + (time.time(),))

    def pump(self, seconds=0):
        """Reads what comes within the time."""
        deadline = time.monotonic() + seconds
        while not self.is_closed:
            ready, _, _ = select.select([self.sock], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                return
            piece = self.sock.recv(1 << 18)
            if not piece:
                self.is_closed = True
                return
            self.bytes += piece
            self._parse_frames()

    def wait(self, matches, seconds=PATIENCE):
        """The first message that matches (and stays in the inbox), or None."""
        deadline = time.monotonic() + seconds
        seen = 0
        while True:
            for message in self.inbox[seen:]:
                if matches(message):
                    return message
            seen = len(self.inbox)
            if self.is_closed or time.monotonic() > deadline:
                return None
            self.pump(0.02)

    def reply(self, ref, seconds=PATIENCE):
        """Status and response of the reply to a ref."""
        message = self.wait(lambda m: m[0] != "binary" and m[3] == "phx_reply" and m[1] == ref, seconds)
        return (message[4]["status"], message[4]["response"]) if message else None

    def join(self, topic, changes=(), token=None, **config):
        """Joins; returns the reply's status and response."""
        payload = {"config": {"postgres_changes": list(changes), **config}}
        if token:
            payload["access_token"] = token
        self.ref += 1
        ref = str(self.ref)
        self.send(f"realtime:{topic}", "phx_join", payload, join_ref=ref, ref=ref)
        return self.reply(ref)

    def system(self, topic, seconds=PATIENCE, after=0):
        """The message of the next `system` push behind `after` messages: (status, message)."""
        found = self.wait(lambda m: m[0] != "binary" and m[2] == f"realtime:{topic}" and m[3] == "system"
                          and self.inbox.index(m) >= after, seconds)
        return (found[4]["status"], found[4]["message"]) if found else None

    def changes(self, topic=None):
        """Payloads of the changes that have come, in order."""
        return [m[4] for m in self.inbox if m[0] != "binary" and m[3] == "postgres_changes"
                and (topic is None or m[2] == f"realtime:{topic}")]

    def come(self, count):
        """Waits until so many changes have come, and for what should not come behind them."""
        deadline = time.monotonic() + PATIENCE
        while len(self.changes()) < count and not self.is_closed and time.monotonic() < deadline:
            self.pump(0.05)
        self.settle(0.2)
        return self.changes()

    def settle(self, quiet=0.4, most=30):
        """Reads until nothing has come for a while."""
        deadline = time.monotonic() + most
        count = -1
        while count != len(self.inbox) and time.monotonic() < deadline:
            count = len(self.inbox)
            self.pump(quiet)

    def close(self):
        self.sock.close()


class Session:
    """A psql that stays open: transactions that last."""

    def __init__(self):
        self.process = subprocess.Popen(["psql", "-XAtq", os.environ["DATABASE_URL"]], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def run(self, text):
        self.process.stdin.write(f"{text}\n\\echo done\n")
        self.process.stdin.flush()
        lines = []
        while (line := self.process.stdout.readline().rstrip("\n")) != "done":
            lines.append(line)
        return "\n".join(lines)

    def close(self):
        self.process.stdin.close()
        self.process.wait()
