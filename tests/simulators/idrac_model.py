"""The device behind the iDRAC simulator: resources, power, sessions, logs and jobs. Knows no sockets.

Paths, bodies and state names follow what Dell's controllers of generations 8, 9 and 10 answer; where the generations
differ (log paths, job paths, $expand) the `generation` decides. Thread-safe: one lock around every request.
"""

import base64
import datetime
import hashlib
import json
import re
import secrets
import threading
import time

SYSTEM = "/redfish/v1/Systems/System.Embedded.1"
CHASSIS = "/redfish/v1/Chassis/System.Embedded.1"
MANAGER = "/redfish/v1/Managers/iDRAC.Embedded.1"
SESSIONS = "/redfish/v1/SessionService/Sessions"
PAGE = 50

RESET_TYPES = ["On", "ForceOff", "ForceRestart", "GracefulRestart", "GracefulShutdown", "PushPowerButton", "Nmi",
               "PowerCycle"]
MODELS = {8: ("PowerEdge R630", "2.83.83.83"), 9: ("PowerEdge R640", "6.10.80.00"), 10: ("PowerEdge R670", "1.20.25.00")}
# Job states over the life of a job, as fractions of its duration.
JOB_LIFE = [(0.0, "New"), (0.05, "Scheduled"), (0.15, "Downloading"), (0.35, "Downloaded"), (0.45, "Running"),
            (1.0, "Completed")]


def iso(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).isoformat(timespec="seconds")


class Answer(Exception):
    """Ends a request with this answer, wherever it is raised."""

    def __init__(self, status, body=None, headers=None):
        super().__init__(status)
        self.status, self.body, self.headers = status, body, headers or {}


def refuse(status, message_id, message, headers=None):
    info = {"MessageId": message_id, "Message": message, "MessageArgs": [], "Severity": "Warning",
            "Resolution": "See the documentation of the controller."}
    error = {"error": {"code": "Base.1.12.GeneralError", "message": "A general error has occurred.",
                       "@Message.ExtendedInfo": [info]}}
    return Answer(status, error, headers)


