package ssh

import (
	"fmt"
	"strconv"

	"github.com/ipcore/ipcore/sdk"
)

// stateVersion is the form of the state below.
const stateVersion = 1

// state is the JSON form of a launcher. Hosts is what finding the processes takes;
// the rest are the keys that upstream's ssh launchers write.
type state struct {
	Version    int         `json:"version"`
	Hosts      []hostState `json:"hosts"`
	Job        string      `json:"job"` // value of jobVariable
	Tag        string      `json:"tag,omitempty"`
	ProfileDir string      `json:"profile_dir"`
	ClusterID  string      `json:"cluster_id"`
	State      string      `json:"state"` // "before", "running", "after"
	N          int         `json:"n,omitempty"`
	engineState
	Engines map[string]engineState `json:"engines,omitempty"` // by "host/0"
}

// hostState is one host, how it is reached, and its processes.
type hostState struct {
	Target    target        `json:"target"`
	Key       string        `json:"key"`   // its name in Engines
	Uname     string        `json:"uname"` // what it calls itself
	Boot      string        `json:"boot_id,omitempty"`
	Profile   string        `json:"profile"`        // absolute
	Made      []string      `json:"made,omitempty"` // files that end with the workload
	Tunnel    *tunnel       `json:"tunnel,omitempty"`
	Processes []memberState `json:"processes"`
}

type memberState struct {
	Index int    `json:"index"`
	PID   int    `json:"pid"`
	Birth string `json:"birth"`
	Log   string `json:"log"`
}

// engineState is upstream's form of one process.
type engineState struct {
	PID      int      `json:"pid"` // there; -1: a set
	Hostname string   `json:"hostname"`
	User     string   `json:"user"`
	SSH      []string `json:"ssh_cmd"`
	SSHArgs  []string `json:"ssh_args"`
	SCP      []string `json:"scp_cmd"`
	SCPArgs  []string `json:"scp_args"`
	Profile  string   `json:"remote_profile_dir"`
	Python   string   `json:"remote_python"`
	Log      string   `json:"remote_output_file,omitempty"`
}

func (m *machine) engineState(e *member) engineState {
	t := &m.target
	return engineState{
		PID: e.pid, Log: e.log, Hostname: t.Hostname, User: t.User, SSH: t.SSH, SSHArgs: t.SSHArgs,
		SCP: t.SCP, SCPArgs: t.SCPArgs, Profile: m.profile, Python: t.Python,
	}
}

// ofMachines fills in what is known of the machines. Processes that have ended are
// left out while others run. The caller holds the launcher's mu.
func (s *state) ofMachines(machines []*machine, set bool) {
	running := false
	for _, m := range machines {
		running = running || m.left() > 0
	}
	s.State = "after"
	if running {
		s.State = "running"
	}
	if set {
		s.Engines = make(map[string]engineState)
	}
	for _, m := range machines {
		h := hostState{Target: m.target.lasting(), Key: m.key, Uname: m.uname, Boot: m.boot, Profile: m.profile, Made: m.made, Tunnel: m.tunnel}
		for i, e := range m.members {
			if running && e.ended {
				continue
			}
			h.Processes = append(h.Processes, memberState{e.index, e.pid, e.birth, e.log})
			s.engineState = m.engineState(e)
			if set {
				s.N++
				s.Engines[m.key+"/"+strconv.Itoa(i)] = s.engineState
			}
		}
		if len(h.Processes) > 0 || len(h.Made) > 0 || h.Tunnel != nil {
			s.Hosts = append(s.Hosts, h)
		}
	}
	if set {
		s.PID, s.Log = -1, ""
	}
}

// lasting returns the options that are needed after the start.
func (t target) lasting() target {
	t.Env, t.EngineArgs, t.EngineCmd, t.ControllerArgs, t.ToSend = nil, nil, nil, nil, nil
	return t
}

// machines returns the machines of a state.
func (s *state) machines() ([]*machine, error) {
	if s.Version < 1 || s.Version > stateVersion {
		return nil, fmt.Errorf("%w: the state has version %d, this launcher reads version %d", sdk.ErrBadOption, s.Version, stateVersion)
	}
	var all []*machine
	for _, h := range s.Hosts {
		m := &machine{target: h.Target, key: h.Key, uname: h.Uname, boot: h.Boot, profile: h.Profile, made: h.Made, tunnel: h.Tunnel, kick: make(chan struct{}, 1)}
		if err := m.target.check(); err != nil {
			return nil, err
		}
		if err := m.target.locate(); err != nil {
			return nil, err
		}
		for _, p := range h.Processes {
			if p.PID <= 1 || p.Birth == "" {
				return nil, fmt.Errorf("%w: state: %s: process %d", sdk.ErrBadOption, h.Key, p.PID)
			}
			m.members = append(m.members, &member{index: p.Index, pid: p.PID, birth: p.Birth, log: p.Log})
		}
		all = append(all, m)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: the state names no host", sdk.ErrBadOption)
	}
	return all, nil
}
