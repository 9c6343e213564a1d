"""Gateways on one database, and an HTTP sink, for the scheduler's scenes."""
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

TOP = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", ".."))
sys.path.append(os.path.join(TOP, "tests", "lib"))
from waiting import PATIENCE, free_port  # noqa: E402

BUILD = os.environ.get("BASALT_BUILD_DIR") or os.path.join(TOP, "build-test")
PROGRAM = os.environ.get("BASALT_GATEWAY") or os.path.join(BUILD, "bin", "basalt-gateway")


def login(user, password):
    url = urlsplit(os.environ["DATABASE_URL"])
    return url._replace(netloc=f"{user}:{password}@{url.hostname}:{url.port}").geturl()


def wait_for(condition, seconds=PATIENCE, step=0.05):
    """The time until `condition()` was true, or None."""
    start = time.monotonic()
    while time.monotonic() - start < seconds:
        if condition():
            return time.monotonic() - start
        time.sleep(step)
    return None


class Gateway:
    """A real gateway process; its log is kept in a file."""
    def __init__(self, directory, name, **env):
        self.url = f"http://127.0.0.1:{free_port()}"
        self.admin = f"http://127.0.0.1:{free_port()}"
        self.log_path = os.path.join(directory, f"{name}.log")
        settings = {
            "PATH": os.environ["PATH"],
            "PGRST_DB_URI": login("authenticator", "authenticator"),
            "PGRST_DB_ANON_ROLE": "anon",
            "PGRST_JWT_SECRET": "integration-secret-of-at-least-32-characters",
            "BASALT_INTERNAL_DB_URI": login("basalt_internal", "internal"),
            "BASALT_LISTEN": self.url.removeprefix("http://"),
            "BASALT_ADMIN_LISTEN": self.admin.removeprefix("http://"),
            "BASALT_CRON_TIMEOUT": "6s",
            "BASALT_LOG_LEVEL": "debug",
            **env,
        }
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([PROGRAM], env=settings, stdout=log, stderr=log)
        if wait_for(self.inspect) is None:
            raise RuntimeError(f"{name} did not start:\n{self.log()[-2000:]}")

    def inspect(self):
        try:
            with urllib.request.urlopen(f"{self.admin}/inspect/scheduler", timeout=PATIENCE) as answer:
                return json.load(answer)
        except OSError:
            return None

    def is_leading(self):
        return bool((self.inspect() or {}).get("is_leading"))

    def metric(self, name):
        with urllib.request.urlopen(f"{self.admin}/metrics", timeout=PATIENCE) as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith(name + " ") or line.startswith(name + "{"):
                    return float(line.rsplit(" ", 1)[1])
        return None

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """SIGTERM; returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=PATIENCE)


class Sink:
    """Answers every request and remembers it. /slow waits, /big is larger than allowed, /bytes is no text.
    `most` is how many requests to /busy were there at the same time."""
    def __init__(self):
        self.requests, self.now, self.most = [], 0, 0
        lock = threading.Lock()
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                is_busy = self.path.startswith("/busy")
                with lock:
                    sink.requests.append((self.command, self.path, dict(self.headers.items()), body))
                    sink.now += is_busy
                    sink.most = max(sink.most, sink.now)
                if self.path.startswith("/slow"):
                    time.sleep(3)
                if is_busy:
                    time.sleep(0.2)
                content = {"/big": b"x" * 300000, "/bytes": b"a\0b\xff\xc3\xa9"}.get(self.path, b'{"taken": true}')
                try:
                    self.send_response(201 if self.command == "POST" else 200)
                    self.send_header("Content-Type", "application/json; charset=utf-8")
                    self.send_header("X-Sink", "yes")
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)
                except OSError:
                    pass
                with lock:
                    sink.now -= is_busy

            do_GET = do_POST = do_DELETE = answer

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def seen(self, path):
        return [request for request in self.requests if request[1] == path]
