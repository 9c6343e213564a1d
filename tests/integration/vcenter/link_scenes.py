"""What hangs on datastores and machines, compared with the simulated vCenter's own objects."""
from stand import sql

LINK_TABLES = ("vcenter_datastore_hosts", "vcenter_datastore_vms", "vcenter_network_vms", "vcenter_vm_snapshots", "vcenter_vm_custom_attributes")


def clear():
    for table in ("vcenter_alarms", "vcenter_vms", "vcenter_datastores", "vcenter_networks", "vcenter_clusters",
                  "vcenter_hosts", "vcenters", "vcenter_settings", "server_groups", "idrac_commands"):
        sql("delete from " + table)


def add_vcenter(peer):
    sql("insert into vcenters (name, host, port, username, password_encrypted, verify_ssl) values "
        "('main', '127.0.0.1', %d, '%s', '%s', false)" % (peer.port, peer.user, peer.password))


def networks_of(truth):
    return {one["Self"]["Value"]: one for kind in ("Network", "DistributedVirtualPortgroup", "OpaqueNetwork") for one in truth.get(kind) or []}


def snapshots_of(machine):
    """(id, name, parent, hour) of the whole tree."""
    def walk(trees, parent):
        for tree in trees or []:
            yield tree["Snapshot"]["Value"], tree["Name"], parent, tree["CreateTime"][11:13]
            yield from walk(tree["ChildSnapshotList"], tree["Snapshot"]["Value"])
    return list(walk((machine["Snapshot"] or {}).get("RootSnapshotList"), None))


def mounts_truth(truth):
    return {(store["Name"], mount["Key"]["Value"], mount["MountInfo"]["Path"] or None, mount["MountInfo"]["AccessMode"] == "readOnly")
            for store in truth["Datastore"] for mount in store["Host"]}


def stores_truth(truth):
    names = {store["Self"]["Value"]: store["Name"] for store in truth["Datastore"]}
    return {(machine["Name"], names[use["Datastore"]["Value"]], use["Committed"], use["Uncommitted"],
             machine["Config"]["Files"]["VmPathName"].startswith("[%s]" % names[use["Datastore"]["Value"]]))
            for machine in truth["VirtualMachine"] for use in machine["Storage"]["PerDatastoreUsage"]}


def adapters_truth(truth):
    foreign = {network["Summary"]["OpaqueNetworkId"]: network["Name"] for network in truth["OpaqueNetwork"]}
    names = {key: network["Name"] for key, network in networks_of(truth).items()}
    rows = set()
    for machine in truth["VirtualMachine"]:
        guest = {nic["MacAddress"].lower(): nic for nic in machine["Guest"]["Net"] or []}
        for device in machine["Config"]["Hardware"]["Device"]:
            if "MacAddress" not in device:
                continue
            backing, nic = device["Backing"], guest.get(device["MacAddress"].lower(), {})
            network = (foreign[backing["OpaqueNetworkId"]] if "OpaqueNetworkId" in backing
                       else names[backing["Port"]["PortgroupKey"] if "Port" in backing else backing["Network"]["Value"]])
            addresses = [one["IpAddress"] for one in (nic.get("IpConfig") or {}).get("IpAddress") or []] or nic.get("IpAddress") or []
            rows.add((machine["Name"], network, device["DeviceInfo"]["Label"], device["MacAddress"], tuple(addresses),
                      nic.get("Connected", device["Connectable"]["Connected"])))
    return rows


def attributes_truth(truth, names):
    return {(machine["Name"], names[value["Key"]], value["Value"]) for machine in truth["VirtualMachine"]
            for value in machine["CustomValue"] or [] if value["Key"] in names}


