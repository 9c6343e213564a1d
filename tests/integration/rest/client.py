"""What the scenes share: requests, tokens, SQL as superuser, and how they are run."""
import base64
import hashlib
import hmac
import http.client
import json
import os
import re
import subprocess
import sys
import time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "lib"))
from waiting import until  # noqa: E402,F401

HOST, PORT = os.environ["SCENE_ADDRESS"].split(":")
SECRET = os.environ["PGRST_JWT_SECRET"]
ROOT = "/rest/v1"


def token(sub, role="member"):
    return signed({"sub": sub, "role": role, "exp": int(time.time()) + 3600})


def signed(claims):
    def part(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

    text = part(b'{"alg":"HS256","typ":"JWT"}') + "." + part(json.dumps(claims).encode())
    return text + "." + part(hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).digest())


class Client:
    def __init__(self, bearer=None, timeout=30):
        self.conn = http.client.HTTPConnection(HOST, int(PORT), timeout=timeout)
        self.bearer = bearer

    def ask(self, method, path, body=None, **headers):
        headers = {k.replace("_", "-"): v for k, v in headers.items()}
        if self.bearer:
            headers["Authorization"] = "Bearer " + self.bearer
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
        self.conn.request(method, ROOT + path, body=body, headers=headers)
        answer = self.conn.getresponse()
        data = answer.read()
        try:
            parsed = json.loads(data)
        except ValueError:
            parsed = data
        return answer.status, parsed, answer.headers


def ask(method, path, body=None, **headers):
    return Client().ask(method, path, body, **headers)


def sql(text):
    out = subprocess.run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", os.environ["SCENE_DB"], "-c", text],
                         capture_output=True, text=True, check=True)
    return out.stdout.strip()


def memory_kib(field):
    with open("/proc/%s/status" % os.environ["SCENE_PID"]) as file:
        return int(re.search(field + r":\s+(\d+)", file.read()).group(1))


def expect(found, wanted, what=""):
    if found != wanted:
        raise AssertionError("%s\n    wanted %r\n    found  %r" % (what, wanted, found))


def run(scenes):
    """Runs functions whose names are the behaviour that they protect; returns how many passed and failed."""
    passed = failed = 0
    for scene in scenes:
        name = scene.__name__.replace("_", " ")
        try:
            scene()
        except Exception as error:  # a scene may fail in any way
            failed += 1
            print("FAILED %s\n  %s: %s" % (name, type(error).__name__, error), flush=True)
        else:
            passed += 1
            print("ok %s" % name, flush=True)
    return passed, failed
