// A vCenter for tests: govmomi's simulator behind an HTTPS front that counts calls and can spoil answers.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"io/ioutil"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"
	"regexp"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"

	"crypto/tls"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	_ "github.com/vmware/govmomi/vapi/simulator"
)

var (
	listen   = flag.String("l", "127.0.0.1:0", "address to listen on")
	username = flag.String("username", "svc@vsphere.local", "who may sign in")
	password = flag.String("password", "pass", "the password")
	cert     = flag.String("cert", "", "PEM file with certificate and key")
	clusters = flag.Int("cluster", 2, "clusters")
	hosts    = flag.Int("host", 3, "hosts per cluster")
	machines = flag.Int("vm", 2, "machines per resource pool")
	alone    = flag.Int("standalone-host", 1, "hosts outside of clusters")
	delay    = flag.Int("delay", 0, "milliseconds before each answer to SOAP calls")
	hasREST  = flag.Bool("rest", false, "serve /rest too")
)

// fault spoils the answer to one SOAP method (or REST path) until it is replaced; an empty method: none.
type fault struct {
	Method string // name of the SOAP method, or a path
	Kind   string // status, cut, garbage, bomb, external, huge, deep, namespace, stall, expired; bulky: huge for more than 60 objects; missing:ID: that object is gone
	Count  int    // answers left to spoil; 0: all
}

type front struct {
	sync.Mutex
	fault   fault
	calls   map[string]int
	backend *httputil.ReverseProxy
}

var methodOf = regexp.MustCompile(`<(?:\w+:)?Body[^>]*>\s*<(?:\w+:)?(\w+)`)

const envelope = `<?xml version="1.0" encoding="UTF-8"?>%s<soapenv:Envelope xmlns:soapenv="%s"><soapenv:Body>%s</soapenv:Body></soapenv:Envelope>`
const soap = "http://schemas.xmlsoap.org/soap/envelope/"

func xmlAnswer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

func expired(w http.ResponseWriter) {
	xmlAnswer(w, 500, fmt.Sprintf(envelope, "", soap, `<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>The session is not authenticated.</faultstring><detail><NotAuthenticatedFault xmlns="urn:vim25" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="NotAuthenticated"/></detail></soapenv:Fault>`))
}

// spoil answers in place of the simulator; false: the fault works on the simulator's own answer, or not at all.
func spoil(w http.ResponseWriter, r *http.Request, method, kind string) bool {
	body := fmt.Sprintf(`<%sResponse xmlns="urn:vim25"><returnval>%%s</returnval></%sResponse>`, method, method)
	switch kind {
	case "status":
		xmlAnswer(w, 503, "")
	case "garbage":
		xmlAnswer(w, 200, "{\"this\": \"is no XML\"}")
	case "bomb":
		entities := `<!ENTITY a "aaaaaaaaaa">`
		for c := 'b'; c <= 'j'; c++ {
			entities += fmt.Sprintf(`<!ENTITY %c "%s">`, c, strings.Repeat(fmt.Sprintf("&%c;", c-1), 10))
		}
		xmlAnswer(w, 200, fmt.Sprintf(envelope, "<!DOCTYPE x ["+entities+"]>", soap, fmt.Sprintf(body, "&j;")))
	case "external":
		xmlAnswer(w, 200, fmt.Sprintf(envelope, `<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]>`, soap, fmt.Sprintf(body, "&a;")))
	case "deep":
		xmlAnswer(w, 200, fmt.Sprintf(envelope, "", soap, fmt.Sprintf(body, strings.Repeat("<a>", 100000)+strings.Repeat("</a>", 100000))))
	case "namespace":
		xmlAnswer(w, 200, fmt.Sprintf(envelope, "", "urn:elsewhere", fmt.Sprintf(body, "")))
	case "huge":
		w.Header().Set("Content-Type", "text/xml")
		filler := bytes.Repeat([]byte("<a>aaaaaaaaaaaa</a>"), 4096)
		for i := 0; i < 4096; i++ {
			if _, err := w.Write(filler); err != nil {
				break
			}
		}
	case "stall":
		select {
		case <-r.Context().Done():
		case <-time.After(60 * time.Second):
		}
	case "expired":
		expired(w)
	default:
		return false
	}
	return true
}

