"""The contract's answers (tests/data/functions.json) of the functions that know vCenters, played against a simulated one."""
import json
import os
import urllib.error
import urllib.request

from link_scenes import add_vcenter, clear
from stand import free_port, sql
from vcsim import VCenter

FACTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "data", "functions.json")
NAMES = ("test-vcenter-connection", "sync-vcenter-direct", "validate-network-prerequisites", "vcenter-sync")


def post(stand, name, key, text):
    headers = {"Content-Type": "application/json", **({"Authorization": "Bearer " + key} if key else {})}
    request = urllib.request.Request(stand.url + "/functions/v1/" + name, text.encode(), headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def at(answer, path):
    """All objects that a path of the contract names: "results.vcenter", "executionLog[]"."""
    found = [answer]
    for part in path.split("."):
        found = [one.get(part.removesuffix("[]")) for one in found]
        found = [item for one in found for item in one] if part.endswith("[]") else found
    return found


def has_keys(answer, keys):
    every, needed = {key.rstrip("?") for key in keys}, {key for key in keys if not key.endswith("?")}
    return isinstance(answer, dict) and needed <= set(answer) <= every


def success_faults(fact, status, answer):
    wanted = fact["success"]
    shapes = [wanted["keys"]] + [variant["keys"] for variant in wanted.get("variants", [])]
    faults = [] if status == wanted["status"] and any(has_keys(answer, keys) for keys in shapes) else ["%s %s" % (status, answer)]
    return faults + [path for path, keys in wanted.get("nested", {}).items() if not faults for one in at(answer, path) if not has_keys(one, keys)]


def refusals(stand, count, people, fact, broken):
    """Every error of the contract; `broken`: what provokes those without a trigger, as (prepare, body)."""
    for entry in fact["errors"]:
        trigger = entry.get("trigger")
        if trigger is None:
            broken[0]()
        caller = (trigger or {}).get("auth", "admin")
        text = (trigger or {}).get("raw_body") or json.dumps((trigger or {}).get("body", broken[1] if trigger is None else {}))
        status, answer = post(stand, fact["name"], None if caller == "none" else people[caller], text)
        is_gate = caller == "none" and fact["gate_verify_jwt"]  # there only the status counts, and an object
        count.check(status == entry["status"] and (is_gate or has_keys(answer, entry["body_keys"]))
                    and (is_gate or entry.get("error") in (None, answer["error"])),
                    "contract: %s, %d %s" % (fact["name"], entry["status"], entry["when"]), "%s %s" % (status, answer))


def contract(stand, count, people, _):
    with open(FACTS, encoding="utf-8") as file:
        facts = {fact["name"]: fact for fact in json.load(file) if fact["name"] in NAMES}
    for style in ("SOAP", "REST"):
        peer = VCenter(stand.directory, "contract", cluster=1, host=2, vm=1, **({"rest": "true"} if style == "REST" else {}))
        target = {"host": "127.0.0.1", "port": peer.port, "username": peer.user, "password": peer.password, "verify_ssl": False}
        settings = ("insert into vcenter_settings (host, port, username, password, verify_ssl) values ('127.0.0.1', %d, '%s', '%s', false)"
                    % (peer.port, peer.user, peer.password))

        def good(name, body=None, what="", caller="admin"):
            status, answer = post(stand, name, people[caller], "" if body is None else json.dumps(body))
            faults = success_faults(facts[name], status, answer)
            count.check(not faults, "contract: %s over %s%s" % (name, style, what), str(faults)[:500])
            return answer

        clear()
        answer = good("test-vcenter-connection", target)
        count.check(answer["success"] is True, "it is signed in", str(answer))
        answer = good("test-vcenter-connection", dict(target, port=free_port()), ", away")
        count.check(answer["success"] is False and answer["error"], "it is told why not", str(answer))
        sql(settings)
        answer = good("test-vcenter-connection", {}, ", as stored")
        count.check(answer["success"] is True, "the stored one is signed in at", str(answer))
        answer = good("validate-network-prerequisites")
        count.check(answer["results"]["vcenter"] == {"configured": True, "reachable": True, "error": None}, "the vCenter is reachable", str(answer["results"]))
        answer = good("sync-vcenter-direct", None, ", of the older settings")
        count.check(answer["summary"]["new"] == 3 and "errors" not in answer, "its hosts are new", str(answer))
        hosts = [{key: row[key] for key in ("name", "cluster", "vcenter_id", "serial_number", "esxi_version", "status", "maintenance_mode")}
                 for row in sql("select * from vcenter_hosts")]
        answer = good("vcenter-sync", {"hosts": hosts}, "", "operator")
        count.check(answer["summary"] == {"total": 3, "new": 0, "updated": 3, "auto_linked": 0, "errors": 0}, "its hosts are known", str(answer))
        answer = good("vcenter-sync", {"hosts": hosts + [{"name": "no id"}]}, ", one bad", "operator")
        count.check(len(answer["errors"]) == 1, "a bad host is named", str(answer))
        add_vcenter(peer)
        sql("insert into vcenters (name, host, port, username, password_encrypted) values ('away', '127.0.0.1', %d, 'u', 'p')" % free_port())
        answer = good("sync-vcenter-direct", None, ", one of two away")
        count.check(any(error.startswith("away: ") for error in answer["errors"]), "the one that is away is named", str(answer))
        peer.close()
    for name in NAMES:
        clear()
        refusals(stand, count, people, facts[name], BROKEN[name])
        mend()


def break_table(table, action):
    """As if the database refused: the function's own catch branch."""
    sql("create or replace function public.break_here() returns trigger language plpgsql as $$ begin raise exception 'broken'; end $$")
    sql("create trigger broken before %s on public.%s execute function public.break_here()" % (action, table))


def mend():
    sql("alter table if exists public.servers_away rename to servers")
    sql("drop function if exists public.break_here() cascade")


BROKEN = {"test-vcenter-connection": (lambda: None, {}), "sync-vcenter-direct": (lambda: None, {}),
          "validate-network-prerequisites": (lambda: sql("alter table public.servers rename to servers_away"), {}),
          "vcenter-sync": (lambda: break_table("audit_logs", "insert"), {"hosts": [{"name": "h", "vcenter_id": "host-1"}]})}
