"""Who works on a job: claims, leases, fencing; what is left after kill -9; nothing lost, nothing twice."""
import signal
import time
import uuid

from harness import FINAL, Count, Stand, scenario, sql, until

count = Count()
stand = Stand(servers=6, idrac_max_concurrent="1")  # one server after the other
servers = [stand.add_server(index) for index in range(6)]


def scope(*ids):
    return {"type": "specific", "server_ids": list(ids)}


def claim(executor_id, boot="b1"):
    return stand.jobs_api("claim", {"executor_id": executor_id, "boot_id": boot, "max": 10, "lease_seconds": 600})


def lease_is_exclusive():
    job = stand.add_job("health_check", scope(servers[0]))
    status, first = claim("one")
    count.check(status == 200 and [c["job"]["id"] for c in first["jobs"]] == [job], "the first claim gets the job")
    token = first["jobs"][0]["token"]
    count.check(claim("two")[1]["jobs"] == [], "a second claim gets nothing")
    row = stand.job(job)
    count.check(row["status"] == "running" and row["started_at"], "claimed is running")
    for operation, body in (("renew", {}), ("report", {"details": {"x": 1}}), ("finish", {"status": "completed"})):
        status, answer = stand.jobs_api("%s/%s" % (job, operation), dict(body, token="999999"))
        count.check(status == 409 and "lease" in answer["error"], "%s with a wrong token is refused" % operation, str(answer))
        status, _ = stand.jobs_api("%s/%s" % (job, operation), body)
        count.check(status == 409, "%s without a token too" % operation)
    status, answer = stand.jobs_api(job + "/report", {"token": token, "seq": 1, "details": {"x": 1}, "console": ["a"]})
    count.check(status == 200 and answer["status"] == "running", "with the token it is taken")
    stand.jobs_api(job + "/report", {"token": token, "seq": 1, "details": {"x": 1}, "console": ["a"]})
    count.check(stand.job(job)["details"] == {"x": 1, "console_log": ["a"]}, "a report that comes twice counts once")
    code, rows = stand.call("PATCH", "%s/rest/v1/jobs?id=eq.%s" % (stand.url, job), {"details": {"stolen": True}})
    count.check(code == 200 and rows == [] and "stolen" not in stand.job(job)["details"],
                "another service's PATCH of a leased job affects no row", str(rows))
    sql("update basalt.job_leases set expires_at = now() where job_id = '%s'" % job)
    status, second = claim("two")
    count.check([c["job"]["id"] for c in second["jobs"]] == [job] and second["jobs"][0]["attempts"] == 2,
                "a lease that ran out makes the job claimable")
    status, _ = stand.jobs_api(job + "/report", {"token": token, "seq": 2, "details": {"zombie": True}})
    count.check(status == 409 and "zombie" not in stand.job(job)["details"], "the former holder is refused")
    status, answer = stand.jobs_api(job + "/finish", {"token": second["jobs"][0]["token"], "status": "completed"})
    count.check(status == 200 and answer == {"status": "completed", "is_changed": True}, "the holder finishes")
    status, _ = stand.jobs_api(job + "/finish", {"token": second["jobs"][0]["token"], "status": "failed"})
    count.check(status == 409 and stand.job(job)["status"] == "completed", "an end is an end")


def bad_requests():
    for path, body, expected in (("claim", {}, 400), ("claim", [1], 400), ("nothing", {}, 404), ("x/renew", {}, 404),
                                 (str(uuid.uuid4()) + "/renew", {"token": "1"}, 409),
                                 ("claim", {"executor_id": "e", "max": "many"}, 400)):
        status, answer = stand.jobs_api(path, body)
        count.check(status == expected and "error" in answer, "%s %s answers %d" % (path, body, expected), "%s %s" % (status, answer))
    from harness import token as make_token
    for role, expected in (("anon", 403), ("authenticated", 403)):
        status, _ = stand.call("POST", stand.url + "/jobs/v1/claim", {"executor_id": "e"}, key=make_token(role))
        count.check(status == expected, "%s may not claim" % role, str(status))
    status, _ = stand.call("POST", stand.url + "/jobs/v1/claim", {"executor_id": "e"}, key="no.such.token")
    count.check(status == 401, "a forged token may not claim", str(status))


def servers_are_not_changed_by_two():
    first = stand.add_job("power_action", scope(servers[0]), {"action": "On"})
    second = stand.add_job("power_action", scope(servers[1], servers[0]), {"action": "On"})
    other = stand.add_job("power_action", scope(servers[2]), {"action": "On"})
    got = {c["job"]["id"]: c["token"] for c in claim("one")[1]["jobs"]}
    count.check(set(got) == {first, other}, "of two jobs that change one server the later waits")
    stand.jobs_api(first + "/finish", {"token": got[first], "status": "completed"})
    rest = {c["job"]["id"]: c["token"] for c in claim("one")[1]["jobs"]}
    count.check(set(rest) == {second}, "until the earlier has ended")
    stand.jobs_api(second + "/finish", {"token": rest[second], "status": "failed", "details": {"error": "x"}})
    stand.jobs_api(other + "/finish", {"token": got[other], "status": "completed"})


