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

// lookupTimeout bounds the one name lookup that URL may need.
const lookupTimeout = 2 * time.Second

const loopback = "127.0.0.1"

// URL answers the endpoint to connect to for a port of the file. An interface
// of 0.0.0.0 or * stands for the file's location: loopback when that is this
// machine, else its address.
func (c *Client) URL(port int) string { return url(c.Interface, c.Location, port) }

// URL is as that of a Client.
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

// resolved remembers the addresses of locations that had to be looked up; a
// file's URL is asked for once for each of its ports.
var resolved sync.Map // string -> string

// addressOf answers the address under which a location is reached from here.
// A name that can't be resolved in time is answered as it is.
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

// isLocal tells whether ip belongs to an interface of this machine.
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
