"""The vCenter of functions_net as a process: prints its port, then the number of open sessions for every line it reads."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "functions_net"))
from peers import Peer  # noqa: E402

peer = Peer(os.environ["BASALT_TEST_DIR"], os.environ["VCENTER_PASSWORD"])
print(peer.port, flush=True)
for _ in sys.stdin:
    print(len(peer.sessions), flush=True)
