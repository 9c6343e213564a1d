"""What the simulated iDRAC answers to GET: the resource tree as a table of paths and functions."""

import re
import time

from idrac_model import CHASSIS, MANAGER, PAGE, RESET_TYPES, SESSIONS, SYSTEM, Answer, etag, iso, refuse


def link(path):
    return {"@odata.id": path}


def status(health, state="Enabled"):
    return {"State": state, "Health": health, "HealthRollup": health}


def root(device):
    body = {"@odata.context": "/redfish/v1/$metadata#ServiceRoot.ServiceRoot", "@odata.id": "/redfish/v1",
            "@odata.type": "#ServiceRoot.v1_11_0.ServiceRoot", "Id": "RootService", "Name": "Root Service",
            "Description": "Root Service", "Product": "Integrated Dell Remote Access Controller",
            "RedfishVersion": {8: "1.4.0", 9: "1.17.0", 10: "1.20.1"}[device.generation],
            "Systems": link("/redfish/v1/Systems"), "Chassis": link("/redfish/v1/Chassis"),
            "Managers": link("/redfish/v1/Managers"), "SessionService": link("/redfish/v1/SessionService"),
            "UpdateService": link("/redfish/v1/UpdateService"), "Tasks": link("/redfish/v1/TaskService"),
            "AccountService": link("/redfish/v1/AccountService"), "Links": {"Sessions": link(SESSIONS)},
            "Oem": {"Dell": {"@odata.type": "#DellServiceRoot.v1_0_0.DellServiceRoot", "IsBranded": 0,
                             "ManagerMACAddress": "02:00:00:00:00:%02x" % (device.index + 1),
                             "ServiceTag": device.service_tag}}}
    if device.generation > 8:
        body["Vendor"] = "Dell"
        body["ProtocolFeaturesSupported"] = {"ExpandQuery": {"ExpandAll": True, "Levels": True, "Links": True,
                                                             "MaxLevels": 1, "NoLinks": True},
                                             "FilterQuery": True, "SelectQuery": True, "OnlyMemberQuery": True}
    if device.generation == 9:
        body["JobService"] = link("/redfish/v1/JobService")
    return body


def system(device):
    return {"@odata.id": SYSTEM, "@odata.type": "#ComputerSystem.v1_20_1.ComputerSystem",
            "Id": "System.Embedded.1", "Name": "System", "Manufacturer": "Dell Inc.", "Model": device.model,
            "HostName": device.hostname, "SKU": device.service_tag, "SerialNumber": "CN%s0000A" % device.service_tag,
            "PartNumber": "0H28RRA03", "BiosVersion": "2.19.1", "PowerState": device.power, "SystemType": "Physical",
            "Status": status(device.health), "IndicatorLED": "Lit", "AssetTag": "",
            "MemorySummary": {"TotalSystemMemoryGiB": 256, "Status": status(device.parts.get("memory", "OK"))},
            "ProcessorSummary": {"Count": 2, "LogicalProcessorCount": 64, "CoreCount": 32,
                                 "Model": "Intel(R) Xeon(R) Gold 6226R CPU @ 2.90GHz",
                                 "Status": status(device.parts.get("cpu", "OK"))},
            "Boot": dict(device.boot), "Bios": link(SYSTEM + "/Bios"), "Memory": link(SYSTEM + "/Memory"),
            "Processors": link(SYSTEM + "/Processors"), "Storage": link(SYSTEM + "/Storage"),
            "NetworkInterfaces": link(SYSTEM + "/NetworkInterfaces"),
            "EthernetInterfaces": link(SYSTEM + "/EthernetInterfaces"),
            "Actions": {"#ComputerSystem.Reset": {"target": SYSTEM + "/Actions/ComputerSystem.Reset",
                                                  "ResetType@Redfish.AllowableValues": RESET_TYPES}},
            "Links": {"Chassis": [link(CHASSIS)], "ManagedBy": [link(MANAGER)]},
            "Oem": {"Dell": {"DellSystem": {"BIOSReleaseDate": "03/22/2024",
                                            "SystemGeneration": "%dG Monolithic" % (device.generation + 5),
                                            "LastSystemInventoryTime": iso(device.started)}}}}


