"""The tools for cron, run as cron runs them: against the simulated vCenter and an OpenManage Enterprise."""
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.join(HERE, "..", "..", "..")
sys.path.insert(0, os.path.join(TOP, "tests", "simulators"))
from ome import Ome, make_devices, software  # noqa: E402
from stand import free_port, sql  # noqa: E402

TOKEN = "canary-api-token"
PREFIX = {"openmanage-sync": "OPENMANAGE", "vcenter-sync": "VCENTER"}


def tool(stand, name, peer, arguments=(), **env):
    values = {"HOST": "localhost", "PORT": str(peer.port), "USERNAME": peer.user, "PASSWORD": peer.password,
              "CA_FILE": os.path.join(stand.directory, "vcsim.crt")}
    base = {PREFIX[name] + "_" + key: value for key, value in values.items()}
    base.update(BASALT_URL=stand.url, BASALT_API_TOKEN=TOKEN, PYTHONDONTWRITEBYTECODE="1")
    done = subprocess.run([os.path.join(TOP, "tools", name), *arguments], env=dict(base, **env), capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def add_token(role):
    owner = sql("select user_id from user_roles group by 1 having max(public.get_user_role(user_id)::text) = '%s' limit 1" % role)[0]["user_id"]
    sql("delete from api_tokens")
    sql("insert into api_tokens (user_id, name, token_hash) values ('%s', 'cron', encode(sha256('%s'), 'hex'))" % (owner, TOKEN))
    return owner


def failures(stand, count, name, peer):
    prefix = PREFIX[name]
    for what, wanted, env in (("a wrong password", 3, {prefix + "_PASSWORD": "no"}), ("an unknown authority", 5, {prefix + "_CA_FILE": ""}),
                              ("an unreadable authority", 2, {prefix + "_CA_FILE": "/nowhere"}),
                              ("no listener", 4, {prefix + "_PORT": str(free_port())}), ("no host", 2, {prefix + "_HOST": ""}),
                              ("a bad token of Basalt", 3, {"BASALT_API_TOKEN": "bad"}),
                              ("no Basalt", 4, {"BASALT_URL": "http://127.0.0.1:%d" % free_port()})):
        code, text = tool(stand, name, peer, **env)
        count.check(code == wanted and text.startswith("error: ") and len(text.splitlines()) == 1 and peer.password not in text,
                    "%s: %s has its exit code and one line" % (name, what), "%d %s" % (code, text))
    code, text = tool(stand, name, peer, ["--help"])
    count.check(code == 0 and "Exit: 0 all taken" in text, name + " --help", text)
    count.check(tool(stand, name, peer, ["--what"])[0] == 2, name + ": unknown options are refused")


def vcenter_tool(stand, count, people, peer):
    sql("delete from vcenter_hosts")
    sql("delete from vcenters")
    sql("delete from servers where ip_address like '198.51.100.%'")
    add_token("operator")
    sql("insert into servers (ip_address, hostname, service_tag) values ('198.51.100.9', 'tool', 'VCTAG00')")
    hosts = peer.control("inventory")["HostSystem"]
    peer.calls()
    code, text = tool(stand, "vcenter-sync", peer)
    count.check(code == 0 and text == "total %d, new %d, updated 0, linked 1, failed 0\n" % (len(hosts), len(hosts)), "vcenter-sync takes the hosts", text)
    calls = peer.calls()
    count.check(calls.get("Login") == 1 and calls.get("Logout") == 1, "vcenter-sync ends its session", str(calls))
    fields = "name, cluster, vcenter_id, serial_number, esxi_version, status, maintenance_mode"
    by_tool = sql("select %s from vcenter_hosts order by vcenter_id" % fields)
    source = sql("insert into vcenters (name, host, port, username, password_encrypted, verify_ssl) values "
                 "('other', '127.0.0.1', %d, '%s', '%s', false)" % (peer.port, peer.user, peer.password))
    count.check(stand.fn("sync-vcenter-direct", None, people["admin"])[0] == 200, "the gateway asks the same vCenter", str(source))
    by_gateway = sql("select %s from vcenter_hosts where source_vcenter_id is not null order by vcenter_id" % fields)
    count.check(by_tool == by_gateway and len(by_tool) == len(hosts), "tool and gateway read the same of %d hosts" % len(hosts),
                "%s %s" % (by_tool[:2], by_gateway[:2]))
    identifier = sql("select id from vcenters where name = 'other'")[0]["id"]
    code, text = tool(stand, "vcenter-sync", peer, VCENTER_ID=identifier)
    count.check(code == 0 and "new 0, updated %d" % len(hosts) in text, "VCENTER_ID names the row of vcenters", text)
    code, text = tool(stand, "vcenter-sync", peer, BASALT_API_TOKEN="", SERVICE_ROLE_KEY=stand.service_key)
    count.check(code == 0, "the service role key serves too", text)
    for kind in ("bomb", "cut", "garbage", "namespace"):
        peer.fault("RetrievePropertiesEx", kind)
        code, text = tool(stand, "vcenter-sync", peer)
        peer.fault()
        count.check(code in (4, 6) and text.splitlines()[-1].startswith("error: vCenter") and "Traceback" not in text,
                    "vcenter-sync: an answer with %s is a clear failure" % kind, "%d %s" % (code, text))
    count.check(peer.calls().get("Logout") is not None, "failures end the session")
    failures(stand, count, "vcenter-sync", peer)
    add_token("viewer")
    count.check(tool(stand, "vcenter-sync", peer)[0] == 3, "a viewer's token is refused")
    sql("delete from servers where ip_address like '198.51.100.%'")


def openmanage_tool(stand, count, people, peer):
    sql("delete from servers where service_tag like 'OMETAG%'")
    add_token("operator")
    ome = Ome(os.path.join(stand.directory, "vcsim.pem"), password="Canary-Ome-7", devices=make_devices(120)).start()
    servers = [device for device in ome.devices if device["Type"] == 1000]
    code, text = tool(stand, "openmanage-sync", ome)
    count.check(code == 0 and text == "total %d, new %d, updated 0, linked 0, failed 0\n" % (len(servers), len(servers)),
                "openmanage-sync takes all pages of servers", text)
    count.check(ome.opened == 1 and not ome.sessions, "openmanage-sync ends its session")
    rows = {row["service_tag"]: row for row in sql("select * from servers where service_tag like 'OMETAG%'")}
    wrong = [tag for tag, row in rows.items() for device in servers if device["DeviceServiceTag"] == tag and (
        row["hostname"], row["ip_address"], row["model"], row["openmanage_device_id"], row["bios_version"], row["idrac_firmware"]) != (
            device["DeviceName"], device["DeviceManagement"][0]["NetworkAddress"], device["Model"], str(device["Id"]),
            software(device)["InventoryInfo"][0]["Version"], software(device)["InventoryInfo"][1]["Version"])]
    count.check(len(rows) == len(servers) and not wrong, "every field of every server", str(wrong[:3]))
    del ome.devices[0]["DeviceManagement"][0]["NetworkAddress"]
    ome.devices[1]["DeviceManagement"][0]["NetworkAddress"] = ome.devices[2]["DeviceManagement"][0]["NetworkAddress"]
    ome.fault = (r"Devices\(10004\)", "status", 1)
    code, text = tool(stand, "openmanage-sync", ome)
    count.check(code == 1 and "failed: OMETAG0: no service tag or address" in text.replace("ome0.example.test", "OMETAG0")
                and "failed: OMETAG1: " in text and "warning: 1 servers without software versions; first OMETAG4" in text
                and "updated %d, linked 0, failed 2" % (len(servers) - 2) in text, "failed devices are named, the others taken", text)
    for kind, wanted in (("garbage", 6), ("cut", 4), ("loop", 6), ("elsewhere", 6), ("status", 6)):
        ome.fault = (r"/Devices\?", kind, 99)
        code, text = tool(stand, "openmanage-sync", ome)
        ome.fault = None
        count.check(code == wanted and "error: OpenManage" in text and not ome.sessions, "openmanage-sync: %s is a clear failure" % kind,
                    "%d %s" % (code, text))
    count.check(not any("203.0.113.9" in path for _, path in ome.requests), "no link leads elsewhere")
    failures(stand, count, "openmanage-sync", ome)
    add_token("viewer")
    count.check(tool(stand, "openmanage-sync", ome)[0] == 3, "a viewer's token is refused")
    ome.close()
