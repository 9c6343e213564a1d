"""The scheduled way: a vCenter is due, its job is queued, an executor takes it, the gateway stores the inventory."""
from link_scenes import stored
from stand import free_port, sql, until

FINAL = ("completed", "failed", "cancelled")


def wait(where):
    def ended():
        rows = sql("select * from jobs where job_type = 'vcenter_sync' and %s" % where)
        return rows and all(row["status"] in FINAL for row in rows) and rows
    return until("the end of vcenter_sync", ended)


def snapshot(source):
    """What is stored of one vCenter, without what every sync changes."""
    tables = {"vcenter_hosts": "vcenter_id", "vcenter_vms": "vcenter_id", "vcenter_datastores": "vcenter_id",
              "vcenter_networks": "vcenter_id", "vcenter_clusters": "cluster_name"}
    return stored(), {table: sql("select to_jsonb(t) - '{id,host_id,source_vcenter_id,last_sync,created_at,updated_at}'::text[] as row "
                                "from %s t where source_vcenter_id = '%s' order by %s" % (table, source, key)) for table, key in tables.items()}


def scheduled(stand, count, people, peer):
    for table in ("jobs", "vcenter_alarms", "vcenter_vms", "vcenter_datastores", "vcenter_networks", "vcenter_clusters", "vcenter_hosts",
                  "vcenters", "vcenter_settings", "server_groups", "idrac_commands"):
        sql("delete from " + table)
    add = ("insert into vcenters (name, host, port, username, password_encrypted, verify_ssl, sync_enabled) values "
           "('%s', '127.0.0.1', %d, '%s', '%s', false, %s)")
    sql(add % ("main", peer.port, peer.user, peer.password, "true"))
    sql(add % ("dead", free_port(), "u", "p", "true"))
    sql(add % ("off", peer.port, peer.user, peer.password, "false"))
    main = sql("select id from vcenters where name = 'main'")[0]["id"]
    stand.fn("sync-vcenter-direct", None, people["admin"])
    direct, before = snapshot(main), sql("select count(*) as n from vcenter_alarms")[0]["n"]
    for table in ("vcenter_alarms", "vcenter_vms", "vcenter_datastores", "vcenter_networks", "vcenter_clusters", "vcenter_hosts"):
        sql("delete from " + table)
    sql("update vcenters set last_sync = null, last_sync_status = null")
    sql("update vcenters set next_sync_at = now() - interval '1 minute'")
    status, answer = stand.fn("trigger-vcenter-syncs", {}, people["operator"])
    count.check(status == 200 and answer["triggered"] == 2 and answer["skipped"] == 0, "two vCenters are due", str(answer))
    sql("update vcenters set next_sync_at = now() - interval '1 minute'")
    status, answer = stand.fn("trigger-vcenter-syncs", {}, people["operator"])
    count.check(answer["triggered"] == 0 and sorted(answer["skippedNames"]) == ["dead", "main"], "what is queued is not queued again", str(answer))
    peer.calls()
    executor = stand.executor()
    jobs = {job["details"]["vcenter_name"]: job for job in wait("true")}
    good, bad = jobs["main"], jobs["dead"]
    hosts = len(peer.control("inventory")["HostSystem"])
    told = good["details"]["vcenter_results"][0]
    count.check(good["status"] == "completed" and good["details"]["triggered_by"] == "scheduled" and good["details"]["silent"] is True
                and good["details"]["success_count"] == 1 and told["new"] == hosts and told["status"] == "success"
                and (told["vcenter_id"], told["vcenter_name"], told["vcenter_host"]) == (main, "main", "127.0.0.1"), "the job is done", str(good["details"]))
    kinds = {"hosts": "HostSystem", "vms": "VirtualMachine", "clusters": "ClusterComputeResource", "datastores": "Datastore"}
    sizes = {key: len(peer.control("inventory")[kind]) for key, kind in kinds.items()}
    count.check({key: told[key] for key in sizes} == sizes == {key: good["details"][key] for key in sizes} and told["networks"] > 0
                and (good["details"]["total_vcenters"], good["details"]["current_vcenter_index"], good["details"]["sync_phase"]) == (1, 0, 10),
                "it tells how much of what, and how far it came", str(good["details"]))
    count.check(snapshot(main) == direct and sql("select count(*) as n from vcenter_alarms")[0]["n"] == before,
                "it stored what sync-vcenter-direct stores")
    count.check(bad["status"] == "failed" and "dead" in str(bad["details"]["vcenter_results"]) and "1 of 1 vCenters" in bad["details"]["error"],
                "a dead vCenter fails its own job", str(bad["details"]))
    rows = {row["name"]: row for row in sql("select name, last_sync, last_sync_status, last_sync_error, next_sync_at > now() as later from vcenters")}
    count.check(rows["main"]["last_sync_status"] == "success" and rows["main"]["later"] and rows["dead"]["last_sync_status"] == "failed"
                and rows["dead"]["last_sync_error"] and rows["off"]["last_sync"] is None, "each knows of its sync and its next", str(rows))
    tasks = sql("select status, progress, log from job_tasks where job_id = '%s'" % good["id"])
    count.check(len(tasks) == 1 and tasks[0]["status"] == "completed" and tasks[0]["progress"] == 100, "the job has its task", str(tasks))
    calls = peer.calls()
    count.check(calls.get("Login") == 1 and calls.get("Logout") == 1, "the executor ends its session", str(calls))
    rows = sql("select command_type, operation_type, request_body, job_id from idrac_commands where source = 'job_executor'")
    count.check({"Login", "RetrievePropertiesEx", "Logout"} <= {row["command_type"] for row in rows}
                and {row["operation_type"] for row in rows} == {"vcenter_api"} and all(row["job_id"] for row in rows)
                and all(row["request_body"] is None for row in rows if row["command_type"] == "Login"), "each exchange has its row", str(rows)[:400])
    sql("insert into jobs (job_type, target_scope, details) values ('vcenter_sync', '{\"type\": \"all\"}', '{\"everything\": true}')")
    every = wait("details ? 'everything'")[0]
    count.check(every["status"] == "failed" and every["details"]["success_count"] == 1 and every["details"]["failed_count"] == 1
                and (every["details"]["vcenters_synced"], every["details"]["total_vcenters"]) == (1, 2)
                and [result["vcenter_name"] for result in every["details"]["vcenter_results"]] == ["dead", "main"],
                "all that are enabled, one that is down stops none", str(every["details"]))
    peer.fault("RetrievePropertiesEx", "bomb")
    sql("insert into jobs (job_type, target_scope, details) values ('vcenter_sync', '{}', '{\"hostile\": true, \"vcenter_id\": \"%s\"}')" % main)
    hostile = wait("details ? 'hostile'")[0]
    peer.fault()
    count.check(hostile["status"] == "failed" and "document type" in hostile["details"]["error"] and snapshot(main) == direct,
                "a hostile answer fails the job and changes nothing", str(hostile["details"]))
    executor.terminate()
    executor.wait(60)


