#!/usr/bin/python3
"""A Dell iDRAC over HTTPS, simulated: try Basalt without hardware, or test it with faults.

  idrac.py                                   three servers on 127.0.0.11, .12, .13, port 8443
  idrac.py --count 10 --port 443             ten servers on the real port (needs the right to bind it)
  idrac.py --fault 'status=503,path=Thermal,count=2@1'   a fault on the second server from the start

Each server has its own address, its own state (power, sessions, logs, jobs) and a self-signed certificate.

Admin endpoint (plain HTTP, loopback), JSON in and out; {i} is the server's number from 0, or "all":
  GET    /servers                     all states (power, sessions open and made, resets received, jobs)
  GET    /servers/{i}/requests        what it was asked: [{method, path, status, fault?}]
  POST   /servers/{i}/state           {"power_state":"Off","health":"Critical","parts":{"fan":"Warning"},
                                       "sel":"text of a new log entry","password":"..","drop_sessions":true}
  POST   /servers/{i}/faults          {"kind":"status","status":503,"path":"regex","method":"GET","count":3}
  DELETE /servers/{i}/faults          removes them all
  POST   /servers/{i}/reboot          {"seconds":5}: unreachable for that long, sessions are gone;
                                       {"connections":2}: until so many were turned away

Kinds of faults (path and method select requests, count limits how often; absent: all, for ever):
  status=N          answers N with Dell's error body; retry_after=SECONDS adds the header
  stall[=S]         takes the request and answers nothing for S seconds (default 600)
  slow=S            answers after S seconds
  hold              answers once the faults are removed
  drip=S            sends one byte each S seconds
  drop              closes the connection without an answer
  cut               sends half of the body, then closes
  garbage           200 with bytes that are not JSON
  wrong             200 with JSON of another shape (an array)
  huge[=MB]         200 with a body of that size (default 64)
  deep              200 with JSON nested 100,000 deep
  loop              Members@odata.nextLink leads to the same page for ever
  certificate       another certificate (of 192.0.2.1) for new connections
  session-limit     SessionService has no free slot (503)
  no-session        there is no SessionService (404)
"""

import argparse
import contextlib
import http.server
import ipaddress
import json
import os
import re
import shutil
import signal
import socket
import socketserver
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from idrac_model import SESSIONS, Device, refuse  # noqa: E402

BODY_MAX = 4 << 20


class Gone(Exception):
    """The connection is to be closed without another byte."""


class Fault:
    KINDS = ("status", "stall", "slow", "hold", "drip", "drop", "cut", "garbage", "wrong", "huge", "deep", "loop", "certificate",
             "session-limit", "no-session")

    def __init__(self, spec):
        self.kind = spec["kind"]
        if self.kind not in self.KINDS:
            raise ValueError("unknown kind of fault: %s" % self.kind)
        self.value = spec.get("value", spec.get(self.kind))
        self.path = re.compile(spec.get("path", ""))
        self.method = spec.get("method")
        self.count = int(spec["count"]) if "count" in spec else None
        self.retry_after = spec.get("retry_after")
        self.removed = threading.Event()

    def takes(self, method, target):
        if self.kind == "certificate" or self.count == 0:
            return False
        if self.kind in ("session-limit", "no-session"):
            return method == "POST" and target.split("?")[0].rstrip("/") in (SESSIONS, "/redfish/v1/Sessions")
        if self.method not in (None, method) or not self.path.search(target):
            return False
        if self.count is not None:
            self.count -= 1
        return True

    @classmethod
    def parse(cls, text):
        """kind[=value][,path=..][,method=..][,count=..]"""
        spec = {}
        for part in text.split(","):
            name, _, value = part.partition("=")
            if not spec:
                spec = {"kind": name}
                if value:
                    spec["value"] = value
            else:
                spec[name] = value
        return cls(spec)