def given_up_after_three():
    job = stand.add_job("health_check", scope(servers[0]))
    for attempt in range(3):
        claimed = claim("mortal", boot="boot-%d" % attempt)[1]["jobs"]
        count.check(len(claimed) == 1, "a new process of the same executor takes up its orphan at once")
        stand.jobs_api(job + "/report", {"token": claimed[0]["token"], "details": {"current_step": "Step %d" % attempt}})
    count.check(claim("mortal", boot="last")[1]["jobs"] == [], "but not for ever")
    row = stand.job(job)
    count.check(row["status"] == "failed" and "stopped 3 times" in row["details"]["error"] and "Step 2" in row["details"]["error"],
                "it ends failed, with its last step", str(row["details"]))


def killed_while_reading():
    process = stand.executor()
    stand.fault(0, kind="hold", path="Thermal")
    job = stand.add_job("health_check", scope(servers[1], servers[0]))
    until("the first server to be done", lambda: (stand.job(job)["details"] or {}).get("success_count") == 1)
    until("the second to be under way", lambda: stand.was_asked(0, "Thermal"))
    stand.kill(process)
    stand.clear_faults(0)
    count.check(stand.job(job)["status"] == "running", "right after the kill it still says running")
    process = stand.executor()
    row = stand.wait(job)
    count.check(row["status"] == "completed" and row["details"]["success_count"] == 2, "the next process completes it",
                str(row["details"]))
    health = sql("select server_id, count(*) as n from server_health group by 1")
    done = {h["server_id"]: h["n"] for h in health}
    count.check(done.get(servers[1]) == 1, "what was done is not done again", str(done))
    count.check("Going on after the executor stopped" in str(row["details"]["console_log"]), "the console tells")
    until("the killed process's session to be ended too", lambda: stand.simulator("GET", "0")["sessions"] == 0)
    process.terminate()
    process.wait(60)


def killed_while_sending_a_reset():
    process = stand.executor()
    before = len(stand.simulator("GET", "2")["resets"])
    stand.fault(2, kind="slow", value=3, path="ComputerSystem.Reset", count=1)
    job = stand.add_job("power_action", scope(servers[2]), {"action": "ForceRestart"})
    until("the reset to be on its way", lambda: sql(
        "select 1 from basalt.job_journal where job_id = '%s' and step like 'reset:%%' and state = 'started'" % job))
    stand.kill(process)
    process = stand.executor()
    row = stand.wait(job)
    time.sleep(4)
    sent = len(stand.simulator("GET", "2")["resets"]) - before
    count.check(sent <= 1, "the reset is sent at most once", str(sent))
    count.check(row["status"] == "failed" and "not sent again" in row["details"]["error"]
                and "Whether the device received it is not known" in row["details"]["error"], "and the job says what is known",
                str(row["details"].get("error")))
    process.terminate()
    process.wait(60)


def killed_after_the_reset():
    process = stand.executor()
    before = len(stand.simulator("GET", "3")["resets"])
    stand.simulator("POST", "3/state", {"transition": 6})
    job = stand.add_job("power_action", scope(servers[3]), {"action": "ForceRestart"})
    until("the reset to be sent", lambda: sql(
        "select 1 from basalt.job_journal where job_id = '%s' and step like 'reset:%%' and state = 'done'" % job))
    stand.kill(process)
    process = stand.executor()
    row = stand.wait(job)
    sent = len(stand.simulator("GET", "3")["resets"]) - before
    count.check(row["status"] == "completed" and sent == 1, "after a reset that was sent only its outcome is awaited",
                "%s, sent %d: %s" % (row["status"], sent, row["details"].get("error")))
    process.terminate()
    process.wait(60)


def terminated_politely():
    process = stand.executor()
    stand.fault(4, kind="hold", path="Thermal")
    job = stand.add_job("health_check", scope(servers[4], servers[5]))
    until("the question", lambda: stand.was_asked(4, "Thermal"))
    process.send_signal(signal.SIGTERM)
    count.check(process.wait(60) == 0, "SIGTERM ends the executor cleanly", str(process.returncode))
    row = stand.job(job)
    count.check(row["status"] == "pending" and not sql("select 1 from basalt.job_leases where job_id = '%s'" % job),
                "its job is given back", row["status"])
    count.check(stand.simulator("GET", "4")["sessions"] == 0, "the session too")
    stand.clear_faults(4)
    process = stand.executor()
    count.check(stand.wait(job)["status"] == "completed", "and done by the next")
    process.terminate()
    process.wait(60)


