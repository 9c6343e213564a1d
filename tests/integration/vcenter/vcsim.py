"""A vCenter (govmomi's simulator) with its front of faults, as a process of its own."""
import json
import os
import ssl
import subprocess
import urllib.request


class VCenter:
    user = "svc@vsphere.local"

    def __init__(self, directory, password, **options):
        self.password = password
        self.cert = os.path.join(directory, "vcsim.crt")
        pem = os.path.join(directory, "vcsim.pem")
        if not os.path.exists(pem):
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                            "-keyout", pem, "-out", self.cert, "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
                           check=True, capture_output=True)
            with open(pem, "a") as both, open(self.cert) as cert:
                both.write(cert.read())
        command = [os.environ["VCSIM"], "-cert", pem, "-username", self.user, "-password", password]
        for name, value in options.items():
            command.append("-%s=%s" % (name.replace("_", "-"), value))
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().rsplit(":", 1)[1])
        self.context = ssl.create_default_context(cafile=self.cert)

    def control(self, what, body=None):
        request = urllib.request.Request("https://localhost:%d/control/%s" % (self.port, what),
                                         None if body is None else json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=20, context=self.context) as answer:
            return json.loads(answer.read())

    def calls(self):
        """How often each SOAP method or path was called since the last question."""
        return self.control("calls")

    def fault(self, method="", kind="", count=0):
        self.control("fault", {"Method": method, "Kind": kind, "Count": count})

    def close(self):
        self.process.terminate()
        self.process.wait(60)  # it gives back the files of each machine
