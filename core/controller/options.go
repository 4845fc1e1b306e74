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

// Options describe a controller. The zero value of every field but Profile is
// its default.
type Options struct {
	Profile   profile.Profile // made when it is missing
	ClusterID string          // part of the file names; may be empty

	IP       string // address to listen on: 127.0.0.1, "*" for all
	EngineIP string // for what engines connect to: IP
	ClientIP string // for what clients connect to: IP
	Location string // this machine for peers elsewhere: the host name

	// Ports are taken in the order of the protocol, engines' before clients'.
	// EnginePorts and ClientPorts go before Ports; when they are used up, the
	// system chooses.
	Ports, EnginePorts, ClientPorts []int

	Scheme string // of the task queue: leastload; relay.SchemePure for none
	HWM    int    // tasks outstanding per engine: 1, or scheduler.Unlimited

	HeartbeatPeriod     time.Duration // 3 s
	MaxMisses           int           // heartbeats in a row: 10
	RegistrationTimeout time.Duration // 30 s, or 10 periods when that is longer
	// BroadcastDepth is that of the tree that peers see: 1, or NoTree for a
	// single leaf.
	BroadcastDepth int

	// Limits bound what peers can make each of the sockets hold, but for
	// those of heartbeats.
	Limits sockets.Limits

	DB        string // "dictdb", "sqlitedb", "mongodb" or "nodb", or upstream's name of the class
	DBOptions DBOptions

	// Encryption says whether connections are encrypted with CURVE. The pair
	// of keys is CurveSecretKey and CurvePublicKey (in Z85; the public one may
	// be left out), else IPP_CURVE_SECRETKEY and IPP_CURVE_PUBLICKEY, else one
	// made here, which Reuse keeps in a file.
	Encryption                     Encryption
	CurveSecretKey, CurvePublicKey string

	// The key that messages are signed with: Key, else the text of KeyFile,
	// else IPP_SESSION_KEY, else a random one, or none with encryption.
	Key, KeyFile    string
	SignatureScheme string // hmac-sha256
	Packer          string // of messages: "json", or "msgpack"

	// Reuse takes key and ports from connection files that are there, and
	// leaves the files behind at the end.
	Reuse bool

	// Restore takes the table of engines over from the controller before; it
	// implies Reuse.
	Restore bool

	SSHServer       string // for clients, into their file
	EngineSSHServer string // for engines, into theirs

	// MetricsPort is a port of the loopback interface for metrics, health and
	// profiles: 0 for none, AnyPort for one that the log tells.
	MetricsPort int
	Python      string // runs Dask's scheduler; empty finds one (see python.Find)

	Log hclog.Logger // nil discards
	// Ready is called when peers can connect and both files are written.
	Ready func(clientFile, engineFile string)
}

// AnyPort as Options.MetricsPort takes any free one.
const AnyPort = -1

// NoTree as Options.BroadcastDepth is a tree of depth 0.
const NoTree = -1

// resolve checks o and fills in its defaults.
func (o *Options) resolve() error {
	if o.Profile.Dir == "" {
		return errors.New("controller: no profile directory")
	}
	if strings.ContainsAny(o.ClusterID, `/\`) {
		return fmt.Errorf("controller: cluster id %q: it is a part of file names and can't hold slashes", o.ClusterID)
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
			return fmt.Errorf("controller: find the host name, or name a location: %w", err)
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
		return fmt.Errorf("controller: broadcast depth %d is more than %d", o.BroadcastDepth, relay.MaxBroadcastDepth)
	}
	if o.MetricsPort < AnyPort || o.MetricsPort > 65535 {
		return fmt.Errorf("controller: metrics: %d is no port number", o.MetricsPort)
	}
	for _, ports := range [][]int{o.Ports, o.EnginePorts, o.ClientPorts} {
		for _, p := range ports {
			if p < 0 || p > 65535 {
				return fmt.Errorf("controller: %d is no port number", p)
			}
		}
	}
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	return nil
}

// packers are the names by which peers know what packs and unpacks messages.
func (o *Options) packers() (pack, unpack string) {
	if strings.HasPrefix(o.Packer, "msgpack") {
		return "msgpack.packb", "msgpack.unpackb"
	}
	return o.Packer, o.Packer
}

// key answers the key to sign with; empty, which signs nothing, when none was
// given and connections are encrypted.
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
