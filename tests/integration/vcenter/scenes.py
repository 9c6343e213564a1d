"""The vCenter functions and tools against a simulated vCenter, whose own inventory is the measure."""
import os
import shutil
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "functions_net"))
sys.path.insert(0, HERE)
from stand import Count, NetStand, free_port, sql  # noqa: E402
from contract_scenes import contract  # noqa: E402
from link_scenes import links, networks_of, relinked, renewed, snapshots_of  # noqa: E402
from job_scenes import connectivity, scheduled  # noqa: E402
from large_scenes import large  # noqa: E402
from openmanage_scenes import openmanage, scheduled_job  # noqa: E402
from tool_scenes import openmanage_tool, vcenter_tool  # noqa: E402
from vcsim import VCenter  # noqa: E402

CANARY = "Canary <vc> & \"Pass\" 9"


def clear():
    for table in ("vcenter_alarms", "vcenter_vms", "vcenter_datastores", "vcenter_networks", "vcenter_clusters",
                  "vcenter_hosts", "vcenters", "vcenter_settings", "server_groups", "idrac_commands"):
        sql("delete from " + table)


def add_vcenter(peer, name="main"):
    sql("insert into vcenters (name, host, port, username, password_encrypted, verify_ssl) values "
        "('%s', '127.0.0.1', %d, '%s', '%s', false)" % (name, peer.port, peer.user, peer.password))
    return sql("select id from vcenters where name = '%s'" % name)[0]["id"]


def connection(stand, count, people, peer):
    clear()
    body = {"host": "127.0.0.1", "port": peer.port, "username": peer.user, "password": CANARY, "verify_ssl": False}
    peer.calls()
    status, answer = stand.fn("test-vcenter-connection", body, people["admin"])
    count.check(status == 200 and answer.get("success") is True and answer.get("version") == "6.5.0"
                and set(answer) == {"success", "response_time_ms", "version"}, "a vCenter without REST is signed in at", str(answer))
    calls = peer.calls()
    count.check(calls.get("Login") == 1 and calls.get("Logout") == 1, "the test ends its session", str(calls))
    status, answer = stand.fn("test-vcenter-connection", dict(body, password="wrong"), people["admin"])
    count.check(answer.get("success") is False and answer.get("error") == "Connection failed: 401 Unauthorized"
                and set(answer) == {"success", "response_time_ms", "error"}, "a wrong password is told", str(answer))
    count.check(peer.calls().get("Login") == 1, "a wrong password is tried once")
    status, answer = stand.fn("test-vcenter-connection", dict(body, verify_ssl=True), people["admin"])
    count.check(answer.get("error") == "SSL certificate error" and not peer.calls(), "the certificate is checked", str(answer))
    sql("insert into vcenter_settings (host, port, username, password, verify_ssl) values ('127.0.0.1', %d, '%s', '%s', false)"
        % (peer.port, peer.user, CANARY))
    status, answer = stand.fn("validate-network-prerequisites", None, people["admin"])
    count.check(answer["results"]["vcenter"]["reachable"] is True, "the prerequisites see it", str(answer))


def rest_too(stand, count, people, _):
    """With the REST interface that the simulator has: sessions (with any password), no inventory."""
    clear()
    peer = VCenter(stand.directory, CANARY, rest="true", cluster=1, host=1, vm=0)
    body = {"host": "127.0.0.1", "port": peer.port, "username": peer.user, "password": CANARY, "verify_ssl": False}
    status, answer = stand.fn("test-vcenter-connection", body, people["admin"])
    calls = peer.calls()
    count.check(status == 200 and answer.get("success") is True and calls.get("/rest/com/vmware/cis/session") == 2 and "Login" not in calls,
                "a session over REST is opened and ended", "%s %s" % (answer, calls))
    add_vcenter(peer)
    status, answer = stand.fn("sync-vcenter-direct", None, people["admin"])
    count.check(status == 200 and answer["summary"]["new"] == 2 and peer.calls().get("Login") == 1, "inventories are read over SOAP all the same", str(answer))
    peer.close()


def of_kind(truth, kind):
    return {entity["Self"]["Value"]: entity for entity in truth.get(kind) or []}


