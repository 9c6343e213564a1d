"""The part of tools/demo that talks to the API, as any client would: signed in, through REST and functions."""
import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request

API, ANON = os.environ["API_URL"], os.environ["ANON_KEY"]
CONTEXT = ssl.create_default_context(cafile=os.environ.get("CA_FILE") or None) if API.startswith("https") else None
SET_NAME = "Simulated iDRACs"


def call(method, path, body=None, token=ANON, **headers):
    request = urllib.request.Request(
        API + path, method=method, data=None if body is None else json.dumps(body).encode(),
        headers={"apikey": ANON, "Authorization": "Bearer " + token, "Content-Type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=30, context=CONTEXT) as answer:
            text = answer.read()
    except urllib.error.HTTPError as error:
        sys.exit("%s %s: %d %s" % (method, path.split("?")[0], error.code, error.read().decode(errors="replace")[:300]))
    except OSError as error:
        sys.exit("%s is not reachable: %s" % (API, error))
    return json.loads(text) if text else None


def sign_in():
    body = {"email": os.environ["ADMIN_EMAIL"], "password": os.environ["ADMIN_PASSWORD"]}
    return call("POST", "/auth/v1/token?grant_type=password", body)["access_token"]


def store_credentials(token):
    found = call("GET", "/rest/v1/credential_sets?select=id&name=eq." + SET_NAME.replace(" ", "%20"), token=token)
    if not found:
        row = {"name": SET_NAME, "username": "root", "description": "Made by tools/demo"}
        found = call("POST", "/rest/v1/credential_sets", row, token, Prefer="return=representation")
    call("POST", "/functions/v1/encrypt-credentials",
         {"type": "credential_set", "credential_set_id": found[0]["id"], "username": "root",
          "password": os.environ["DEMO_PASSWORD"]}, token)
    return found[0]["id"]


def add_server(token, address, number, set_id):
    found = call("GET", "/rest/v1/servers?select=id,hostname&ip_address=eq." + address, token=token)
    if not found:
        row = {"ip_address": address, "hostname": "demo-%d" % number, "credential_set_id": set_id}
        found = call("POST", "/rest/v1/servers", row, token, Prefer="return=representation")
    else:
        call("PATCH", "/rest/v1/servers?id=eq." + found[0]["id"], {"credential_set_id": set_id}, token)
    print("    %-22s %s" % (address, found[0]["hostname"]))
    return found[0]["id"]


def run_health_check(token, servers):
    body = {"job_type": "health_check", "target_scope": {"type": "specific", "server_ids": servers}, "details": {}}
    job = call("POST", "/functions/v1/create-job", body, token)["job"]
    shown = status = ""
    deadline = time.time() + 300
    while status not in ("completed", "failed", "cancelled") and time.time() < deadline:
        row = call("GET", "/rest/v1/jobs?select=status,details&id=eq." + job["id"], token=token)[0]
        status, line = row["status"], "%s: %s" % (row["status"], (row["details"] or {}).get("current_step", "waiting"))
        if line != shown:
            print("    " + line)
            shown = line
        time.sleep(0.3)
    return job["id"], status


def show(token, job, servers):
    for row in call("GET", "/rest/v1/server_health?select=overall_health,power_state,temperature_celsius,servers(hostname)"
                    "&order=timestamp.desc&limit=%d&server_id=in.(%s)" % (len(servers), ",".join(servers)), token=token):
        print("    %-10s health %-8s power %-5s %s C" % (row["servers"]["hostname"], row["overall_health"], row["power_state"],
                                                        row["temperature_celsius"]))
    calls = call("GET", "/rest/v1/idrac_commands?select=id&job_id=eq." + job, token=token)
    print("    job %s, %d calls to devices in its activity log" % (job, len(calls)))


def main():
    token = sign_in()
    set_id = store_credentials(token)
    addresses = os.environ["DEMO_ADDRESSES"].split()
    servers = [add_server(token, address, number, set_id) for number, address in enumerate(addresses, 1)]
    job, status = run_health_check(token, servers)
    show(token, job, servers)
    sys.exit(0 if status == "completed" else "the health check ended as: " + status)


main()
