// Command thirdparty describes the modules that executables contain: it writes a
// bill of materials (CycloneDX 1.6, JSON) and the text of every module's license.
// It reads the modules from the executables and the texts from the module cache,
// and fails when a module has no license or one that it does not know.
//
//	thirdparty -version 0.1.0 -licenses FILE -sbom FILE EXECUTABLE...
package main

import (
	"bytes"
	"cmp"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
)

func main() {
	version := flag.String("version", "", "version of the executables")
	licenses := flag.String("licenses", "", "file for the texts of licenses")
	sbom := flag.String("sbom", "", "file for the bill of materials")
	flag.Parse()
	if *version == "" || *licenses == "" || *sbom == "" || flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*version, *licenses, *sbom, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "thirdparty:", err)
		os.Exit(1)
	}
}

func run(version, licenses, sbom string, executables []string) error {
	main, modules, err := linked(executables)
	if err != nil {
		return err
	}
	if err := addTexts(modules); err != nil {
		return err
	}
	bill, err := marshal(billOf(main, version, modules))
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(sbom, bill, 0o644),
		os.WriteFile(licenses, textOf(modules), 0o644))
}

// module is a module that an executable contains, or Go's standard library.
type module struct {
	path, version string
	sum           string // as in go.sum; "" for the standard library
	license       string // SPDX identifiers, joined by "AND"
	texts         []text
}

// text is a file of a module about its license.
type text struct{ name, text string }

// standard is the path under which Go's standard library is listed.
const standard = "std"

// linked returns the main module of the executables and all that they contain, by
// path. They must be of one module and made by one compiler.
func linked(executables []string) (main string, all []*module, err error) {
	seen := map[string]*module{}
	for _, file := range executables {
		info, err := buildinfo.ReadFile(file)
		if err != nil {
			return "", nil, err
		}
		if main != "" && main != info.Main.Path {
			return "", nil, fmt.Errorf("%s is of the module %s, not %s", file, info.Main.Path, main)
		}
		main = info.Main.Path
		deps := append(info.Deps, &debug.Module{Path: standard, Version: info.GoVersion})
		for _, d := range deps {
			if d.Replace != nil {
				return "", nil, fmt.Errorf("%s: %s is replaced: a release must be of published modules", file, d.Path)
			}
			if first := seen[d.Path]; first != nil {
				if first.version != d.Version {
					return "", nil, fmt.Errorf("%s: %s is %s, and %s elsewhere", file, d.Path, d.Version, first.version)
				}
				continue
			}
			m := &module{path: d.Path, version: d.Version, sum: d.Sum}
			seen[d.Path] = m
			all = append(all, m)
		}
	}
	slices.SortFunc(all, func(a, b *module) int { return cmp.Compare(a.path, b.path) })
	return main, all, nil
}

// licenseFile matches the names of files that have to go with a module.
var licenseFile = regexp.MustCompile(`(?i)^(.*[-_.])?(licen[cs]es?|copying|notice|patents)([-_.].*)?$`)

// notInCode matches the names of those of them that are not about what executables
// contain.
var notInCode = regexp.MustCompile(`(?i)(\.go|-logo)$`)

// addTexts reads the modules' licenses from the module cache.
func addTexts(modules []*module) error {
	folders, err := folders()
	if err != nil {
		return err
	}
	for _, m := range modules {
		folder := folders[m.path]
		if folder == "" {
			return fmt.Errorf("%s is not in the module cache: run go mod download", m.path)
		}
		files, err := os.ReadDir(folder)
		if err != nil {
			return err
		}
		for _, f := range files {
			if !f.Type().IsRegular() || !licenseFile.MatchString(f.Name()) || notInCode.MatchString(f.Name()) {
				continue
			}
			b, err := os.ReadFile(filepath.Join(folder, f.Name()))
			if err != nil {
				return err
			}
			m.texts = append(m.texts, text{f.Name(), string(b)})
		}
		if m.license, err = identify(m.texts); err != nil {
			return fmt.Errorf("%s (%s): %w", m.path, folder, err)
		}
	}
	return nil
}

// goCommand is the go command that made the executables.
func goCommand() string { return cmp.Or(os.Getenv("GO"), "go") }

// folders returns where the source of each module is.
func folders() (map[string]string, error) {
	var errs bytes.Buffer
	cmd := exec.Command(goCommand(), "list", "-m", "-f", "{{.Path}}\t{{.Dir}}", "all")
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list -m all: %w: %s", err, errs.String())
	}
	all := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, folder, _ := strings.Cut(strings.TrimSpace(line), "\t")
		all[name] = folder
	}
	root, err := exec.Command(goCommand(), "env", "GOROOT").Output()
	all[standard] = strings.TrimSpace(string(root))
	return all, err
}

