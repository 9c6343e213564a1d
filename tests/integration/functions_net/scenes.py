"""Functions that ask vCenters, OpenManage and devices, against peers that keep count of their sessions."""
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from stand import PASSWORD, Count, NetStand, free_port, sql, until  # noqa: E402
from peers import Peer  # noqa: E402

CANARY = "Canary-Peer-Pass-9"


def commands(where):
    return sql("select * from idrac_commands where %s order by created_at" % where)


def openmanage(stand, count, people):
    peer = Peer(stand.directory, CANARY)
    body = {"host": "127.0.0.1", "port": peer.port, "username": peer.user, "password": CANARY, "verify_ssl": False}
    status, answer = stand.fn("openmanage-test", body, people["operator"])
    count.check(status == 200 and answer["success"], "openmanage-test signs in", str(answer))
    count.check(peer.opened == 1 and not peer.sessions, "openmanage-test ends its session", str(peer.requests))
    status, answer = stand.fn("openmanage-test", dict(body, password="wrong"), people["operator"])
    count.check(status == 200 and not answer["success"] and "401" in answer["message"], "a wrong password is told", str(answer))
    status, answer = stand.fn("openmanage-test", dict(body, verify_ssl=True), people["operator"])
    count.check(not answer["success"] and "certificate" in answer["message"].lower(), "the certificate is checked", str(answer))
    count.check(stand.fn("openmanage-test", body, people["viewer"])[0] == 403, "viewers may not test OpenManage")
    sql("insert into openmanage_settings (host, port, username, password) values ('127.0.0.1', %d, '%s', '%s')"
        % (peer.port, peer.user, CANARY))
    sealed = sql("select password from openmanage_settings")[0]["password"]
    count.check(CANARY not in sealed, "the stored password is sealed", sealed)
    status, answer = stand.fn("openmanage-test", dict(body, password=sealed), people["operator"])
    count.check(answer.get("success") is True, "the form's own ciphertext is opened for its host", str(answer))
    other = Peer(stand.directory, CANARY)
    status, answer = stand.fn("openmanage-test", dict(body, password=sealed, port=other.port), people["operator"])
    count.check(status == 400 and not other.requests, "a stored password goes to no other address", str(answer))
    peer.close()
    other.close()


def vcenter(stand, count, people, style):
    peer = Peer(stand.directory, CANARY, style)
    sql("delete from vcenters")
    sql("delete from vcenter_settings")
    sql("delete from vcenter_hosts")
    status, answer = stand.fn("test-vcenter-connection", {}, people["admin"])
    count.check(status == 500 and answer["error"] == "vCenter settings not configured", "nothing set up is told", str(answer))
    status, answer = stand.fn("sync-vcenter-direct", None, people["admin"])
    count.check(status == 500 and answer["success"] is False, "a sync of nothing fails", str(answer))
    sql("insert into vcenter_settings (host, port, username, password, verify_ssl) values ('127.0.0.1', %d, '%s', '%s', false)"
        % (peer.port, peer.user, CANARY))
    status, answer = stand.fn("test-vcenter-connection", None, people["admin"])
    count.check(status == 200 and answer.get("success") and answer.get("version") == "8.0.2.00100"
                and set(answer) == {"success", "response_time_ms", "version"}, style + ": the stored vCenter answers", str(answer))
    count.check(peer.opened == 1 and not peer.sessions, style + ": the test ends its session", str(peer.requests))
    status, answer = stand.fn("test-vcenter-connection", {"host": "127.0.0.1", "port": peer.port, "username": peer.user,
                                                          "password": "wrong", "verify_ssl": False}, people["admin"])
    count.check(answer.get("error") == "Connection failed: 401 Unauthorized", style + ": a refusal is told", str(answer))
    status, answer = stand.fn("test-vcenter-connection", {"host": "127.0.0.1", "port": free_port(), "username": "a",
                                                          "password": "b"}, people["admin"])
    count.check(answer.get("error") == "Connection refused", "no listener is told", str(answer))
    status, answer = stand.fn("test-vcenter-connection", {}, people["operator"])
    count.check(status == 403 and set(answer) == {"success", "error"}, "only administrators test vCenters", str(answer))
    sql("insert into vcenters (name, host, port, username, password_encrypted, verify_ssl) values "
        "('main', '127.0.0.1', %d, '%s', '%s', false)" % (peer.port, peer.user, CANARY))
    for turn, (new, updated) in (("first", (3, 0)), ("second", (0, 3))):
        status, answer = stand.fn("sync-vcenter-direct", None, people["admin"])
        count.check(status == 200 and answer.get("summary") == {"new": new, "updated": updated, "auto_linked": 0, "errors": 0},
                    "%s: %s sync counts" % (style, turn), str(answer))
    rows = sql("select name, cluster, status, source_vcenter_id from vcenter_hosts order by name")
    count.check([row["cluster"] for row in rows] == ["North", "North", "South"] and rows[2]["status"] == "disconnected"
                and all(row["source_vcenter_id"] for row in rows), style + ": hosts know cluster, state and source", str(rows))
    row = sql("select last_sync_status, last_sync from vcenters")[0]
    count.check(row["last_sync_status"] == "success" and row["last_sync"], style + ": the vCenter knows of its sync", str(row))
    count.check(not peer.sessions, style + ": syncs end their sessions")
    sql("update vcenters set verify_ssl = true")
    status, answer = stand.fn("sync-vcenter-direct", None, people["admin"])
    count.check(status == 500 and "certificate" in answer["error"], style + ": verify_ssl is honoured", str(answer))
    sql("update vcenters set verify_ssl = false")
    peer.redirect = "https://127.0.0.1:%d/api/elsewhere" % peer.port
    status, answer = stand.fn("sync-vcenter-direct", None, people["admin"])
    count.check(status == 500 and ("GET", "/api/elsewhere") not in peer.requests, "redirects are not followed", str(answer))
    peer.close()