def chassis(device):
    return {"@odata.id": CHASSIS, "Id": "System.Embedded.1", "Name": "Computer System Chassis", "ChassisType": "RackMount",
            "Manufacturer": "Dell Inc.", "Model": device.model, "SKU": device.service_tag, "PowerState": device.power,
            "Status": status(device.health), "Thermal": link(CHASSIS + "/Thermal"), "Power": link(CHASSIS + "/Power")}


def thermal(device):
    fan, readings = device.parts.get("fan", "OK"), [("System Board Inlet Temp", 23), ("CPU1 Temp", 44),
                                                    ("CPU2 Temp", 46), ("System Board Exhaust Temp", 33)]
    return {"@odata.id": CHASSIS + "/Thermal", "Id": "Thermal", "Name": "Thermal",
            "Temperatures": [{"Name": name, "MemberId": str(number), "ReadingCelsius": value,
                              "UpperThresholdCritical": 90, "Status": status("OK")}
                             for number, (name, value) in enumerate(readings)],
            "Fans": [{"Name": "System Board Fan%d" % number, "MemberId": str(number), "Reading": 6000 + 120 * number,
                      "ReadingUnits": "RPM", "Status": status(fan if number == 3 else "OK")} for number in range(1, 7)],
            "Redundancy": [{"Name": "System Board Fan Redundancy", "Status": status(fan)}]}


def power(device):
    psu = device.parts.get("psu", "OK")
    return {"@odata.id": CHASSIS + "/Power", "Id": "Power", "Name": "Power",
            "PowerControl": [{"Name": "System Power Control", "PowerConsumedWatts": 212, "PowerCapacityWatts": 1500}],
            "PowerSupplies": [{"Name": "PS%d Status" % number, "MemberId": str(number), "PowerCapacityWatts": 750,
                               "LineInputVoltage": 230, "Status": status(psu if number == 2 else "OK")}
                              for number in (1, 2)],
            "Voltages": []}


def manager(device):
    return {"@odata.id": MANAGER, "@odata.type": "#Manager.v1_17_0.Manager", "Id": "iDRAC.Embedded.1", "Name": "Manager",
            "FirmwareVersion": device.firmware, "ManagerType": "BMC", "PowerState": "On", "Status": status("OK"),
            "Model": "%dG Monolithic" % (device.generation + 5), "DateTime": iso(time.time()),
            "LogServices": link(MANAGER + "/LogServices"), "VirtualMedia": link(MANAGER + "/VirtualMedia"),
            "EthernetInterfaces": link(MANAGER + "/EthernetInterfaces"),
            "Actions": {"#Manager.Reset": {"target": MANAGER + "/Actions/Manager.Reset",
                                           "ResetType@Redfish.AllowableValues": ["GracefulRestart"]}},
            "Oem": {"Dell": {"Jobs": link(MANAGER + "/Oem/Dell/Jobs")}}}


def processor(device, number):
    path = "%s/Processors/CPU.Socket.%d" % (SYSTEM, number)
    return {"@odata.id": path, "Id": "CPU.Socket.%d" % number, "Name": "CPU %d" % number, "TotalCores": 16,
            "TotalThreads": 32, "Manufacturer": "Intel", "Model": "Intel(R) Xeon(R) Gold 6226R CPU @ 2.90GHz",
            "Status": status(device.parts.get("cpu", "OK") if number == 1 else "OK")}


def memory(device, number):
    path = "%s/Memory/DIMM.Socket.A%d" % (SYSTEM, number)
    return {"@odata.id": path, "Id": "DIMM.Socket.A%d" % number, "Name": "DIMM A%d" % number, "CapacityMiB": 32768,
            "MemoryDeviceType": "DDR4", "Status": status(device.parts.get("memory", "OK") if number == 1 else "OK")}


