"""Outgoing work against real servers and hostile ones."""
import concurrent.futures
import functools
import http.server
import itertools
import json
import os
import socket
import sys
import threading
import time

import hostile
import share_servers as servers
from active_directory import ADDRESS, BASE, NAME, REALM, ActiveDirectory
from mail_servers import MailServer
import referring
from world import SHARED_SECRET, World

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "executor"))
from harness import Count, free_port, scenario, sql, until  # noqa: E402

CANARY = "Canary-Peer-Pass-9!"


def accepts(address, port):
    try:
        socket.create_connection((address, port), 0.5).close()
        return True
    except OSError:
        return False


def quote(value):
    return "null" if value is None else str(value).lower() if isinstance(value, (bool, int)) else "'%s'" % value.replace("'", "''")


def insert(table, **row):
    sql("insert into %s (%s) values (%s)" % (table, ", ".join(row), ", ".join(quote(value) for value in row.values())))


def update(table, **row):
    sql("update %s set %s" % (table, ", ".join("%s = %s" % (name, quote(value)) for name, value in row.items())))


def role_of(answer):
    return answer.get("role")


def groups_of(answer):
    return set(group.split(",")[0] for group in answer["idm_groups"])


def ad_names(world, count, sign_in):
    """The group that no attribute lists, and principals whose suffix is no domain."""
    status, answer = sign_in("chief@" + REALM)
    count.check(status == 200 and groups_of(answer) == {"CN=chiefs", "CN=board", "CN=Domain Users", "CN=Users"} and answer.get("role") == "admin",
                "AD: the primary group counts, and the groups that hold it", json.dumps(answer))
    for name in ("first.last@people.test", "First.Last@People.Test"):
        status, answer = sign_in(name)
        count.check(status == 200 and answer.get("email") == "suffix@people.test", "AD: %s, whose suffix is no domain, signs in" % name, json.dumps(answer))
    status, answer = sign_in("suffix@" + REALM)
    users = sql("select count(*) as n from profiles where idm_uid = 'suffix'")
    count.check(status == 200 and users[0]["n"] == 1, "AD: it is the account that his other names lead to", json.dumps([answer, users]))
    for name, password in (("first.last@people.test", "wrong"), ("nobody@people.test", CANARY), ("first.last@elsewhere.test", CANARY),
                           ("*@people.test", CANARY), ("nest@people.test", CANARY)):
        status, answer = sign_in(name, password)
        count.check(status == 401 and answer["error"] == "Invalid credentials", "AD: refused: " + name, json.dumps(answer))
    update("idm_settings", trusted_domains="{people.test}")
    status, answer = sign_in("first.last@people.test")
    count.check(status == 200, "AD: a suffix that is listed as a domain", json.dumps(answer))
    update("idm_settings", ad_domain_fqdn="people.test")
    status, answer = sign_in("first.last@people.test")
    count.check(status == 503 and "No such object" in answer["error"], "AD: a domain that is none is told, not a wrong password", json.dumps(answer))
    update("idm_settings", ad_domain_fqdn=REALM, trusted_domains="{}")


def referrals(world, count):
    """A server that refers elsewhere: nobody goes there, and the reason is told."""
    trap = referring.Referring("10.77.0.10", referring.SEARCH, "ldap://10.77.0.10")
    for at, operation in (("the login", referring.BIND), ("the search", referring.SEARCH)):
        server = referring.Referring("10.77.0.10", operation, "ldap://10.77.0.10:%d/dc=elsewhere" % trap.port)
        sql("delete from idm_settings")
        insert("idm_settings", auth_mode="idm_primary", server_host="10.77.0.10", server_port=server.port, base_dn="dc=own,dc=test",
               user_search_base="cn=users", ad_dc_host="10.77.0.10", ad_dc_port=server.port, ad_domain_fqdn=REALM, ad_dc_use_ssl=False,
               use_ldaps=False, require_ldaps=False, connection_timeout_seconds=5)
        for name in ("somebody@" + REALM, "somebody", "somebody@suffix.test"):
            sql("delete from auth_rate_limits")
            status, answer = world.fn("idm-authenticate", {"username": name, "password": CANARY})
            count.check(status == 503 and "refers to another server" in answer["error"] and "referrals are not followed" in answer["error"],
                        "a referral at %s of %s is told" % (at, name), "%s %s" % (status, json.dumps(answer)))
        count.check(server.asked and not trap.asked, "and nobody goes there", str(trap.asked))
        server.close()
    trap.close()


