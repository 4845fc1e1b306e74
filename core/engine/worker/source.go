package worker

import (
	"embed"
	"path"
	"slices"
	"strings"
)

//go:embed python/*.py
var python embed.FS

// loaderName is the module whose text the interpreter is started with.
const loaderName = "python/loader.py"

// Command returns the command line of a worker for the given Python.
func Command(interpreter string) []string {
	return []string{interpreter, "-c", string(embedded(loaderName))}
}

// Source returns the parts of the S frame: name and text of each module.
func Source() [][]byte {
	entries, err := python.ReadDir("python")
	if err != nil {
		panic(err) // compiled in
	}
	var parts [][]byte
	for _, e := range entries {
		file := path.Join("python", e.Name())
		if file != loaderName {
			parts = append(parts, []byte(strings.TrimSuffix(e.Name(), ".py")), embedded(file))
		}
	}
	return slices.Clip(parts)
}

func embedded(file string) []byte {
	text, err := python.ReadFile(file)
	if err != nil {
		panic(err) // compiled in
	}
	return text
}
