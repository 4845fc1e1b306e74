package connfile

import (
	"context"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// lookupTimeout limits the one name lookup that URL may need.
const lookupTimeout = 2 * time.Second

const loopback = "127.0.0.1"

// URL returns the endpoint to connect to for a port of the file. An interface
// of 0.0.0.0 or * is replaced by the file's location: by the loopback address if that
// is this machine, otherwise by the location's address.
func (c *Client) URL(port int) string { return url(c.Interface, c.Location, port) }

// URL is like Client.URL.
func (e *Engine) URL(port int) string { return url(e.Interface, e.Location, port) }

func url(iface, location string, port int) string {
	transport, host, _ := strings.Cut(iface, "://")
	if transport == "tcp" && (host == "0.0.0.0" || host == "*") {
		host = addressOf(location)
	}
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		host = "[" + host + "]"
	}
	return transport + "://" + host + ":" + strconv.Itoa(port)
}

// resolved caches the addresses of locations that had to be looked up, because URL
// is called once for each port of a file.
var resolved sync.Map // string -> string

// addressOf returns the address at which this machine reaches a location. It returns
// a name that can't be resolved within lookupTimeout unchanged.
func addressOf(location string) string {
	if location == "" || location == "localhost" {
		return loopback
	}
	if ip := net.ParseIP(location); ip != nil {
		if isLocal(ip) {
			return loopback
		}
		return location
	}
	if name, err := os.Hostname(); err == nil && name == location {
		return loopback
	}
	if address, ok := resolved.Load(location); ok {
		return address.(string)
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	ips, err := net.DefaultResolver.LookupIP(ctx, "ip4", location)
	if err != nil || len(ips) == 0 {
		return location
	}
	address := ips[0].String()
	if slices.ContainsFunc(ips, isLocal) {
		address = loopback
	}
	resolved.Store(location, address)
	return address
}

// isLocal reports whether ip belongs to an interface of this machine.
func isLocal(ip net.IP) bool {
	if ip.IsLoopback() {
		return true
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range addresses {
		if network, ok := a.(*net.IPNet); ok && network.IP.Equal(ip) {
			return true
		}
	}
	return false
}