def tag_of(host):
    info = host["Hardware"]["SystemInfo"]
    tags = [info["SerialNumber"]] + [entry["IdentifierValue"] for entry in info["OtherIdentifyingInfo"] or []
                                     if entry["IdentifierType"]["Key"] == "ServiceTag"]
    return next((tag for tag in tags if tag and not tag.startswith("VMware-")), None)


def host_truth(host, clusters):
    cluster = clusters.get(host["Parent"]["Value"])
    product, use = host["Summary"]["Config"]["Product"], host["Summary"]["QuickStats"]
    return {"name": host["Name"], "cluster": cluster["Name"] if cluster else None, "serial_number": tag_of(host),
            "esxi_version": "%s %s" % (product["Version"], product["Build"]), "status": host["Runtime"]["ConnectionState"],
            "maintenance_mode": host["Runtime"]["InMaintenanceMode"], "cpu_usage_mhz": use["OverallCpuUsage"],
            "memory_usage_mb": use["OverallMemoryUsage"], "uptime_seconds": use["Uptime"],
            "memory_size": host["Hardware"]["MemorySize"]}


def machine_truth(machine, hosts, clusters):
    host, config = hosts[machine["Runtime"]["Host"]["Value"]], machine["Config"]
    cluster = clusters.get(host["Parent"]["Value"])
    disks = [device["CapacityInKB"] for device in config["Hardware"]["Device"] if "CapacityInKB" in device]
    return {"name": machine["Name"], "host": host["Name"], "cluster_name": cluster["Name"] if cluster else None,
            "power_state": machine["Runtime"]["PowerState"], "guest_id": config["GuestId"],
            "guest_os": machine["Summary"]["Config"]["GuestFullName"] or None, "cpu_count": machine["Summary"]["Config"]["NumCpu"],
            "memory_mb": machine["Summary"]["Config"]["MemorySizeMB"], "overall_status": machine["OverallStatus"],
            "is_template": config["Template"], "hardware_version": config["Version"] or None, "firmware": config["Firmware"] or None,
            "disk_gb": sum(disks) / 1048576, "snapshot_count": len(snapshots_of(machine)), "resource_pool": "Resources", "folder_path": "/DC0/vm",
            "tools_status": machine["Guest"]["ToolsStatus"] or None, "scsi_controller_type": "pvscsi"}


def store_truth(store):
    summary = store["Summary"]
    return {"name": store["Name"], "type": summary["Type"], "capacity_bytes": summary["Capacity"], "free_bytes": summary["FreeSpace"],
            "accessible": summary["Accessible"], "maintenance_mode": summary["MaintenanceMode"] or None,
            "host_count": len(store["Host"] or []), "vm_count": len(store["Vm"] or [])}


def compare(count, name, rows, truth):
    """Field by field; returns how many were compared."""
    count.check(set(rows) == set(truth), "%s: all of them, and no other" % name, "%s %s" % (sorted(rows), sorted(truth)))
    wrong = ["%s.%s: %r, not %r" % (key, field, rows[key].get(field), value) for key, fields in truth.items() if key in rows
             for field, value in fields.items() if rows[key].get(field) != value]
    total = sum(len(fields) for fields in truth.values())
    count.check(not wrong, "%s: %d fields are the vCenter's own" % (name, total), "; ".join(wrong[:8]))
    return total


def by_id(table, what="*"):
    return {row["vcenter_id"]: row for row in sql("select %s from %s t" % (what, table))}


