package connfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxSize is the largest size in bytes of a connection file that is read.
const maxSize = 1 << 20

// curveKeyLen is the length of a CURVE key in Z85.
const curveKeyLen = 40

// common lists the required fields of both files, clientFields and engineFields all
// required fields of one file. curve_serverkey, ssh and location are optional;
// unknown fields are ignored.
var (
	common       = []string{"interface", "registration", "control", "mux", "task", "iopub", "broadcast", "key", "pack", "unpack", "signature_scheme"}
	clientFields = append([]string{"task_scheme", "notification"}, common...)
	engineFields = append([]string{"hb_ping", "hb_pong"}, common...)
)

// ReadClient reads and checks a client file.
func ReadClient(path string) (*Client, error) {
	c := new(Client)
	if err := read(path, c, clientFields); err != nil {
		return nil, err
	}
	return c, nil
}

// ReadEngine reads and checks an engine file.
func ReadEngine(path string) (*Engine, error) {
	e := new(Engine)
	if err := read(path, e, engineFields); err != nil {
		return nil, err
	}
	return e, nil
}

// ParseClient reads and checks the text of a client file.
func ParseClient(text []byte) (*Client, error) {
	c := new(Client)
	if err := parse(text, c, clientFields); err != nil {
		return nil, fmt.Errorf("client connection info: %w", err)
	}
	return c, nil
}

// ParseEngine reads and checks the text of an engine file
// (IPP_CONNECTION_INFO).
func ParseEngine(text []byte) (*Engine, error) {
	e := new(Engine)
	if err := parse(text, e, engineFields); err != nil {
		return nil, fmt.Errorf("engine connection info: %w", err)
	}
	return e, nil
}

// checker is a Client or an Engine.
type checker interface{ check() error }

func read(path string, v checker, fields []string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("connection file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return fmt.Errorf("connection file %s: %w", path, err)
	}
	if len(text) > maxSize {
		return fmt.Errorf("connection file %s: larger than %d bytes", path, maxSize)
	}
	if err := parse(text, v, fields); err != nil {
		return fmt.Errorf("connection file %s: %w", path, err)
	}
	return nil
}

func parse(text []byte, v checker, fields []string) error {
	var present map[string]json.RawMessage
	if err := json.Unmarshal(text, &present); err != nil {
		return fmt.Errorf("not a JSON dictionary: %w", err)
	}
	for _, old := range []string{"exec_key", "url"} {
		if _, ok := present[old]; ok && present["registration"] == nil {
			return fmt.Errorf("field %q: the file was written by IPython's own parallel package, before ipyparallel, and can't be used; start a current controller to get a new file", old)
		}
	}
	for _, field := range fields {
		if value, ok := present[field]; !ok {
			return fmt.Errorf("field %q is missing", field)
		} else if string(value) == "null" {
			return fmt.Errorf("field %q is null", field)
		}
	}
	if err := json.Unmarshal(text, v); err != nil {
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return fmt.Errorf("field %q: expected %s, found a JSON %s", wrong.Field, wrong.Type, wrong.Value)
		}
		return err
	}
	return v.check()
}

func (c *Client) check() error {
	ports := []port{
		{"registration", c.Registration}, {"control", c.Control}, {"mux", c.Mux},
		{"iopub", c.IOPub}, {"notification", c.Notification}, {"broadcast", c.Broadcast},
	}
	if c.TaskScheme != "none" {
		ports = append(ports, port{"task", c.Task})
	}
	return checkCommon(c.Interface, c.CurveServerKey, ports)
}

func (e *Engine) check() error {
	ports := []port{
		{"registration", e.Registration}, {"control", e.Control}, {"mux", e.Mux}, {"task", e.Task},
		{"iopub", e.IOPub}, {"hb_ping", e.HBPing}, {"hb_pong", e.HBPong},
	}
	if len(e.Broadcast) == 0 {
		return errors.New(`field "broadcast" is empty`)
	}
	for _, leaf := range e.Broadcast {
		ports = append(ports, port{"broadcast", leaf})
	}
	return checkCommon(e.Interface, e.CurveServerKey, ports)
}

type port struct {
	field  string
	number int
}

func checkCommon(iface string, curve *string, ports []port) error {
	if transport, host, ok := strings.Cut(iface, "://"); !ok || transport == "" || host == "" {
		return fmt.Errorf("field %q: %q is not of the form tcp://<address>", "interface", iface)
	}
	for _, p := range ports {
		if p.number < 1 || p.number > 65535 {
			return fmt.Errorf("field %q: %d is not a port", p.field, p.number)
		}
	}
	if curve != nil && *curve != "" && len(*curve) != curveKeyLen {
		return fmt.Errorf("field %q: has %d characters, but a key has %d", "curve_serverkey", len(*curve), curveKeyLen)
	}
	return nil
}
