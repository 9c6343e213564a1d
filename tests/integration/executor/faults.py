"""Devices that misbehave: each fault ends in a failed job that says what happened and where, or is got over."""
import os
import re
import subprocess

from harness import PASSWORD, Count, Stand, free_port, scenario, sql, until

count = Count()
stand = Stand(servers=18)
legacy_addresses, legacy_admin = stand.start_simulator(1, ["--legacy-tls", "--generation", "8", "--sel-entries", "70"])
sql("insert into network_settings (connection_timeout_seconds) select 20 where not exists (select from network_settings); "
    "update network_settings set read_timeout_seconds = 20, connection_timeout_seconds = 20, retry_delay_seconds = 1")
executor = stand.executor()
used = iter(range(18))


def scope(*ids):
    return {"type": "specific", "server_ids": list(ids)}


def check_of(fault, job_type="health_check", details=None):
    """A server of its own (breakers are per device) with this fault, and the job's end."""
    index = next(used)
    server = stand.add_server(index)
    if fault:
        stand.fault(index, **fault)
    job = stand.run_job(job_type, scope(server), details)
    return index, server, job


def fails_saying(name, fault, *words):
    index, server, job = check_of(fault)
    error = job["details"].get("error", "")
    count.check(job["status"] == "failed" and all(word in error for word in words), "%s fails the job with its reason" % name,
                "%s: %s" % (job["status"], error))
    count.check("Checking health of" in error and "server-%d" % index in error, "%s: step and server are named" % name, error)
    task = sql("select * from job_tasks where job_id = '%s'" % job["id"])[0]
    count.check(task["status"] == "failed" and task["log"], "%s: the task failed too" % name)
    rows = sql("select * from idrac_commands where job_id = '%s' and not success" % job["id"])
    count.check(rows and all(row["error_message"] for row in rows), "%s: the activity log shows the failing call" % name)
    count.check(not sql("select 1 from server_health where server_id = '%s'" % server), "%s: no invented health" % name)
    return job


def refused():
    fails_saying("401", {"kind": "status", "status": 401, "path": "Systems"}, "Authentication failed")


def wrong_password_is_tried_once():
    index = next(used)
    server = stand.add_server(index, password="not-it")
    job = stand.run_job("health_check", scope(server))
    tries = [r for r in stand.simulator("GET", "%d/requests" % index) if r["method"] == "POST"]
    count.check(job["status"] == "failed" and len(tries) == 1, "a refused password is not tried again", str(tries))


def unavailable():
    job = fails_saying("503", {"kind": "status", "status": 503, "path": "System.Embedded.1$", "retry_after": 1}, "503")
    tries = sql("select * from idrac_commands where job_id = '%s' and status_code = 503" % job["id"])
    count.check(len(tries) == 3, "reads are repeated twice before giving up", str(len(tries)))


def unavailable_for_a_moment():
    _, _, job = check_of({"kind": "status", "status": 503, "path": "System.Embedded.1$", "retry_after": 1, "count": 2})
    count.check(job["status"] == "completed", "a busy moment is got over", str(job["details"].get("error")))


def dropped():
    fails_saying("drop", {"kind": "drop", "path": "System.Embedded.1$"}, "GET /redfish/v1/Systems")


def cut():
    fails_saying("cut body", {"kind": "cut", "path": "System.Embedded.1$"}, "GET /redfish/v1/Systems")


def garbage():
    fails_saying("garbage", {"kind": "garbage", "path": "System.Embedded.1$"}, "not a Redfish object")


def wrong_shape():
    fails_saying("another shape", {"kind": "wrong", "path": "System.Embedded.1$"}, "not a Redfish object")


def huge():
    fails_saying("huge body", {"kind": "huge", "value": 64, "path": "System.Embedded.1$"}, "GET /redfish/v1/Systems")


def deep():
    fails_saying("deep JSON", {"kind": "deep", "path": "System.Embedded.1$"}, "not a Redfish object")


def part_missing():
    _, server, job = check_of({"kind": "status", "status": 404, "path": "Thermal"})
    row = sql("select * from server_health where server_id = '%s'" % server)[0]
    count.check(job["status"] == "completed" and row["temperature_celsius"] is None and row["psu_health"] == "OK",
                "a part that is not there stays unknown", str(job["details"].get("error")))
    count.check("thermal" in job["details"]["results"][0]["not_read"], "and is named")


def no_free_session():
    _, _, job = check_of({"kind": "session-limit"})
    kinds = {row["operation_type"] for row in sql("select * from idrac_commands where job_id = '%s'" % job["id"])}
    count.check(job["status"] == "completed" and "idrac_api_fallback" in kinds, "without a session slot Basic is used",
                str(job["details"].get("error")))


def endless_pages():
    index, _, job = check_of({"kind": "loop", "path": "LogServices"}, "fetch_event_logs", {"limit": 1000})
    requests = [r for r in stand.simulator("GET", "%d/requests" % index) if "Entries" in r["path"]]
    count.check(job["status"] == "completed" and len(requests) <= 3, "a page that leads to itself ends the reading",
                "%s, %d requests" % (job["details"].get("error"), len(requests)))


def in_the_middle(index, happens):
    """A health check whose device has this happen to it while the third question is open; the job's end."""
    server = stand.add_server(index)
    stand.fault(index, kind="hold", path="Thermal")
    job = stand.add_job("health_check", scope(server))
    until("the question", lambda: stand.was_asked(index, "Thermal"))
    happens()
    stand.clear_faults(index)
    return server, stand.wait(job)


def session_lost_in_the_middle():
    index = next(used)
    _, row = in_the_middle(index, lambda: stand.simulator("POST", "%d/state" % index, {"drop_sessions": True}))
    count.check(row["status"] == "completed" and "not_read" not in row["details"]["results"][0], "one new session is made",
                str(row["details"]))
    count.check(stand.simulator("GET", str(index))["sessions_made"] == 2, "and no more")