class Device:
    def __init__(self, index, options):
        self.lock = threading.RLock()
        self.index = index
        self.generation = options.generation
        self.user, self.password = options.user, options.password
        self.session_max = options.session_max
        self.transition = options.transition
        self.job_seconds = options.job_seconds
        self.model, self.firmware = MODELS[self.generation]
        self.service_tag = "SIM%04d" % (index + 1)
        self.hostname = "sim-server-%d" % (index + 1)
        self.health = "OK"
        self.parts = {}  # part name -> health, by the admin endpoint: "fan", "psu", "memory", ...
        self.power, self.power_target, self.power_due = "On", "On", 0.0
        self.power_script = []
        self.sessions = {}
        self.session_number = 0
        self.resets = []
        self.jobs = {}
        self.bios = {"SysProfile": "PerfOptimized", "LogicalProc": "Enabled", "ProcVirtualization": "Enabled",
                     "BootMode": "Uefi", "SecureBoot": "Disabled", "SystemServiceTag": self.service_tag}
        self.bios_pending = {}
        self.boot = {"BootSourceOverrideEnabled": "Disabled", "BootSourceOverrideTarget": "None",
                     "BootSourceOverrideMode": "UEFI", "UefiTargetBootSourceOverride": None,
                     "BootOrder": ["Boot0001", "Boot0002", "Boot0000"]}
        self.attributes = {"IPv4.1.Address": options.address, "IPv4.1.DHCPEnable": "Disabled",
                           "IPv4.1.Gateway": "127.0.0.1", "IPv4.1.Netmask": "255.0.0.0", "IPv4.1.DNS1": "127.0.0.53",
                           "NIC.1.Selection": "Dedicated", "NIC.1.VLanEnable": "Disabled",
                           "NTPConfigGroup.1.NTPEnable": "Disabled", "VirtualConsole.1.PluginType": "HTML5"}
        self.started = time.time()
        self.logs = {"Sel": self._first_entries(options.sel_entries, "Sel"),
                     "Lclog": self._first_entries(options.lclog_entries, "Lclog")}

    def _first_entries(self, count, log):
        texts = [("OK", "The chassis is closed while the power is on.", "Physical Chassis Security"),
                 ("Warning", "Fan 3 RPM is less than the lower warning threshold.", "Fan"),
                 ("Critical", "The power input for power supply 2 is lost.", "Power Supply"),
                 ("OK", "The power supplies are redundant.", "Power Supply")]
        entries = []
        for number in range(count, 0, -1):  # newest first, as the controller answers
            severity, text, sensor = texts[number % len(texts)]
            entries.append(self._entry(log, number, severity, text, sensor, self.started - 3600 * (count - number + 1)))
        return entries

    def _entry(self, log, number, severity, text, sensor, when):
        entry = {"@odata.id": "%s/LogServices/%s/Entries/%d" % (MANAGER, log, number),
                 "@odata.type": "#LogEntry.v1_6_1.LogEntry", "Id": str(number), "Name": "Log Entry %d" % number,
                 "Created": iso(when), "Message": text, "MessageId": "IDRAC.2.8.SEL9901", "Severity": severity}
        if log == "Sel":
            entry.update({"EntryType": "SEL", "SensorType": sensor, "SensorNumber": number % 64, "EntryCode": "Assert"})
        else:
            entry.update({"EntryType": "Oem", "OemRecordFormat": "Dell", "Oem": {"Dell": {"Category": "System Health"}}})
        return entry

    def log(self, log, severity, text):
        entries = self.logs[log]
        number = int(entries[0]["Id"]) + 1 if entries else 1
        entries.insert(0, self._entry(log, number, severity, text, "Power", time.time()))

    # -- power ---------------------------------------------------------------------------------------------------

    def settle(self):
        """Applies power transitions that are due."""
        now = time.time()
        while self.power_script and self.power_script[0][0] <= now:
            _, self.power = self.power_script.pop(0)
            if self.power == "On" and self.bios_pending and any(
                    job["target"] == "bios" and job["state"] is None for job in self.jobs.values()):
                self.bios.update(self.bios_pending)
                self.bios_pending = {}

    def reset(self, kind):
        if kind not in RESET_TYPES:
            raise refuse(400, "Base.1.12.ActionParameterNotSupported", "The value %s is not in the list." % kind)
        on = self.power in ("On", "PoweringOn")
        needs_on = ("ForceOff", "ForceRestart", "GracefulRestart", "GracefulShutdown", "PowerCycle", "Nmi")
        if kind == "On" and on:
            raise refuse(409, "IDRAC.2.8.PSU501", "Server is already powered ON.")
        if kind in needs_on and not on:
            raise refuse(409, "IDRAC.2.8.PSU502", "Server is already powered OFF.")
        now, step = time.time(), self.transition
        self.resets.append({"type": kind, "at": iso(now)})
        if kind == "Nmi":
            return
        if kind == "PushPowerButton":
            kind = "GracefulShutdown" if on else "On"
        if kind == "On":
            self.power, self.power_script = "PoweringOn", [(now + step, "On")]
        elif kind in ("ForceOff", "GracefulShutdown"):
            self.power, self.power_script = "PoweringOff", [(now + step, "Off")]
        else:
            self.power = "PoweringOff"
            self.power_script = [(now + step / 3, "Off"), (now + step * 2 / 3, "PoweringOn"), (now + step, "On")]
        self.log("Sel", "OK", "The server received the reset %s." % kind)

    # -- sessions ------------------------------------------------------------------------------------------------

    def create_session(self, body):
        if not isinstance(body, dict) or body.get("UserName") != self.user or body.get("Password") != self.password:
            raise refuse(401, "IDRAC.2.8.SYS415", "The authentication credentials included with the request are missing "
                                                 "or invalid.")
        if len(self.sessions) >= self.session_max:
            raise refuse(503, "IDRAC.2.8.RAC0218", "The maximum number of user sessions is reached.",
                         {"Retry-After": "30"})
        self.session_number += 1
        identifier, token = str(self.session_number), secrets.token_hex(16)
        self.sessions[identifier] = {"token": token, "user": self.user, "created": time.time()}
        location = "%s/%s" % (SESSIONS, identifier)
        raise Answer(201, self.session_body(identifier), {"X-Auth-Token": token, "Location": location})

    def session_body(self, identifier):
        return {"@odata.id": "%s/%s" % (SESSIONS, identifier), "@odata.type": "#Session.v1_3_0.Session",
                "Id": identifier, "Name": "User Session", "UserName": self.sessions[identifier]["user"],
                "CreatedTime": iso(self.sessions[identifier]["created"]), "SessionType": "Redfish"}

    def is_authorised(self, headers):
        token = headers.get("X-Auth-Token")
        if token is not None:
            return any(secrets.compare_digest(token, session["token"]) for session in self.sessions.values())
        value = headers.get("Authorization", "")
        if value.startswith("Basic "):
            try:
                user, _, password = base64.b64decode(value[6:]).decode().partition(":")
            except ValueError:
                return False
            return user == self.user and password == self.password
        return False

    # -- jobs ----------------------------------------------------------------------------------------------------

    def create_job(self, name, target, seconds=None):
        identifier = "JID_%012d" % (int(time.time() * 1000) % 10 ** 12 + len(self.jobs))
        self.jobs[identifier] = {"name": name, "target": target, "created": time.time(), "state": None,
                                 "seconds": self.job_seconds if seconds is None else seconds,
                                 "message": "Task successfully scheduled."}
        return identifier

    def job_state(self, job):
        if job["state"] is not None:
            return job["state"], 100 if job["state"].startswith("Completed") else 0
        part = 1.0 if job["seconds"] <= 0 else min((time.time() - job["created"]) / job["seconds"], 1.0)
        state = [name for start, name in JOB_LIFE if start <= part][-1]
        return state, int(part * 100)

    def job_body(self, identifier):
        job = self.jobs[identifier]
        state, percent = self.job_state(job)
        message = "Job completed successfully." if state == "Completed" else job["message"]
        return {"@odata.id": "%s/Oem/Dell/Jobs/%s" % (MANAGER, identifier), "@odata.type": "#DellJob.v1_4_0.DellJob",
                "Id": identifier, "Name": job["name"], "JobState": state, "JobType": job["name"],
                "Message": message, "MessageId": "PR19" if state == "Completed" else "JCP001",
                "PercentComplete": percent, "StartTime": iso(job["created"]), "EndTime": None, "TargetSettingsURI": None}

    def task_body(self, identifier):
        job = self.jobs[identifier]
        state, percent = self.job_state(job)
        task_state = {"New": "New", "Scheduled": "Starting", "Completed": "Completed", "Failed": "Exception",
                      "CompletedWithErrors": "Exception"}.get(state, "Running")
        return {"@odata.id": "/redfish/v1/TaskService/Tasks/" + identifier, "@odata.type": "#Task.v1_5_1.Task",
                "Id": identifier, "Name": job["name"], "TaskState": task_state, "PercentComplete": percent,
                "TaskStatus": "OK", "Messages": [{"Message": job["message"], "MessageId": "IDRAC.2.8.JCP001"}],
                "Oem": {"Dell": self.job_body(identifier)}}

    # -- requests ------------------------------------------------------------------------------------------------

    def handle(self, method, path, query, headers, body):
        """Returns (status, body or None, headers). `body` is parsed JSON, None, or the text "invalid"."""
        with self.lock:
            self.settle()
            try:
                if len(path) > 1:
                    path = path.rstrip("/")
                path = path.replace("//", "/")
                if path in ("/redfish", "/redfish/v1", "/redfish/v1/odata"):
                    if method != "GET":
                        raise refuse(405, "Base.1.12.OperationNotAllowed", "The operation is not allowed.")
                    from idrac_tree import root
                    raise Answer(200, {"v1": "/redfish/v1/"} if path == "/redfish" else root(self))
                if method == "POST" and path in (SESSIONS, "/redfish/v1/Sessions"):
                    self.create_session(body)
                if not self.is_authorised(headers):
                    raise refuse(401, "Base.1.12.AccessDenied", "The authentication credentials included with this "
                                 "request are missing or invalid.", {"WWW-Authenticate": 'Basic realm="RedfishService"'})
                if body == "invalid":
                    raise refuse(400, "Base.1.12.MalformedJSON", "The request body is not valid JSON.")
                self.route(method, path, query, body)
            except Answer as answer:
                return answer.status, answer.body, answer.headers
        return 404, refuse(404, "Base.1.12.ResourceMissingAtURI", "The resource %s was not found." % path).body, {}

    def route(self, method, path, query, body):
        from idrac_tree import read
        if method in ("GET", "HEAD"):
            found = read(self, path, query)
            if found is not None:
                raise found if isinstance(found, Answer) else Answer(200, found, {"OData-Version": "4.0"})
            return
        if method == "DELETE":
            self.delete(path)
        elif method == "PATCH":
            self.patch(path, body if isinstance(body, dict) else {})
        elif method == "POST":
            self.post(path, body if isinstance(body, dict) else {})
        else:
            raise refuse(405, "Base.1.12.OperationNotAllowed", "The operation is not allowed.")

    def delete(self, path):
        match = re.fullmatch(re.escape(SESSIONS) + r"/(\w+)", path)
        if match and match.group(1) in self.sessions:
            del self.sessions[match.group(1)]
            raise Answer(200, {"@Message.ExtendedInfo": [{"MessageId": "Base.1.12.Success", "Message": "Success."}]})
        match = re.search(r"/Jobs/(JID_\w+)$", path)
        if match and self.jobs.pop(match.group(1), None):
            raise Answer(200, {})

    def patch(self, path, body):
        if path == SYSTEM and isinstance(body.get("Boot"), dict):
            unknown = set(body["Boot"]) - set(self.boot)
            if unknown:
                raise refuse(400, "Base.1.12.PropertyUnknown", "The property %s is unknown." % sorted(unknown)[0])
            self.boot.update(body["Boot"])
            raise Answer(200, {"@Message.ExtendedInfo": [{"MessageId": "Base.1.12.Success", "Message": "Success."}]})
        if path == MANAGER + "/Attributes":
            changes = body.get("Attributes")
            if not isinstance(changes, dict) or set(changes) - set(self.attributes):
                raise refuse(400, "IDRAC.2.8.SYS428", "The attribute does not exist.")
            self.attributes.update(changes)
            raise Answer(200, {"@Message.ExtendedInfo": [{"MessageId": "Base.1.12.Success", "Message": "Success."}]})
        if path == SYSTEM + "/Bios/Settings":
            changes = body.get("Attributes")
            if not isinstance(changes, dict) or set(changes) - set(self.bios):
                raise refuse(400, "IDRAC.2.8.SYS428", "The attribute does not exist.")
            if self.bios_pending:
                raise refuse(400, "IDRAC.2.8.SYS011", "Pending configuration values are already committed.")
            self.bios_pending.update(changes)
            if "@Redfish.SettingsApplyTime" not in body:
                raise Answer(200, {})
            identifier = self.create_job("BIOSConfiguration", "bios")
            raise Answer(202, None, {"Location": "/redfish/v1/TaskService/Tasks/" + identifier})

    def post(self, path, body):
        if path == SYSTEM + "/Actions/ComputerSystem.Reset":
            if not isinstance(body.get("ResetType"), str):
                raise refuse(400, "Base.1.12.ActionParameterMissing", "The parameter ResetType is missing.")
            self.reset(body["ResetType"])
            raise Answer(204)
        if path == MANAGER + "/Actions/Manager.Reset":
            self.sessions.clear()
            raise Answer(204, None, {"X-Simulator-Reboot": "5"})
        if path == MANAGER + "/LogServices/Sel/Actions/LogService.ClearLog":
            self.logs["Sel"] = []
            raise Answer(204)
        if path == MANAGER + "/Oem/Dell/DelliDRACCardService/Actions/DelliDRACCardService.GetKVMSession" and self.generation > 8:
            if body.get("SessionTypeName") != "HTML5":
                raise refuse(400, "Base.1.12.ActionParameterMissing", "The parameter SessionTypeName is missing.")
            raise Answer(200, {"TempUsername": "kvm&1", "TempPassword": "Temp=Canary/1"})
        if path == "/redfish/v1/UpdateService/Actions/UpdateService.SimpleUpdate":
            if not isinstance(body.get("ImageURI"), str):
                raise refuse(400, "Base.1.12.ActionParameterMissing", "The parameter ImageURI is missing.")
            identifier = self.create_job("FirmwareUpdate", "firmware")
            raise Answer(202, None, {"Location": "/redfish/v1/TaskService/Tasks/" + identifier})
        if path == MANAGER + "/Jobs" and body.get("TargetSettingsURI"):
            identifier = self.create_job("BIOSConfiguration", "bios")
            raise Answer(200, {}, {"Location": "%s/Jobs/%s" % (MANAGER, identifier)})

    # -- admin ---------------------------------------------------------------------------------------------------

    def describe(self):
        with self.lock:
            self.settle()
            return {"index": self.index, "service_tag": self.service_tag, "hostname": self.hostname,
                    "model": self.model, "generation": self.generation, "power_state": self.power,
                    "health": self.health, "parts": dict(self.parts), "sessions": len(self.sessions),
                    "sessions_made": self.session_number, "resets": list(self.resets),
                    "jobs": {key: self.job_state(job)[0] for key, job in self.jobs.items()}}

    def change(self, body):
        """State set by the admin endpoint: power_state, health, parts, password, sel (an entry's text)."""
        with self.lock:
            for key in ("health", "password", "user", "session_max", "transition", "service_tag", "hostname"):
                if key in body:
                    setattr(self, key, body[key])
            if "power_state" in body:
                self.power, self.power_script = body["power_state"], []
            if "parts" in body:
                self.parts.update(body["parts"])
            if "sel" in body:
                self.log("Sel", body.get("severity", "Critical"), body["sel"])
            if "job" in body:
                for job in self.jobs.values():
                    job["state"], job["message"] = body["job"], body.get("message", job["message"])
            if body.get("drop_sessions"):
                self.sessions.clear()


def etag(body):
    return '"%s"' % hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]