def connectivity(stand, count, people, peer):
    executor = stand.executor()

    def test(**details):
        return stand.run_job("vcenter_connectivity_test", {}, details)
    target = {"host": "localhost", "port": peer.port, "username": peer.user, "password": peer.password, "verify_ssl": False}
    job = test(**target)
    tests = {one["name"]: one["success"] for one in job["details"]["tests"]}
    count.check(job["status"] == "completed" and job["details"]["success"] is True and job["details"]["version"] == "6.5.0"
                and job["details"]["host_count"] == len(peer.control("inventory")["HostSystem"]), "a vCenter is tested", str(job["details"]))
    count.check(tests == {"dns": True, "tcp": True, "tcp_902": False, "login": True, "inventory": True},
                "step by step; 902 is only told", str(tests))
    count.check("password" not in job["details"], "the password has left the row")
    for what, category, details in (("a wrong password", "authentication", dict(target, password="wrong")),
                                    ("an unknown authority", "ssl", dict(target, verify_ssl=True)),
                                    ("no listener", "network", dict(target, port=free_port())),
                                    ("a name that is none", "network", dict(target, host="no-such-host.invalid"))):
        job = test(**details)
        count.check(job["status"] == "failed" and job["details"]["category"] == category and job["details"]["success"] is False
                    and peer.password not in str(job), "%s: %s" % (what, category), str(job["details"]))
    sql("delete from vcenters")
    sql("insert into vcenters (name, host, port, username, password_encrypted, verify_ssl) values ('stored', '127.0.0.1', %d, '%s', '%s', false)"
        % (peer.port, peer.user, peer.password))
    job = test(vcenter_id=sql("select id from vcenters")[0]["id"])
    count.check(job["status"] == "completed", "a stored vCenter is tested", str(job["details"]))
    job = test(**{key: value for key, value in target.items() if key != "password"})
    count.check(job["status"] == "failed" and job["details"]["category"] == "authentication", "a stored password goes nowhere else", str(job["details"]))
    job = test(**dict(target, host="localhost/x@elsewhere"))
    count.check(job["status"] == "failed" and job["details"]["success"] is False, "a host is no URL", str(job["details"]))
    executor.terminate()
    executor.wait(60)