def device_restarts_in_the_middle():
    index = next(used)
    server, row = in_the_middle(index, lambda: stand.simulator("POST", "%d/reboot" % index, {"connections": 2}))
    count.check(row["status"] == "completed" and "not_read" not in row["details"]["results"][0],
                "a short restart of the controller is got over", str(row["details"]))
    count.check(stand.simulator("GET", str(index))["down_for"] == 0, "though connections were turned away")
    stand.simulator("POST", "%d/reboot" % index, {"seconds": 3600})
    row = stand.run_job("health_check", scope(server))
    count.check(row["status"] == "failed" and "server-%d" % index in row["details"]["error"], "a long one fails the job",
                str(row["details"].get("error")))
    stand.simulator("POST", "%d/reboot" % index, {"seconds": 0})
    row = stand.run_job("health_check", scope(server))
    count.check(row["status"] == "completed", "which may be tried again when it is over", str(row["details"].get("error")))


def devices_that_fail_are_left_alone():
    """Three refused passwords close a device for half an hour, three calls without an answer for a minute."""
    def pause(index, server):
        for _ in range(4):
            error = stand.run_job("health_check", scope(server))["details"].get("error", "")
            found = re.search(r"left alone for another (\d+) s", error)
            if found:
                return int(found.group(1))
        raise RuntimeError("server-%d is still asked: %s" % (index, error))

    index = next(used)
    server = stand.add_server(index, password="not-it")
    seconds = pause(index, server)
    count.check(61 < seconds <= 1801, "refused passwords pause a device for long", str(seconds))
    tries = [r for r in stand.simulator("GET", "%d/requests" % index) if r["method"] == "POST"]
    count.check(len(tries) == 3, "after three of them", str(tries))
    index = next(used)
    server = stand.add_server(index)
    stand.simulator("POST", "%d/reboot" % index, {"seconds": 3600})
    seconds = pause(index, server)
    count.check(seconds <= 61, "a device that is away is asked again soon", str(seconds))


def old_controller():
    server = stand.add_server(0, address=legacy_addresses[0])
    job = stand.run_job("health_check", scope(server))
    row = sql("select * from servers where id = '%s'" % server)[0]
    count.check(job["status"] == "completed" and row["requires_legacy_ssl"] is True, "old TLS is found out and remembered",
                str(job["details"].get("error")))
    job = stand.run_job("fetch_event_logs", scope(server), {"limit": 30})
    count.check(job["status"] == "completed" and job["details"]["total_events"] == 30, "and its log found where it is",
                str(job["details"].get("error")))


def checked_certificate():
    executor.terminate()
    executor.wait(60)
    strict = stand.executor(BASALT_DEVICE_VERIFY_TLS="true")
    server = sql("select id from servers where requires_legacy_ssl is not true limit 1")[0]["id"]
    job = stand.run_job("health_check", scope(server))
    count.check(job["status"] == "failed" and "certificate" in job["details"]["error"].lower(),
                "with verification on, a self-signed certificate fails", str(job["details"].get("error")))
    strict.terminate()
    strict.wait(60)


def gateway_behind_tls():
    port = free_port()
    certificate, key = (os.path.join(stand.directory, "gateway" + end) for end in (".crt", ".key"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "2",
                    "-subj", "/CN=gateway", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    stand.spawn_gateway(port, BASALT_TLS_CERT=certificate, BASALT_TLS_KEY=key)
    address = "https://127.0.0.1:%d" % port
    distrustful = stand.executor(SUPABASE_URL=address)
    until("a refused poll", lambda: "certificate" in str((stand.call("GET", distrustful.api + "/api/status")[1] or {}).get(
        "polling", {}).get("last_poll_error")).lower())
    distrustful.terminate()
    distrustful.wait(60)
    trusting = stand.executor(SUPABASE_URL=address, BASALT_CA_FILE=certificate)
    job = stand.run_job("pdu_discover")
    count.check(job["details"]["error"] == "Unsupported job type: pdu_discover", "over TLS with the private authority jobs are taken")
    trusting.terminate()
    trusting.wait(60)


def local_targets_need_a_setting():
    closed = stand.executor(BASALT_ALLOW_LOCAL_TARGETS="false")
    server = sql("select id from servers where requires_legacy_ssl is not true limit 1")[0]["id"]
    job = stand.run_job("health_check", scope(server))
    count.check(job["status"] == "failed", "loopback is no device unless allowed", str(job["details"].get("error")))
    closed.terminate()
    closed.wait(60)


def stalled():
    sql("update network_settings set read_timeout_seconds = 2")
    impatient = stand.executor()
    job = fails_saying("stall", {"kind": "stall", "path": "System.Embedded.1$"}, "GET /redfish/v1/Systems")
    rows = sql("select * from idrac_commands where job_id = '%s' and not success" % job["id"])
    count.check(all(row["status_code"] is None for row in rows), "no answer, no status", str(rows[:1]))
    impatient.terminate()
    impatient.wait(60)


for test in (refused, wrong_password_is_tried_once, unavailable, unavailable_for_a_moment, dropped, cut, garbage, wrong_shape,
             huge, deep, part_missing, no_free_session, endless_pages, session_lost_in_the_middle, device_restarts_in_the_middle,
             devices_that_fail_are_left_alone, old_controller, checked_certificate, gateway_behind_tls,
             local_targets_need_a_setting, stalled):
    scenario(count, test.__name__, test)
count.check(PASSWORD not in str(sql("select * from idrac_commands")), "no password in the activity log")
stand.finish(count)
count.finish()
