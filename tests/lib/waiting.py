"""Waiting for what comes, and ports: for every scene. Patience costs nothing when things come fast, and a busy machine is
no fault of the program under test."""
import random
import socket
import time

PATIENCE = 60  # seconds
SILENT = (OSError, ValueError)


def until(*given):
    """The first true value of the condition. Given, in any order: the condition, what is waited for, and seconds where more
    than PATIENCE are needed. What the condition raises while a server comes up counts as not yet."""
    condition = next(one for one in given if callable(one))
    what = next(one for one in given if isinstance(one, str))
    seconds = max([PATIENCE, *(one for one in given if isinstance(one, (int, float)))])
    deadline = time.monotonic() + seconds
    problem = ""
    while True:
        try:
            value = condition()
            if value:
                return value
        except SILENT as error:
            problem = " (%s: %s)" % (type(error).__name__, error)
        if time.monotonic() > deadline:
            raise TimeoutError("waited %d s for %s%s" % (seconds, what, problem))
        time.sleep(0.05)


def free_port(address="127.0.0.1"):
    """Below the range from which the system takes the ports of clients: none of them gets it before its server."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind((address, port))
            except OSError:
                continue
            return port