def ad_through_executor(world, count):
    """As the page does it: the executor asks the directory, the gateway believes its ticket."""
    executor = world.executor(EXECUTOR_SHARED_SECRET=SHARED_SECRET, BASALT_CA_FILE=world.certs.authority)
    until("the executor", lambda: world.call("GET", executor.api + "/api/health")[0] == 200)

    def ask(name, password=CANARY):
        return world.call("POST", executor.api + "/api/idm-authenticate", {"username": name, "password": password})
    for name in ("chief@" + REALM, "ACME\\chief", "corp\\chief"):
        status, answer = ask(name)
        count.check(status == 200 and answer["success"] and answer["user_info"].get("ticket"), "AD by the executor: %s has a ticket" % name, json.dumps(answer)[:500])
        status, made = world.call("POST", world.url + "/functions/v1/idm-provision", {"username": name, "user_info": answer.get("user_info")})
        count.check(status == 200 and made.get("role") == "admin" and made.get("access_token"), "AD by the executor: it gives the role: " + name, json.dumps(made)[:500])
    status, answer = ask("first.last@people.test")
    count.check(status == 200 and answer["success"], "AD by the executor: a principal of another suffix", json.dumps(answer)[:400])
    users = sql("select idm_uid, count(*) as n from profiles where idm_uid in ('chief', 'suffix') group by 1 order by 1")
    count.check([row["n"] for row in users] == [1, 1], "AD: gateway and executor lead to one account", str(users))
    for name, password in (("chief@" + REALM, "wrong"), ("asleep@" + REALM, CANARY), ("OTHER\\chief", CANARY), ("nobody@people.test", CANARY)):
        status, answer = ask(name, password)
        count.check(status == 401 and answer["error"] == "Invalid credentials" and "ticket" not in json.dumps(answer),
                    "AD by the executor: refused: " + name, json.dumps(answer))
    executor.terminate()
    executor.wait(30)


def active_directory(world, count):
    directory = ActiveDirectory(world, world.certs, CANARY, 130)
    until("the domain controller", lambda: accepts(ADDRESS, 636) and accepts(ADDRESS, 389))
    with open(world.certs.authority, encoding="ascii") as file:
        authority = file.read()
    sql("delete from idm_settings")
    insert("idm_settings", auth_mode="idm_primary", server_host="ldap.nowhere.test", base_dn="dc=nowhere,dc=test",
           ad_dc_host=NAME, ad_domain_fqdn=REALM, ad_dc_port=636, connection_timeout_seconds=5, ca_certificate=authority)
    insert("idm_group_mappings", idm_group_dn="CN=outer,CN=Users," + BASE, idm_group_name="outer", app_role="operator", priority=1)
    insert("idm_group_mappings", idm_group_dn="CN=board,CN=Users," + BASE, idm_group_name="board", app_role="admin", priority=2)

    def sign_in(name, password=CANARY):
        sql("delete from auth_rate_limits")
        return world.fn("idm-authenticate", {"username": name, "password": password})

    for name in ("nest@" + REALM, "corp\\nest", "CORP.example.test\\nest", "ACME\\nest", "acme\\NEST"):
        status, answer = sign_in(name)
        count.check(status == 200 and answer.get("role") == "operator" and answer.get("email") == "nest@people.test",
                    "AD: %s signs in, with the role of a group of his group" % name, json.dumps(answer))
        count.check(status == 200 and groups_of(answer) == {"CN=inner", "CN=outer", "CN=Domain Users", "CN=Users"},
                    "AD: nested groups are followed, others not: " + name, json.dumps(answer))
    users = sql("select count(*) as n from profiles where idm_uid = 'nest'")
    count.check(users[0]["n"] == 1, "AD: all spellings are one account", str(users))
    status, answer = sign_in("plain@" + REALM)
    count.check(status == 200 and answer.get("role") == "viewer" and len(answer["idm_groups"]) == 133,
                "AD: many groups come whole, over several pages, and give no role of others", json.dumps(answer)[:300])
    for name in ("nest@" + REALM, "ACME\\nest", "nobody@" + REALM, "OTHER\\nest"):
        status, answer = sign_in(name, CANARY if name.startswith("OTHER") else "wrong")
        count.check(status == 401 and answer["error"] == "Invalid credentials", "AD: refused: " + name, json.dumps(answer))
    ad_names(world, count, sign_in)
    ad_through_executor(world, count)
    status, answer = sign_in("asleep@" + REALM)
    reasons = [row["reason"] for row in sql("select details ->> 'reason' as reason from audit_logs where action = 'idm_login_failed'")]
    count.check(status == 401 and answer["error"] == "Invalid credentials" and "account disabled" in reasons,
                "AD: a disabled account is refused, and why is audited", json.dumps([answer, reasons]))
    update("idm_settings", ad_dc_port=389, ad_dc_use_ssl=False, require_ldaps=False, use_ldaps=False)
    status, answer = sign_in("nest@" + REALM)
    count.check(status == 200, "AD: STARTTLS, without which this server takes no password", json.dumps(answer))
    update("idm_settings", ca_certificate=None, ad_dc_host=ADDRESS)
    status, answer = sign_in("nest@" + REALM)
    count.check(status == 503 and "secure connection" in answer["error"], "AD: a certificate of another name", json.dumps(answer))
    update("idm_settings", ad_dc_port=636, ad_dc_use_ssl=True, ad_dc_host=NAME, ca_certificate="none")
    status, answer = sign_in("nest@" + REALM)
    count.check(status == 503 and "secure connection" in answer["error"], "AD: an authority that cannot be read", json.dumps(answer))
    del directory


