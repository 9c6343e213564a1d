#!/usr/bin/env python3
"""Plays an OpenManage Enterprise over HTTPS: sessions, devices in pages, software inventories, faults.

    tests/simulators/ome.py --listen 127.0.0.1:8443 --cert FILE.pem [--devices 120] [--user admin] [--password secret]

The certificate file holds certificate and key. python3 is all it needs.
"""
import argparse
import http.server
import json
import re
import ssl
import sys
import threading
import time
import urllib.parse
import uuid

PAGE = 50


def make_devices(count):
    """Servers, each twentieth place a chassis, which has no business in an inventory of servers."""
    return [{"Id": 10000 + n, "Type": 2000 if n % 20 == 19 else 1000, "DeviceServiceTag": "OMETAG%d" % n, "Identifier": "OMETAG%d" % n,
             "Model": "PowerEdge R650", "DeviceName": "ome%d.example.test" % n, "PowerState": 17, "ManagedState": 3000, "Status": 1000,
             "DeviceManagement": [{"ManagementId": n, "NetworkAddress": "192.0.2.%d" % (n % 250 + 1), "MacAddress": "00:00:5e:00:53:01"}]}
            for n in range(count)]


def software(device):
    return {"InventoryType": "deviceSoftware", "InventoryInfo": [
        {"Version": "1.%d.0" % (device["Id"] % 7), "SoftwareType": "BIOS", "DeviceDescription": "BIOS", "Status": "1"},
        {"Version": "7.00.%d" % (device["Id"] % 90), "SoftwareType": "FRMW",
         "DeviceDescription": "Integrated Dell Remote Access Controller", "Status": "1"},
        {"Version": "5.1", "SoftwareType": "APAC", "DeviceDescription": "OS Drivers Pack", "Status": "1"}]}


class Ome:
    """`fault`: None, or (pattern of the path, kind, answers left): status, garbage, cut, loop, elsewhere, stall."""

    def __init__(self, cert, user="admin", password="secret", devices=None, address=("127.0.0.1", 0)):
        self.user, self.password, self.sessions, self.requests = user, password, {}, []
        self.devices, self.fault, self.opened = make_devices(5) if devices is None else devices, None, 0
        self.server = http.server.ThreadingHTTPServer(address, self.handler())
        self.server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]

    def start(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def handler(self):
        ome = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self, status, value=None, headers=()):
                body = b"" if value is None else json.dumps(value).encode()
                self.send_response(status)
                for name, text in headers:
                    self.send_header(name, text)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def handle_any(self):
                size = int(self.headers.get("Content-Length") or 0)
                self.sent = self.rfile.read(size)
                ome.requests.append((self.command, self.path))
                if not ome.spoil(self):
                    ome.route(self)

            do_GET = do_POST = do_DELETE = handle_any

            def log_message(self, *args):
                pass

        return Handler

    def spoil(self, request):
        if self.fault is None or not re.search(self.fault[0], request.path):
            return False
        kind = self.fault[1]
        self.fault = (self.fault[0], kind, self.fault[2] - 1) if self.fault[2] > 1 else None
        if kind == "status":
            request.answer(503, {"error": {"code": "Base.1.0.GeneralError"}})
        elif kind == "garbage":
            request.send_response(200)
            request.send_header("Content-Length", "9")
            request.end_headers()
            request.wfile.write(b"<html></h")
        elif kind == "cut":
            request.send_response(200)
            request.send_header("Content-Length", "5000")
            request.end_headers()
            request.wfile.write(b'{"value":[')
            request.close_connection = True
        elif kind in ("loop", "elsewhere"):
            link = request.path if kind == "loop" else "https://203.0.113.9/api/DeviceService/Devices?$skip=50"
            request.answer(200, {"value": self.devices[:1], "@odata.nextLink": link})
        elif kind == "stall":
            time.sleep(30)
        return True

    def refuse(self, request, status=401):
        request.answer(status, {"error": {"code": "Base.1.0.GeneralError", "message": "A general error has occurred.",
                                          "@Message.ExtendedInfo": [{"MessageId": "CSEC5008"}]}})

    def route(self, request):
        path, _, query = request.path.partition("?")
        path = urllib.parse.unquote(path)
        if path == "/api/SessionService/Sessions" and request.command == "POST":
            return self.sign_in(request)
        if request.headers.get("X-Auth-Token") not in self.sessions:
            return self.refuse(request)
        if request.command == "DELETE":
            identifier = re.fullmatch(r"/api/SessionService/Sessions\('(.*)'\)", path)
            known = [token for token, value in self.sessions.items() if identifier and value == identifier[1]]
            for token in known:
                del self.sessions[token]
            return request.answer(204 if known else 404)
        if path == "/api/DeviceService/Devices":
            return self.page(request, urllib.parse.parse_qs(query))
        found = re.fullmatch(r"/api/DeviceService/Devices\((\d+)\)/InventoryDetails\('deviceSoftware'\)", path)
        device = next((one for one in self.devices if found and one["Id"] == int(found[1])), None)
        return request.answer(200, software(device)) if device else self.refuse(request, 404)

    def sign_in(self, request):
        body = json.loads(request.sent or b"{}")
        if (body.get("UserName"), body.get("Password"), body.get("SessionType")) != (self.user, self.password, "API"):
            return self.refuse(request)
        token, identifier = "canary-session-token-" + uuid.uuid4().hex, str(uuid.uuid4())
        self.sessions[token] = identifier
        self.opened += 1
        return request.answer(201, {"Id": identifier, "UserName": self.user}, [("X-Auth-Token", token)])

    def page(self, request, query):
        wanted = re.fullmatch(r"Type eq (\d+)", query.get("$filter", [""])[0])
        found = [device for device in self.devices if not wanted or device["Type"] == int(wanted[1])]
        skip, top = (int(query.get(name, [absent])[0]) for name, absent in (("$skip", 0), ("$top", PAGE)))
        answer = {"@odata.context": "/api/$metadata#Collection(DeviceService.Device)", "@odata.count": len(found),
                  "value": found[skip:skip + top]}
        if skip + top < len(found):
            kept = {name: values[0] for name, values in query.items() if name not in ("$skip", "$top")}
            answer["@odata.nextLink"] = "/api/DeviceService/Devices?" + urllib.parse.urlencode(
                dict(kept, **{"$skip": skip + top, "$top": top}), safe="$")
        return request.answer(200, answer)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--listen", default="127.0.0.1:8443")
    options.add_argument("--cert", required=True)
    options.add_argument("--user", default="admin")
    options.add_argument("--password", default="secret")
    options.add_argument("--devices", type=int, default=120)
    given = options.parse_args()
    host, _, port = given.listen.rpartition(":")
    ome = Ome(given.cert, given.user, given.password, make_devices(given.devices), (host, int(port)))
    print("listening on https://%s:%d" % (host, ome.port), file=sys.stderr)
    ome.server.serve_forever()


if __name__ == "__main__":
    main()
