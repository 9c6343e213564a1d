"""Outgoing work against real servers and hostile ones."""
import json
import os
import socket
import sys

from active_directory import ADDRESS, BASE, NAME, REALM, ActiveDirectory
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


SCENES = {"active_directory": active_directory}


def main():
    count = Count()
    world = World()
    for name, scene in SCENES.items():
        if not sys.argv[1:] or name in sys.argv[1:]:
            scenario(count, name, lambda scene=scene: scene(world, count))
    world.finish(count)
    count.finish()


main()