IMAGES = ["a b.iso", "tools.IMG"]


def shares(world, count):
    """The servers leave their ports to the scenes that follow."""
    before = len(world.processes)
    try:
        share_servers_answer(world, count)
    finally:
        for process in reversed(world.processes[before:]):
            process.terminate()
            process.wait(60)


def share_servers_answer(world, count):
    images = servers.make_images(world.directory)
    servers.port_mapper(world)
    servers.smb(world, images, "daemon", CANARY)
    webs = [servers.web(images, 80), servers.web(images, 443, world.certs, "peer.test")]
    until("the port mapper", lambda: accepts(servers.NFS, 111))
    servers.nfs(world, images)
    for address, port in ((servers.NFS, 2049), (servers.SMB, 445)):
        until("port %d of %s" % (port, address), lambda address=address, port=port: accepts(address, port))
    until("the exports", lambda: test_share(world, "nfs", servers.NFS, images + "/old")[1]["files"] == IMAGES)

    for what, arguments in (("NFS 4", ("nfs", servers.NFS, "/iso")), ("NFS 3", ("nfs", servers.NFS, images + "/old")),
                            ("SMB", ("cifs", servers.SMB, "iso", "daemon", CANARY)), ("HTTP", ("http", "peer.test", "")),
                            ("SMB of a domain", ("cifs", servers.SMB, "/iso/", "WORKGROUP\\daemon", CANARY)),
                            ("HTTPS", ("https", "peer.test", ""))):
        status, answer = test_share(world, *arguments)
        count.check(status == 200 and answer["success"] and answer["files"] == IMAGES and "listing_error" not in answer,
                    what + ": images are listed, folders and other files not", json.dumps(answer))
    for what, arguments in (("NFS: no such export", ("nfs", servers.NFS, "/nothing")),
                            ("SMB: a wrong password", ("cifs", servers.SMB, "iso", "daemon", "wrong")),
                            ("SMB: nobody", ("cifs", servers.SMB, "iso")),
                            ("SMB: no such share", ("cifs", servers.SMB, "nothing", "daemon", CANARY)),
                            ("HTTPS: a certificate of another name", ("https", servers.WEB, ""))):
        status, answer = test_share(world, *arguments)
        count.check(status == 200 and answer["success"] and answer["files"] == [] and answer.get("listing_error")
                    and CANARY not in json.dumps(answer), what + ": is told", json.dumps(answer))
    with socket.create_server(("127.0.0.1", 445)) as inward:
        inward.settimeout(0.1)
        status, answer = test_share(world, "cifs", servers.SMB, "elsewhere", "daemon", CANARY, "inward")
        try:
            inward.accept()
            was_reached = True
        except OSError:
            was_reached = False
        count.check(answer["files"] == [] and answer.get("listing_error") and not was_reached,
                    "SMB: a referral to this host is not followed", json.dumps(answer))
        status, answer = test_share(world, "cifs", "127.0.0.1", "iso")
        count.check(answer["success"] is False and "not allowed" in answer["error"], "SMB: this host is no target", json.dumps(answer))
    status, answer = test_share(world, "nfs", servers.NFS, "/iso", lists=False)
    count.check(answer["success"] and answer["files"] == [] and "listing_error" not in answer, "a listing can be left out",
                json.dumps(answer))
    for one in webs:
        one.shutdown()
        one.server_close()