def make_certificate(directory, name, address):
    """A self-signed certificate by the openssl program; returns (certificate, key) paths."""
    certificate, key = (os.path.join(directory, name + end) for end in (".crt", ".key"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate,
                    "-subj", "/O=Dell Inc./OU=Remote Access Group/CN=idrac-" + name, "-days", "3650",
                    "-addext", "subjectAltName=IP:%s" % address],
                   check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    return certificate, key


def make_context(certificate, is_legacy):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if is_legacy:  # as firmware 2.x: TLS 1.0 only, old ciphers
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1
        context.set_ciphers("ALL:@SECLEVEL=0")
    context.load_cert_chain(*certificate)
    return context


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address, index, options, directory):
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, Handler)
        options = argparse.Namespace(**dict(vars(options), address=address[0]))
        self.device = Device(index, options)
        self.faults, self.requests = [], []
        self.fault_lock = threading.Lock()
        self.down_until, self.down_for = 0.0, 0
        self.verbose = options.verbose
        self.is_legacy = options.legacy_tls
        self.context = make_context(make_certificate(directory, "%d" % index, address[0]), self.is_legacy)
        self.wrong_context = make_context(make_certificate(directory, "%d-wrong" % index, "192.0.2.1"),
                                          self.is_legacy)

    def finish_request(self, request, client_address):
        # In the connection's own thread, so that a stalled handshake holds up nobody else.
        if self.is_down(is_new=True):
            return
        is_wrong = any(fault.kind == "certificate" for fault in self.faults)
        request.settimeout(120)
        with contextlib.suppress(OSError, ssl.SSLError, Gone):
            with (self.wrong_context if is_wrong else self.context).wrap_socket(request, server_side=True) as secure:
                self.RequestHandlerClass(secure, client_address, self)

    def handle_error(self, request, client_address):
        pass

    def fault_for(self, method, target):
        with self.fault_lock:
            for fault in self.faults:
                if fault.takes(method, target):
                    return fault
        return None

    def is_down(self, is_new=False):
        with self.fault_lock:
            if self.down_for == 0:
                return time.time() < self.down_until
            self.down_for -= is_new
            return True

    def reboot(self, seconds=0.0, connections=0):
        with self.fault_lock:
            self.down_until, self.down_for = time.time() + seconds, connections
        self.device.change({"drop_sessions": True})

    def remove_faults(self):
        with self.fault_lock:
            for fault in self.faults:
                fault.removed.set()
            self.faults.clear()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "iDRAC", ""

    def log_message(self, *_):
        pass

    def do(self):
        server = self.server
        if server.is_down():
            raise Gone
        length = int(self.headers.get("Content-Length") or 0)
        if length > BODY_MAX:
            raise Gone
        raw = self.rfile.read(length)
        target = urllib.parse.urlsplit(self.path)
        record = {"method": self.command, "path": self.path, "status": None}
        server.requests.append(record)
        fault = server.fault_for(self.command, self.path)
        if fault is not None:
            record["fault"] = fault.kind
            if self.before(fault):
                return
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = "invalid"
        query = dict(urllib.parse.parse_qsl(target.query, keep_blank_values=True))
        path = urllib.parse.unquote(target.path)
        status, answer, headers = server.device.handle(self.command, path, query, self.headers, body)
        if "X-Simulator-Reboot" in headers:
            server.reboot(float(headers.pop("X-Simulator-Reboot")))
        record["status"] = status
        if server.verbose:
            print("%s %s %s -> %s" % (server.server_address[0], self.command, self.path, status), flush=True)
        if fault is not None and fault.kind == "loop" and isinstance(answer, dict) and "Members" in answer:
            answer["Members@odata.nextLink"] = self.path
        text = b"" if answer is None else json.dumps(answer).encode()
        self.answer(status, text, headers, fault)

    do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = do_HEAD = do

    def before(self, fault):
        """Faults that answer themselves; True when the request is done."""
        kind, value = fault.kind, fault.value
        if kind == "stall":
            time.sleep(float(value or 600))
            raise Gone
        if kind == "drop":
            raise Gone
        if kind == "slow":
            time.sleep(float(value or 5))
            return False
        if kind == "hold":
            fault.removed.wait(600)
            if self.server.is_down():
                raise Gone
            return False
        if kind in ("cut", "drip", "loop"):
            return False
        made = {"garbage": lambda: (200, b"\x00\xff<html>not json" * 20), "wrong": lambda: (200, b"[1,2,3]"),
                "huge": lambda: (200, b'{"Members":"' + b"x" * (int(value or 64) << 20) + b'"}'),
                "deep": lambda: (200, b"[" * 100000 + b"]" * 100000)}
        headers = {}
        if kind in made:
            status, text = made[kind]()
        else:
            status = {"session-limit": 503, "no-session": 404}.get(kind) or int(value)
            text = json.dumps(refuse(status, {401: "IDRAC.2.8.SYS415", 503: "IDRAC.2.8.RAC0218"}.get(
                status, "IDRAC.2.8.SYS400"), "Fault injected by the simulator.").body).encode()
            if fault.retry_after is not None:
                headers["Retry-After"] = str(fault.retry_after)
        self.answer(status, text, headers, None)
        return True

    def answer(self, status, text, headers, fault):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        if text:
            self.send_header("Content-Type", "application/json;odata.metadata=minimal;charset=utf-8")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        kind = fault.kind if fault is not None else None
        if kind == "cut":
            self.wfile.write(text[:len(text) // 2])
            self.wfile.flush()
            raise Gone
        if kind == "drip":
            for position in range(len(text)):
                self.wfile.write(text[position:position + 1])
                self.wfile.flush()
                time.sleep(float(fault.value or 1))
            return
        self.wfile.write(text)


class Admin(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    servers = []

    def log_message(self, *_):
        pass

    def reply(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do(self):
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = self.path.strip("/").split("/")
        if parts == ["servers"] and self.command == "GET":
            return self.reply(200, [self.describe(server) for server in self.servers])
        try:
            body = json.loads(raw) if raw else {}
            chosen = self.servers if parts[1] == "all" else [self.servers[int(parts[1])]]
            result = [self.one(server, parts[2] if len(parts) > 2 else "", body) for server in chosen]
        except (KeyError, ValueError, IndexError, TypeError) as problem:
            return self.reply(400, {"error": str(problem)})
        if any(item is None for item in result):
            return self.reply(404, {"error": "no such thing"})
        return self.reply(200, result if parts[1] == "all" else result[0])

    do_GET = do_POST = do_DELETE = do

    @staticmethod
    def describe(server):
        return dict(server.device.describe(), address="%s:%d" % server.server_address[:2],
                    faults=[fault.kind for fault in server.faults], requests=len(server.requests),
                    down_for=server.down_for)

    def one(self, server, what, body):
        key = (self.command, what)
        if key == ("GET", ""):
            return self.describe(server)
        if key == ("GET", "requests"):
            return list(server.requests)
        if key == ("DELETE", "requests"):
            server.requests.clear()
        elif key == ("POST", "state"):
            server.device.change(body)
        elif key == ("POST", "faults"):
            with server.fault_lock:
                server.faults.append(Fault(body))
        elif key == ("DELETE", "faults"):
            server.remove_faults()
        elif key == ("POST", "reboot"):
            connections = int(body.get("connections", 0))
            server.reboot(float(body.get("seconds", 0 if connections else 5)), connections)
        else:
            return None
        return self.describe(server)


def parse_options(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--count", type=int, default=3, help="number of servers (default 3)")
    add("--address", default="127.0.0.11", help="address of the first; the others follow (default 127.0.0.11)")
    add("--port", type=int, default=8443, help="port of all (default 8443)")
    add("--listen", action="append", metavar="ADDRESS:PORT", help="one server here (repeatable; replaces --count)")
    add("--admin", default="127.0.0.1:8440", metavar="ADDRESS:PORT", help="admin endpoint (default 127.0.0.1:8440)")
    add("--user", default="root", help="account of every server (default root)")
    add("--password", default=os.environ.get("IDRAC_SIM_PASSWORD", "simulated"),
        help="its password (default $IDRAC_SIM_PASSWORD, else simulated)")
    add("--generation", type=int, choices=(8, 9, 10), default=9, help="iDRAC generation (default 9)")
    add("--legacy-tls", action="store_true", help="TLS 1.0 and old ciphers only, as firmware 2.x")
    add("--session-max", type=int, default=8, help="session slots (default 8)")
    add("--transition", type=float, default=2.0, help="seconds of a power transition (default 2)")
    add("--job-seconds", type=float, default=10.0, help="life of a controller job (default 10)")
    add("--sel-entries", type=int, default=120, help="entries in the system event log (default 120)")
    add("--lclog-entries", type=int, default=75, help="entries in the lifecycle log (default 75)")
    add("--fault", action="append", default=[], metavar="KIND[=VALUE][,path=..][,method=..][,count=..][@SERVER]",
        help="a fault from the start (repeatable)")
    add("--ready-file", help="written when all listeners are up")
    add("--verbose", action="store_true", help="print each request")
    return parser.parse_args(arguments)


def split_address(text):
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def main(arguments=None):
    options = parse_options(arguments)
    if options.listen:
        places = [split_address(text) for text in options.listen]
    else:
        first = ipaddress.ip_address(options.address)
        places = [(str(first + number), options.port) for number in range(options.count)]
    directory = tempfile.mkdtemp(prefix="idrac-sim-")
    try:
        servers = [Server(place, index, options, directory) for index, place in enumerate(places)]
    finally:
        shutil.rmtree(directory)
    for text in options.fault:
        spec, _, which = text.rpartition("@") if "@" in text else (text, "", "all")
        for server in servers if which == "all" else [servers[int(which)]]:
            server.faults.append(Fault.parse(spec))
    Admin.servers = servers
    admin = http.server.ThreadingHTTPServer(split_address(options.admin), Admin)
    admin.daemon_threads = True
    for server in servers + [admin]:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    for server in servers:
        print("https://%s:%d  %s  %s" % (server.server_address[0], server.server_address[1], server.device.service_tag,
                                         server.device.model), flush=True)
    print("admin http://%s:%d" % admin.server_address[:2], flush=True)
    if options.ready_file:
        with open(options.ready_file, "w", encoding="utf-8") as file:
            file.write("ready\n")
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    stopped.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