def devices(stand, count, people):
    address = stand.addresses[0]
    status, answer = stand.fn("preview-server-info", {"ip_address": address, "username": "root", "password": PASSWORD},
                              people["operator"])
    count.check(status == 200 and answer["serverInfo"]["service_tag"] and answer["auth_method"] == "session_token"
                and answer["serverInfo"]["supported_endpoints"]["systems"], "a device is previewed", str(answer))
    state = stand.call("GET", stand.admin + "/servers")[1]
    count.check("canary" not in json.dumps(answer).lower(), "the preview shows no secret")
    rows = commands("source = 'edge_function'")
    count.check({"session_create", "session_delete", "idrac_api"} <= {row["operation_type"] for row in rows},
                "each exchange has its row", str([row["operation_type"] for row in rows]))
    count.check(state is not None, "the simulator answers")
    status, answer = stand.fn("preview-server-info", {"ip_address": address, "username": "root", "password": "wrong-pass"},
                              people["operator"])
    count.check(status == 500 and answer["details"] == "System info request failed with status 401", "a refused login is told",
                str(answer))
    status, answer = stand.fn("preview-server-info", {"ip_address": address}, people["operator"])
    count.check(status == 400 and answer["error"] == "Invalid credential set", "no factory password is tried", str(answer))
    identifier = str(uuid.uuid4())
    sql("insert into credential_sets (id, name, username, password_encrypted) values ('%s', 'net', 'root', '%s')"
        % (identifier, PASSWORD))
    status, answer = stand.fn("preview-server-info", {"ip_address": address, "credential_set_id": identifier},
                              people["operator"])
    count.check(status == 200, "a credential set is opened", str(answer))
    status, answer = stand.fn("preview-server-info", {}, people["operator"])
    count.check(status == 400 and answer["error"] == "Missing ip_address", "an address is needed", str(answer))
    server = stand.add_server(0)
    status, answer = stand.fn("refresh-server-info", {"server_id": server, "ip_address": address}, people["operator"])
    count.check(status == 200 and answer["success"] and answer["server"]["connection_status"] == "online",
                "a server is refreshed with its stored credentials", str(answer))
    row = sql("select * from servers where id = '%s'" % server)[0]
    count.check(row["memory_gb"] == 256 and row["cpu_count"] == 2 and row["connection_status"] == "online"
                and row["redfish_version"] and row["supported_endpoints"], "the row holds what was told", str(row))
    count.check(sql("select count(*) as n from audit_logs where action = 'server_refresh'")[0]["n"] == 1, "a refresh is audited")
    status, answer = stand.fn("refresh-server-info", {"server_id": server, "ip_address": "127.0.0.99"}, people["operator"])
    count.check(status == 500 and answer["error"] == "Failed to connect to iDRAC" and "success" not in answer,
                "stored credentials go to no other address", str(answer))
    credential_order(stand, count, people, server, address)
    stand.fault(0, kind="garbage", path="Systems/System.Embedded.1$")
    status, answer = stand.fn("refresh-server-info", {"server_id": server, "ip_address": address}, people["operator"])
    count.check(status == 500 and answer["error"] == "Failed to retrieve system information", "garbage is told", str(answer))
    stand.clear_faults(0)


