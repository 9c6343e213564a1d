"""A vCenter and an OpenManage Enterprise, as far as their REST sessions and lists go, over HTTPS."""
import base64
import http.server
import json
import os
import ssl
import subprocess
import threading
import urllib.parse

CLUSTERS = [{"cluster": "domain-c8", "name": "North"}, {"cluster": "domain-c9", "name": "South"}]
HOSTS = [{"host": "host-%d" % n, "name": "esx%d.test" % n, "connection_state": "CONNECTED" if n < 3 else "DISCONNECTED",
          "power_state": "POWERED_ON"} for n in (1, 2, 3)]
MEMBERS = {"domain-c8": HOSTS[:2], "domain-c9": HOSTS[2:]}
DEVICES = [{"Id": 100 + n, "DeviceServiceTag": "OMETAG%d" % n, "Model": "PowerEdge R650", "Type": 1000,
            "DeviceName": "ome%d" % n, "DeviceManagement": [{"NetworkAddress": "192.0.2.%d" % n}]} for n in range(5)]


class Peer:
    """`style`: "api" (plain lists) or "rest" (wrapped ones, the interface before vSphere 7)."""

    def __init__(self, directory, password, style="api"):
        self.user, self.password, self.style = "svc@vsphere.local", password, style
        self.sessions, self.opened, self.requests, self.stall = set(), 0, [], threading.Event()
        self.redirect = None
        key, self.cert = os.path.join(directory, "peer.key"), os.path.join(directory, "peer.crt")
        if not os.path.exists(self.cert):
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                            "-keyout", key, "-out", self.cert, "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
                           check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, key)
        peer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self, status, value=None, **headers):
                body = b"" if value is None else json.dumps(value).encode()
                self.send_response(status)
                for name, text in headers.items():
                    self.send_header(name.replace("_", "-"), text)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def handle_any(self):
                length = int(self.headers.get("Content-Length") or 0)
                self.body = self.rfile.read(length) if length else b""
                peer.requests.append((self.command, self.path))
                if peer.redirect:
                    self.answer(302, None, Location=peer.redirect)
                else:
                    peer.route(self)

            do_GET = do_POST = do_DELETE = handle_any

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def open_session(self):
        self.opened += 1
        token = "canary-session-token-%d" % self.opened
        self.sessions.add(token)
        return token

    def route(self, request):
        path, _, query = request.path.partition("?")
        if path.startswith("/api/SessionService") or path.startswith("/api/DeviceService"):
            return self.openmanage(request, path, query)
        prefix, session = {"api": ("/api", "/api/session"),
                           "rest": ("/rest", "/rest/com/vmware/cis/session")}[self.style]
        if not path.startswith(prefix + "/"):
            return request.answer(404, {"error_type": "NOT_FOUND"})
        if path == session and request.command == "POST":
            wanted = "Basic " + base64.b64encode(("%s:%s" % (self.user, self.password)).encode()).decode()
            if request.headers.get("Authorization") != wanted:
                return request.answer(401, {"error_type": "UNAUTHENTICATED"})
            token = self.open_session()
            return request.answer(201 if self.style == "api" else 200, self.wrap(token))
        token = request.headers.get("vmware-api-session-id")
        if token not in self.sessions:
            return request.answer(401, {"error_type": "UNAUTHENTICATED"})
        if path == session:
            self.sessions.discard(token)
            return request.answer(204)
        return self.lists(request, path[len(prefix):], urllib.parse.parse_qs(query))

    def wrap(self, value):
        return value if self.style == "api" else {"value": value}

    def lists(self, request, path, query):
        if path == "/appliance/system/version":
            return request.answer(200, self.wrap({"version": "8.0.2.00100", "build": "1"}))
        if path == "/vcenter/cluster":
            return request.answer(200, self.wrap(CLUSTERS))
        if path == "/vcenter/host":
            cluster = query.get("clusters" if self.style == "api" else "filter.clusters", [None])[0]
            return request.answer(200, self.wrap(MEMBERS.get(cluster, []) if cluster else HOSTS))
        return request.answer(404, {"error_type": "NOT_FOUND"})

    def openmanage(self, request, path, query):
        if request.command == "POST":
            body = json.loads(request.body)
            if (body.get("UserName"), body.get("Password")) != (self.user, self.password):
                return request.answer(401, {"error": {"code": "Base.1.0.GeneralError"}})
            token = self.open_session()
            return request.answer(201, {"Id": "id-%s" % token, "UserName": self.user}, X_Auth_Token=token)
        token = request.headers.get("X-Auth-Token")
        if token not in self.sessions:
            return request.answer(401, {"error": {}})
        if request.command == "DELETE":
            self.sessions.discard(token)
            return request.answer(204)
        if path == "/api/DeviceService/Devices":
            skip = int(urllib.parse.parse_qs(query).get("$skip", ["0"])[0])
            answer = {"@odata.count": len(DEVICES), "value": DEVICES[skip:skip + 2]}
            if skip + 2 < len(DEVICES):
                answer["@odata.nextLink"] = "/api/DeviceService/Devices?$skip=%d" % (skip + 2)
            return request.answer(200, answer)
        return request.answer(404, {"error": {}})
