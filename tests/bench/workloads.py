"""What is measured, and the goal of each figure as a ratio."""
from dataclasses import dataclass, field

SERVER = "10000000-0000-4000-8000-%012d"
POINT = "/servers?id=eq." + SERVER % 4711
EMBED = "/jobs?select=id,status,job_tasks(id,status,servers(hostname))&order=created_at.desc&limit=20"
NOTE = '{"body":"a short note"}'
ROWS = 10000


@dataclass
class Goals:
    """Peer's figure by ours (requests: ours by the peer's), except `pgbench`: our requests by pgbench's. None: no goal."""
    cpu: float = None
    own: float = None  # CPU of the server alone
    rate: float = None  # requests per second
    p50: float = None  # one connection
    p99: float = 1.5
    pgbench: float = None


@dataclass
class Workload:
    name: str
    goals: Goals
    path: str  # {row}: another number in each request, from 1 to ROWS
    method: str = "GET"
    body: str = None
    headers: dict = field(default_factory=dict)
    is_flushed: bool = False  # a commit waits for the disk
    has_many_users: bool = False  # the requests of 1000 users take turns; none of them is an admin

    def all_headers(self):
        return {**self.headers, **({"Content-Type": "application/json"} if self.body else {})}


def prefer(value):
    return {"Prefer": value}


WORKLOADS = [
    Workload("point", Goals(8, 25, 7, 6, pgbench=.95), POINT),
    Workload("point, many users", Goals(5.5, None, 5, 4.5, pgbench=.95), POINT, has_many_users=True),
    Workload("rpc", Goals(8, 25, 7, 6, pgbench=.95), "/rpc/add", "POST", '{"a":1,"b":2}'),
    Workload("list 25, count", Goals(1.7, None, 1.6, 1.7, pgbench=.9), "/servers?limit=25", headers=prefer("count=exact")),
    Workload("list 100", Goals(5, None, 3.5, 5, pgbench=.75), "/servers?limit=100"),
    Workload("list 1000", Goals(3.5, None, 2.5, 5, pgbench=.65), "/servers?limit=1000"),
    Workload("list 10 000", Goals(3.3, None, 3, 4.5, pgbench=.6), "/servers"),
    Workload("policy per row, 100", Goals(2.2, None, 2, 2.2, pgbench=.8), "/guarded_servers?limit=100"),
    Workload("embed", Goals(25, None, 20, 25, pgbench=.8), EMBED),
    Workload("insert, returning", Goals(7, None, 5.5, 5, pgbench=.9), "/notes", "POST", NOTE,
             prefer("return=representation")),
    Workload("insert, minimal", Goals(7, None, 5.5, 5, pgbench=.9), "/notes", "POST", NOTE, prefer("return=minimal")),
    Workload("insert, flushed", Goals(p99=None), "/notes", "POST", NOTE, prefer("return=minimal"), is_flushed=True),
    Workload("bulk 100", Goals(2.2, None, 2, 2, pgbench=.9), "/notes", "POST", "[" + ",".join([NOTE] * 100) + "]",
             prefer("return=minimal")),
    Workload("patch by key", Goals(3, None, 3, 3, pgbench=.9), "/machines?no=eq.{row}", "PATCH",
             '{"notes":"moved","power_state":"Off"}', prefer("return=minimal")),
]
