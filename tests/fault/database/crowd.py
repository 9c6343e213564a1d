"""Clients that never stop: each is a user with a connection of its own, reads and writes at random, and looks at every answer."""
import asyncio
import collections
import json
import random
import threading
import time
import uuid

from gateway import PORT, sql, token

PAUSE = 0.1  # after a refusal, seconds
PATIENCE = 120
ERROR_FIELDS = {"code", "message", "details", "hint"}


def is_refusal(status, body, headers):
    """What a client may be told while the database is away or the backend of its request was killed."""
    if not isinstance(body, dict) or set(body) != ERROR_FIELDS:
        return False
    if status == 503:
        return "retry-after" in headers
    return (status, body["code"]) in ((504, "PGRST003"), (500, "57P02"), (500, "57014"))


class Crowd(threading.Thread):
    """A context: the clients come when it is entered and are gone when it is left."""

    def __init__(self, count):
        super().__init__(daemon=True)
        self.count, self.is_over = count, False
        self.answers = collections.Counter()  # by status and code
        self.acknowledged, self.wrong = [], []
        self.served, self.slowest = 0, 0.0
        self.served_at = []  # times of the successes since the last mark
        self.began = {}  # client: since when it waits

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.is_over = True
        self.join()

    def mark(self):
        """From here on successes and the slowest answer are noted anew."""
        self.served_at, self.slowest = [], 0.0

    def first_served_after(self, when):
        """Seconds until the first success behind that time; None: there was none yet."""
        return min((at - when for at in list(self.served_at) if at >= when), default=None)

    def failed(self):
        return sum(count for (status, _), count in self.answers.items() if status >= 400)

    def oldest(self):
        """Seconds for which the most patient client has been waiting."""
        now = time.monotonic()
        return max((now - began for began in list(self.began.values())), default=0.0)

    def run(self):
        asyncio.run(self.all())

    async def all(self):
        await asyncio.gather(*(Client(self, number).live() for number in range(self.count)))

    def lost_and_doubled(self):
        found = collections.Counter(sql("select key from api.writes").split())
        return (sum(key not in found for key in self.acknowledged), sum(count > 1 for count in found.values()))


class Client:
    def __init__(self, crowd, number):
        self.crowd, self.number, self.me = crowd, number, "user-%d" % number
        self.token = token("member", sub=self.me)
        self.dice = random.Random(number)
        self.reader = self.writer = None

    async def live(self):
        while not self.crowd.is_over:
            try:
                await self.step()
            except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError) as error:
                self.crowd.wrong.append("%s: no answer (%s)" % (self.me, type(error).__name__))
                self.reader = None
                await asyncio.sleep(PAUSE)

    async def step(self):
        kind = self.dice.choices((self.read, self.who, self.insert, self.insert_silently, self.record, self.patch, self.nap),
                                 (50, 15, 10, 5, 10, 8, 2))[0]
        began = self.crowd.began[self.number] = time.monotonic()
        status, body, headers, is_right = await kind()
        del self.crowd.began[self.number]
        self.crowd.slowest = max(self.crowd.slowest, time.monotonic() - began)
        self.crowd.answers[status, body.get("code", "") if isinstance(body, dict) else ""] += 1
        if is_right:
            self.crowd.served += 1
            if len(self.crowd.served_at) < 100000:
                self.crowd.served_at.append(time.time())
            return
        if not is_refusal(status, body, headers):
            self.crowd.wrong.append("%s: %s got %d %.300r" % (self.me, kind.__name__, status, body))
        await asyncio.sleep(PAUSE)

    async def ask(self, method, path, body=None, prefer=""):
        if self.reader is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", PORT)
        data = b"" if body is None else json.dumps(body).encode()
        self.writer.write(("%s %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nPrefer: %s\r\n"
                           "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                           % (method, path, self.token, prefer, len(data))).encode() + data)
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), PATIENCE)).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
        data = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return int(head[0].split()[1]), json.loads(data) if data else None, headers

    # Each returns status, body, headers and whether it is the success that this user must see.

    async def read(self):
        status, body, headers = await self.ask("GET", "/profiles?select=owner,note")
        return status, body, headers, (status, body) == (200, [{"owner": self.me, "note": "note of " + self.me}])

    async def who(self):
        status, body, headers = await self.ask("GET", "/rpc/whoami")
        return status, body, headers, (status, body) == (200, self.me)

    async def insert(self):
        key = str(uuid.uuid4())
        status, body, headers = await self.ask("POST", "/writes", {"key": key}, "return=representation")
        return self.written(key, status, body, headers, (201, [{"key": key, "owner": self.me}]))

    async def insert_silently(self):
        key = str(uuid.uuid4())
        status, body, headers = await self.ask("POST", "/writes", {"key": key})
        return self.written(key, status, body, headers, (201, None))

    async def record(self):
        key = str(uuid.uuid4())
        status, body, headers = await self.ask("POST", "/rpc/record", {"key": key})
        return self.written(key, status, body, headers, (200, self.me))

    def written(self, key, status, body, headers, wanted):
        is_right = (status, body) == wanted
        if is_right:
            self.crowd.acknowledged.append(key)
        return status, body, headers, is_right

    async def patch(self):
        """A transaction with a COMMIT of its own, because rows are counted before it."""
        status, body, headers = await self.ask("PATCH", "/profiles?select=owner", {"note": "note of " + self.me},
                                               "return=representation, handling=strict, max-affected=1")
        return status, body, headers, (status, body) == (200, [{"owner": self.me}])

    async def nap(self):
        status, body, headers = await self.ask("POST", "/rpc/nap", {"seconds": 0.1})
        return status, body, headers, (status, body) == (200, self.me)
