package controller

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/connfile"
	"github.com/ipcore/ipcore/core/controller/heartbeat"
	"github.com/ipcore/ipcore/core/controller/relay"
	"github.com/ipcore/ipcore/core/controller/scheduler"
	"github.com/ipcore/ipcore/core/profile"
	"github.com/ipcore/ipcore/core/sockets"
)

// Options configure a controller. Every field except Profile may be zero, which
// selects its default.
type Options struct {
	Profile   profile.Profile // its directories are created if missing
	ClusterID string          // part of the file names; may be empty

	IP       string // address to listen on, "*" for all; default: 127.0.0.1
	EngineIP string // address for engines; default: IP
	ClientIP string // address for clients; default: IP
	Location string // name of this machine for peers on others; default: the host name

	// Ports are used in the order of the protocol, engines' before clients'.
	// EnginePorts and ClientPorts take precedence over Ports; when all are used up,
	// the system chooses.
	Ports, EnginePorts, ClientPorts []int

	Scheme string // of the task queue; default: leastload; relay.SchemePure for no scheduler
	HWM    int    // outstanding tasks per engine; default: 1; may be scheduler.Unlimited

	HeartbeatPeriod     time.Duration // default: 3 s
	MaxMisses           int           // consecutive heartbeats; default: 10
	RegistrationTimeout time.Duration // default: 30 s, or 10 periods if that is longer
	// BroadcastDepth is the depth of the broadcast tree that peers see; default: 1.
	// NoTree selects a single leaf.
	BroadcastDepth int

	// Limits bound the memory and connections that peers can use on each socket,
	// except on the heartbeat sockets.
	Limits sockets.Limits

	DB        string // "dictdb", "sqlitedb", "mongodb" or "nodb", or the name of IPython Parallel's class; default: dictdb
	DBOptions DBOptions

	// Encryption selects whether connections are encrypted with CURVE. The key pair
	// is CurveSecretKey and CurvePublicKey (in Z85; the public key may be omitted),
	// else IPP_CURVE_SECRETKEY and IPP_CURVE_PUBLICKEY, else a generated one, which
	// Reuse saves in a file.
	Encryption                     Encryption
	CurveSecretKey, CurvePublicKey string

	// Messages are signed with Key, else with the text of KeyFile, else with
	// IPP_SESSION_KEY, else with a random key. With encryption, messages are not
	// signed unless a key is given.
	Key, KeyFile    string
	SignatureScheme string // default: hmac-sha256
	Packer          string // of messages: "json" (default) or "msgpack"

	// Reuse takes key and ports from existing connection files, and does not remove
	// the files at the end.
	Reuse bool

	// Restore takes over the table of engines of the previous controller; it implies
	// Reuse.
	Restore bool

	SSHServer       string // for clients; written into their connection file
	EngineSSHServer string // for engines; written into theirs

	// MetricsPort is the port on the loopback interface for metrics, health and
	// profiles: 0 for none, AnyPort for a free one, which is logged.
	MetricsPort int
	Python      string // runs Dask's scheduler; empty: see python.Find

	Log hclog.Logger // nil discards
	// Ready is called when peers can connect and both connection files are written.
	Ready func(clientFile, engineFile string)
}

// AnyPort as Options.MetricsPort selects any free port.
const AnyPort = -1

// NoTree as Options.BroadcastDepth selects a tree of depth 0: a single leaf.
const NoTree = -1

// resolve checks o and fills in its defaults.
func (o *Options) resolve() error {
	if o.Profile.Dir == "" {
		return errors.New("controller: no profile directory")
	}
	if strings.ContainsAny(o.ClusterID, `/\`) {
		return fmt.Errorf("controller: cluster id %q: must not contain slashes, because it is part of file names", o.ClusterID)
	}
	o.Reuse = o.Reuse || o.Restore
	def := func(v *string, d string) {
		if *v == "" {
			*v = d
		}
	}
	def(&o.IP, "127.0.0.1")
	def(&o.EngineIP, o.IP)
	def(&o.ClientIP, o.IP)
	def(&o.SignatureScheme, "hmac-sha256")
	def(&o.DB, "dictdb")
	def(&o.Packer, "json")
	if o.Location == "" {
		host, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("controller: find the host name: %w; set a location", err)
		}
		o.Location = host
	}
	def(&o.Scheme, scheduler.DefaultScheme)
	if err := relay.CheckScheme(o.Scheme); err != nil {
		return fmt.Errorf("controller: %w", err)
	}
	if o.HeartbeatPeriod <= 0 {
		o.HeartbeatPeriod = heartbeat.DefaultPeriod
	}
	switch {
	case o.BroadcastDepth == 0:
		o.BroadcastDepth = 1
	case o.BroadcastDepth < 0:
		o.BroadcastDepth = 0
	case o.BroadcastDepth > relay.MaxBroadcastDepth:
		return fmt.Errorf("controller: broadcast depth %d: must be at most %d", o.BroadcastDepth, relay.MaxBroadcastDepth)
	}
	if o.MetricsPort < AnyPort || o.MetricsPort > 65535 {
		return fmt.Errorf("controller: metrics: %d is not a valid port number", o.MetricsPort)
	}
	for _, ports := range [][]int{o.Ports, o.EnginePorts, o.ClientPorts} {
		for _, p := range ports {
			if p < 0 || p > 65535 {
				return fmt.Errorf("controller: %d is not a valid port number", p)
			}
		}
	}
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	return nil
}

// packers returns the names that connection files have for the packer and the
// unpacker of messages.
func (o *Options) packers() (pack, unpack string) {
	if strings.HasPrefix(o.Packer, "msgpack") {
		return "msgpack.packb", "msgpack.unpackb"
	}
	return o.Packer, o.Packer
}

// key returns the key to sign messages with. It is empty, and messages are not
// signed, when no key was given and connections are encrypted.
func (o *Options) key() (string, error) {
	if o.Key != "" {
		return o.Key, nil
	}
	if o.KeyFile != "" {
		text, err := os.ReadFile(o.KeyFile)
		if err != nil {
			return "", fmt.Errorf("controller: key file: %w", err)
		}
		key := strings.TrimSpace(string(text))
		if key == "" {
			return "", fmt.Errorf("controller: key file %s is empty", o.KeyFile)
		}
		return key, nil
	}
	if key := os.Getenv("IPP_SESSION_KEY"); key != "" {
		return key, nil
	}
	if o.encrypted() {
		return "", nil
	}
	return connfile.NewKey(), nil
}
