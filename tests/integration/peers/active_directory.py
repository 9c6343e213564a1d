"""A Samba domain controller of its own: a real Active Directory, as far as LDAP goes."""
import os
import subprocess

REALM, NETBIOS, ADDRESS = "corp.example.test", "ACME", "10.77.0.88"
NAME = "dc1." + REALM
BASE = "DC=corp,DC=example,DC=test"

# One process instead of one samba-tool per account.
PEOPLE = """
import sys
from samba.auth import system_session
from samba.param import LoadParm
from samba.samdb import SamDB
conf, password = sys.argv[1:]
lp = LoadParm(conf)
db = SamDB(session_info=system_session(), lp=lp)
for name in ("nest", "plain", "asleep", "chief", "suffix"):
    db.newuser(name, password, givenname=name.title(), surname="Person", mailaddress=name + "@people.test",
               jobtitle="Engineer", department="Ops")
for name in ("inner", "outer", "unrelated", "chiefs", "board"):
    db.newgroup(name)
for group, member in (("inner", "nest"), ("outer", "inner"), ("unrelated", "plain"), ("chiefs", "chief"), ("board", "chiefs")):
    db.add_remove_group_members(group, [member])
for number in range(%d):
    db.newgroup("many%%04d" %% number)
    db.add_remove_group_members("many%%04d" %% number, ["plain"])
def entry(name, attribute):
    return db.search(base=db.domain_dn(), scope=2, expression="(sAMAccountName=" + name + ")", attrs=[attribute])[0]
group = db.schema_format_value("objectSid", entry("chiefs", "objectSid")["objectSid"][0]).decode().rsplit("-", 1)[1]
change = "dn: %%s\\nchangetype: modify\\nreplace: %%s\\n%%s: %%s\\n"
db.modify_ldif(change %% (entry("chief", "cn").dn, "primaryGroupID", "primaryGroupID", group))
partitions = "CN=Partitions," + str(db.get_config_basedn())
db.modify_ldif(change %% (partitions, "uPNSuffixes", "uPNSuffixes", "people.test"))
db.modify_ldif(change %% (entry("suffix", "cn").dn, "userPrincipalName", "userPrincipalName", "first.last@people.test"))
db.disable_account("(sAMAccountName=asleep)")
"""


class ActiveDirectory:
    def __init__(self, stand, certs, password, groups):
        self.directory = os.path.join(stand.directory, "ad")
        self.conf = os.path.join(self.directory, "etc", "smb.conf")
        self.run(["samba-tool", "domain", "provision", "--targetdir=" + self.directory, "--realm=" + REALM.upper(),
                  "--domain=" + NETBIOS, "--server-role=dc", "--dns-backend=NONE", "--adminpass=" + password,
                  "--host-ip=" + ADDRESS, "--host-name=dc1"])
        self.run(["/usr/bin/python3", "-c", PEOPLE % groups, self.conf, password])
        runtime = os.path.join(self.directory, "run")
        os.makedirs(runtime)
        key, cert = certs.server(NAME)
        options = {"server services": "ldap", "interfaces": ADDRESS, "bind interfaces only": "yes", "lock directory": runtime,
                   "pid directory": runtime, "ncalrpc dir": runtime + "/nc", "tls keyfile": key, "tls certfile": cert,
                   "tls cafile": certs.authority, "tls dh params file": "", "log file": runtime + "/log"}
        command = ["samba", "-F", "--debug-stdout", "-M", "single", "-s", self.conf]
        stand.spawn("samba", command + ["--option=%s=%s" % pair for pair in options.items()], {})

    def run(self, command):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stdout + done.stderr)
