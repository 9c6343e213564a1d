"""What each job type does, over real HTTPS against simulated iDRACs."""
import json
import socket
import threading
import time

from harness import PASSWORD, Count, Stand, scenario, sql, until

count = Count()
stand = Stand(servers=4)
executor = stand.executor()
servers = [stand.add_server(index) for index in range(2)]
wrong = stand.add_server(2, password="not-the-password")


def scope(*ids):
    return {"type": "specific", "server_ids": list(ids)}


def health_check():
    job = stand.run_job("health_check", scope(*servers), {"asked_by": "me"})
    details = job["details"]
    count.check(job["status"] == "completed", "a health check of good servers completes", str(details.get("error")))
    count.check(job["started_at"] <= job["completed_at"], "started before completed")
    count.check(details["asked_by"] == "me", "the caller's keys stay")
    count.check(details["success_count"] == 2 and details["total_servers"] == 2 and details["progress_pct"] == 100,
                "details count the servers")
    count.check(all(line[0] == "[" and "] [" in line for line in details["console_log"]), "console lines have their form")
    rows = sql("select * from server_health")
    count.check(len(rows) == 2 and rows[0]["overall_health"] == "OK" and rows[0]["temperature_celsius"] == 36.5,
                "one row of health for each")
    count.check(len(rows[0]["sensors"]["temperatures"]) == 4 and len(rows[0]["sensors"]["fans"]) == 5, "sensors are bounded")
    tasks = sql("select * from job_tasks where job_id = '%s'" % job["id"])
    count.check([task["status"] for task in tasks] == ["completed"] * 2 and all(task["progress"] == 100 for task in tasks),
                "each server has its task")
    count.check(all(state["sessions"] == 0 and state["sessions_made"] > 0 for state in stand.simulator("GET", "")[:2]),
                "sessions are given back")
    server = sql("select * from servers where id = '%s'" % servers[0])[0]
    count.check((server["power_state"], server["overall_health"], server["connection_status"], server["credential_test_status"])
                == ("On", "OK", "online", "valid"), "the server's row tells the same")


def health_of_a_broken_server():
    stand.simulator("POST", "1/state", {"health": "Critical", "parts": {"fan": "Critical", "psu": "Warning"}})
    stand.run_job("health_check", scope(servers[1]))
    row = sql("select * from server_health where server_id = '%s' order by created_at desc limit 1" % servers[1])[0]
    count.check((row["overall_health"], row["fan_health"], row["psu_health"], row["memory_health"])
                == ("Critical", "Critical", "Warning", "OK"), "critical is critical", str(row))
    stand.simulator("POST", "1/state", {"health": "OK", "parts": {"fan": "OK", "psu": "OK"}})


def one_bad_server_does_not_stop_the_others():
    job = stand.run_job("health_check", scope(wrong, servers[0]))
    details = job["details"]
    count.check(job["status"] == "failed" and details["success_count"] == 1 and details["failed_count"] == 1,
                "any failure fails a health check, the good server is done", str(details))
    count.check("Authentication failed" in details["error"] and "server-2" in details["error"], "the reason names the server",
                details["error"])
    count.check(details["failed_servers"][0]["server_id"] == wrong, "failed servers are listed")
    tasks = {task["server_id"]: task for task in sql("select * from job_tasks where job_id = '%s'" % job["id"])}
    count.check(tasks[wrong]["status"] == "failed" and tasks[servers[0]]["status"] == "completed", "tasks tell them apart")
    row = sql("select * from servers where id = '%s'" % wrong)[0]
    count.check((row["connection_status"], row["credential_test_status"]) == ("offline", "invalid"), "the row says why")
    count.check(not sql("select 1 from server_health where server_id = '%s'" % wrong), "no empty row of health")


def several_servers_at_once():
    for index in (0, 1):
        stand.simulator("DELETE", "%d/requests" % index)
        stand.fault(index, kind="hold", path="Thermal")
    job = stand.add_job("health_check", scope(servers[0], servers[1], servers[0]))
    until("two servers to be read at once", lambda: all(stand.was_asked(index, "Thermal") for index in (0, 1)))
    for index in (0, 1):
        stand.clear_faults(index)
    job = stand.wait(job)
    count.check(job["status"] == "completed", "two servers are read at once", str(job["details"].get("error")))
    count.check(job["details"]["total_servers"] == 2, "a server named twice is done once")