// known are the licenses that may be in our executables, each with words that no
// other one has, in texts with single spaces. They are looked for in this order.
var known = []struct {
	id    string
	words *regexp.Regexp
}{
	{"MPL-2.0", regexp.MustCompile(`Mozilla Public License,? [Vv]ersion 2\.0`)},
	{"Apache-2.0", regexp.MustCompile(`Apache License Version 2\.0, January 2004`)},
	{"BSD-3-Clause", regexp.MustCompile(`Redistribution and use in source and binary forms.+([Nn]either the name|names? of (its|the) contributors)`)},
	{"BSD-2-Clause", regexp.MustCompile(`Redistribution and use in source and binary forms`)},
	{"MIT", regexp.MustCompile(`Permission is hereby granted, free of charge, to any person obtaining a copy`)},
	{"ISC", regexp.MustCompile(`Permission to use, copy, modify, and(/or)? distribute this software`)},
	{"LicenseRef-public-domain", regexp.MustCompile(`(?i)dedicated to the public domain|in the public domain`)},
}

// accompanies matches the names of texts that go with a license and are not one.
var accompanies = regexp.MustCompile(`(?i)^(notice|patents|.*3rd-party)`)

// identify returns the licenses of a module by its texts. Notices, grants of patents
// and lists of what a module took from elsewhere are not licenses.
func identify(texts []text) (string, error) {
	var ids []string
	for _, t := range texts {
		if accompanies.MatchString(t.name) {
			continue
		}
		id, words := "", strings.Join(strings.Fields(t.text), " ")
		for _, k := range known {
			if k.words.MatchString(words) {
				id = k.id
				break
			}
		}
		if id == "" {
			return "", fmt.Errorf("%s has a license that is not known here: read it, then add it to known", t.name)
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return "", errors.New("it has no license")
	}
	return strings.Join(ids, " AND "), nil
}

// textOf returns all texts, one after another.
func textOf(modules []*module) []byte {
	rule := strings.Repeat("=", 80)
	var b bytes.Buffer
	b.WriteString("The executables of ipcore contain the modules below. Their source is at the address that the\nname of each one is, in the version that is given.\n")
	for _, m := range modules {
		for _, t := range m.texts {
			fmt.Fprintf(&b, "\n%[1]s\n%[2]s %[3]s (%[4]s), %[5]s\n%[1]s\n\n%[6]s\n", rule, m.path, m.version, m.license, t.name,
				strings.TrimRight(strings.ReplaceAll(t.text, "\r\n", "\n"), "\n"))
		}
	}
	return b.Bytes()
}

// The part of CycloneDX that is written.
type (
	bill struct {
		Format       string       `json:"bomFormat"`
		Spec         string       `json:"specVersion"`
		Version      int          `json:"version"`
		Metadata     metadata     `json:"metadata"`
		Components   []component  `json:"components"`
		Dependencies []dependency `json:"dependencies"`
	}
	metadata struct {
		Component component `json:"component"`
	}
	component struct {
		Ref      string        `json:"bom-ref"`
		Type     string        `json:"type"`
		Name     string        `json:"name"`
		Version  string        `json:"version"`
		Hashes   []hash        `json:"hashes,omitempty"`
		Licenses []licenseWrap `json:"licenses,omitempty"`
		PURL     string        `json:"purl"`
	}
	hash struct {
		Algorithm string `json:"alg"`
		Content   string `json:"content"`
	}
	licenseWrap struct {
		Expression string `json:"expression"`
	}
	dependency struct {
		Ref string   `json:"ref"`
		On  []string `json:"dependsOn"`
	}
)

// billOf lists the modules. It has neither a time nor a serial number, so that it is
// the same for each build of a version. The hash of a module is that of go.sum.
func billOf(main, version string, modules []*module) bill {
	self := component{
		Type: "application", Name: main, Version: "v" + version,
		Licenses: []licenseWrap{{"BSD-3-Clause"}}, PURL: "pkg:golang/" + main + "@v" + version,
	}
	self.Ref = self.PURL
	b := bill{Format: "CycloneDX", Spec: "1.6", Version: 1, Metadata: metadata{self}}
	on := dependency{Ref: self.Ref}
	for _, m := range modules {
		c := component{
			Type: "library", Name: m.path, Version: m.version,
			Licenses: []licenseWrap{{m.license}}, PURL: "pkg:golang/" + m.path + "@" + m.version,
		}
		if m.path == standard {
			c.Version = strings.TrimPrefix(m.version, "go")
			c.PURL = "pkg:golang/stdlib@" + c.Version
		}
		if sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.sum, "h1:")); err == nil && len(sum) == 32 {
			c.Hashes = []hash{{"SHA-256", hex.EncodeToString(sum)}}
		}
		c.Ref = c.PURL
		b.Components = append(b.Components, c)
		on.On = append(on.On, c.Ref)
	}
	b.Dependencies = []dependency{on}
	return b
}

func marshal(b bill) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	err := e.Encode(b)
	return out.Bytes(), err
}
