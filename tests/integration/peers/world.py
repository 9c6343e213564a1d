"""The stand of these scenes: an authority with certificates, names, people, a gateway that allows no local targets."""
import os
import socket
import ssl
import subprocess
import sys
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "executor"))
from harness import Stand, sql, token  # noqa: E402

SHARED_SECRET = "canary-shared-secret-of-the-executor-4711"
HOSTS = {"10.77.0.88": ["dc1.corp.example.test"], "10.77.0.10": ["peer.test", "mixed.test"], "127.0.0.1": ["mixed.test", "inward.test"],
         "169.254.169.254": ["inward.test"], "10.77.0.25": ["mail.test"], "10.77.0.66": ["hostile.test"]}


class Certificates:
    """An authority and what it signs."""

    def __init__(self, directory):
        self.directory = directory
        self.authority = os.path.join(directory, "authority.crt")
        self.key = os.path.join(directory, "authority.key")
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                     "-subj", "/CN=Test authority", "-keyout", self.key, "-out", self.authority)

    def openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)

    def server(self, name):
        key, cert = (os.path.join(self.directory, name + end) for end in (".key", ".crt"))
        self.openssl("req", "-x509", "-CA", self.authority, "-CAkey", self.key, "-newkey", "rsa:2048", "-nodes", "-days", "2",
                     "-subj", "/CN=" + name, "-addext", "subjectAltName=DNS:%s,DNS:*.%s" % (name, name), "-addext", "basicConstraints=critical,CA:false",
                     "-keyout", key, "-out", cert)
        return key, cert

    def context(self, name, is_expired=False, is_strange=False):
        """TLS of a server; `is_strange`: signed by itself."""
        key, cert = self.server(name)
        if is_strange:
            self.openssl("req", "-x509", "-key", key, "-days", "2", "-subj", "/CN=" + name, "-addext", "subjectAltName=DNS:%s,DNS:*.%s" % (name, name), "-out", cert)
        if is_expired:
            request = cert + ".csr"
            self.openssl("x509", "-x509toreq", "-copy_extensions", "copyall", "-in", cert, "-signkey", key, "-out", request)
            self.openssl("x509", "-req", "-in", request, "-CA", self.authority, "-CAkey", self.key, "-CAcreateserial", "-days", "-1",
                         "-copy_extensions", "copyall", "-out", cert)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        return context


class World(Stand):
    def __init__(self):
        self.name_hosts()
        super().__init__(servers=2)
        self.people = {role: self.person(role) for role in ("admin", "operator", "viewer")}

    def name_hosts(self):
        self.mount_over("/etc/hosts", "127.0.0.1 localhost %s\n" % socket.gethostname() + "".join(
            "%s %s\n" % (address, name) for address, names in HOSTS.items() for name in names))

    def mount_over(self, path, text):
        """Another file in this place, in our mounts only."""
        own = "/tmp/peers-%d-%s" % (os.getpid(), os.path.basename(path))
        with open(own, "w", encoding="ascii") as file:
            file.write(text)
        subprocess.run(["mount", "--bind", own, path], check=True)
        os.unlink(own)

    def unmount(self, path):
        subprocess.run(["umount", path], check=True)

    def name(self, address):
        """Says that hostile.test lies there, under a name of its own that ends so."""
        name = address.replace(".", "-") + ".hostile.test"
        with open("/etc/hosts", "a", encoding="ascii") as file:
            file.write("%s %s\n" % (address, name))
        return name

    def spawn_gateway(self, port, **env):
        self.certs = getattr(self, "certs", None) or Certificates(self.directory)
        defaults = {"ASAN_OPTIONS": "detect_leaks=1", "BASALT_CA_FILE": self.certs.authority, "BASALT_WORKERS": "32",
                    "GOTRUE_MAILER_AUTOCONFIRM": "true", "BASALT_SCHEDULER": "false",
                    "BASALT_EXECUTOR_SHARED_SECRET": SHARED_SECRET}
        defaults.update(env)
        return super().spawn_gateway(port, **defaults)

    def person(self, role):
        identifier = str(uuid.uuid4())
        sql("insert into auth.users (id, email, aud, role) values "
            "('%s', '%s@example.test', 'authenticated', 'authenticated')" % (identifier, identifier))
        sql("insert into user_roles (user_id, role) values ('%s', '%s') on conflict do nothing" % (identifier, role))
        return token("authenticated", identifier)

    def fn(self, name, body=None, role="admin", url=None):
        return self.call("POST", (url or self.url) + "/functions/v1/" + name, body, self.people.get(role))
