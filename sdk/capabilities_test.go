package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
)

// orphanLauncher is a launcher with the capabilities that are not about one workload.
type orphanLauncher struct{ plain }

func (*orphanLauncher) Script(_ context.Context, r StartRequest, check bool) (Script, error) {
	if check {
		return Script{}, ErrUnsupported
	}
	return Script{Text: r.Tag + "\n", Command: "submit " + ShellQuote(r.EngineFile), Answer: r.ClientFile}, nil
}

func (*orphanLauncher) Orphans(_ context.Context, q OrphanQuery) ([]Orphan, error) {
	if string(q.Options) != `{"colour":"blue"}` || len(q.States) != 1 {
		return nil, ErrBadOption
	}
	return []Orphan{{ID: "7", Tag: q.Tag + "-1", Text: "job 7"}}, nil
}

func (*orphanLauncher) RemoveOrphans(_ context.Context, _ OrphanQuery, s []Orphan) error {
	if len(s) != 1 || s[0].ID != "7" || s[0].Tag != "ipcore-a-1" {
		return ErrBadOption
	}
	return nil
}

func TestScriptAndOrphans(t *testing.T) {
	w := &world{running: map[string]bool{}}
	c := serveTest(t, plainInfo, func(Kind, Host) Launcher { return &orphanLauncher{plain{world: w}} })
	ctx := testContext(t)
	r := StartRequest{Kind: Engine, ID: "w", Command: []string{"x"}, Tag: "ipcore-a-1", ClientFile: "/c", EngineFile: "/e f"}
	s, err := c.Script(ctx, r, false)
	if err != nil || s != (Script{Text: "ipcore-a-1\n", Command: "submit '/e f'", Answer: "/c"}) {
		t.Errorf("Script: %+v, %v", s, err)
	}
	if _, err := c.Script(ctx, r, true); !errors.Is(err, ErrUnsupported) {
		t.Errorf("Script with check: %v", err)
	}
	r.Options = json.RawMessage(`{"color":"blue"}`)
	if _, err := c.Script(ctx, r, false); !errors.Is(err, ErrBadOption) {
		t.Errorf("Script with a bad option: %v", err)
	}
	q := OrphanQuery{Tag: "ipcore-a", Options: []byte(`{"colour":"blue"}`), States: []State{State(`{}`)}}
	found, err := c.Orphans(ctx, q)
	if err != nil || !slices.Equal(found, []Orphan{{ID: "7", Tag: "ipcore-a-1", Text: "job 7"}}) {
		t.Errorf("Orphans: %+v, %v", found, err)
	}
	if err := c.RemoveOrphans(ctx, q, found); err != nil {
		t.Errorf("RemoveOrphans: %v", err)
	}
	if _, err := c.Orphans(ctx, OrphanQuery{}); !errors.Is(err, ErrBadOption) {
		t.Errorf("Orphans of every tag: %v", err)
	}
	if _, err := c.ToDict(ctx, "w"); !errors.Is(err, ErrNotRunning) {
		t.Errorf("Script created an id: %v", err)
	}

	c = serveTest(t, plainInfo, func(Kind, Host) Launcher { return &plain{world: w} })
	r.Options = nil
	if _, err := c.Script(ctx, r, false); !errors.Is(err, ErrUnsupported) {
		t.Errorf("Script of a launcher without the capability: %v", err)
	}
	if _, err := c.Orphans(ctx, q); !errors.Is(err, ErrUnsupported) {
		t.Errorf("Orphans of a launcher without the capability: %v", err)
	}
}

func TestOrphanQueryCovers(t *testing.T) {
	for _, c := range []struct {
		query, tag string
		want       bool
	}{
		{"ipcore-a-1", "ipcore-a-1", true}, {"ipcore-a", "ipcore-a-1", true}, {"ipcore-", "ipcore-a-1", true},
		{"ipcore-a", "ipcore-ab-1", false}, {"ipcore-a-1", "ipcore-a-12", false}, {"", "ipcore-a-1", false}, {"ipcore-a-1", "ipcore-a", false},
	} {
		if got := (OrphanQuery{Tag: c.query}).Covers(c.tag); got != c.want {
			t.Errorf("%q covers %q: %v", c.query, c.tag, got)
		}
	}
	if validTag("a b") || validTag("a\n") || validTag("0123456789012345678901234567890123456789x") || !validTag("ipcore-0a-Z") || !validTag("") {
		t.Error("validTag")
	}
}

func TestCheckOptions(t *testing.T) {
	info := Info{Name: "x", Kinds: []Kind{Engine, Controller}, Protocol: []int{1}, Options: []Option{
		{Name: "queue", Type: TypeString}, {Name: "n", Type: TypeInt, Kinds: []Kind{Engine}}, {Name: "delay", Type: TypeFloat},
		{Name: "wait", Type: TypeBool}, {Name: "args", Type: TypeList}, {Name: "engines", Type: TypeMap}, {Name: "password", Type: TypeString, Secret: true},
	}}
	if err := info.Check(); err != nil {
		t.Fatal(err)
	}
	for _, good := range []string{``, `{}`, `{"queue":"a","n":3,"delay":1,"wait":true,"args":["a",1],"engines":{"h":2}}`, `{"queue":null}`} {
		if err := info.CheckOptions(Engine, []byte(good)); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for bad, kind := range map[string]Kind{
		`[]`: Engine, `null`: Engine, `{"queues":"a"}`: Engine, `{"queue":1}`: Engine, `{"n":1.5}`: Engine, `{"n":1}`: Controller,
		`{"wait":"yes"}`: Engine, `{"args":"a"}`: Engine, `{"engines":[]}`: Engine,
	} {
		if err := info.CheckOptions(kind, []byte(bad)); !errors.Is(err, ErrBadOption) {
			t.Errorf("%s of a %s: %v", bad, kind, err)
		}
	}
	if err := info.CheckOptions(Engine, []byte(`{"password":4711}`)); err == nil || err.Error() != `bad option: option "password": its value is not of type string` {
		t.Errorf("a secret: %v", err)
	}
	info.Options = append(info.Options, Option{Name: "queue", Type: TypeString})
	if info.Check() == nil {
		t.Error("an option twice")
	}
	info.Options = []Option{{Name: "a", Type: "text"}}
	if info.Check() == nil {
		t.Error("an unknown type")
	}
}
