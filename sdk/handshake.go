package sdk

import (
	"context"
	"strings"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	pb "github.com/ipcore/ipcore/sdk/proto/launcher/v1"
)

// Protocol is the version of the contract that this sdk speaks.
const Protocol = 1

// MaxMessage is the size in bytes of the largest message either side accepts.
const MaxMessage = 16 << 20

// MaxN is the greatest number of engines that one request may ask for.
const MaxN = 100_000

// What the host puts into the environment of a plugin, beside the PLUGIN_*
// variables of go-plugin. None of it reaches a workload.
const (
	EnvCookie   = "IPCORE_PLUGIN"           // must be Cookie
	EnvTLSDir   = "IPCORE_TLS_DIR"          // folder with ca.pem, cert.pem, key.pem
	EnvLogLevel = "IPCORE_PLUGIN_LOG_LEVEL" // what the host wants to be told: "info"
)

// Cookie is the value of EnvCookie: it tells a plugin that ipcore started it. It
// is no secret.
const Cookie = "launcher"

// Private tells whether an environment variable is between host and plugin only,
// so that no workload may see it.
func HandshakeVariable(name string) bool {
	return strings.HasPrefix(name, "PLUGIN_") || name == EnvCookie || name == EnvTLSDir || name == EnvLogLevel
}

// Handshake is go-plugin's part of the agreement.
func Handshake() plugin.HandshakeConfig {
	return plugin.HandshakeConfig{MagicCookieKey: EnvCookie, MagicCookieValue: Cookie}
}

// pluginName is the name under which go-plugin knows the one service.
const pluginName = "launcher"

// HostPlugins is what a host tells go-plugin to expect. Dispense(PluginName) then
// answers a *Client.
func HostPlugins() map[int]plugin.PluginSet {
	return map[int]plugin.PluginSet{Protocol: {pluginName: &service{}}}
}

// PluginName is what a host dispenses.
const PluginName = pluginName

// service is the launcher service as go-plugin wants it.
type service struct {
	plugin.NetRPCUnsupportedPlugin
	server *server
}

var _ plugin.GRPCPlugin = (*service)(nil)

func (s *service) GRPCServer(_ *plugin.GRPCBroker, g *grpc.Server) error {
	pb.RegisterLauncherServer(g, s.server)
	return nil
}

// GRPCClient answers a *Client. done ends when the plugin process has ended.
func (s *service) GRPCClient(done context.Context, _ *plugin.GRPCBroker, c *grpc.ClientConn) (any, error) {
	client := NewClient(c)
	client.done = done.Done()
	return client, nil
}
