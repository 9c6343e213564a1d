"""What the UI asks at once through the executor's HTTP API: every route, who may, and what goes wrong."""
import uuid

from harness import PASSWORD, Count, Stand, free_port, scenario, sql, token, until

count = Count()
stand = Stand(servers=2)
executor = stand.executor()
server = stand.add_server(0)
wrong = stand.add_server(1, password="not-the-password")
poor = str(uuid.uuid4())
sql("insert into servers (id, ip_address, hostname) values ('%s', '127.0.0.9', 'poor')" % poor)
front = "http://127.0.0.1:%d" % free_port()
stand.spawn_gateway(int(front.rsplit(":", 1)[1]), BASALT_EXECUTOR_URL=executor.api)


def ask(route, body, base=None, key=""):
    """Directly, as a browser on this machine would: without a token unless `key` is one."""
    return stand.call("POST", (base or executor.api) + "/api/" + route, body, key)


def person(role):
    identifier = str(uuid.uuid4())
    sql("insert into auth.users (id, email, aud, role) values ('%s', '%s@example.test', 'authenticated', 'authenticated')"
        % (identifier, identifier))
    sql("delete from user_roles where user_id = '%s'" % identifier)
    if role:
        sql("insert into user_roles (user_id, role) values ('%s', '%s')" % (identifier, role))
    return identifier, token("authenticated", identifier, aud="authenticated")


def good(route, **more):
    code, body = ask(route, dict({"server_id": server}, **more))
    count.check(code == 200 and body.get("success") is True and body.get("server_id") == server, route, "%s %s" % (code, body))
    return body or {}


def reads():
    health = good("health-check")
    count.check((health["power_state"], health["overall_health"], health["processor"], health["memory"], health["temperature_celsius"],
                 health["fan_health"]) == ("On", "OK", {"health": "OK", "count": 2}, {"health": "OK", "total_gb": 256}, 36.5, "OK")
                and len(health["sensors"]["fans"]) == 5, "health is whole", str(health))
    count.check(sql("select count(*) as n from server_health")[0]["n"] == 0 and
                sql("select overall_health from servers where id = '%s'" % server)[0]["overall_health"] == "OK",
                "the server's row knows it; the row of the history is the caller's")
    logs = good("event-logs", limit=3)
    count.check(logs["count"] == 3 and set(logs["events"][0]) >= {"id", "event_id", "timestamp", "severity", "message", "category",
                                                                  "sensor_type", "sensor_number", "raw_data"}, "events have their form", str(logs))
    firmware = good("firmware-inventory")
    count.check(firmware["count"] == len(firmware["firmware"]) > 3 and
                set(firmware["firmware"][0]) == {"Name", "Id", "Version", "Updateable", "ComponentType", "Status"}, "firmware", str(firmware))
    count.check(good("idrac-jobs")["jobs"] == [], "an empty queue is a list")
    boot = good("boot-config-read")
    row = sql("select boot_mode, boot_order, last_boot_config_check from servers where id = '%s'" % server)[0]
    count.check(boot["boot_order"] == row["boot_order"] == ["Boot0001", "Boot0002", "Boot0000"] and boot["boot_mode"] == row["boot_mode"] == "UEFI"
                and row["last_boot_config_check"], "the boot order is told and kept", str(boot))
    bios = good("bios-config-read", notes="before the update")
    row = sql("select * from bios_configurations")
    count.check(len(row) == 1 and row[0]["id"] == bios["config_id"] and row[0]["notes"] == "before the update" and
                row[0]["attributes"] == bios["attributes"] and row[0]["bios_version"] == "2.19.1", "a snapshot is kept", str(row))
    network = good("network-config-read")
    count.check((network["ipv4"]["enabled"], network["ipv4"]["dhcp_enabled"], network["ipv4"]["netmask"], network["nic"]["selection"],
                 network["ntp"]["enabled"]) == (True, False, "255.0.0.0", "Dedicated", False), "the network", str(network))
    reached = good("connectivity-test")
    count.check(reached["reachable"] is True and reached["response_time_ms"] >= 0, "it is reachable", str(reached))


def books():
    rows = sql("select * from idrac_commands")
    count.check(len(rows) > 20 and all(row["source"] == "instant_api" and row["job_id"] is None and row["server_id"] == server for row in rows),
                "each exchange has its row", str(rows[:1]))
    count.check(not sql("select 1 from jobs"), "reads make no jobs")
    count.check(all(state["sessions"] == 0 and state["sessions_made"] > 5 for state in stand.simulator("GET", "")[:1]), "sessions are given back")


def console():
    code, body = ask("console-launch", {"server_id": server})
    count.check(code == 200 and body["requires_login"] is False and body["console_url"] ==
                "https://%s/console?username=root&tempUsername=kvm%%261&tempPassword=Temp%%3DCanary%%2F1" % stand.addresses[0], "a console", str(body))
    count.check(not sql("select 1 from idrac_commands c where c::text like '%Temp=Canary%'"), "its password is in no row")
    stand.fault(0, kind="status", status=404, path="GetKVMSession", method="POST")
    code, body = ask("console-launch", {"server_id": server})
    stand.clear_faults(0)
    count.check(code == 200 and body["requires_login"] is True and body["console_url"] == "https://%s/console" % stand.addresses[0],
                "without one the login page", str(body))