def credential_order(stand, count, people, server, address):
    """Each source is good where all before it are empty, and its password alone is right; the next is wrong."""
    sets = {}
    sql("delete from credential_sets")
    for name, password, priority in (("linked", "no", 1), ("found", "no", 1), ("late", "no", 1), ("near", "no", 50), ("far", "no", 10),
                                     ("default", "no", 1)):
        sets[name] = str(uuid.uuid4())
        sql("insert into credential_sets (id, name, username, password_encrypted, priority, is_default) values "
            "('%s', '%s', 'root', '%s', %d, %s)" % (sets[name], name, password, priority, "true" if name == "default" else "false"))
    for name, ranges, priority in (("late", "127.0.0.1-127.0.0.200", 20), ("near", "127.0.0.0/24", 10), ("far", "10.0.0.0/8", 1)):
        sql("insert into credential_ip_ranges (credential_set_id, ip_range, priority) values ('%s', '%s', %d)"
            % (sets[name], ranges, priority))
    sql("update servers set idrac_password_encrypted = 'no', credential_set_id = '%s', discovered_by_credential_set_id = '%s' where id = "
        "'%s'" % (sets["linked"], sets["found"], server))
    empty = {"own": "update servers set idrac_username = null, idrac_password_encrypted = null where id = '%s'" % server,
             "linked": "update servers set credential_set_id = null where id = '%s'" % server,
             "found": "update servers set discovered_by_credential_set_id = null where id = '%s'" % server,
             "near": "delete from credential_sets where id = '%s'" % sets["near"],
             "late": "delete from credential_sets where id = '%s'" % sets["late"],
             "default": "delete from credential_sets where id = '%s'" % sets["default"]}
    for name in ("own", "linked", "found", "near", "late", "default"):
        good = ("update servers set idrac_password_encrypted = '%s' where id = '%s'" % (PASSWORD, server) if name == "own" else
                "update credential_sets set password_encrypted = '%s' where id = '%s'" % (PASSWORD, sets[name]))
        sql(good)
        status, answer = stand.fn("refresh-server-info", {"server_id": server, "ip_address": address}, people["operator"])
        count.check(status == 200 and answer.get("success") is True, "credentials in their order: " + name, str(answer))
        if name in ("near", "late", "default"):
            status, answer = stand.fn("preview-server-info", {"ip_address": address}, people["operator"])
            count.check(status == 200, "an unknown address has those of its range, then the default: " + name, str(answer))
        sql(good.replace(PASSWORD, "no"))
        status, answer = stand.fn("refresh-server-info", {"server_id": server, "ip_address": address}, people["operator"])
        count.check(status == 500 and answer["details"] == "System info request failed with status 401",
                    "a refused account does not give way to a weaker one: " + name, str(answer))
        sql(empty[name])
    status, answer = stand.fn("refresh-server-info", {"server_id": server, "ip_address": address}, people["operator"])
    count.check(status == 500 and answer["details"] == "No credentials available for server", "no account is told", str(answer))
    sql("update servers set idrac_username = 'root', idrac_password_encrypted = '%s' where id = '%s'" % (PASSWORD, server))