def power_action():
    job = stand.run_job("power_action", scope(servers[0]), {"action": "ForceOff"})
    state = stand.simulator("GET", "0")
    count.check(job["status"] == "completed" and state["power_state"] == "Off", "ForceOff reaches Off", str(job["details"]))
    count.check(sql("select power_state from servers where id = '%s'" % servers[0])[0]["power_state"] == "Off",
                "the row has the state of the device")
    job = stand.run_job("power_action", scope(servers[0]), {"action": "ForceRestart"})
    count.check(job["status"] == "failed" and "it is Off" in job["details"]["error"], "no restart of a server that is off",
                str(job["details"].get("error")))
    job = stand.run_job("power_action", scope(servers[0]), {"action": "On"})
    count.check(job["status"] == "completed" and stand.simulator("GET", "0")["power_state"] == "On", "On reaches On")
    before = len(stand.simulator("GET", "0")["resets"])
    job = stand.run_job("power_action", scope(servers[0]), {"action": "On"})
    count.check(job["status"] == "completed" and len(stand.simulator("GET", "0")["resets"]) == before,
                "On of a server that is on sends nothing")
    job = stand.run_job("power_action", scope(servers[0]), {"action": "GracefulRestart"})
    count.check(job["status"] == "completed" and [r["type"] for r in stand.simulator("GET", "0")["resets"]][-1] == "GracefulRestart",
                "a restart is carried out", str(job["details"].get("error")))


def power_action_needs_an_action():
    before = len(stand.simulator("GET", "0")["resets"])
    for details in ({}, {"action": "Explode"}):
        job = stand.run_job("power_action", scope(servers[0]), details)
        count.check(job["status"] == "failed" and "details.action" in job["details"]["error"], "no action, no operation")
    job = stand.run_job("power_action", {}, {"action": "ForceOff"})
    count.check(job["status"] == "failed" and "names no servers" in job["details"]["error"], "power needs an explicit scope")
    count.check(len(stand.simulator("GET", "0")["resets"]) == before, "nothing was sent")


def fetch_event_logs():
    job = stand.run_job("fetch_event_logs", scope(servers[0]), {"limit": 60})
    newest = sql("select max(event_id::int) as id, count(*) as n from server_event_logs")[0]
    total = stand.simulator("GET", "0")
    count.check(job["status"] == "completed" and job["details"]["total_events"] == 60, "60 entries over two pages",
                str(job["details"]))
    count.check(newest["n"] == 60 and newest["id"] >= 120, "the newest ones, not the oldest", str(newest))
    job = stand.run_job("fetch_event_logs", scope(servers[0]), {"limit": 60})
    count.check(job["details"]["total_events"] == 0 and sql("select count(*) as n from server_event_logs")[0]["n"] == 60,
                "again: no duplicates", str(job["details"].get("error")))
    stand.simulator("POST", "0/state", {"sel": "Something new"})
    stand.run_job("fetch_event_logs", scope(servers[0]), {"limit": 60})
    rows = sql("select * from server_event_logs where message = 'Something new'")
    count.check(len(rows) == 1 and rows[0]["severity"] == "Critical" and rows[0]["category"] == "SEL: Power",
                "only the new one is added", str(rows))
    count.check(bool(total), "simulator answers")


def inline_credentials():
    job = stand.run_job("test_credentials", {"ip_address": stand.addresses[0]}, {"username": "root", "password": PASSWORD})
    details = job["details"]
    count.check(job["status"] == "completed" and details["success"] is True, "a good password passes", str(details))
    count.check("password" not in details, "the password has left the job's row")
    count.check(details["idrac_version"] == "6.10.80.00" and details["vendor"] == "Dell" and details["legacy_ssl"] is False
                and "Integrated Dell" in details["product"], "the device is described", str(details))
    job = stand.run_job("test_credentials", {"ip_address": stand.addresses[0]}, {"username": "root", "password": "wrong-one"})
    count.check(job["status"] == "failed" and job["details"]["message"] == "Authentication failed - invalid credentials"
                and job["details"]["success"] is False, "a wrong one fails in the known words", str(job["details"]))
    job = stand.run_job("test_credentials", {"ip_address": "127.0.0.1:9"}, {"username": "root", "password": "x1234"})
    count.check(job["status"] == "failed" and "connect" in job["details"]["error"].lower(), "nobody there: says so")


