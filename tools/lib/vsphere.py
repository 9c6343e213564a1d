"""Hosts of a vCenter over SOAP (/sdk, namespace urn:vim25): only there the hardware is told."""
import xml.parsers.expat
import xml.sax.saxutils
from xml.etree import ElementTree

from inventory import AUTH, PAGES_MAX, REFUSED, Failure

VIM, ENVELOPE = "{urn:vim25}", "{http://schemas.xmlsoap.org/soap/envelope/}"
TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
HOST_PATHS = ("name", "parent", "hardware.systemInfo", "summary.config.product.version", "summary.config.product.build",
              "runtime.connectionState", "runtime.inMaintenanceMode")


class NoSoap(Exception):
    """The service speaks no SOAP there."""


def parse(data):
    """Without document types, hence without entities (SOAP 1.1, 3)."""
    builder, parser = ElementTree.TreeBuilder(), xml.parsers.expat.ParserCreate(namespace_separator="}")

    def tag(name):
        return "{" + name if "}" in name else name

    def refuse(*_):
        raise Failure(REFUSED, "vCenter: the answer carries a document type")
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = lambda name, attributes: builder.start(
        tag(name), {tag(key): value for key, value in attributes.items()})
    parser.EndElementHandler = lambda name: builder.end(tag(name))
    parser.CharacterDataHandler = builder.data
    parser.buffer_text = True
    try:
        parser.Parse(data, True)
        return builder.close()
    except xml.parsers.expat.ExpatError:
        raise Failure(REFUSED, "vCenter: the answer is not well-formed XML") from None


def text(node, path):
    found = None if node is None else node.find("/".join(VIM + name for name in path.split(".")))
    return None if found is None else (found.text or "").strip() or None


def element(name, reference):
    return "<%s type=%s>%s</%s>" % (name, xml.sax.saxutils.quoteattr(reference[0]), xml.sax.saxutils.escape(reference[1]), name)


def reference(node):
    return (node.get("type", ""), node.text or "") if node is not None else ("", "")


class Soap:
    def __init__(self, service):
        self.service, self.cookie = service, None
        content = self.call("RetrieveServiceContent", ("ServiceInstance", "ServiceInstance"))
        self.root, self.sessions, self.collector, self.views = (
            reference(content.find(VIM + name)) for name in ("rootFolder", "sessionManager", "propertyCollector", "viewManager"))

    def call(self, method, target, arguments=""):
        body = ('<?xml version="1.0" encoding="UTF-8"?><e:Envelope xmlns:e="%s" xmlns:xsi="%s"><e:Body><%s xmlns="urn:vim25">%s%s'
                "</%s></e:Body></e:Envelope>") % (ENVELOPE[1:-1], TYPE[1:-5], method, element("_this", target), arguments, method)
        headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": "urn:vim25/6.5"}
        if self.cookie:
            headers["Cookie"] = self.cookie
        status, fields, data = self.service.exchange("POST", "/sdk", body.encode(), headers)
        for value in fields.get_all("Set-Cookie") or []:
            if value.startswith("vmware_soap_session="):
                self.cookie = value.partition(";")[0]
        if status not in (200, 500):
            raise NoSoap("vCenter: /sdk answered HTTP %d" % status)
        return self.judge(method, parse(data))

    def judge(self, method, envelope):
        body = envelope.find(ENVELOPE + "Body") if envelope.tag == ENVELOPE + "Envelope" else None
        fault = None if body is None else body.find(ENVELOPE + "Fault")
        if fault is not None:
            kind = next((node.get(TYPE) or node.tag.rpartition("}")[2] for node in fault.find("detail") or []), "")
            if "InvalidLogin" in kind:
                raise Failure(AUTH, "vCenter refuses the credentials")
            raise Failure(REFUSED, "vCenter refuses %s: %s" % (method, (fault.findtext("faultstring") or kind)[:200]))
        answer = None if body is None else body.find("%s%sResponse" % (VIM, method))
        if answer is None:
            raise Failure(REFUSED, "vCenter: the answer is no SOAP answer to " + method)
        return answer.find(VIM + "returnval")

    def sign_in(self, user, password):
        escape = xml.sax.saxutils.escape
        self.call("Login", self.sessions, "<userName>%s</userName><password>%s</password>" % (escape(user), escape(password)))

    def collect(self, kind, paths):
        """(id, {path: value element}) of every object of that kind."""
        view = reference(self.call("CreateContainerView", self.views, "%s<type>%s</type><recursive>true</recursive>"
                                   % (element("container", self.root), kind)))
        found = self.call("RetrievePropertiesEx", self.collector, (
            "<specSet><propSet><type>%s</type>%s</propSet><objectSet>%s<skip>true</skip><selectSet xsi:type=\"TraversalSpec\">"
            "<name>view</name><type>ContainerView</type><path>view</path><skip>false</skip></selectSet></objectSet></specSet>"
            "<options><maxObjects>200</maxObjects></options>") % (kind, "".join("<pathSet>%s</pathSet>" % path for path in paths),
                                                                 element("obj", view)))
        for _ in range(PAGES_MAX):
            for entry in found.findall(VIM + "objects") if found is not None else ():
                yield reference(entry.find(VIM + "obj"))[1], {text(item, "name"): item.find(VIM + "val")
                                                             for item in entry.findall(VIM + "propSet")}
            token = text(found, "token")
            if not token:
                break
            found = self.call("ContinueRetrievePropertiesEx", self.collector, "<token>%s</token>" % xml.sax.saxutils.escape(token))
        self.call("DestroyView", view)


def service_tag(info):
    """Tags of virtual machines that play hosts name no machine."""
    tags = [text(info, "serialNumber")] + [text(entry, "identifierValue") for entry in (info if info is not None else ())
                                           if text(entry, "identifierType.key") == "ServiceTag"]
    return next((tag for tag in tags if tag and not tag.startswith("VMware-")), None)


def value(values, path):
    return (values[path].text or "").strip() or None if values.get(path) is not None else None


def hosts(service, user, password):
    soap = Soap(service)
    soap.sign_in(user, password)
    try:
        clusters = {identifier: value(values, "name") for identifier, values in soap.collect("ClusterComputeResource", ("name",))}
        return [convert(identifier, values, clusters) for identifier, values in soap.collect("HostSystem", HOST_PATHS)]
    finally:
        soap.call("Logout", soap.sessions)


def convert(identifier, values, clusters):
    version = [part for part in (value(values, "summary.config.product.version"), value(values, "summary.config.product.build")) if part]
    maintenance = value(values, "runtime.inMaintenanceMode")
    row = {"name": value(values, "name"), "vcenter_id": identifier, "cluster": clusters.get(reference(values.get("parent"))[1]),
           "serial_number": service_tag(values.get("hardware.systemInfo")), "esxi_version": " ".join(version) or None,
           "status": value(values, "runtime.connectionState"),
           "maintenance_mode": None if maintenance is None else maintenance in ("true", "1")}
    return {key: item for key, item in row.items() if item is not None}