def network(stand, count, people):
    status, answer = stand.fn("validate-network-prerequisites", None, people["viewer"])
    count.check(status == 200 and answer["results"]["vcenter"]["configured"] is False, "viewers see no vCenter", str(answer))
    peer = Peer(stand.directory, CANARY)
    sql("delete from vcenter_settings")
    sql("insert into vcenter_settings (host, port, username, password, verify_ssl) values ('localhost', %d, '%s', '%s', false)"
        % (peer.port, peer.user, CANARY))
    status, answer = stand.fn("validate-network-prerequisites", None, people["admin"])
    count.check(status == 200 and answer["results"]["vcenter"]["reachable"] and answer["results"]["overall"]["passed"]
                and answer["results"]["dns"]["working"], "prerequisites hold", str(answer))
    count.check(peer.opened == 1 and not peer.sessions, "the check ends its session")
    count.check([entry["step"] for entry in answer["executionLog"]] == list(range(len(answer["executionLog"]))),
                "the log counts its steps", str(answer["executionLog"]))
    sql("update vcenter_settings set password = 'another one'")
    status, answer = stand.fn("validate-network-prerequisites", None, people["admin"])
    count.check(answer["results"]["overall"] == {"passed": False, "criticalFailures": ["vCenter unreachable"]},
                "a vCenter that refuses is critical", str(answer))
    peer.close()