def named_set():
    sql("insert into credential_sets (id, name, username, password_encrypted) values "
        "('00000000-0000-4000-8000-0000000000c1', 'lab', 'root', '%s')" % PASSWORD)
    job = stand.run_job("test_credentials", {"ip_address": stand.addresses[0]},
                        credential_set_ids="'{00000000-0000-4000-8000-0000000000c1}'")
    count.check(job["status"] == "completed", "a credential set is tested", str(job["details"].get("error")))


def discovery_scan():
    with socket.socket() as other:  # a listener that is no iDRAC: speaks no TLS at all
        other.bind(("127.0.0.1", 0))
        other.listen()

        def refuse():
            while True:
                try:
                    other.accept()[0].close()
                except OSError:
                    return
        threading.Thread(target=refuse, daemon=True).start()
        stand.simulator("POST", "2/state", {"password": "another-password"})
        sql("delete from servers where id in ('%s', '%s')" % (servers[1], wrong))
        addresses = [*stand.addresses, "127.0.0.1:9", "127.0.0.1:%d" % other.getsockname()[1]]
        job = stand.run_job("discovery_scan", {"ip_list": addresses},
                            credential_set_ids="'{00000000-0000-4000-8000-0000000000c1}'")
    details = job["details"]
    results = {row["ip"]: row for row in details["server_results"]}
    count.check(job["status"] == "completed" and details["discovered_count"] == 3 and details["ips_processed"] == 6,
                "three of six are found", json.dumps(details))
    count.check(results["127.0.0.1:9"].get("filter_reason") == "port_closed", "a closed port is filtered", str(results))
    count.check(results[addresses[5]]["status"] == "filtered", "what is no iDRAC is filtered", str(results[addresses[5]]))
    count.check(details["auth_failure_ips"] == [stand.addresses[2]], "wrong passwords are told apart")
    found = sql("select * from servers where ip_address = '%s'" % stand.addresses[3])
    count.check(len(found) == 1 and (found[0]["service_tag"], found[0]["model"], found[0]["cpu_count"], found[0]["memory_gb"],
                                     found[0]["idrac_firmware"], found[0]["manager_mac_address"]) ==
                ("SIM0004", "PowerEdge R640", 2, 256, "6.10.80.00", "02:00:00:00:00:04"), "the server is described", str(found))
    count.check(found[0]["discovered_by_credential_set_id"] == "00000000-0000-4000-8000-0000000000c1"
                and found[0]["discovery_job_id"] == job["id"], "and linked to the set and the job")
    refused = sql("select * from servers where ip_address = '%s'" % stand.addresses[2])
    count.check(len(refused) == 1 and (refused[0]["connection_status"], refused[0]["credential_test_status"]) ==
                ("offline", "invalid"), "the refusing one is listed too", str(refused))
    count.check(len(sql("select 1 from servers where ip_address = '%s'" % stand.addresses[0])) == 1, "known servers stay one row")
    known = results[stand.addresses[3]]
    count.check((known["status"], known["service_tag"], known["model"]) == ("synced", "SIM0004", "PowerEdge R640")
                and (details["current_stage"], details["servers_total"], details["servers_refreshed"]) == ("complete", 3, 3),
                "the UI's counters and rows tell it", json.dumps(details))
    job = stand.run_job("discovery_scan", {"server_ids": [found[0]["id"], refused[0]["id"]]})
    details = job["details"]
    count.check((details["current_stage"], details["servers_total"], details["servers_refreshed"], details["servers_failed"]) ==
                ("complete", 2, 1, 1) and (details["synced"], details["failed"]) == (1, 1) and
                {row["ip"]: (row["status"], row["service_tag"]) for row in details["server_results"]} ==
                {stand.addresses[3]: ("synced", "SIM0004"), stand.addresses[2]: ("error", None)},
                "a refresh of known servers is told the same way", json.dumps(details))
    job = stand.run_job("discovery_scan", {"ip_range": "10.0.0.0/8"})
    count.check(job["status"] == "failed" and "refused" in job["details"]["error"], "absurd sizes are refused")
    job = stand.run_job("discovery_scan", {"ip_range": "nonsense"})
    count.check(job["status"] == "failed" and "nonsense" in job["details"]["error"], "nonsense is named")


