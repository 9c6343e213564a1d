#!/usr/bin/python3
"""One attack by itself, so that it has a processor of its own: attacks.py NAME PORT CONNECTIONS SECONDS. Prints as JSON how
often each status came ("cut": the connection ended without one)."""
import asyncio
import collections
import json
import os
import random
import sys
import time

HEAD = b"Host: x\r\n"
GET = b"GET /items?id=eq.7 HTTP/1.1\r\n" + HEAD
POST = b"POST /rpc/me HTTP/1.1\r\nContent-Type: application/json\r\n" + HEAD
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
END = b"\r\n"
TALLY = collections.Counter()
REFUSED = {"400", "413", "431", "501", "cut"}
SERVED = {"200", "cut"}
ANY = SERVED | REFUSED | {"401", "404", "405", "414", "503", "504"}


class Attack:
    """What a connection does until the time is over; and which answers are right."""

    def __init__(self, run, allowed):
        self.run, self.allowed = run, allowed


async def tally(reader, count=1):
    """Reads whole answers."""
    for _ in range(count):
        line = await reader.readline()
        TALLY[line.split()[1].decode() if line.startswith(b"HTTP/1.1 ") else "cut"] += 1
        size = 0
        while line not in (b"", b"\r\n"):
            line = await reader.readline()
            name, _, value = line.partition(b":")
            size = int(value) if name.lower() == b"content-length" else size
        if size:
            await reader.readexactly(size)


def once(text, allowed):
    """The same bytes again and again, each time on a new connection unless it is kept."""
    texts = text if isinstance(text, list) else [text]

    async def run(reader, writer, is_over):
        while not is_over() and not reader.at_eof():
            writer.write(random.choice(texts))
            await tally(reader)
            if writer.is_closing():
                return
    return Attack(run, allowed)


def trickle(head, piece, pause, allowed):
    async def run(reader, writer, is_over):
        answer = asyncio.ensure_future(tally(reader))
        writer.write(head)
        while not is_over() and not answer.done():
            writer.write(piece)
            await asyncio.sleep(pause)
        answer.cancel()
    return Attack(run, allowed)


async def pipeline(reader, writer, is_over):
    """Ten thousand requests before the first answer is read."""
    while not is_over() and not reader.at_eof():
        writer.write((GET + END) * 10000)
        await tally(reader, 10000)


async def pipeline_unread(_, writer, is_over):
    while not is_over():
        writer.write((GET + END) * 100)
        await asyncio.wait([asyncio.ensure_future(writer.drain())], timeout=1)


async def unread(_, writer, is_over):
    """A large answer that nobody takes."""
    writer.write(b"GET /items?select=a:name,b:name,c:name,d:name&order=id HTTP/1.1\r\n" + HEAD + END)
    writer.transport.pause_reading()
    while not is_over():
        await asyncio.sleep(0.1)


async def half_close(reader, writer, _):
    writer.write(GET + END)
    writer.write_eof()
    await tally(reader)


async def churn(_, writer, __):
    writer.write(GET[:random.randrange(len(GET))])
    await writer.drain()
    if random.random() < 0.5:
        writer.transport.abort()


async def leave(reader, writer, _):
    """A request, or the beginning of one, whose client goes at any moment: its query must not outlive it."""
    text = random.choice((GET + END, b"GET /rpc/nap?seconds=20 HTTP/1.1\r\n" + HEAD + END, POST + b"Content-Length: 2\r\n\r\n{}",
                          b"GET /items?select=a:name,b:name HTTP/1.1\r\n" + HEAD + END))
    writer.write(text[:random.choice((len(text), random.randrange(len(text))))])
    await asyncio.sleep(random.choice((0, random.random() * 0.05)))
    TALLY["left"] += 1


async def noise(reader, writer, _):
    first = random.choice((b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/9.9\r\n"))
    writer.write(first + random.randbytes(random.randrange(4096)) + b"\r\n\r\n")
    await asyncio.wait_for(tally(reader), 2)


def overlong_sizes():
    sizes = (b"FFFFFFFFFFFFFFFF", b"10000000000000000", b"7FFFFFFFFFFFFFFF", b"-1", b"", b"g", b"1" * 400)
    return [CHUNKED + size + b"\r\nx\r\n0\r\n\r\n" for size in sizes]


UPGRADE = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
ATTACKS = {
    "slow-heads": trickle(GET, b"X-A: b\r\n", 0.9, REFUSED),
    "slow-bytes": trickle(b"", b"G", 0.9, REFUSED),
    "slow-bodies": trickle(POST + b"Content-Length: 1000000\r\n\r\n", b" ", 0.9, REFUSED),
    "slow-chunks": trickle(CHUNKED, b"1\r\n \r\n", 0.5, REFUSED),
    "chunk-extensions": trickle(CHUNKED, b"1;" + b"a" * 4000 + b"\r\n \r\n", 0.01, REFUSED),
    "endless-extension": trickle(CHUNKED + b"1;", b"a" * 16384, 0.01, REFUSED),
    "endless-trailers": trickle(CHUNKED + b"2\r\n{}\r\n0\r\n", b"X: y\r\n" * 100, 0.01, SERVED | REFUSED),
    "endless-head": trickle(GET + b"X: ", b"a" * 16384, 0.01, REFUSED),
    "tiny-chunks": once(CHUNKED + b"1\r\n{\r\n" + b"1\r\n \r\n" * 20000 + b"1\r\n}\r\n0\r\n\r\n", SERVED),
    "chunk-sizes": once(overlong_sizes(), REFUSED),
    "length-and-chunks": once([CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Length: 2\r\n\r\n") + b"2\r\n{}\r\n0\r\n\r\n",
                               POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
                               POST + b"Content-Length: 99999999999999999999\r\n\r\n{}", POST + b"Content-Length: -1\r\n\r\n{}",
                               POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", GET + b"Host: y\r\n\r\n",
                               GET.replace(HEAD, b"") + END, GET + b" folded: 1\r\n\r\n", GET.replace(b"\r\n", b"\n") + b"\n"], REFUSED),
    "absolute-uri": once(b"GET http://x/items?id=eq.7 HTTP/1.1\r\n" + HEAD + END, ANY),
    "large-heads": once(GET + b"X: " + b"a" * 417000 + b"\r\n\r\n", REFUSED),
    "pipeline": Attack(pipeline, SERVED),
    "pipeline-unread": Attack(pipeline_unread, SERVED),
    "unread": Attack(unread, SERVED),
    "upgrade-with-body": once(GET + UPGRADE + b"Content-Length: 5\r\n\r\nhello", ANY),
    "expect": once(POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}", ANY | {"100", "417"}),
    "half-close": Attack(half_close, SERVED | {"499"}),
    "churn": Attack(churn, SERVED),
    "leave": Attack(leave, {"left", "cut"}),
    "noise": Attack(noise, ANY),
}


async def connection(attack, port, is_over):
    while not is_over():
        writer = None
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            await attack.run(reader, writer, is_over)
        except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.TimeoutError):
            TALLY["cut"] += 1
        finally:
            if writer is not None:
                writer.transport.abort()
        await asyncio.sleep(0)


async def main(name, port, connections, seconds):
    end = time.monotonic() + seconds
    everything = asyncio.gather(*(connection(ATTACKS[name], port, lambda: time.monotonic() > end) for _ in range(connections)))
    await asyncio.wait([everything], timeout=seconds + 2)
    print(json.dumps(TALLY), flush=True)
    os._exit(0)  # those who hang are left behind


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], *(int(word) for word in sys.argv[2:])))