def storage(device, name):
    path = "%s/Storage/%s" % (SYSTEM, name)
    health = device.parts.get("storage", "OK") if name.startswith("RAID") else "OK"
    return {"@odata.id": path, "Id": name, "Name": name, "Status": status(health), "Drives": [], "Drives@odata.count": 0,
            "StorageControllers": [{"Name": name, "FirmwareVersion": "51.16.0-4296", "Status": status(health)}]}


def network(device, name):
    return {"@odata.id": "%s/NetworkInterfaces/%s" % (SYSTEM, name), "Id": name, "Name": name,
            "Status": status(device.parts.get("network", "OK"))}


def firmware(device, name, version):
    return {"@odata.id": "/redfish/v1/UpdateService/FirmwareInventory/" + name, "Id": name, "Name": name.split("-")[-1],
            "Version": version, "Updateable": True, "Status": status("OK")}


def simple(path, name, **more):
    return dict({"@odata.id": path, "Id": path.rsplit("/", 1)[-1], "Name": name}, **more)


def collections(device):
    """Path -> list of members (whole resources)."""
    tree = {"/redfish/v1/Systems": [system(device)], "/redfish/v1/Chassis": [chassis(device)],
            "/redfish/v1/Managers": [manager(device)],
            SESSIONS: [device.session_body(key) for key in device.sessions],
            SYSTEM + "/Processors": [processor(device, 1), processor(device, 2)],
            SYSTEM + "/Memory": [memory(device, number) for number in range(1, 9)],
            SYSTEM + "/Storage": [storage(device, "RAID.Integrated.1-1"), storage(device, "AHCI.Embedded.1-1")],
            SYSTEM + "/NetworkInterfaces": [network(device, "NIC.Embedded.1"), network(device, "NIC.Slot.3")],
            SYSTEM + "/EthernetInterfaces": [
                simple(SYSTEM + "/EthernetInterfaces/NIC.Embedded.1-1-1", "System Ethernet Interface",
                       MACAddress="02:00:00:00:01:%02x" % device.index, LinkStatus="LinkUp", SpeedMbps=10000,
                       Status=status("OK"))],
            "/redfish/v1/UpdateService/FirmwareInventory": [
                firmware(device, "Installed-0-" + device.firmware + "__iDRAC.Embedded.1-1", device.firmware),
                firmware(device, "Installed-159-2.19.1__BIOS.Setup.1-1", "2.19.1"),
                firmware(device, "Installed-25227-51.16.0-4296__RAID.Integrated.1-1", "51.16.0-4296"),
                firmware(device, "Installed-103734-22.31.6__NIC.Embedded.1-1-1", "22.31.6")],
            "/redfish/v1/TaskService/Tasks": [device.task_body(key) for key in device.jobs]}
    jobs = [device.job_body(key) for key in device.jobs]
    if device.generation < 10:
        tree[MANAGER + "/Jobs"] = jobs
    if device.generation > 8:
        tree[MANAGER + "/Oem/Dell/Jobs"] = jobs
    if device.generation == 9:
        tree["/redfish/v1/JobService/Jobs"] = jobs
    if device.generation == 8:
        tree[MANAGER + "/Logs/Sel"], tree[MANAGER + "/Logs/Lclog"] = device.logs["Sel"], device.logs["Lclog"]
    else:
        for name in device.logs:
            tree["%s/LogServices/%s/Entries" % (MANAGER, name)] = device.logs[name]
    return tree