func (f *front) take(method string) string {
	f.Lock()
	defer f.Unlock()
	f.calls[method]++
	if f.fault.Method != method {
		return ""
	}
	kind := f.fault.Kind
	if f.fault.Count > 0 {
		f.fault.Count--
		if f.fault.Count == 0 {
			f.fault = fault{}
		}
	}
	return kind
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/control/") {
		f.control(w, r)
		return
	}
	body, _ := ioutil.ReadAll(io.LimitReader(r.Body, 1<<20))
	r.Body = ioutil.NopCloser(bytes.NewReader(body))
	method := r.URL.Path
	if match := methodOf.FindSubmatch(body); match != nil {
		method = string(match[1])
	}
	kind := f.take(method)
	if kind == "bulky" && bytes.Count(body, []byte("<objectSet>")) > 60 {
		kind = "huge"
	}
	if strings.HasPrefix(kind, "missing:") {
		id := strings.TrimPrefix(kind, "missing:")
		body = bytes.ReplaceAll(body, []byte(">"+id+"<"), []byte(">"+id+"-none<"))
		r.Body, r.ContentLength = ioutil.NopCloser(bytes.NewReader(body)), int64(len(body))
		r.Header.Set("Content-Length", fmt.Sprint(len(body)))
	}
	if kind != "" && spoil(w, r, method, kind) {
		return
	}
	if kind == "cut" {
		w = &cutting{ResponseWriter: w, left: 600}
	}
	f.backend.ServeHTTP(w, r)
}

// cutting breaks the connection in the middle of the answer.
type cutting struct {
	http.ResponseWriter
	left int
}

func (c *cutting) Write(data []byte) (int, error) {
	if len(data) > c.left {
		_, _ = c.ResponseWriter.Write(data[:c.left])
		if flusher, ok := c.ResponseWriter.(http.Flusher); ok {
			flusher.Flush()
		}
		panic(http.ErrAbortHandler)
	}
	c.left -= len(data)
	return c.ResponseWriter.Write(data)
}

func (f *front) control(w http.ResponseWriter, r *http.Request) {
	var value interface{}
	switch r.URL.Path {
	case "/control/fault":
		var next fault
		if err := json.NewDecoder(r.Body).Decode(&next); err != nil {
			http.Error(w, err.Error(), 400)
			return
		}
		f.Lock()
		f.fault = next
		f.Unlock()
		value = next
	case "/control/calls":
		f.Lock()
		value = f.calls
		f.calls = map[string]int{}
		f.Unlock()
	case "/control/undress":
		undress()
	case "/control/inventory":
		value = inventory()
	default:
		http.NotFound(w, r)
		return
	}
	_ = json.NewEncoder(w).Encode(value)
}

// inventory is what the simulator itself holds, for comparison.
func inventory() map[string]interface{} {
	found := map[string][]interface{}{}
	for _, kind := range []string{"HostSystem", "ClusterComputeResource", "VirtualMachine", "Datastore", "Network", "DistributedVirtualPortgroup", "OpaqueNetwork", "Folder"} {
		for _, entity := range all(kind) {
			found[kind] = append(found[kind], entity)
		}
	}
	out := map[string]interface{}{}
	for kind, entities := range found {
		out[kind] = entities
	}
	return out
}

// all lists the objects of a kind in a fixed order.
func all(kind string) []mo.Entity {
	found := simulator.Map.All(kind)
	sort.Slice(found, func(i, j int) bool { return found[i].Reference().Value < found[j].Reference().Value })
	return found
}

