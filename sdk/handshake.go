package sdk

import (
	"context"
	"strings"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	pb "github.com/ipcore/ipcore/sdk/proto/launcher/v1"
)

// Protocol is the version of the contract that this sdk implements.
const Protocol = 1

// MaxMessage is the size in bytes of the largest message that either side accepts.
const MaxMessage = 16 << 20

// MaxN is the largest number of engines that one request may ask for.
const MaxN = 100_000

// The variables that the host adds to the environment of a plugin, in addition to the
// PLUGIN_* variables of go-plugin. No workload may see them.
const (
	EnvCookie   = "IPCORE_PLUGIN"           // must be Cookie
	EnvTLSDir   = "IPCORE_TLS_DIR"          // folder with ca.pem, cert.pem, key.pem
	EnvLogLevel = "IPCORE_PLUGIN_LOG_LEVEL" // lowest level of log messages that the host wants: "info"
)

// Cookie is the value of EnvCookie. It shows a plugin that ipcore started it. It is
// not a secret.
const Cookie = "launcher"

// HandshakeVariable reports whether an environment variable is meant for the plugin
// only, so that no workload may see it: a PLUGIN_* variable or one of those above.
func HandshakeVariable(name string) bool {
	return strings.HasPrefix(name, "PLUGIN_") || name == EnvCookie || name == EnvTLSDir || name == EnvLogLevel
}

// Handshake returns the handshake configuration that go-plugin needs on both sides.
func Handshake() plugin.HandshakeConfig {
	return plugin.HandshakeConfig{MagicCookieKey: EnvCookie, MagicCookieValue: Cookie}
}

// PluginName is the name of the only service of a plugin, for go-plugin's Dispense.
const PluginName = "launcher"

// HostPlugins returns the plugins that a host passes to go-plugin. Dispense(PluginName)
// then returns a *Client.
func HostPlugins() map[int]plugin.PluginSet {
	return map[int]plugin.PluginSet{Protocol: {PluginName: &service{}}}
}

// service is the launcher service in the form that go-plugin needs.
type service struct {
	plugin.NetRPCUnsupportedPlugin
	server *server
}

var _ plugin.GRPCPlugin = (*service)(nil)

func (s *service) GRPCServer(_ *plugin.GRPCBroker, g *grpc.Server) error {
	pb.RegisterLauncherServer(g, s.server)
	return nil
}

// GRPCClient returns a *Client. done ends when the plugin process has ended.
func (s *service) GRPCClient(done context.Context, _ *plugin.GRPCBroker, c *grpc.ClientConn) (any, error) {
	client := NewClient(c)
	client.done = done.Done()
	return client, nil
}
