package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestIdentify(t *testing.T) {
	bsd := "Redistribution and use in source and binary forms, with or without modification, are permitted\n"
	mit := "Permission is hereby granted, free of charge, to any person obtaining a copy\n"
	for _, c := range []struct {
		texts []text
		want  string
	}{
		{[]text{{"LICENSE", mit}}, "MIT"},
		{[]text{{"LICENSE", bsd}}, "BSD-2-Clause"},
		{[]text{{"LICENSE", bsd + "Neither the name of the copyright holder"}, {"PATENTS", "a grant"}}, "BSD-3-Clause"},
		{[]text{{"LICENSE", bsd + "Neither the name"}, {"LICENSE.md", mit}}, "BSD-3-Clause AND MIT"},
		{[]text{{"LICENSE", "Mozilla Public License, version 2.0"}}, "MPL-2.0"},
		{[]text{{"LICENSE", "Apache License\n                        Version 2.0, January 2004"}, {"NOTICE", "by us"}}, "Apache-2.0"},
		{[]text{{"LICENSE", "All rights reserved."}}, ""},
		{[]text{{"NOTICE", "by us"}}, ""},
		{nil, ""},
	} {
		got, err := identify(c.texts)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%v: %q, %v; want %q", c.texts, got, err, c.want)
		}
	}
}

// TestOfItself describes this test program, which contains the standard library only.
func TestOfItself(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	licenses, sbom := filepath.Join(dir, "licenses"), filepath.Join(dir, "sbom")
	if err := run("0.1.0", licenses, sbom, []string{self, self}); err != nil {
		t.Fatal(err)
	}
	for file, words := range map[string][]string{
		licenses: {"std go1.", "(BSD-3-Clause), LICENSE", "Copyright 2009 The Go Authors"},
		sbom:     {`"bomFormat": "CycloneDX"`, `"bom-ref": "pkg:golang/github.com/ipcore/ipcore@v0.1.0"`, `"expression": "BSD-3-Clause"`},
	} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range words {
			if !strings.Contains(string(b), w) {
				t.Errorf("%s does not have %q:\n%.2000s", filepath.Base(file), w, b)
			}
		}
	}
}

func TestLicenseFiles(t *testing.T) {
	names := []string{"LICENSE", "LICENSE.txt", "COPYING", "NOTICE", "SQLITE-LICENSE", "LICENSE-3RD-PARTY.md", "PATENTS", "README.md", "license_test", "sublicensed"}
	names = slices.DeleteFunc(names, func(n string) bool { return licenseFile.MatchString(n) })
	if want := []string{"README.md", "sublicensed"}; !slices.Equal(names, want) {
		t.Errorf("not matched: %v, want %v", names, want)
	}
}