def inventory(stand, count, people, peer):
    clear()
    source = add_vcenter(peer)
    peer.calls()
    status, answer = stand.fn("sync-vcenter-direct", None, people["admin"])
    truth = peer.control("inventory")
    hosts, clusters, machines = (of_kind(truth, kind) for kind in ("HostSystem", "ClusterComputeResource", "VirtualMachine"))
    count.check(status == 200 and answer.get("summary") == {"new": len(hosts), "updated": 0, "auto_linked": 0, "errors": 0},
                "the first sync takes all", str(answer))
    compare(count, "hosts", by_id("vcenter_hosts"), {key: host_truth(host, clusters) for key, host in hosts.items()})
    compare(count, "machines", by_id("vcenter_vms", "t.*, (select name from vcenter_hosts h where h.id = t.host_id) as host"),
            {key: machine_truth(machine, hosts, clusters) for key, machine in machines.items()})
    compare(count, "datastores", by_id("vcenter_datastores"),
            {key: store_truth(store) for key, store in of_kind(truth, "Datastore").items()})
    networks = networks_of(truth)
    compare(count, "networks", by_id("vcenter_networks"), {
        key: {"name": network["Name"], "network_type": network["Self"]["Type"], "accessible": network["Summary"]["Accessible"],
              "vm_count": len(network["Vm"] or []), "host_count": len(network["Host"] or []),
              "parent_switch_name": "DVS0" if network["Self"]["Type"].startswith("Dist") else None} for key, network in networks.items()})
    compare(count, "clusters", by_id("vcenter_clusters"), {
        key: {"cluster_name": cluster["Name"], "host_count": cluster["Summary"]["NumHosts"], "total_cpu_mhz": cluster["Summary"]["TotalCpu"],
              "total_memory_bytes": cluster["Summary"]["TotalMemory"], "overall_status": cluster["OverallStatus"],
              "vm_count": sum(machine_truth(machine, hosts, clusters)["cluster_name"] == cluster["Name"] for machine in machines.values()),
              "used_cpu_mhz": sum(host["Summary"]["QuickStats"]["OverallCpuUsage"] for host in hosts.values()
                                  if host["Parent"]["Value"] == key),
              "drs_automation_level": cluster["Configuration"]["DrsConfig"]["DefaultVmBehavior"] or None,
              "ha_enabled": cluster["Configuration"]["DasConfig"]["Enabled"]} for key, cluster in clusters.items()})
    alarms = sql("select * from vcenter_alarms")
    count.check(len(alarms) == 1 and alarms[0]["alarm_name"] == "Host <fan> & status" and alarms[0]["alarm_status"] == "red"
                and alarms[0]["entity_type"] == "HostSystem" and alarms[0]["entity_name"] and not alarms[0]["acknowledged"]
                and alarms[0]["triggered_at"].startswith("2026-01-02T03:04:05"), "the alarm is there", str(alarms))
    count.check(all(row["source_vcenter_id"] == source for table in ("hosts", "vms", "datastores", "networks", "clusters", "alarms")
                    for row in sql("select source_vcenter_id from vcenter_" + table)), "all rows know their vCenter")
    calls = peer.calls()
    count.check(calls.get("Login") == 1 and calls.get("Logout") == 1 and calls.get("CreateContainerView") == calls.get("DestroyView"),
                "session and views are ended", str(calls))
    row = sql("select last_sync_status, last_sync_error, last_sync from vcenters")[0]
    count.check(row["last_sync_status"] == "success" and row["last_sync"], "the vCenter knows of its sync", str(row))
    audit = sql("select details from audit_logs where action = 'vcenter_direct_sync' order by timestamp desc limit 1")
    count.check(audit and audit[0]["details"]["new_hosts"] == len(hosts), "the sync is audited", str(audit))
    rows = sql("select command_type, request_body, operation_type, success from idrac_commands where source = 'sync_vcenter_direct'")
    count.check({"VCENTER_AUTH", "RetrievePropertiesEx", "Logout"} <= {row["command_type"] for row in rows}
                and all(row["operation_type"] == "vcenter_api" and row["success"] for row in rows), "each exchange has its row", str(rows)[:300])
    count.check(all(row["request_body"] is None for row in rows if row["command_type"] == "VCENTER_AUTH"), "nothing of a login is kept")


