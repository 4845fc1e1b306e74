package ssh

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"

	"github.com/ipcore/ipcore/sdk"
)

// hostEngines is one host of the option engines.
type hostEngines struct {
	key  string // as the user has written it
	n    int
	over json.RawMessage // what is different there, a JSON object; may be empty
}

// hostList is the option engines, in the order in which it was written: the number
// of engines asked for is an upper bound, and the first hosts get theirs first.
type hostList []hostEngines

// UnmarshalJSON reads {"host": n, "host": [n, args], "host": {"n": n, …}}.
func (l *hostList) UnmarshalJSON(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	open, err := d.Token()
	if err != nil || open == nil {
		return err
	}
	if open != json.Delim('{') {
		return fmt.Errorf("engines: want an object of hosts, not %.40s", text)
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		h := hostEngines{key: key.(string), n: 1}
		if err := h.read(value); err != nil {
			return fmt.Errorf("engines: %s: %w", h.key, err)
		}
		if h.n < 0 {
			return fmt.Errorf("engines: %s: n is %d", h.key, h.n)
		}
		*l = append(*l, h)
	}
	return nil
}

func (h *hostEngines) read(value json.RawMessage) error {
	switch value[0] {
	case '[':
		var tuple []json.RawMessage
		if err := json.Unmarshal(value, &tuple); err != nil {
			return err
		}
		if len(tuple) != 2 {
			return fmt.Errorf("want [n, arguments], not %.60s", value)
		}
		h.over = fmt.Appendf(nil, `{"engine_args": %s}`, tuple[1])
		return json.Unmarshal(tuple[0], &h.n)
	case '{':
		var over map[string]json.RawMessage
		if err := json.Unmarshal(value, &over); err != nil {
			return err
		}
		if n, ok := over["n"]; ok {
			if err := json.Unmarshal(n, &h.n); err != nil {
				return fmt.Errorf("n: %w", err)
			}
			delete(over, "n")
		}
		var err error
		h.over, err = json.Marshal(over)
		return err
	}
	if err := json.Unmarshal(value, &h.n); err != nil {
		return fmt.Errorf("want a number, [n, arguments] or an object, not %.60s", value)
	}
	return nil
}

// target returns the options of the host.
func (h *hostEngines) target(of target) (target, error) {
	// A copy to the bottom: what is set for one host must not reach another.
	var t target
	text, err := json.Marshal(of)
	if err == nil {
		err = json.Unmarshal(text, &t)
	}
	if err != nil {
		return t, fmt.Errorf("engines: %s: %w", h.key, err)
	}
	if len(h.over) > 0 {
		d := json.NewDecoder(bytes.NewReader(h.over))
		d.DisallowUnknownFields()
		if err := d.Decode(&t); err != nil {
			return t, fmt.Errorf("%w: engines: %s: %w", sdk.ErrBadOption, h.key, err)
		}
	}
	if t.Hostname == of.Hostname || t.Hostname == "" {
		t.Location = h.key
	}
	if err := t.check(); err != nil {
		return t, fmt.Errorf("engines: %s: %w", h.key, err)
	}
	return t, t.locate()
}

var (
	hostForm = regexp.MustCompile(`^[A-Za-z0-9_:][A-Za-z0-9_.:%-]*$`)
	userForm = regexp.MustCompile(`^[^-\s"'$` + "`" + `;&|<>(){}\\][^\s"'$` + "`" + `;&|<>(){}\\]*$`)
)

// locate takes location apart and checks where the target is.
func (t *target) locate() error {
	if t.Location != "" {
		host := t.Location
		if i := strings.LastIndexByte(host, '@'); i >= 0 {
			t.User, host = host[:i], host[i+1:]
		}
		// "host", "host:22", "[::1]:22", and "::1", which has no port
		if name, port, err := net.SplitHostPort(host); err == nil {
			n, err := strconv.Atoi(port)
			if err != nil || n < 1 || n > 65535 {
				return fmt.Errorf("%w: %q: %q is not a valid port", sdk.ErrBadOption, t.Location, port)
			}
			host, t.Port = name, n
		}
		t.Hostname, t.Location = strings.Trim(host, "[]"), ""
	}
	switch {
	case t.Hostname == "":
		return fmt.Errorf("%w: no host is named: set hostname, or engines for a set of engines: {\"SSHLauncher\": {\"hostname\": \"…\"}}", sdk.ErrBadOption)
	case !hostForm.MatchString(t.Hostname):
		return fmt.Errorf("%w: %q is not a valid host name", sdk.ErrBadOption, t.Hostname)
	case t.User != "" && !userForm.MatchString(t.User):
		return fmt.Errorf("%w: %q is not a valid user name", sdk.ErrBadOption, t.User)
	case t.Port < 0 || t.Port > 65535:
		return fmt.Errorf("%w: %d is not a valid port", sdk.ErrBadOption, t.Port)
	}
	return nil
}

// name is the target for people and as a key: user@host:port, as far as given.
func (t *target) name() string {
	s := t.Hostname
	if t.Port != 0 {
		s = net.JoinHostPort(s, strconv.Itoa(t.Port))
	}
	if t.User != "" {
		s = t.User + "@" + s
	}
	return s
}

// place is some engines of one host.
type place struct {
	target target
	key    string // in the state
	n      int
}

// places distributes n engines, or as many as the hosts take if n is nil. The first host
// gets its engines first.
func (o *options) places(n *int) ([]place, error) {
	if len(o.Engines) == 0 {
		t := o.target
		if err := t.locate(); err != nil {
			return nil, err
		}
		count := 1
		if n != nil {
			count = *n
		}
		return []place{{t, t.name(), count}}, nil
	}
	left := -1
	if n != nil {
		left = *n
	}
	var all []place
	for _, h := range o.Engines {
		t, err := h.target(o.target)
		if err != nil {
			return nil, err
		}
		count := h.n
		if left >= 0 {
			count = min(count, left)
			left -= count
		}
		if count > 0 {
			all = append(all, place{t, h.key, count})
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: engines names no host that takes an engine", sdk.ErrBadOption)
	}
	return all, nil
}
