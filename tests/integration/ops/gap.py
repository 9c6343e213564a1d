"""gap.py PORT KEY TABLE COMMAND...: subscribes to a table, runs the command, and waits for the message that changes were missed."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "realtime"))
os.environ.setdefault("DATABASE_URL", "")
from harness import Socket  # noqa: E402


class Address:
    port = int(sys.argv[1])


socket = Socket(Address, sys.argv[2])
socket.join("watch", [{"event": "*", "schema": "public", "table": sys.argv[3]}])
print("subscribed:", socket.system("watch"))
before = len(socket.inbox)
status = subprocess.call(sys.argv[4:])
print("after the restore:", socket.system("watch", after=before))
print("channel:", "told" if socket.wait(lambda m: m[3] == "phx_error") else "silent")
sys.exit(status)