def test_share(world, kind, host, export, username="", password="", path="linux one", lists=True):
    body = {"share_type": kind, "host": host, "export_path": export, "iso_path": path, "list_files": lists}
    if username:
        body.update(username=username, password=password)
    status, answer = world.fn("test-virtual-media-share", body, "operator")
    answer["files"] = sorted(answer.get("files", []))
    return status, answer


def set_mail(host, port, password, **more):
    sql("delete from notification_settings")
    insert("notification_settings", smtp_host=host, smtp_port=port, smtp_user="robot@mail.test", smtp_password=password,
           smtp_from_email="basalt@mail.test", **more)


def last_log():
    return sql("select notification_type, status, error_message from notification_logs order by created_at desc limit 1")[0]


def send_mail(world):
    sql("delete from notification_logs")
    status, answer = world.fn("send-notification", {"type": "email", "test": True, "to": "boss@mail.test", "subject": "Hello",
                                                    "body": ".\nA line of a dot, and one more\n..\n"})
    outcome = (answer.get("results") or {}).get("email") or {}
    row = last_log()
    return status, outcome, row


def mail(world, count):
    """Every way to sign in and to be refused; what really came of it stands in the answer and in the log."""
    def server(port, **options):
        return MailServer("10.77.0.25", port, world.certs, "mail.test", "robot@mail.test", CANARY, **options)

    good = {"STARTTLS": server(587), "TLS from the start": server(465, implicit=True),
            "PLAIN alone": server(2587, without=("LOGIN", "GSSAPI")), "LOGIN alone": server(2588, without=("PLAIN", "GSSAPI"))}
    for what, one in good.items():
        set_mail("mail.test", one.controller.port, CANARY)
        status, outcome, row = send_mail(world)
        count.check(status == 200 and outcome.get("success") is True and row["status"] == "success" and not row["error_message"],
                    "mail: " + what, json.dumps([status, outcome, row]))
        taken = one.mails[0] if one.mails else ("", [], "", False)
        count.check(taken[0] == "basalt@mail.test" and taken[1] == ["boss@mail.test"] and "Subject: Hello" in taken[2] and taken[3]
                    and one.logins[-1][1], "mail: %s: the mail came over TLS, after a login" % what, str(taken)[:500])
    first = good["STARTTLS"]
    set_mail("mail.test", 587, "wrong")
    status, outcome, row = send_mail(world)
    count.check(outcome.get("error") == row["error_message"] == "The mail server refused the login" and row["status"] == "failed"
                and first.logins[-1][1] is False, "mail: a wrong password", json.dumps([outcome, row]))
    before = len(first.logins)
    with open("/etc/hosts", "a", encoding="ascii") as file:
        file.write("10.77.0.25 alias.test\n")
    set_mail("alias.test", 587, CANARY)
    status, outcome, row = send_mail(world)
    count.check("secure connection" in outcome.get("error", "") and row["status"] == "failed" and len(first.logins) == before,
                "mail: a certificate of another name gets no password", json.dumps([outcome, row]))
    bare = server(2589, offers_tls=False)
    set_mail("mail.test", 2589, CANARY)
    status, outcome, row = send_mail(world)
    count.check("secure connection" in outcome.get("error", "") and row["status"] == "failed" and not bare.logins,
                "mail: a server without TLS gets no password", json.dumps([outcome, row]))
    for text, shown in (("550 5.1.1 Nobody here", "550 5.1.1 Nobody here"), ("550 You said " + CANARY, "(not shown)")):
        refusing = server(2590, refusal=text)
        set_mail("mail.test", 2590, CANARY)
        status, outcome, row = send_mail(world)
        refusing.controller.stop()
        count.check(outcome.get("error") == row["error_message"] == "The mail server refused the mail: " + shown
                    and row["status"] == "failed", "mail: a refusal is quoted, a secret in it is not", json.dumps([outcome, row]))
    set_mail("127.0.0.1", 25, None)
    status, outcome, row = send_mail(world)
    count.check("not allowed" in outcome.get("error", "") and row["status"] == "failed", "mail: this host is no target",
                json.dumps([outcome, row]))
    for one in good.values():
        one.controller.stop()