def singles(device):
    """Path -> function that makes the resource."""
    return {SYSTEM: lambda: system(device), CHASSIS: lambda: chassis(device), MANAGER: lambda: manager(device),
            CHASSIS + "/Thermal": lambda: thermal(device), CHASSIS + "/Power": lambda: power(device),
            SYSTEM + "/Bios": lambda: simple(SYSTEM + "/Bios", "BIOS Configuration Current Settings",
                                             Attributes=dict(device.bios),
                                             AttributeRegistry="BiosAttributeRegistry.v1_0_0"),
            SYSTEM + "/Bios/Settings": lambda: simple(SYSTEM + "/Bios/Settings", "BIOS Configuration Pending Settings",
                                                      Attributes=dict(device.bios_pending)),
            MANAGER + "/Attributes": lambda: simple(MANAGER + "/Attributes", "OEMAttributeRegistry",
                                                    Attributes=dict(device.attributes)),
            "/redfish/v1/SessionService": lambda: simple("/redfish/v1/SessionService", "Session Service",
                                                         SessionTimeout=1800, ServiceEnabled=True,
                                                         Sessions=link(SESSIONS)),
            "/redfish/v1/AccountService": lambda: simple("/redfish/v1/AccountService", "Account Service"),
            "/redfish/v1/TaskService": lambda: simple("/redfish/v1/TaskService", "Task Service",
                                                      Tasks=link("/redfish/v1/TaskService/Tasks")),
            "/redfish/v1/UpdateService": lambda: simple(
                "/redfish/v1/UpdateService", "Update Service", ServiceEnabled=True,
                MultipartHttpPushUri="/redfish/v1/UpdateService/MultipartUpload",
                FirmwareInventory=link("/redfish/v1/UpdateService/FirmwareInventory"),
                Actions={"#UpdateService.SimpleUpdate": {
                    "target": "/redfish/v1/UpdateService/Actions/UpdateService.SimpleUpdate"}})}


def page(device, path, members, query):
    try:
        skip, top = int(query.get("$skip", "0")), int(query.get("$top", str(PAGE)))
    except ValueError:
        raise refuse(400, "Base.1.12.QueryParameterValueTypeError", "The query parameter is not a number.")
    if skip < 0 or (skip > 0 and skip >= len(members)):
        raise refuse(400, "Base.1.12.QueryParameterOutOfRange", "The value %d for the query parameter $skip is out of "
                     "range." % skip)
    is_log, is_expanded = "Log" in path, device.generation > 8 and "$expand" in query
    size = min(top, PAGE) if is_log or "$top" in query else len(members)
    part = members[skip:skip + size]
    body = {"@odata.id": path, "Name": path.rsplit("/", 1)[-1] + " Collection", "Members@odata.count": len(members),
            "Members": part if is_log or is_expanded else [link(member["@odata.id"]) for member in part]}
    if skip + size < len(members) and "$top" not in query:
        body["Members@odata.nextLink"] = "%s?$skip=%d" % (path, skip + size)
    return body


def log_services(device, path):
    if device.generation == 8:
        return None
    base = MANAGER + "/LogServices"
    if path == base:
        return {"@odata.id": base, "Name": "Log Service Collection", "Members@odata.count": len(device.logs),
                "Members": [link("%s/%s" % (base, name)) for name in device.logs]}
    match = re.fullmatch(re.escape(base) + r"/(\w+)", path)
    if match and match.group(1) in device.logs:
        return simple(path, match.group(1), Entries=link(path + "/Entries"), ServiceEnabled=True)
    return None


def read(device, path, query):
    """The resource at `path`, an Answer, or None when there is none."""
    single = singles(device).get(path)
    if single is not None:
        body = single()
        body["@odata.etag"] = etag(body)
        return body
    tree = collections(device)
    if path in tree:
        return page(device, path, tree[path], query)
    task = re.fullmatch(r"/redfish/v1/TaskService/Tasks/(JID_\w+)", path)
    if task and task.group(1) in device.jobs:
        body = device.task_body(task.group(1))
        return Answer(200 if body["TaskState"] in ("Completed", "Exception") else 202, body)
    parent, _, _ = path.rpartition("/")
    for member in tree.get(parent, []):
        if member["@odata.id"] == path or (parent.endswith("/Jobs") and path.endswith("/" + member["Id"])):
            return member
    return log_services(device, path)
