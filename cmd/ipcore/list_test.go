package main

import (
	"errors"
	"testing"

	"github.com/ipcore/ipcore/core/launch/cluster"
	"github.com/ipcore/ipcore/core/launch/clusterfile"
	"github.com/ipcore/ipcore/sdk"
)

func TestStateOf(t *testing.T) {
	sets := map[string]sdk.State{"1": sdk.State(`{}`)}
	record := func(starting []string, sets map[string]sdk.State, ended ...clusterfile.WorkloadEnd) *clusterfile.Record {
		return &clusterfile.Record{Engines: clusterfile.EngineSets{Sets: sets}, Extension: clusterfile.Extension{Starting: starting, Ended: ended}}
	}
	for name, c := range map[string]struct {
		status cluster.Status
		want   string
	}{
		"the controller is asked for":   {cluster.Status{Supervised: true, Record: record([]string{"controller"}, nil)}, stateBefore},
		"the controller runs":           {cluster.Status{Supervised: true, Controller: true, Record: record(nil, nil)}, stateBefore},
		"the engines are asked for":     {cluster.Status{Supervised: true, Controller: true, Record: record([]string{"1"}, nil)}, stateBefore},
		"everything runs":               {cluster.Status{Supervised: true, Controller: true, Alive: 2, Record: record(nil, sets)}, stateRunning},
		"the engines have ended":        {cluster.Status{Supervised: true, Controller: true, Record: record(nil, nil, clusterfile.WorkloadEnd{Set: "1"})}, stateRunning},
		"there is no supervisor":        {cluster.Status{Controller: true, Alive: 2, Record: record(nil, sets)}, stateRunning},
		"the controller alone is left":  {cluster.Status{Controller: true, Record: record(nil, nil)}, stateRunning},
		"nothing runs":                  {cluster.Status{Record: record(nil, sets)}, stateAfter},
		"the launcher does not answer":  {cluster.Status{Record: record(nil, sets), Err: errors.New("no answer")}, stateUnknown},
		"the file can't be read":        {cluster.Status{Err: errors.New("not JSON")}, stateUnknown},
		"one part runs, one is unknown": {cluster.Status{Controller: true, Record: record(nil, sets), Err: errors.New("no answer")}, stateRunning},
	} {
		if got := rows([]*cluster.Status{&c.status})[0].State; got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