def again(stand, count, people, peer):
    clear()
    add_vcenter(peer)
    truth = of_kind(peer.control("inventory"), "HostSystem")
    tags = sorted(filter(None, map(tag_of, truth.values())))
    sql("delete from servers where ip_address like '198.51.100.%%'" .replace("%%", "%"))
    for number, tag in enumerate(tags[:2] + ["VMware-56 4d"]):
        sql("insert into servers (ip_address, hostname, service_tag) values ('198.51.100.%d', 'vc%d', '%s')" % (number, number, tag))
    status, answer = stand.fn("sync-vcenter-direct", None, people["admin"])
    count.check(answer.get("summary", {}).get("auto_linked") == 2, "servers are linked by tag", str(answer))
    linked = sql("select s.service_tag, h.serial_number, h.server_id = s.id as both from servers s "
                 "join vcenter_hosts h on h.id = s.vcenter_host_id")
    count.check(sorted(row["service_tag"] for row in linked) == tags[:2]
                and all(row["both"] and row["service_tag"] == row["serial_number"] for row in linked), "in both directions", str(linked))
    count.check(len(sql("select 1 as one from audit_logs where action = 'auto_link_server'")) == 2, "links are audited")
    groups = sql("select g.name, count(m.id) as members from server_groups g left join server_group_members m on m.server_group_id = g.id "
                 "where group_type = 'vcenter_cluster' group by 1 order by 1")
    count.check([group["name"] for group in groups] == ["DC0_C0", "DC0_C1"] and sum(group["members"] for group in groups) >= 1,
                "clusters become server groups", str(groups))
    sql("insert into vcenter_vms (name, vcenter_id, source_vcenter_id, overall_status) select 'gone', 'vm-gone', id, 'green' from vcenters")
    sql("insert into vcenter_datastores (name, vcenter_id, source_vcenter_id, accessible) select 'gone', 'ds-gone', id, true from vcenters")
    sql("insert into vcenter_hosts (name, vcenter_id, source_vcenter_id, status) select 'gone', 'host-gone', id, 'connected' from vcenters")
    sql("insert into vcenter_hosts (name, vcenter_id, status) values ('elsewhere', 'host-gone', 'connected')")
    sql("insert into vcenter_alarms (alarm_key, source_vcenter_id) select 'stale', id from vcenters")
    status, answer = stand.fn("sync-vcenter-direct", None, people["admin"])
    count.check(answer.get("summary") == {"new": 0, "updated": len(truth), "auto_linked": 0, "errors": 0}, "a second sync renews", str(answer))
    count.check(sql("select overall_status from vcenter_vms where name = 'gone'")[0]["overall_status"] == "removed"
                and sql("select status from vcenter_hosts where name = 'gone'")[0]["status"] == "removed"
                and sql("select accessible from vcenter_datastores where name = 'gone'")[0]["accessible"] is False, "what vanished is marked, not deleted")
    count.check(sql("select status from vcenter_hosts where name = 'elsewhere'")[0]["status"] == "connected", "others' hosts are left alone")
    count.check(not sql("select 1 as one from vcenter_alarms where alarm_key = 'stale'"), "alarms that ended are removed")
    name = sql("select name from vcenter_vms where overall_status <> 'removed' order by name limit 1")[0]["name"]
    sql("alter table vcenter_vms add constraint refused check (name <> '%s') not valid" % name)
    sql("update vcenter_vms set last_sync = null where name <> '%s'" % name)
    status, answer = stand.fn("sync-vcenter-direct", None, people["admin"])
    sql("alter table vcenter_vms drop constraint refused")
    count.check(status == 200 and answer["errors"][0].startswith("vms %s: " % name) and len(answer["errors"]) == 1
                and answer["summary"]["updated"] == len(truth)
                and not sql("select name from vcenter_vms where last_sync is null and overall_status <> 'removed' and name <> '%s'" % name),
                "a machine that cannot be taken is named and costs the others nothing", str(answer))
    sql("delete from servers where ip_address like '198.51.100.%'")


def several(stand, count, people, peer):
    clear()
    first = add_vcenter(peer, "one")
    second = add_vcenter(peer, "two")
    sql("insert into vcenters (name, host, port, username, password_encrypted, verify_ssl) values "
        "('dead', '127.0.0.1', %d, 'u', 'p', false)" % free_port())
    status, answer = stand.fn("sync-vcenter-direct", None, people["admin"])
    hosts = len(of_kind(peer.control("inventory"), "HostSystem"))
    counts = {row["source_vcenter_id"]: row["n"] for row in sql("select source_vcenter_id, count(*) as n from vcenter_hosts group by 1")}
    count.check(counts == {first: hosts, second: hosts}, "hosts of two vCenters with the same ids stay apart", str(counts))
    count.check(status == 200 and any(error.startswith("dead: ") for error in answer["errors"])
                and any("clusters DC0_C0" in error for error in answer["errors"]), "a dead vCenter and clusters of one name are named", str(answer))
    rows = {row["name"]: row for row in sql("select name, last_sync_status, last_sync_error from vcenters")}
    count.check(rows["dead"]["last_sync_status"] == "failed" and "refused" in rows["dead"]["last_sync_error"].lower()
                and rows["one"]["last_sync_status"] == "success", "each vCenter keeps its own outcome", str(rows))