def people_may_end_what_an_executor_holds():
    process = stand.executor()
    operator = stand.operator()
    stand.fault(4, kind="slow", value=0.5)
    job = stand.add_job("health_check", scope(servers[4], servers[5], servers[3]))
    until("running", lambda: stand.simulator("GET", "4")["sessions"] == 1)
    status, answer = stand.call("POST", stand.url + "/functions/v1/update-job",
                                {"job": {"id": job, "details": {"graceful_cancel": True}}}, key=operator)
    count.check(status == 200 and answer == {"success": True}, "a person asks for a graceful end", str(answer))
    row = stand.wait(job)
    count.check(row["status"] == "cancelled" and row["details"]["success_count"] == 1,
                "the server under way is finished, the others are not begun", str(row["details"]))
    tasks = sorted(task["status"] for task in sql("select status from job_tasks where job_id = '%s'" % job))
    count.check(tasks == ["completed"], "its task is complete", str(tasks))
    job = stand.add_job("health_check", scope(servers[4], servers[5]))
    until("running", lambda: stand.job(job)["status"] == "running")
    status, answer = stand.call("POST", stand.url + "/functions/v1/update-job", {"job": {"id": job, "status": "cancelled"}},
                                key=operator)
    count.check(status == 200, "a person cancels", str(answer))
    until("the lease to end", lambda: not sql("select 1 from basalt.job_leases where job_id = '%s'" % job))
    count.check(stand.job(job)["status"] == "cancelled", "and it stays cancelled")
    stand.clear_faults(4)
    process.terminate()
    process.wait(60)


def gateway_killed_in_the_middle():
    process = stand.executor()
    stand.fault(4, kind="slow", value=1)
    job = stand.add_job("health_check", scope(servers[4]))
    until("running", lambda: stand.job(job)["status"] == "running")
    stand.kill(stand.gateway)
    time.sleep(2)
    stand.start_gateway()
    row = stand.wait(job)
    stand.clear_faults(4)
    count.check(row["status"] in FINAL, "a gateway that comes back finds the job's end")
    count.check(row["status"] == "completed" or row["details"].get("error"), "which is a true one", str(row["details"]))
    process.terminate()
    process.wait(60)


def polls(process):
    _, status = stand.call("GET", process.api + "/api/status")
    return status["polling"]["poll_count"] if status else 0


def many_jobs_two_executors():
    before = sql("select count(*) as n from server_health")[0]["n"]
    pair = [stand.executor(BASALT_EXECUTOR_ID="left"), stand.executor(BASALT_EXECUTOR_ID="right")]
    for process in pair:
        until("both to look for jobs", lambda process=process: polls(process) >= 1)
    jobs = [stand.add_job("health_check", scope(servers[number % 6])) for number in range(24)]
    ends = [stand.wait(job)["status"] for job in jobs]
    after = sql("select count(*) as n from server_health")[0]["n"]
    holders = sql("select details ->> 'executor_id' as e, count(*) as n from audit_logs where action = 'job_started' "
                  "and details ->> 'executor_id' in ('left', 'right') group by 1")
    count.check(ends == ["completed"] * 24, "24 jobs complete", str(ends))
    count.check(after - before == 24, "each was executed exactly once", str(after - before))
    count.check(len(holders) == 2, "both executors worked", str(holders))
    for process in pair:
        process.terminate()
        process.wait(60)


def picked_up_by_the_bell():
    process = stand.executor(POLL_INTERVAL_SECONDS="3600")
    until("the first poll", lambda: polls(process) >= 1)
    delays, ends = [], []
    for _ in range(10):
        job = stand.add_job("pdu_discover")
        row = stand.wait(job)
        ends.append(row["status"])
        delays.append(sql("select extract(epoch from (started_at - created_at)) * 1000 as ms from jobs where id = '%s'" % row["id"])[0]["ms"])
    delays.sort()
    print("pick-up latency p50 %.1f ms, max %.1f ms" % (delays[5], delays[-1]))
    count.check(ends == ["failed"] * 10, "new jobs are taken without waiting for the poll", str(ends))
    process.terminate()
    process.wait(60)


for test in (lease_is_exclusive, bad_requests, servers_are_not_changed_by_two, given_up_after_three, killed_while_reading,
             killed_while_sending_a_reset, killed_after_the_reset, terminated_politely,
             people_may_end_what_an_executor_holds, gateway_killed_in_the_middle,
             many_jobs_two_executors, picked_up_by_the_bell):
    scenario(count, test.__name__, test)
stand.finish(count)
count.finish()