# -- the webhook, and where anything may lead


class Webhook(http.server.BaseHTTPRequestHandler):
    posts = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.posts.append((self.path, self.headers, json.loads(body)))
        status, answer, headers = {"good": (200, b"1", {}), "flow": (202, b"", {}), "away": (302, b"", {"Location": "/good/away"}),
                                   "limited": (200, b"Webhook message delivery failed with error: Microsoft Teams endpoint "
                                                    b"returned HTTP error 429", {}),
                                   "echo": (500, b"no \xff\x00\n hook " + self.path.encode(), {}),
                                   "plain": (500, b"no \xff\x00\n hook", {})}[self.path.split("/")[1]]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *arguments):
        pass


def webhook(world, count):
    server = http.server.ThreadingHTTPServer(("10.77.0.10", 0), Webhook)
    server.socket = world.certs.context("mixed.test").wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]

    def post(url):
        sql("delete from notification_settings")
        insert("notification_settings", teams_webhook_url=url)
        before = len(Webhook.posts)
        status, answer = world.fn("send-notification", {"type": "teams", "test": True, "testMessage": "a\r\nHost: b"})
        row = sql("select status, error_message from notification_logs where notification_type = 'teams' order by created_at desc "
                  "limit 1")
        strict = world.fn("send-teams-notification", {})[0]
        return answer["results"]["teams"], row[0] if row else None, len(Webhook.posts) - before, strict

    base = "https://mixed.test:%d" % port
    with socket.create_server(("127.0.0.1", port)) as inward:
        for path in ("good", "flow"):
            outcome, row, posts, strict = post("%s/%s/%s" % (base, path, CANARY))
            count.check(outcome.get("success") and row["status"] == "success" and posts == 2 and strict == 200,
                        "webhook: taken: " + path, json.dumps([outcome, row, posts, strict]))
        count.check(not was_met(inward), "webhook: of a name with several addresses the allowed one is taken")
    count.check(all(headers.get_all("Host") == ["mixed.test:%d" % port] and card["@type"] == "MessageCard"
                    for _, headers, card in Webhook.posts), "webhook: what is posted stays in the body")
    for path, told in (("limited", "HTTP error 429"), ("away", "302"), ("echo", "500 (not shown)"), ("plain", "500 no     hook")):
        outcome, row, posts, strict = post("%s/%s/%s" % (base, path, CANARY))
        count.check(told in outcome.get("error", "") and row == {"status": "failed", "error_message": outcome["error"]}
                    and posts == 2 and strict == 502, "webhook: refused: " + path, json.dumps([outcome, row, posts, strict]))
    for url in ("http://mixed.test:%d/good/%s" % (port, CANARY), base + "/good/\r\nX-Injected: " + CANARY, "https:/good",
                "https://mixed.test@127.0.0.1:%d/good/%s" % (port, CANARY), "https://inward.test:%d/good/%s" % (port, CANARY),
                "file:///etc/passwd", "https://" + CANARY, "https://[::ffff:127.0.0.1]:%d/%s" % (port, CANARY)):
        outcome, row, posts, strict = post(url)
        count.check(outcome.get("error") and row["status"] == "failed" and posts == 0 and strict == 502,
                    "webhook: no target: " + url.replace(CANARY, "..."), json.dumps([outcome, row, posts, strict]))
    server.shutdown()


