package main

import (
	"path/filepath"
	"strings"
	"testing"
)

const stream = `{"Action":"start","Package":"p"}
{"Action":"output","Package":"p","Test":"TestA","Output":"quiet\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestB","Output":"the reason\n"}
{"Action":"fail","Package":"p","Test":"TestB"}
{"Action":"output","Package":"p","Test":"TestC","Output":"no such program\n"}
{"Action":"skip","Package":"p","Test":"TestC"}
{"Action":"fail","Package":"p","Elapsed":1.5}
{"Action":"output","Package":"q","Output":"exit status 2\n"}
{"Action":"fail","Package":"q"}
{"Action":"skip","Package":"r"}
`

func TestReadCountsAndShowsOnlyWhatMatters(t *testing.T) {
	var out strings.Builder
	r, err := read(strings.NewReader(stream), &out)
	if err != nil {
		t.Fatal(err)
	}
	if r.Passed != 1 || len(r.Failed) != 2 || len(r.Skipped) != 1 {
		t.Fatalf("counts %d/%q/%q, want 1 passed, TestB and package q failed, TestC skipped", r.Passed, r.Failed, r.Skipped)
	}
	for _, want := range []string{"the reason", "no such program", "exit status 2"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("output lacks %q:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "quiet") {
		t.Errorf("output of a passed test is shown:\n%s", out.String())
	}
}

func TestReadRefusesAnEmptyRun(t *testing.T) {
	if _, err := read(strings.NewReader(`{"Action":"skip","Package":"p"}`), &strings.Builder{}); err == nil {
		t.Fatal("a run without tests passed")
	}
}

func TestSum(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "results")
	for _, r := range []Result{
		{Name: "a", Passed: 3},
		{Name: "b", Passed: 2, Skipped: []string{"x"}},
	} {
		if err := save(dir, r); err != nil {
			t.Fatal(err)
		}
	}
	var out strings.Builder
	if err := sum(dir, "*", false, &out); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(out.String(), "5 passed, 0 failed, 1 skipped\n") {
		t.Errorf("closing line of:\n%s", out.String())
	}
	if err := sum(dir, "*", true, &out); err == nil {
		t.Error("a skipped test passed although none may be skipped")
	}
}