def hostile(stand, count, people, peer):
    clear()
    add_vcenter(peer)
    cases = [("RetrievePropertiesEx", kind) for kind in ("status", "cut", "garbage", "bomb", "external", "huge", "deep", "namespace")]
    cases += [("RetrieveServiceContent", kind) for kind in ("bomb", "cut", "namespace")] + [("Login", "garbage"), ("CreateContainerView", "external")]
    for method, kind in cases:
        peer.fault(method, kind)
        status, answer = stand.fn("sync-vcenter-direct", None, people["admin"])
        peer.fault()
        count.check(status == 500 and answer.get("success") is False
                    and answer["error"].startswith(("Failed to fetch hosts: ", "vCenter authentication failed: ")),
                    "%s answered with %s is a clear failure" % (method, kind), str(answer))
        count.check(sql("select count(*) as n from vcenter_hosts")[0]["n"] == 0, "%s %s: nothing is stored" % (method, kind))
    calls = peer.calls()
    count.check(calls.get("Logout") == calls.get("Login") - 1, "failures end their sessions", str(calls))
    peer.fault("RetrievePropertiesEx", "expired", 1)
    status, answer = stand.fn("sync-vcenter-direct", None, people["admin"])
    count.check(status == 200 and answer["summary"]["errors"] == 0 and peer.calls().get("Login") == 2, "a session that ends is opened anew", str(answer))
    peer.fault("RetrievePropertiesEx", "expired")
    status, answer = stand.fn("sync-vcenter-direct", None, people["admin"])
    count.check(status == 500 and peer.calls().get("Login") == 3, "but twice at most", str(answer))
    peer.fault()


def stalled(stand, answers):
    """A service that takes the call and says nothing; runs beside the other scenes."""
    peer = VCenter(stand.directory, CANARY, host=1, cluster=1, vm=0)
    peer.fault("Login", "stall")
    answers.append(stand.fn("test-vcenter-connection", {"host": "127.0.0.1", "port": peer.port, "username": peer.user,
                                                        "password": CANARY, "verify_ssl": False}, stand.person("admin")))
    peer.close()


SCENES = [connection, rest_too, inventory, again, links, relinked, renewed, several, hostile, vcenter_tool, openmanage_tool, scheduled, scheduled_job, connectivity, openmanage, contract, large]


def main():
    count = Count()
    stand = NetStand()
    people = {role: stand.person(role) for role in ("admin", "operator", "viewer")}
    peer = VCenter(stand.directory, CANARY)
    answers = []
    stall = threading.Thread(target=stalled, args=(stand, answers))
    stall.start()
    for scene in SCENES:
        if sys.argv[1:] and scene.__name__ not in sys.argv[1:]:
            continue
        begun = time.monotonic()
        try:
            scene(stand, count, people, peer)
        except Exception as error:  # one scene's trouble is not the end of the others
            count.check(False, scene.__name__, repr(error))
        print("%s: %.1f s" % (scene.__name__, time.monotonic() - begun))
    stall.join()
    count.check(answers[0][1].get("error") == "Connection timeout (10s)", "a stall ends with its deadline", str(answers))
    text = sql("select coalesce(string_agg(c::text, ' '), '') as all from idrac_commands c")[0]["all"]
    count.check(CANARY not in text and "vmware_soap_session=" not in text, "no secret in the rows")
    peer.close()
    for process in stand.processes:
        process.terminate()
        process.wait(60)
    for path in stand.logs:
        with open(path, errors="replace") as log:
            text = log.read()
        count.check("Sanitizer" not in text and "runtime error" not in text, "clean log: " + path, text[-3000:])
        count.check(CANARY not in text, "no secret in " + path)
    shutil.rmtree(stand.directory, ignore_errors=True)
    count.finish()


main()
