"""More machines than one answer or one request should hold. VCENTER_MACHINES (800) says how many."""
import os

from link_scenes import add_vcenter, clear, stored, told
from stand import sql
from vcsim import VCenter

POOLS, GROUP = 5, 100  # resource pools of the simulated vCenter, machines that are asked for at once


def differences(truth):
    rows, wanted = stored(), told(truth)
    return ["%s: %d not told, %d not stored" % (name, len(rows[name] - facts), len(facts - rows[name]))
            for name, facts in wanted.items() if rows[name] != facts]


def resident(process):
    with open("/proc/%d/status" % process.pid) as status:
        return max(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM"))


def large(stand, count, people, _):
    clear()
    machines = int(os.environ.get("VCENTER_MACHINES", "800")) // POOLS * POOLS
    peer = VCenter(stand.directory, "large", cluster=POOLS - 1, host=3, vm=machines // POOLS)
    add_vcenter(peer)
    truth = peer.control("inventory")
    sql("insert into vcenter_vms (name, vcenter_id, source_vcenter_id, overall_status) select 'gone', 'vm-gone', id, 'green' from vcenters")
    sql("delete from idrac_commands")
    peer.calls()
    executor = stand.executor()
    job = stand.run_job("vcenter_sync", {}, {})
    print("executor: %d MiB at most" % resident(executor))
    executor.terminate()
    executor.wait(30)
    calls, parts = peer.calls(), sql("select count(*) as n from idrac_commands where command_type = 'VCENTER_SYNC'")[0]["n"]
    count.check(job["status"] == "completed" and job["details"]["vcenter_results"][0]["errors"] == 0 and job["details"]["vcenter_results"][0]["new"] == 13
                and job["details"]["vms"] == machines,
                "%d machines are synchronised by the executor" % machines, str(job["details"])[:600])
    count.check(parts > 1, "in parts: %d" % parts)
    count.check(calls["RetrievePropertiesEx"] >= machines / GROUP, "asked for in groups: %d calls" % calls["RetrievePropertiesEx"])
    count.check(len(truth["VirtualMachine"]) == machines and not differences(truth), "what is stored is the vCenter's own", str(differences(truth)))
    marked = sql("select name from vcenter_vms where overall_status = 'removed'")
    count.check(marked == [{"name": "gone"}], "over all parts: what is gone is marked, and nothing else", str(marked)[:300])
    groups = sql("select count(*) as n from server_groups where group_type = 'vcenter_cluster'")[0]["n"]
    count.check(groups == POOLS - 1, "clusters become server groups", str(groups))
    before = sql("select vcenter_id, id from vcenter_vms order by 1")
    status, answer = stand.fn("sync-vcenter-direct", None, people["admin"])
    print("gateway: %d MiB at most" % resident(stand.gateway))
    count.check(status == 200 and answer["summary"] == {"new": 0, "updated": 13, "auto_linked": 0, "errors": 0}
                and not differences(truth) and before == sql("select vcenter_id, id from vcenter_vms order by 1"), "the gateway reads and stores the same", str(answer))
    some = sorted(one["Self"]["Value"] for one in truth["VirtualMachine"])[GROUP // 3]
    peer.fault("RetrievePropertiesEx", "missing:" + some)
    status, answer = stand.fn("sync-vcenter-direct", None, people["admin"])
    peer.fault()
    marked = {row["vcenter_id"] for row in sql("select vcenter_id from vcenter_vms where overall_status = 'removed'")}
    count.check(status == 200 and marked == {"vm-gone", some}, "a machine that goes while others are read costs only itself", "%s %s" % (answer, marked))
    peer.fault("RetrievePropertiesEx", "bulky")
    status, answer = stand.fn("sync-vcenter-direct", None, people["admin"])
    peer.fault()
    marked = sql("select vcenter_id from vcenter_vms where overall_status = 'removed'")
    count.check(status == 200 and marked == [{"vcenter_id": "vm-gone"}], "answers that are too large are asked for in halves", str(answer))
    peer.close()