def network_write():
    def change(**changes):
        return ask("network-config-write", {"server_id": server, "changes": {key.replace("_", "."): value for key, value in changes.items()}})
    code, body = change(IPv4_1_DNS1="192.0.2.53")
    count.check(code == 200 and body["applied_changes"] == ["IPv4.1.DNS1"] and body["ip_changed"] is False, "a change is applied", str(body))
    count.check(ask("network-config-read", {"server_id": server})[1]["ipv4"]["dns1"] == "192.0.2.53", "the device has it")
    count.check(sql("select details from audit_logs where action = 'idrac_network_changed'")[0]["details"]["changes"] == {"IPv4.1.DNS1": "192.0.2.53"},
                "and the audit log")
    for name, changes in (("nothing", {}), ("a password", {"Users.2.Password": "x"}), ("an object", {"IPv4.1.DNS1": {"a": 1}})):
        code, body = ask("network-config-write", {"server_id": server, "changes": changes})
        count.check(code == 400 and body["success"] is False, "%s is refused" % name, "%s %s" % (code, body))


def power():
    code, body = ask("power-control", {"server_id": server, "action": "OFF"})
    count.check(code == 200 and body["action"] == "off" and stand.simulator("GET", "0")["power_state"] == "Off", "off is off when it answers", str(body))
    code, body = ask("power-control", {"server_id": server, "action": "reset"})
    count.check(code == 500 and body["success"] is False and "off" in body["error"].lower(), "what the job failed of is told", str(body))
    count.check(ask("power-control", {"server_id": server, "action": "on"})[0] == 200, "on again")
    count.check(ask("power-control", {"server_id": server, "action": "explode"})[1]["error"] == "Invalid action: explode", "no such action")
    count.check(ask("power-control", {"server_id": server})[0] == 400, "no action at all")
    code, body = ask("vcenter-sync", {})
    count.check(code == 500 and "No vCenter" in body["error"], "a synchronisation that fails", str(body))
    code, body = ask("partial-vcenter-sync", {"sync_scope": "everything"})
    count.check(code == 400, "a scope that is none", str(body))


def refusals():
    for what, code, text, body in (("no server", 400, "server_id is required", {}), ("an unknown one", 404, "not found", {"server_id": str(uuid.uuid4())}),
                                   ("no id", 404, "not found", {"server_id": "../x"}), ("an array", 400, "JSON object", [1]),
                                   ("no credentials", 400, "No credentials available for server", {"server_id": poor}),
                                   ("a wrong password", 500, "Authentication failed", {"server_id": wrong})):
        found, answer = ask("health-check", body)
        count.check(found == code and answer["success"] is False and text in answer["error"], what, "%s %s" % (found, answer))
    code, body = ask("connectivity-test", {"server_id": wrong})
    count.check(code == 200 and body["success"] is False and body["reachable"] is False and body["message"], "not reachable is an answer", str(body))
    sql("update activity_settings set pause_idrac_operations = true")
    paused = [ask(route, {"server_id": server, "action": "off"}) for route in ("health-check", "power-control", "connectivity-test")]
    sql("update activity_settings set pause_idrac_operations = false")
    count.check([code for code, _ in paused] == [503] * 3 and stand.simulator("GET", "0")["power_state"] == "On", "paused is paused", str(paused))


def who_may():
    def through(key):
        return ask("boot-config-read", {"server_id": server}, front + "/executor/v1", key)[0]
    operator, key = person("operator")
    code = through(key)
    count.check(code == 200, "an operator", str(code))
    used = sql("select user_id from audit_logs where action = 'credentials_used' order by timestamp desc limit 1")
    count.check(used[0]["user_id"] == operator, "the audit names him", str(used))
    ask("power-control", {"server_id": server, "action": "on"}, front + "/executor/v1", key)
    count.check(sql("select created_by from jobs order by created_at desc limit 1")[0]["created_by"] == operator, "his job is his")
    count.check([through(person(role)[1]) for role in ("viewer", None)] == [403, 403], "a viewer, or nobody in particular")
    gone, key = person("admin")
    sql("delete from auth.users where id = '%s'" % gone)
    count.check(through(key) == 401, "one who is gone")
    count.check(through(token("anon")) == 401 and through("x.y.z") == 401, "no token of a user")
    count.check(stand.call("POST", executor.api + "/api/boot-config-read", {"server_id": server}, token("anon"))[0] == 401, "nor directly")
    public = stand.executor(BASALT_EXECUTOR_LISTEN="0.0.0.0", BASALT_EXECUTOR_ID="public")
    until("the public executor", lambda: stand.call("GET", public.api + "/api/health")[0] == 200)
    count.check(ask("boot-config-read", {"server_id": server}, public.api, "")[0] == 401,
                "without a token nobody, where others than this machine can come")


def no_secret():
    for table in ("idrac_commands", "jobs", "audit_logs", "bios_configurations"):
        count.check(not sql("select 1 from %s t where t::text like '%%%s%%'" % (table, PASSWORD)), "no password in " + table)


for test in (reads, books, console, network_write, power, refusals, who_may, no_secret):
    scenario(count, test.__name__, test)
stand.finish(count)
count.finish()