class Share(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path.startswith("/gone"):
            self.send_error(404)
            return
        body = b'<a href="a%20b.iso">x</a><A HREF="tools.img">y</A><a href="a%20b.iso">x</a><a href="notes.txt">n</a>'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def shares(stand, count, people):
    server = http.server.ThreadingHTTPServer(("127.0.0.77", 80), Share)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    body = {"host": "127.0.0.77", "share_type": "http", "export_path": "/iso/", "iso_path": "/linux/"}
    status, answer = stand.fn("test-virtual-media-share", body, people["operator"])
    count.check(status == 200 and answer["success"] and answer["files"] == ["a b.iso", "tools.img"]
                and answer["base_url"] == "http://127.0.0.77/iso/linux" and answer["port"] == 80, "images are listed", str(answer))
    status, answer = stand.fn("test-virtual-media-share", dict(body, export_path="gone"), people["operator"])
    count.check(answer["success"] and answer.get("listing_error") == "HTTP 404 when fetching directory", "a bad listing is told",
                str(answer))
    status, answer = stand.fn("test-virtual-media-share", dict(body, share_type="nfs"), people["operator"])
    count.check(status == 200 and answer["success"] is False and answer["port"] == 2049 and answer["error"]
                and answer["files"] == [], "a closed port is told", str(answer))
    status, answer = stand.fn("test-virtual-media-share", {}, people["operator"])
    count.check(status == 400 and answer["error"] == "Virtual media settings not configured", "settings are needed", str(answer))
    count.check(stand.fn("test-virtual-media-share", body, people["viewer"])[0] == 403, "viewers may not probe shares")
    url = strict_gateway(stand)
    status, answer = stand.fn("test-virtual-media-share", body, people["operator"], url)
    count.check(status == 200 and answer["success"] is False and "not allowed" in answer["error"], "loopback is no target",
                str(answer))
    status, answer = stand.fn("preview-server-info", {"ip_address": stand.addresses[0], "username": "a", "password": "b"},
                              people["operator"], url)
    count.check(status == 500 and "not allowed" in answer["details"], "nor for devices", str(answer))
    server.shutdown()
    server.server_close()


def strict_gateway(stand):
    port = free_port()
    stand.local = False
    stand.spawn_gateway(port)
    url = "http://127.0.0.1:%d" % port
    until("the strict gateway", lambda: stand.call("GET", url + "/rest/v1/servers?select=id&limit=1")[0] == 200)
    return url


def activity(stand, count, people):
    peer = Peer(stand.directory, CANARY)
    body = {"host": "127.0.0.1", "port": peer.port, "username": peer.user, "password": CANARY, "verify_ssl": False}
    text = sql("select coalesce(string_agg(c::text, ' '), '') as all from idrac_commands c")[0]["all"]
    for secret in (CANARY, PASSWORD, "canary-session-token", "wrong-pass"):
        count.check(secret not in text, "no secret in the rows: " + secret[:12])
    for level, password, is_written in (("errors_only", CANARY, False), ("errors_only", "no", True), ("slow_only", "no", False)):
        sql("update activity_settings set log_level = '%s'" % level)
        before = len(commands("true"))
        stand.fn("openmanage-test", dict(body, password=password), people["admin"])
        count.check((len(commands("true")) > before) == is_written, "level %s: written %s" % (level, is_written))
    sql("update activity_settings set log_level = 'all', max_request_body_kb = 0")
    stand.fn("openmanage-test", dict(body, username="x" * 3000, password="no-such"), people["admin"])
    row = commands("endpoint like '%%SessionService%%' and not success")[-1]
    count.check(row["request_body"].get("_truncated") is True, "large bodies are cut", str(row["request_body"])[:200])
    peer.close()


def tool(stand, name, peer, **env):
    prefix = {"openmanage-sync": "OPENMANAGE", "vcenter-sync": "VCENTER"}[name]
    values = {"HOST": "localhost", "PORT": str(peer.port), "USERNAME": peer.user, "PASSWORD": CANARY, "CA_FILE": peer.cert}
    base = {prefix + "_" + key: value for key, value in values.items()}
    base.update(BASALT_URL=stand.url, BASALT_API_TOKEN="canary-api-token", SERVICE_ROLE_KEY=stand.service_key)
    done = subprocess.run([os.path.join(HERE, "..", "..", "..", "tools", name)], env=dict(base, **env), capture_output=True,
                          text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def tools(stand, count, people):
    peer = Peer(stand.directory, CANARY)
    owner = sql("select user_id from user_roles where role = 'operator' limit 1")[0]["user_id"]
    sql("insert into api_tokens (user_id, name, token_hash) values ('%s', 'cron', encode(sha256('canary-api-token'), 'hex'))"
        % owner)
    code, text = tool(stand, "openmanage-sync", peer)
    count.check(code == 0 and "total 5, new 5, updated 0" in text, "OpenManage: all pages are taken", "%d %s" % (code, text))
    count.check(not peer.sessions, "OpenManage: the session is ended")
    code, text = tool(stand, "vcenter-sync", peer)
    count.check(code == 0 and "total 3" in text and not peer.sessions, "vCenter: the hosts are taken", "%d %s" % (code, text))
    for name, prefix in (("openmanage-sync", "OPENMANAGE"), ("vcenter-sync", "VCENTER")):
        for what, wanted, env in (("a wrong password", 3, {prefix + "_PASSWORD": "no"}), ("an unknown authority", 5, {prefix + "_CA_FILE": ""}),
                                  ("no listener", 4, {prefix + "_PORT": str(free_port())}), ("no host", 2, {prefix + "_HOST": ""}),
                                  ("a bad key of Basalt", 3, {"BASALT_API_TOKEN": "bad", "SERVICE_ROLE_KEY": "bad"})):
            code, text = tool(stand, name, peer, **env)
            count.check(code == wanted and "error: " in text and CANARY not in text and "Traceback" not in text,
                        "%s: %s has its exit code" % (name, what), "%d %s" % (code, text))
    peer.close()


SCENES = {"openmanage": [openmanage], "vcenter": [lambda s, c, p: vcenter(s, c, p, "api"),
                                                  lambda s, c, p: vcenter(s, c, p, "rest")],
          "devices": [devices], "network": [network], "shares": [shares], "activity": [activity], "tools": [tools]}


def main():
    count = Count()
    stand = NetStand()
    people = {role: stand.person(role) for role in ("admin", "operator", "viewer")}
    for name, scenes in SCENES.items():
        for scene in scenes if not sys.argv[1:] or name in sys.argv[1:] else ():
            try:
                scene(stand, count, people)
            except Exception as error:  # one scene's trouble is not the end of the others
                count.check(False, name, repr(error))
    for process in stand.processes:
        process.terminate()
        process.wait(60)
    for path in stand.logs:
        with open(path, errors="replace") as log:
            text = log.read()
        count.check("Sanitizer" not in text and "runtime error" not in text, "clean log: " + path, text[-3000:])
        count.check(not any(secret in text for secret in (CANARY, "canary-session-token")), "no secret in " + path)
    shutil.rmtree(stand.directory, ignore_errors=True)
    count.finish()


main()