// furnish gives the hosts what real ones have and the simulator leaves out.
func furnish() {
	for i, entity := range all("HostSystem") {
		host := simulator.Map.Get(entity.Reference()).(*simulator.HostSystem)
		serial := fmt.Sprintf("VCTAG%02d", i)
		host.Summary.QuickStats.OverallCpuUsage = int32(100 * (i + 1))
		host.Summary.QuickStats.OverallMemoryUsage = int32(1000 * (i + 1))
		host.Summary.QuickStats.Uptime = int32(86400 * (i + 1))
		host.Hardware.SystemInfo.Vendor, host.Hardware.SystemInfo.Model = "Dell Inc.", "PowerEdge R650"
		switch i {
		case 0: // by the serial number proper
			host.Hardware.SystemInfo.SerialNumber = serial
		case 1: // a name that has to be escaped, and the state that is not the usual one
			host.Hardware.SystemInfo.SerialNumber = serial
			host.Runtime.InMaintenanceMode = true
			host.Runtime.ConnectionState = types.HostSystemConnectionStateNotResponding
		case 2: // neither: only the simulator's own tag, which names no machine
		default: // by the service tag among the other identifiers
			host.Hardware.SystemInfo.OtherIdentifyingInfo = []types.HostSystemIdentificationInfo{{
				IdentifierValue: serial,
				IdentifierType:  &types.ElementDescription{Key: "ServiceTag"},
			}}
		}
	}
	for i, entity := range all("ClusterComputeResource") {
		cluster := simulator.Map.Get(entity.Reference()).(*simulator.ClusterComputeResource)
		if i > 0 {
			continue
		}
		cluster.Configuration.DasConfig.Enabled = types.NewBool(true)
		cluster.Configuration.DrsConfig.Enabled = types.NewBool(true)
		cluster.Configuration.DrsConfig.DefaultVmBehavior = types.DrsBehaviorFullyAutomated
	}
	dress()
	raise()
}

// value is one custom attribute of a machine.
func value(key int32, text string) types.BaseCustomFieldValue {
	return &types.CustomFieldStringValue{CustomFieldValue: types.CustomFieldValue{Key: key}, Value: text}
}

func snapshot(id, name string, hour int, children ...types.VirtualMachineSnapshotTree) types.VirtualMachineSnapshotTree {
	return types.VirtualMachineSnapshotTree{Snapshot: types.ManagedObjectReference{Type: "VirtualMachineSnapshot", Value: id},
		Name: name, Description: "made <by> hand", CreateTime: time.Date(2026, 3, 4, hour, 0, 0, 0, time.UTC), ChildSnapshotList: children}
}

// adapter finds a machine's first network adapter.
func adapter(vm *simulator.VirtualMachine) (int, *types.VirtualEthernetCard) {
	for i, device := range vm.Config.Hardware.Device {
		if card, ok := device.(types.BaseVirtualEthernetCard); ok {
			return i, card.GetVirtualEthernetCard()
		}
	}
	return -1, nil
}

// dress gives two machines snapshots, custom attributes, addresses, and an adapter on a network that another system manages.
func dress() {
	fields := simulator.Map.Get(*simulator.Map.Get(vim25.ServiceInstance).(*simulator.ServiceInstance).Content.CustomFieldsManager).(*simulator.CustomFieldsManager)
	for i, name := range []string{"Owner <x>", "Cost & center", "unused"} {
		fields.Field = append(fields.Field, types.CustomFieldDef{Key: int32(i + 100), Name: name, Type: "string"})
	}
	found := all("VirtualMachine")
	if len(found) < 2 {
		return
	}
	first, second := simulator.Map.Get(found[0].Reference()).(*simulator.VirtualMachine), simulator.Map.Get(found[1].Reference()).(*simulator.VirtualMachine)
	current := types.ManagedObjectReference{Type: "VirtualMachineSnapshot", Value: "snapshot-3"}
	first.Snapshot = &types.VirtualMachineSnapshotInfo{CurrentSnapshot: &current, RootSnapshotList: []types.VirtualMachineSnapshotTree{
		snapshot("snapshot-1", "before & after", 5, snapshot("snapshot-2", "left", 6), snapshot("snapshot-3", "right", 7)), snapshot("snapshot-4", "", 8)}}
	first.CustomValue = []types.BaseCustomFieldValue{value(100, "Zoë <ops>"), value(101, "")}
	second.CustomValue = []types.BaseCustomFieldValue{value(101, "4711"), value(999, "of a field that is gone")}
	if _, card := adapter(first); card != nil {
		first.Guest.Net = []types.GuestNicInfo{{MacAddress: strings.ToUpper(card.MacAddress), Connected: false, DeviceConfigId: card.Key,
			IpConfig: &types.NetIpConfigInfo{IpAddress: []types.NetIpConfigInfoIpAddress{{IpAddress: "192.0.2.7", PrefixLength: 24}, {IpAddress: "2001:db8::7", PrefixLength: 64}}}}}
	}
	foreign := simulator.Map.All("OpaqueNetwork")
	if i, card := adapter(second); card != nil && len(foreign) > 0 {
		network := foreign[0].(*mo.OpaqueNetwork)
		summary := network.Summary.(*types.OpaqueNetworkSummary)
		card.Backing = &types.VirtualEthernetCardOpaqueNetworkBackingInfo{OpaqueNetworkId: summary.OpaqueNetworkId, OpaqueNetworkType: summary.OpaqueNetworkType}
		second.Config.Hardware.Device[i] = &types.VirtualVmxnet3{VirtualVmxnet: types.VirtualVmxnet{VirtualEthernetCard: *card}}
		second.Guest.Net = []types.GuestNicInfo{{MacAddress: card.MacAddress, Connected: true, DeviceConfigId: card.Key, IpAddress: []string{"192.0.2.8"}}}
	}
}