def was_met(listener):
    listener.setblocking(False)  # who came has come by now
    try:
        listener.accept()
        return True
    except OSError:
        return False


INWARD = ("127.0.0.1", "localhost", "inward.test", "0.0.0.0", "2130706433", "[::1]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]",
          "[2002:7f00:1::]")


def addresses(world, count):
    """No spelling of this host is a target of any protocol: nobody connects, and the answer is a failure."""
    listeners = [socket.create_server((host, port), family=family) for port in (4711, 2049, 445, 80, 443)
                 for host, family in (("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6))]
    world.hasty = world.url
    set_mail("nowhere.test", 587, CANARY)
    sql("delete from idm_settings")
    insert("idm_settings", auth_mode="idm_primary", server_host="x", base_dn="dc=own,dc=test", ad_dc_host="x", ad_domain_fqdn=REALM,
           connection_timeout_seconds=2, use_ldaps=False, require_ldaps=False, max_failed_attempts=1000)
    insert("vcenters", name="inward", host="x", port=1, username="u", password_encrypted=CANARY, verify_ssl=False)
    tries = {"mail": try_mail, "directory": try_plain_directory, "domain controller": try_directory, "vCenter": try_vcenter,
             "vCenter sync": try_sync, "OpenManage": try_openmanage, "device": try_device}
    for host in INWARD:
        for name, attempt in tries.items():
            _, seen = attempt(world, host, 4711)
            text = json.dumps(seen)
            count.check(not any(was_met(one) for one in listeners) and ("not allowed" in text or "valid" in text or "must be" in text
                                                                       or "cannot be reached" in text or "to connect" in text or "esolve" in text),
                        "%s: %s is no target" % (name, host), text[:400])
        for kind in ("nfs", "cifs", "http", "https"):
            status, answer = world.fn("test-virtual-media-share", {"share_type": kind, "host": host, "export_path": "a"}, "operator")
            count.check(not any(was_met(one) for one in listeners) and not answer.get("success"),
                        "%s share: %s is no target" % (kind, host), json.dumps(answer)[:400])
    sql("delete from vcenters")
    for one in listeners:
        one.close()


# -- servers that do everything but serve


def call(world, name, body=None, role="admin"):
    return world.fn(name, body, role, world.hasty)


def try_webhook(world, host, port):
    sql("update notification_settings set teams_webhook_url = 'https://%s:%d/hook/%s'" % (host, port, CANARY))
    status, answer = call(world, "send-notification", {"type": "teams", "test": True})
    return is_channel_told(status, answer, "teams")


def try_mail(world, host, port):
    sql("update notification_settings set smtp_host = '%s', smtp_port = %d" % (host, port))
    status, answer = call(world, "send-notification", {"type": "email", "test": True, "to": "boss@mail.test"})
    return is_channel_told(status, answer, "email")


def is_channel_told(status, answer, channel):
    row = sql("select status, error_message from notification_logs where notification_type = '%s' order by created_at desc limit 1"
              % channel)[0]
    outcome = answer["results"][channel]
    return (status == 200 and set(outcome) == {"error"} and row["status"] == "failed" and row["error_message"] == outcome["error"],
            [status, answer, row])


def try_directory(world, host, port):
    update("idm_settings", ad_dc_host=host, ad_dc_port=port)
    status, answer = call(world, "idm-authenticate", {"username": "somebody@corp.example.test", "password": CANARY})
    return status in (503, 504) and set(answer) == {"success", "error"} and answer["success"] is False, [status, answer]


def try_plain_directory(world, host, port):
    update("idm_settings", server_host=host, server_port=port)
    status, answer = call(world, "idm-authenticate", {"username": "somebody", "password": CANARY})
    return status in (503, 504) and set(answer) == {"success", "error"} and answer["success"] is False, [status, answer]


def try_sync(world, host, port):
    update("vcenters", host=host, port=port)
    status, answer = call(world, "sync-vcenter-direct")
    return status in (500, 504) and set(answer) == {"success", "error"} and answer["success"] is False, [status, answer]


def try_prerequisites(world, host, port):
    update("vcenter_settings", host=host, port=port)
    status, answer = call(world, "validate-network-prerequisites")
    vcenter = answer["results"]["vcenter"]
    return (status == 200 and set(answer) == {"results", "executionLog"} and vcenter["reachable"] is False and vcenter["error"]
            and not (host == "slow.test" and answer["results"]["dns"]["working"]), [status, answer])


def try_vcenter(world, host, port):
    status, answer = call(world, "test-vcenter-connection", {"host": host, "port": port, "username": "u", "password": CANARY})
    return status == 200 and set(answer) == {"success", "response_time_ms", "error"} and not answer["success"], [status, answer]


def try_openmanage(world, host, port):
    status, answer = call(world, "openmanage-test", {"host": host, "port": port, "username": "u", "password": CANARY,
                                                     "verify_ssl": True})
    return status == 200 and not answer["success"] and answer["message"], [status, answer]


def try_device(world, host, port):
    status, answer = call(world, "preview-server-info", {"ip_address": "%s:%d" % (host, port), "username": "u", "password": CANARY})
    return status in (500, 504) and set(answer) == {"success", "error", "details"} and not answer["success"], [status, answer]


def try_share(kind, world, host, port):
    status, answer = call(world, "test-virtual-media-share", {"share_type": kind, "host": host, "export_path": "iso", "username": "u",
                                                              "password": CANARY}, "operator")
    keys = {"success", "port", "latency_ms", "base_url", "files", "listing_error"}
    if host == "slow.test":
        keys = {"success", "port", "error", "base_url", "files"}
    return status == 200 and set(answer) == keys and answer["files"] == [] and answer["port"] == port, [status, answer]


# Name: how it is tried, its protocol, whether TLS comes first, whether certificates count, the port that it must have. Rows
# of one chain share settings, so they follow one another; chains run at the same time.
KINDS = [
    [("webhook", try_webhook, "http", True, True, 0)],
    [("mail", try_mail, "smtp", False, True, 0), ("mail over TLS", try_mail, "smtp", True, True, 465)],
    [("directory over TLS", try_directory, "ldap", True, True, 0)],
    [("directory", try_plain_directory, "ldap", False, True, 0)],
    [("vCenter sync", try_sync, "http", True, True, 0)],
    [("network check", try_prerequisites, "http", True, True, 0)],
    [("vCenter", try_vcenter, "http", True, True, 0)],
    [("OpenManage", try_openmanage, "http", True, True, 0)],
    [("device", try_device, "http", True, False, 0)],
    [("NFS", functools.partial(try_share, "nfs"), "rpc", False, False, 2049)],
    [("SMB", functools.partial(try_share, "cifs"), "rpc", False, False, 445)],
    [("web share", functools.partial(try_share, "http"), "http", False, False, 80)],
    [("web share over TLS", functools.partial(try_share, "https"), "http", True, True, 443)],
]


def misbehave(world, count, kind, contexts, free_address):
    name, attempt, protocol, is_tls, is_checked, port = kind
    cases = [(habit, habit, "hostile.test" if is_tls else None, is_tls) for habit in hostile.HABITS]
    if is_tls:
        cases.append(("silent before TLS", "silent", None, True))
        if is_checked:
            cases += [("showing a certificate that " + what, "cutting", what, True) for what in ("has expired", "nobody signed")]
    for what, habit, context, needs_name in cases:
        address = free_address() if port else "10.77.0.66"
        server = hostile.Hostile(habit, protocol, address, port, contexts[context] if context else None)
        host = address
        if needs_name and is_checked:
            host = "hostile.test" if not port else world.name(address)
        for _ in range(10):
            is_good, seen = attempt(world, host, server.port)
            if server.met > 0:  # else the machine was too busy: the call's time was over before it went out
                break
        count.check(is_good, "%s, %s: the answer has its shape" % (name, what), json.dumps(seen)[:600])
        count.check(server.met > 0 and server.sent < hostile.FLOOD, "%s, %s: it was met, and left" % (name, what),
                    "%d connections, %d bytes" % (server.met, server.sent))
        server.server.close()
    is_good, seen = attempt(world, "slow.test", port or 4711)
    count.check(is_good, name + ", a name server that is silent: the answer has its shape", json.dumps(seen)[:600])


def hostility(world, count):
    name_server = hostile.silent_name_server("10.77.0.53")
    world.mount_over("/etc/resolv.conf", "nameserver 10.77.0.53\noptions timeout:10 attempts:3\n")
    port = free_port()
    world.spawn_gateway(port, BASALT_FUNCTION_TIMEOUT_MAX="2s", BASALT_WORKERS="16")
    world.hasty = "http://127.0.0.1:%d" % port
    until("the hasty gateway", lambda: world.call("GET", world.hasty + "/rest/v1/servers?select=id&limit=1")[0] == 200)
    contexts = {"hostile.test": world.certs.context("hostile.test"), "has expired": world.certs.context("hostile.test", is_expired=True),
                "nobody signed": world.certs.context("hostile.test", is_strange=True)}
    addresses = itertools.count(100)
    set_mail("hostile.test", 587, CANARY, teams_webhook_url="https://hostile.test/" + CANARY)
    sql("delete from idm_settings")
    insert("idm_settings", auth_mode="idm_primary", server_host="hostile.test", base_dn="dc=own,dc=test", ad_dc_host="hostile.test",
           ad_domain_fqdn=REALM, connection_timeout_seconds=1, use_ldaps=False, require_ldaps=False, ad_dc_use_ssl=True,
           max_failed_attempts=3)
    insert("vcenters", name="main", host="hostile.test", port=1, username="u", password_encrypted=CANARY, verify_ssl=True)
    insert("vcenter_settings", host="hostile.test", port=1, username="u", password=CANARY, verify_ssl=True)
    before = sql("select (select count(*) from profiles) as p, (select count(*) from vcenter_hosts) as h")
    with concurrent.futures.ThreadPoolExecutor(len(KINDS)) as pool:
        chains = [pool.submit(lambda chain=chain: [misbehave(world, count, kind, contexts, lambda: "10.77.0.%d" % next(addresses))
                                                   for kind in chain]) for chain in KINDS]
        bad = 0
        while not all(chain.done() for chain in chains):
            bad += world.call("GET", world.hasty + "/rest/v1/servers?select=id&limit=1")[0] != 200
            bad += world.call("GET", world.hasty + "/auth/v1/health")[0] != 200
            time.sleep(0.2)
        for chain in chains:
            chain.result()
    count.check(bad == 0, "everybody else was served meanwhile", "%d refused" % bad)
    status, answer = call(world, "network-diagnostics")
    count.check(status == 200 and "successRate" in answer, "the workers are free again", json.dumps(answer))
    after = sql("select (select count(*) from profiles) as p, (select count(*) from vcenter_hosts) as h")
    count.check(before == after, "nothing is half-written", json.dumps([before, after]))
    locks = sql("select * from auth_rate_limits where identifier_type = 'username' and attempt_count > 0")
    count.check(locks == [], "a directory that is away costs nobody a try", json.dumps(locks))
    name_server.close()
    world.unmount("/etc/resolv.conf")


SCENES = {"shares": shares, "active_directory": active_directory, "referrals": referrals, "mail": mail, "webhook": webhook, "addresses": addresses,
          "hostility": hostility}


def main():
    count = Count()
    world = World()
    for name, scene in SCENES.items():
        if not sys.argv[1:] or name in sys.argv[1:]:
            scenario(count, name, lambda scene=scene: scene(world, count))
    tables = ("idrac_commands", "notification_logs", "audit_logs", "jobs")
    texts = [sql("select coalesce(string_agg(to_jsonb(t)::text, ' '), '') as text from %s t" % table)[0]["text"] for table in tables]
    for log in world.logs:
        with open(log, encoding="utf-8", errors="replace") as file:
            texts.append(file.read())
    for name, text in zip(list(tables) + [os.path.basename(log) for log in world.logs], texts):
        count.check(CANARY not in text, "no secret in " + name, text[max(0, text.find(CANARY) - 200):text.find(CANARY) + 200])
    world.finish(count)
    count.finish()


main()
