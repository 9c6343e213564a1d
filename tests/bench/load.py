"""Requests: tokens, and wrk as the generator of load."""
import base64
import hashlib
import hmac
import json
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

from workloads import ROWS

DONE = """
done = function(summary, latency)
    local e = summary.errors
    io.write(string.format("RESULT %d %d %d %d %d\\n", summary.requests, summary.duration, latency:percentile(50),
                           latency:percentile(99), e.status + e.connect + e.read + e.timeout))
end
"""
# Requests are made beforehand: the generator shares the processors with what it measures.
MANY = """
local made, next = {}, math.random(%(count)d)
function init()
    for i = 1, %(count)d do
        wrk.headers["Authorization"] = "Bearer " .. tokens[(i - 1) %% #tokens + 1]
        made[i] = wrk.format(nil, (path:gsub("{row}", math.random(%(rows)d))))
    end
end
function request()
    next = next %% #made + 1
    return made[next]
end
"""


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
    def __init__(self, secret):
        self.admin = mint(secret, 1)
        self.users = [mint(secret, user) for user in range(2, 1002)]

    def tokens(self, workload):
        return self.users if workload.has_many_users else [self.admin]

    def script(self, workload, path):
        lines = ["wrk.method = %s" % json.dumps(workload.method),
                 "wrk.headers.Authorization = %s" % json.dumps("Bearer " + self.tokens(workload)[0])]
        lines += ["wrk.headers[%s] = %s" % (json.dumps(key), json.dumps(value))
                  for key, value in workload.all_headers().items()]
        if workload.body:
            lines.append("wrk.body = %s" % json.dumps(workload.body))
        if workload.has_many_users or "{row}" in workload.path:
            lines.append("local path, tokens = %s, {%s}" % (json.dumps(path), ",".join(map(json.dumps,
                                                                                       self.tokens(workload)))))
            lines.append(MANY % {"count": 1000, "rows": ROWS})
        return "\n".join(lines) + DONE

    def start(self, server, workload, connections, seconds):
        base, path = re.match(r"(https?://[^/]+)(.*)", server.url + workload.path).groups()
        script = tempfile.NamedTemporaryFile("w", suffix=".lua")
        script.write(self.script(workload, path))
        script.flush()
        first = path.replace("{row}", "1")
        process = subprocess.Popen(["wrk", "-t1", "-c%d" % connections, "-d%ds" % seconds, "-s", script.name,
                                    base + first], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        process.script = script  # lives as long
        return process

    def finish(self, process, server, workload):
        out = process.communicate()[0]
        found = re.search(r"RESULT (.*)", out)
        if not found:
            sys.exit("wrk: " + out)
        requests, duration, p50, p99, errors = map(int, found.group(1).split())
        if errors or not requests:
            sys.exit("%s on %s: %d of %d requests failed" % (workload.name, server.name, errors, requests))
        return Load(requests, duration / 1e6, p50, p99)

    def run(self, server, workload, connections, seconds):
        return self.finish(self.start(server, workload, connections, seconds), server, workload)
