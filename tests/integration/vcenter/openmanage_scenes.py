"""The interface's OpenManage button: it queues a job, an executor reads the devices, the gateway stores them."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "simulators"))
from ome import Ome, make_devices, software  # noqa: E402
from stand import free_port, sql, until  # noqa: E402

PASSWORD = "Canary-Ome-9"
FINAL = ("completed", "failed", "cancelled")


def settle(ome, **columns):
    sql("delete from openmanage_settings")
    row = dict({"host": "localhost", "port": ome.port, "username": ome.user, "password": PASSWORD, "verify_ssl": False, "sync_enabled": True}, **columns)
    sql("insert into openmanage_settings (%s) values (%s)" % (", ".join(row), ", ".join("'%s'" % value for value in row.values())))


def press(stand, person):
    """The button sends no body."""
    sql("delete from jobs")
    status, answer = stand.fn("openmanage-sync", None, person)
    assert status == 200 and answer["summary"]["total"] == 0, answer

    def ended():
        rows = sql("select * from jobs where job_type = 'openmanage_sync'")
        return rows and rows[0]["status"] in FINAL and rows[0]
    return until("the end of openmanage_sync", ended)


def openmanage(stand, count, people, _):
    sql("delete from servers where service_tag like 'OMETAG%'")
    sql("delete from idrac_commands")
    ome = Ome(os.path.join(stand.directory, "vcsim.pem"), password=PASSWORD, devices=make_devices(120)).start()
    servers = [device for device in ome.devices if device["Type"] == 1000]
    servers[3]["DeviceManagement"] = []
    servers[4]["DeviceServiceTag"] = servers[4]["Identifier"] = ""
    executor = stand.executor()
    settle(ome)
    job = press(stand, people["operator"])
    details = job["details"]
    count.check(job["status"] == "completed" and (details["total"], details["new"], details["updated"], details["skipped"], details["errors"])
                == (len(servers), len(servers) - 2, 0, 2, 0) and details["triggered_by"] == "manual", "the button brings all servers", str(details)[:600])
    count.check(ome.opened == 1 and not ome.sessions, "the session is ended")
    rows = {row["service_tag"]: row for row in sql("select * from servers where service_tag like 'OMETAG%'")}
    taken = [device for device in servers if device["DeviceManagement"] and device["DeviceServiceTag"]]
    wrong = [device["DeviceServiceTag"] for device in taken for row in [rows.get(device["DeviceServiceTag"], {})] if (
        row.get("hostname"), row.get("ip_address"), row.get("model"), row.get("openmanage_device_id"), row.get("bios_version"), row.get("idrac_firmware")) != (
            device["DeviceName"], device["DeviceManagement"][0]["NetworkAddress"], device["Model"], str(device["Id"]),
            software(device)["InventoryInfo"][0]["Version"], software(device)["InventoryInfo"][1]["Version"])]
    count.check(not wrong and len(rows) == len(taken), "%d servers as OpenManage has them" % len(taken), str(wrong[:5]))
    count.check(sql("select last_sync from openmanage_settings")[0]["last_sync"], "the settings know of the sync")
    text = sql("select coalesce(string_agg(c::text, ' '), '') as all from idrac_commands c where operation_type = 'openmanage_api'")[0]["all"]
    count.check("/api/DeviceService/Devices" in text and PASSWORD not in text and "canary-session-token" not in text, "exchanges have rows, without secrets")
    ome.fault = (r"InventoryDetails", "status", 3)
    job = press(stand, people["operator"])
    count.check(job["status"] == "completed" and job["details"]["updated"] == len(taken) and
                str(job["details"]["console_log"]).count("no software versions") == 3, "servers without a list of software are taken", str(job["details"])[:600])
    for what, columns, words in (("a wrong password", {"password": "no"}, "refuses the credentials"), ("an unknown authority", {"verify_ssl": True}, ""),
                                 ("no listener", {"port": free_port()}, ""), ("a host that is a URL", {"host": "localhost/x@y"}, "needs the name"),
                                 ("switched off", {"sync_enabled": False}, "switched off")):
        settle(ome, **columns)
        job = press(stand, people["operator"])
        count.check(job["status"] == "failed" and words in job["details"]["error"] and PASSWORD not in str(job), "%s fails the job clearly" % what,
                    str(job["details"])[:400])
    settle(ome)
    for kind, words in (("garbage", "not JSON"), ("cut", ""), ("loop", "no end"), ("elsewhere", "another host"), ("status", "503")):
        ome.fault = (r"/Devices\?", kind, 99)
        job = press(stand, people["operator"])
        ome.fault = None
        count.check(job["status"] == "failed" and words in job["details"]["error"] and not ome.sessions, "%s: a clear failure, the session is ended" % kind,
                    str(job["details"])[:400])
    count.check(not any("203.0.113.9" in path for _, path in ome.requests), "no link leads elsewhere")
    sql("delete from openmanage_settings")
    count.check("No OpenManage" in press(stand, people["operator"])["details"]["error"], "without settings the job says so")
    sql("delete from servers where service_tag like 'OMETAG%'")
    executor.terminate()
    executor.wait(30)
    ome.close()


def scheduled_job(stand, count, people, peer):
    """The former executors' own scheduler, as jobs of imported databases know it."""
    for table in ("jobs", "vcenter_vms", "vcenter_hosts", "vcenter_datastores", "vcenter_networks", "vcenter_clusters", "vcenters"):
        sql("delete from " + table)
    sql("insert into vcenters (name, host, port, username, password_encrypted, verify_ssl) values ('due', '127.0.0.1', %d, '%s', '%s', false)"
        % (peer.port, peer.user, peer.password))
    sql("update vcenters set next_sync_at = now() - interval '1 minute'")
    executor = stand.executor()
    job = stand.run_job("scheduled_vcenter_sync", {}, {"is_internal": True})
    count.check(job["status"] == "completed" and job["details"]["syncs_triggered"] == 1, "a job of the former scheduler queues what is due", str(job["details"]))
    done = until("the sync", lambda: sql("select 1 as one from jobs where job_type = 'vcenter_sync' and status = 'completed'"))
    again = sql("select count(*) as n from jobs where job_type = 'scheduled_vcenter_sync'")[0]["n"]
    count.check(bool(done) and again == 1, "and does not go on by itself", str(again))
    executor.terminate()
    executor.wait(30)