// undress takes from the first machine what hangs on it.
func undress() {
	vm := simulator.Map.Get(all("VirtualMachine")[0].Reference()).(*simulator.VirtualMachine)
	if i, card := adapter(vm); card != nil {
		vm.Config.Hardware.Device = append(vm.Config.Hardware.Device[:i:i], vm.Config.Hardware.Device[i+1:]...)
	}
	vm.Snapshot, vm.CustomValue = nil, nil
}

// raise lets one host have an alarm.
func raise() {
	hosts := all("HostSystem")
	if len(hosts) == 0 {
		return
	}
	alarm := simulator.Map.Put(&mo.Alarm{ExtensibleManagedObject: mo.ExtensibleManagedObject{
		Self: types.ManagedObjectReference{Type: "Alarm", Value: "alarm-7"}}, Info: types.AlarmInfo{
		AlarmSpec: types.AlarmSpec{Name: "Host <fan> & status", Description: "A fan is slow", Expression: &types.OrAlarmExpression{}, Enabled: true},
		Key:       "alarm-7", Alarm: types.ManagedObjectReference{Type: "Alarm", Value: "alarm-7"}, Entity: hosts[0].Reference()}}).Reference()
	var root *simulator.Folder
	for _, entity := range all("Folder") {
		if folder, ok := entity.(*simulator.Folder); ok && folder.Parent == nil {
			root = folder
		}
	}
	root.TriggeredAlarmState = []types.AlarmState{{Key: "alarm-7." + hosts[0].Reference().Value, Entity: hosts[0].Reference(), Alarm: alarm,
		OverallStatus: types.ManagedEntityStatusRed, Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Acknowledged: types.NewBool(false)}}
}

func main() {
	flag.Parse()
	model := simulator.VPX()
	model.Cluster, model.ClusterHost, model.Machine, model.Host = *clusters, *hosts, *machines, *alone
	model.DelayConfig.Delay, model.OpaqueNetwork = *delay, 1
	if err := model.Create(); err != nil {
		log.Fatal(err)
	}
	defer model.Remove()
	furnish()
	model.Service.RegisterEndpoints = *hasREST
	model.Service.Listen = &url.URL{Host: "127.0.0.1:0", User: url.UserPassword(*username, *password)}
	backend := model.Service.NewServer()
	defer backend.Close()
	target := &url.URL{Scheme: "http", Host: backend.URL.Host}

	pair, err := tls.LoadX509KeyPair(*cert, *cert)
	if err != nil {
		log.Fatal(err)
	}
	listener, err := tls.Listen("tcp", *listen, &tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		log.Fatal(err)
	}
	f := &front{calls: map[string]int{}, backend: httputil.NewSingleHostReverseProxy(target)}
	f.backend.ErrorLog = log.New(ioutil.Discard, "", 0)
	server := &http.Server{Handler: f, ErrorLog: log.New(ioutil.Discard, "", 0)}
	go func() { _ = server.Serve(listener) }()
	fmt.Println(listener.Addr().String())

	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	<-signals
}