def unsupported_type():
    job = stand.run_job("pdu_discover")
    count.check(job["status"] == "failed" and job["details"]["error"] == "Unsupported job type: pdu_discover", "unknown types fail")


def paused_switch():
    sql("update activity_settings set pause_idrac_operations = true")
    waiting = stand.add_job("health_check", scope(servers[0]))
    time.sleep(3)
    count.check(stand.job(waiting)["status"] == "pending", "paused: jobs wait, they are not cancelled")
    _, status = stand.call("GET", executor.api + "/api/status")
    count.check(status["operations_paused"] is True, "the status says so")
    sql("update activity_settings set pause_idrac_operations = false")
    count.check(stand.wait(waiting)["status"] == "completed", "and go on afterwards")


def scheduled():
    never = stand.add_job("health_check", scope(servers[0]), schedule_at="now() + interval '1 hour'")
    row = stand.wait(stand.add_job("health_check", scope(servers[0]), schedule_at="now() + interval '4 seconds'"))
    count.check(row["status"] == "completed" and row["started_at"] >= row["schedule_at"], "a job begins at its time, not before",
                str([row["schedule_at"], row["started_at"]]))
    count.check(stand.job(never)["status"] == "pending", "and waits for it")
    sql("delete from jobs where id = '%s'" % never)


def cancelled():
    stand.simulator("DELETE", "0/requests")
    stand.fault(0, kind="hold", path="Thermal")
    job = stand.add_job("health_check", scope(servers[0], servers[0], servers[0]))
    until("the question", lambda: stand.was_asked(0, "Thermal"))
    sql("update jobs set status = 'cancelled' where id = '%s'" % job)
    until("the lease to end", lambda: not sql("select 1 from basalt.job_leases where job_id = '%s'" % job))
    stand.clear_faults(0)
    row = stand.job(job)
    tasks = sql("select status, log from job_tasks where job_id = '%s'" % job)
    count.check(row["status"] == "cancelled" and row["completed_at"], "cancelled stays cancelled")
    count.check(all(task["status"] == "cancelled" and "Cancelled by user" in task["log"] for task in tasks) and tasks,
                "its tasks too", str(tasks))
    until("the session to be given back", lambda: stand.simulator("GET", "0")["sessions"] == 0)


def status_routes():
    code, body = stand.call("GET", executor.api + "/api/health")
    count.check(code == 200 and body == {"status": "ok", "version": "1.0.0"}, "health")
    code, body = stand.call("GET", executor.api + "/api/status")
    count.check(code == 200 and body["polling"]["active"] is True and body["polling"]["jobs_processed"] > 5, "status", str(body))
    code, body = stand.call("GET", executor.api + "/api/nothing")
    count.check(code == 404 and body == {"error": "Unknown endpoint: /api/nothing", "success": False}, "unknown endpoint")
    beat = sql("select * from executor_heartbeats")
    count.check(len(beat) == 1 and beat[0]["executor_id"] == "test" and "health_check" in beat[0]["capabilities"], "heartbeat")


def no_secret_in_any_row():
    for table in ("idrac_commands", "jobs", "job_tasks", "servers", "server_health", "server_event_logs", "audit_logs"):
        found = sql("select count(*) as n from %s t where t::text like '%%%s%%' or t::text like '%%wrong-one%%'" % (table, PASSWORD))
        count.check(found[0]["n"] == 0, "no password in " + table)
    rows = sql("select * from idrac_commands")
    count.check(len(rows) > 50 and all("X-Auth-Token" not in (row["request_headers"] or {}) or
                                       row["request_headers"]["X-Auth-Token"] == "[REDACTED]" for row in rows), "tokens are masked")
    kinds = {row["operation_type"] for row in rows}
    count.check({"session_create", "session_delete", "idrac_api"} <= kinds, "operations are told apart", str(kinds))


for test in (health_check, health_of_a_broken_server, one_bad_server_does_not_stop_the_others,
             several_servers_at_once, power_action,
             power_action_needs_an_action, fetch_event_logs, inline_credentials, named_set, unsupported_type, paused_switch,
             scheduled, cancelled, discovery_scan, status_routes, no_secret_in_any_row):
    scenario(count, test.__name__, test)
stand.finish(count)
count.finish()
