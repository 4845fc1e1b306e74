// Package connfile reads and writes the controller's connection files.
package connfile

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/ipcore/ipcore/internal/atomicfile"
)

// Client is ipcontroller[-<cluster id>]-client.json: what a client needs to
// connect. The fields are in the order of upstream's file.
type Client struct {
	SSH             string  `json:"ssh"`
	Interface       string  `json:"interface"` // "tcp://127.0.0.1"
	Registration    int     `json:"registration"`
	Control         int     `json:"control"`
	Mux             int     `json:"mux"`
	Task            int     `json:"task"`
	TaskScheme      string  `json:"task_scheme"`
	IOPub           int     `json:"iopub"`
	Notification    int     `json:"notification"`
	Broadcast       int     `json:"broadcast"`
	Key             string  `json:"key"`             // empty: messages are not signed
	CurveServerKey  *string `json:"curve_serverkey"` // public key, Z85; null without CURVE
	Location        string  `json:"location"`
	Pack            string  `json:"pack"`
	Unpack          string  `json:"unpack"`
	SignatureScheme string  `json:"signature_scheme"`
}

// Engine is ipcontroller[-<cluster id>]-engine.json: what an engine needs to
// connect.
type Engine struct {
	SSH             string  `json:"ssh"`
	Interface       string  `json:"interface"`
	Registration    int     `json:"registration"`
	Control         int     `json:"control"`
	Mux             int     `json:"mux"`
	Task            int     `json:"task"`
	IOPub           int     `json:"iopub"`
	HBPing          int     `json:"hb_ping"`
	HBPong          int     `json:"hb_pong"`
	Broadcast       []int   `json:"broadcast"`       // one port for each leaf
	Key             string  `json:"key"`             // empty: messages are not signed
	CurveServerKey  *string `json:"curve_serverkey"` // public key, Z85; null without CURVE
	Location        string  `json:"location"`
	Pack            string  `json:"pack"`
	Unpack          string  `json:"unpack"`
	SignatureScheme string  `json:"signature_scheme"`
}

// Names returns the names of a cluster's client file and engine file.
func Names(clusterID string) (client, engine string) {
	base := "ipcontroller-"
	if clusterID != "" {
		base += clusterID + "-"
	}
	return base + "client.json", base + "engine.json"
}

// LockName returns the name of the file that a running controller of a cluster
// keeps locked. It is in the folder of the connection files.
func LockName(clusterID string) string {
	if clusterID == "" {
		return ".ipcontroller.lock"
	}
	return ".ipcontroller-" + clusterID + ".lock"
}

// SecretName returns the name of the file that holds the secret key that belongs to
// curve_serverkey, for a controller that reuses the connection files. It is in
// their folder.
func SecretName(clusterID string) string {
	if clusterID == "" {
		return "ipcontroller-curve.key"
	}
	return "ipcontroller-" + clusterID + "-curve.key"
}

// NewKey returns a random key of the form "<8 hex digits>-<24 hex digits>".
func NewKey() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: without a source of random bytes it ends the program
	text := hex.EncodeToString(b[:])
	return text[:8] + "-" + text[8:]
}

// Write writes v (a Client or an Engine) in upstream's format (two-space indent,
// no final newline) with mode 0600, through a temporary file and a rename.
func Write(path string, v any) error {
	text, err := Format(v)
	if err != nil {
		return fmt.Errorf("connection file %s: %w", path, err)
	}
	if err := atomicfile.Write(path, text, 0o600); err != nil {
		return fmt.Errorf("connection file: %w", err)
	}
	return nil
}

// Format returns the text that Write writes.
func Format(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
