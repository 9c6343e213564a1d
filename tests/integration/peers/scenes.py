"""Outgoing work against real servers and hostile ones."""
import json
import os
import socket
import sys

import share_servers as servers
from active_directory import ADDRESS, BASE, NAME, REALM, ActiveDirectory
from mail_servers import MailServer
from world import World

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "executor"))
from harness import Count, scenario, sql, until  # noqa: E402

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


def active_directory(world, count):
    directory = ActiveDirectory(world, world.certs, CANARY, 30)
    until("the domain controller", 60, lambda: accepts(ADDRESS, 636) and accepts(ADDRESS, 389))
    with open(world.certs.authority, encoding="ascii") as file:
        authority = file.read()
    sql("delete from idm_settings")
    insert("idm_settings", auth_mode="idm_primary", server_host="ldap.nowhere.test", base_dn="dc=nowhere,dc=test",
           ad_dc_host=NAME, ad_domain_fqdn=REALM, ad_dc_port=636, connection_timeout_seconds=5, ca_certificate=authority)
    insert("idm_group_mappings", idm_group_dn="CN=outer,CN=Users," + BASE, idm_group_name="outer", app_role="operator", priority=1)

    def sign_in(name, password=CANARY):
        sql("delete from auth_rate_limits")
        return world.fn("idm-authenticate", {"username": name, "password": password})

    for name in ("nest@" + REALM, "corp\\nest", "CORP.example.test\\nest", "ACME\\nest", "acme\\NEST"):
        status, answer = sign_in(name)
        count.check(status == 200 and answer.get("role") == "operator" and answer.get("email") == "nest@people.test",
                    "AD: %s signs in, with the role of a group of his group" % name, json.dumps(answer))
        count.check(status == 200 and set(group.split(",")[0] for group in answer["idm_groups"]) == {"CN=inner", "CN=outer"},
                    "AD: nested groups are followed, others not: " + name, json.dumps(answer))
    users = sql("select count(*) as n from profiles where idm_uid = 'nest'")
    count.check(users[0]["n"] == 1, "AD: all spellings are one account", str(users))
    status, answer = sign_in("plain@" + REALM)
    count.check(status == 200 and answer.get("role") == "viewer" and len(answer["idm_groups"]) == 31,
                "AD: many groups come whole, and give no role of others", json.dumps(answer)[:300])
    for name in ("nest@" + REALM, "ACME\\nest", "nobody@" + REALM, "OTHER\\nest"):
        status, answer = sign_in(name, CANARY if name.startswith("OTHER") else "wrong")
        count.check(status == 401 and answer["error"] == "Invalid credentials", "AD: refused: " + name, json.dumps(answer))
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
    images = servers.make_images(world.directory)
    servers.port_mapper(world)
    servers.smb(world, images, "daemon", CANARY)
    servers.web(images, 80)
    servers.web(images, 443, world.certs, "peer.test")
    until("the port mapper", 20, lambda: accepts(servers.NFS, 111))
    servers.nfs(world, images)
    for address, port in ((servers.NFS, 2049), (servers.SMB, 445)):
        until("port %d of %s" % (port, address), 60, lambda address=address, port=port: accepts(address, port))
    until("the exports", 60, lambda: test_share(world, "nfs", servers.NFS, images + "/old")[1]["files"] == IMAGES)

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


SCENES = {"mail": mail, "shares": shares, "active_directory": active_directory}


def main():
    count = Count()
    world = World()
    for name, scene in SCENES.items():
        if not sys.argv[1:] or name in sys.argv[1:]:
            scenario(count, name, lambda scene=scene: scene(world, count))
    world.finish(count)
    count.finish()


main()