def stored():
    """The five tables by the names that people know."""
    return {
        "mounts": {(row["store"], row["host"], row["mount_path"], row["read_only"]) for row in sql(
            "select d.name as store, h.vcenter_id as host, l.mount_path, l.read_only from vcenter_datastore_hosts l "
            "join vcenter_datastores d on d.id = l.datastore_id join vcenter_hosts h on h.id = l.host_id where l.accessible")},
        "places": {(row["vm"], row["store"], row["committed_bytes"], row["uncommitted_bytes"], row["is_primary_datastore"]) for row in sql(
            "select v.name as vm, d.name as store, l.* from vcenter_datastore_vms l "
            "join vcenter_vms v on v.id = l.vm_id join vcenter_datastores d on d.id = l.datastore_id")},
        "adapters": {(row["vm"], row["network"], row["nic_label"], row["mac_address"], tuple(row["ip_addresses"]), row["connected"]) for row in sql(
            "select v.name as vm, n.name as network, l.* from vcenter_network_vms l "
            "join vcenter_vms v on v.id = l.vm_id join vcenter_networks n on n.id = l.network_id")},
        "snapshots": {(row["vm"], row["snapshot_id"], row["name"], row["parent_snapshot_id"], row["hour"], row["is_current"]) for row in sql(
            "select v.name as vm, s.snapshot_id, s.name, s.parent_snapshot_id, s.is_current, to_char(s.created_at at time zone 'UTC', 'HH24') as hour "
            "from vcenter_vm_snapshots s join vcenter_vms v on v.id = s.vm_id")},
        "attributes": {(row["vm"], row["attribute_key"], row["attribute_value"]) for row in sql(
            "select v.name as vm, a.* from vcenter_vm_custom_attributes a join vcenter_vms v on v.id = a.vm_id")},
    }


def told(truth):
    names = {100: "Owner <x>", 101: "Cost & center", 102: "unused"}
    snapshots = {(machine["Name"], *one, one[0] == machine["Snapshot"]["CurrentSnapshot"]["Value"])
                 for machine in truth["VirtualMachine"] for one in snapshots_of(machine)}
    return {"mounts": mounts_truth(truth), "places": stores_truth(truth), "adapters": adapters_truth(truth), "snapshots": snapshots,
            "attributes": attributes_truth(truth, names)}


def same(count, what, truth):
    rows, wanted = stored(), told(truth)
    for name, facts in wanted.items():
        count.check(rows[name] == facts, "%s: %s, %d rows, are the vCenter's own" % (what, name, len(facts)),
                    "only stored %s, only told %s" % (sorted(rows[name] - facts, key=str)[:4], sorted(facts - rows[name], key=str)[:4]))
    return wanted


def links(stand, count, people, peer):
    clear()
    add_vcenter(peer)
    status, answer = stand.fn("sync-vcenter-direct", None, people["admin"])
    count.check(status == 200 and answer["summary"]["errors"] == 0, "a sync with all that hangs on machines", str(answer))
    wanted = same(count, "first sync", peer.control("inventory"))
    count.check(all(wanted.values()) and len(wanted["snapshots"]) == 4 and len(wanted["attributes"]) == 3, "each kind was there", str(wanted)[:400])
    types = {row["adapter_type"] for row in sql("select adapter_type from vcenter_network_vms")}
    count.check(types == {"VirtualE1000", "VirtualVmxnet3"}, "adapters have their types", str(types))
    count.check(not [table for table in LINK_TABLES if sql("select 1 as one from %s where source_vcenter_id is null or last_sync is null" % table)],
                "every row knows its vCenter and its sync")
    counted = sql("select d.vm_count, (select count(*) from vcenter_datastore_vms l where l.datastore_id = d.id) as links from vcenter_datastores d")
    count.check(counted and all(row["vm_count"] == row["links"] for row in counted), "a datastore counts its machines", str(counted))
    before = {table: sql("select id from %s order by id" % table) for table in LINK_TABLES}
    stand.fn("sync-vcenter-direct", None, people["admin"])
    same(count, "second sync", peer.control("inventory"))
    count.check(before == {table: sql("select id from %s order by id" % table) for table in LINK_TABLES}, "a second sync keeps the rows")


