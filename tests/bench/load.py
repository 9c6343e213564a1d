"""Requests with their tokens, and load.c that sends them."""
import base64
import hashlib
import hmac
import json
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

from process import start_first
from workloads import ROWS

VARIANTS = 1000  # of a request whose token or row changes


@dataclass
class Load:
    requests: int
    seconds: float
    p50: int  # us
    p99: int

    @property
    def rate(self):
        return self.requests / self.seconds


def mint(secret, user):
    def part(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

    claims = {"role": "authenticated", "sub": "00000000-0000-4000-8000-%012d" % user, "exp": int(time.time()) + 36000,
              "email": "user%d@example.test" % user, "aud": "authenticated"}
    text = part(b'{"alg":"HS256","typ":"JWT"}') + "." + part(json.dumps(claims).encode())
    return text + "." + part(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest())


class Generator:
    def __init__(self, program, secret, is_first):
        self.program, self.admin, self.prepare = program, mint(secret, 1), start_first if is_first else None
        self.users = [mint(secret, user) for user in range(2, 1002)]

    def tokens(self, workload):
        return self.users if workload.has_many_users else [self.admin]

    def requests(self, server, workload):
        """What the generator reads: made beforehand, since it shares the processors with what it measures."""
        tokens, body = self.tokens(workload), (workload.body or "").encode()
        count = VARIANTS if len(tokens) > 1 or "{row}" in workload.path else 1
        for i in range(count):
            path = server.prefix + workload.path.replace("{row}", str(random.randint(1, ROWS)))
            fields = {"Host": "127.0.0.1:%d" % server.port, "Authorization": "Bearer " + tokens[i % len(tokens)],
                      **workload.all_headers()}
            if body:
                fields["Content-Length"] = len(body)
            head = ["%s %s HTTP/1.1" % (workload.method, path)] + ["%s: %s" % field for field in fields.items()]
            text = "\r\n".join(head + ["", ""]).encode() + body
            yield b"%d\n%s" % (len(text), text)

    def start(self, server, workload, connections, seconds):
        requests = tempfile.TemporaryFile()
        requests.writelines(self.requests(server, workload))
        requests.seek(0)
        return subprocess.Popen([self.program, str(server.port), str(connections), str(seconds)], stdin=requests,
                                stdout=subprocess.PIPE, text=True, preexec_fn=self.prepare)

    def finish(self, process, server, workload):
        out = process.communicate()[0]
        if process.returncode:
            sys.exit("load: %s on %s" % (workload.name, server.name))
        answers, duration, p50, p99, failed = map(int, out.split())
        if failed or not answers:
            sys.exit("%s on %s: %d of %d requests failed" % (workload.name, server.name, failed, answers))
        return Load(answers, duration / 1e6, p50, p99)

    def run(self, server, workload, connections, seconds):
        return self.finish(self.start(server, workload, connections, seconds), server, workload)
