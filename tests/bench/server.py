"""The two servers: started with the same settings on the same database."""
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

from process import start_first


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Server:
    """Name, URL of the REST surface, pid; a context: started when entered, ended when left."""

    def __init__(self, name, program, prefix, listen, more=None, is_first=False):
        self.name, self.program, self.prefix, self.listen, self.more = name, program, prefix, listen, more or {}
        self.prepare = start_first if is_first else None

    def __enter__(self):
        port = free_port()
        environment = {**os.environ, **self.more,
                       **{key: value.format(port) for key, value in self.listen.items()}}
        self.process = subprocess.Popen([self.program], env=environment, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, preexec_fn=self.prepare)
        self.pid, self.port = self.process.pid, port
        self.url = "http://127.0.0.1:%d%s" % (port, self.prefix)
        self.wait()
        return self

    def wait(self):
        for _ in range(200):
            try:
                urllib.request.urlopen(self.url + "/", timeout=5).read()
                return
            except (urllib.error.URLError, ConnectionError):
                time.sleep(.05)
        sys.exit("%s does not answer" % self.name)

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def basalt(program, is_first, **more):
    return Server("basalt", program, "/rest/v1", {"BASALT_LISTEN": "127.0.0.1:{}"}, more, is_first)


def peer(program, is_first):
    return Server("peer", program, "", {"PGRST_SERVER_HOST": "127.0.0.1", "PGRST_SERVER_PORT": "{}"},
                  is_first=is_first)