def relinked(stand, count, people, peer):
    """What the vCenter no longer tells of a machine goes; what it could not tell stays; what leads nowhere is named."""
    clear()
    add_vcenter(peer)
    stand.fn("sync-vcenter-direct", None, people["admin"])
    truth = peer.control("inventory")
    machine = sorted(one["Self"]["Value"] for one in truth["VirtualMachine"])[0]
    source = sql("select id from vcenters")[0]["id"]
    body = {"vcenter_id": source, "vms": [{"vcenter_id": machine, "name": sql("select name from vcenter_vms where vcenter_id = '%s'" % machine)[0]["name"],
                                           "snapshots": []}]}
    status, answer = stand.fn("vcenter-sync", body, stand.service_key)
    counts = {table: sql("select count(*) as n from %s l join vcenter_vms v on v.id = l.vm_id where v.vcenter_id = '%s'" % (table, machine))[0]["n"]
              for table in LINK_TABLES[1:]}
    count.check(status == 200 and counts["vcenter_vm_snapshots"] == 0 and counts["vcenter_vm_custom_attributes"] == 2
                and counts["vcenter_network_vms"] == 1 and counts["vcenter_datastore_vms"] == 1, "an empty list is told, an absent one is not", str((answer, counts)))
    body["vms"][0].update(datastores=[{"datastore": "no-such", "committed_bytes": 1}],
                          nics=[{"network": "no-such", "nic_label": "a"}, {"network": "no-such", "nic_label": "b"}],
                          custom_attributes=[{"attribute_key": "k", "attribute_value": "v"}], snapshots=[{"snapshot_id": "s", "created_at": "no time"}])
    status, answer = stand.fn("vcenter-sync", body, stand.service_key)
    count.check(status == 200 and answer["summary"]["errors"] == 3 and sorted(answer["errors"])[1:] == [
        "vms, datastores: datastore no-such is not stored, 1 left out", "vms, nics: network no-such is not stored, 2 left out"]
        and sorted(answer["errors"])[0].startswith("vms %s, snapshots: " % body["vms"][0]["name"])
        and sql("select attribute_key from vcenter_vm_custom_attributes a join vcenter_vms v on v.id = a.vm_id where v.vcenter_id = '%s'" % machine)
        == [{"attribute_key": "k"}], "links that lead nowhere and bad entries are counted and named, the others taken", str(answer))
    status, answer = stand.fn("vcenter-sync", {"vcenter_id": source, "vms": [{"vcenter_id": machine, "name": "x", "nics": 7, "snapshots": ["x"],
                                                                             "datastores": {"a": 1}, "custom_attributes": [None]}]}, stand.service_key)
    count.check(status == 200 and answer["success"] is True, "what is no list is not taken for one", str(answer))
    peer.control("undress")
    stand.fn("sync-vcenter-direct", None, people["admin"])
    same(count, "after changes in the vCenter", peer.control("inventory"))
    sql("insert into vcenter_vms (name, vcenter_id, source_vcenter_id) values ('gone', 'vm-gone', '%s')" % source)
    sql("insert into vcenter_datastore_vms (vm_id, datastore_id) select v.id, d.id from vcenter_vms v, vcenter_datastores d where v.name = 'gone'")
    sql("insert into vcenter_vm_custom_attributes (vm_id, attribute_key) select id, 'owner' from vcenter_vms where name = 'gone'")
    stand.fn("sync-vcenter-direct", None, people["admin"])
    count.check(not sql("select 1 as one from vcenter_datastore_vms l join vcenter_vms v on v.id = l.vm_id where v.name = 'gone'")
                and sql("select overall_status from vcenter_vms v join vcenter_vm_custom_attributes a on a.vm_id = v.id where name = 'gone'")
                == [{"overall_status": "removed"}], "a machine that is gone lies nowhere, and keeps what was known of it")


def renewed(stand, count, people, peer):
    """What was taken out of the vCenter and put back has another id there."""
    clear()
    add_vcenter(peer)
    sql("delete from servers where ip_address like '198.51.100.%'")
    sql("insert into servers (ip_address, hostname, service_tag) values ('198.51.100.1', 'renewed', 'VCTAG00')")
    stand.fn("sync-vcenter-direct", None, people["admin"])
    machine = sql("select id, name, vcenter_id from vcenter_vms order by name limit 1")[0]
    host = sql("select h.id, h.vcenter_id from vcenter_hosts h join servers s on s.vcenter_host_id = h.id")[0]
    sql("update vcenter_vms set vcenter_id = 'vm-of-old' where id = '%s'" % machine["id"])
    sql("update vcenter_hosts set vcenter_id = 'host-of-old' where id = '%s'" % host["id"])
    status, answer = stand.fn("sync-vcenter-direct", None, people["admin"])
    count.check(status == 200 and answer["summary"]["errors"] == 0
                and sql("select vcenter_id, overall_status from vcenter_vms where id = '%s'" % machine["id"])[0]["vcenter_id"] == machine["vcenter_id"],
                "a machine that was registered anew keeps its row", str(answer))
    rows = sql("select h.vcenter_id, h.status, h.server_id, s.id is not null as linked from vcenter_hosts h left join servers s on s.vcenter_host_id = h.id "
               "where h.vcenter_id in ('host-of-old', '%s') order by h.vcenter_id = 'host-of-old'" % host["vcenter_id"])
    count.check(answer["summary"]["auto_linked"] == 1 and rows[0]["linked"] and rows[0]["server_id"] and not rows[1]["linked"]
                and rows[1]["status"] == "removed" and rows[1]["server_id"] is None, "a host that was added anew takes over its server", str(rows))
    sql("delete from servers where ip_address like '198.51.100.%'")
