package exec

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/process"
)

// entryPointScript runs launchers that are Python classes.
//
//go:embed entrypoint.py
var entryPointScript string

// findTimeout bounds a look at a Python's packages, and at the classes of one.
const findTimeout = 20 * time.Second

// foundLine is where what was found goes in a copy of entryPointScript.
const foundLine = "FOUND = None\n"

// ErrNoEntryPoint says that a Python has no launcher of a name.
var ErrNoEntryPoint = errors.New("no entry point")

// EntryPoint is a launcher that a Python package offers.
type EntryPoint struct {
	Name  string   `json:"name"`
	Kind  sdk.Kind `json:"kind"`
	Class string   `json:"class"` // module:Class
}

// EntryPoints returns the third-party launchers that a Python has.
func EntryPoints(ctx context.Context, python string) ([]EntryPoint, error) {
	out, err := askPython(ctx, python, "list")
	if err != nil {
		return nil, err
	}
	var all []EntryPoint
	if err := json.Unmarshal(out, &all); err != nil {
		return nil, fmt.Errorf("ask %s for entry points: %w", python, err)
	}
	return all, nil
}

// WriteEntryPoint makes an executable in a folder of the launcher that a Python has
// behind an entry point, or in a class whose path is the name, and answers its
// path. The executable needs neither the environment nor the folder of today.
// ErrNoEntryPoint: there is none of that name.
func WriteEntryPoint(ctx context.Context, python, name, dir string) (string, error) {
	if runtime.GOOS == "windows" {
		return "", fmt.Errorf("%w: Python launchers are not run on Windows", ErrNoEntryPoint)
	}
	out, err := askPython(ctx, python, "find", name)
	if err != nil {
		return "", err
	}
	var found *struct {
		Description sdk.Info `json:"description"`
		Python      string   `json:"python"` // the program itself, where python is a stand-in for it
	}
	if err := json.Unmarshal(out, &found); err != nil {
		return "", fmt.Errorf("ask %s for the entry point %s: %w", python, name, err)
	}
	if found == nil {
		return "", fmt.Errorf("%w of %s is called %s", ErrNoEntryPoint, python, name)
	}
	if err := found.Description.Check(); err != nil {
		return "", fmt.Errorf("the launcher %s of %s: %w", name, python, err)
	}
	if strings.ContainsAny(found.Python, "\"'`$\\\n") {
		return "", fmt.Errorf("the path of this Python can't be in a script's first lines: %q", found.Python)
	}
	literal, err := json.Marshal(string(bytes.TrimSpace(out))) // a text of Python's too
	if err != nil {
		return "", err
	}
	// A shell starts Python, since a first line has limits; to Python it is a text.
	text := fmt.Sprintf("#!/bin/sh\n'''exec' \"%s\" \"$0\" \"$@\"\n'''\n# Written by ipcore for the Python launcher %q. It may be deleted when no cluster uses it.\n",
		found.Python, name) + strings.Replace(entryPointScript, foundLine, "FOUND = json.loads("+string(literal)+")\n", 1)
	return writeExecutable(filepath.Join(dir, "ipcore-launcher-"+found.Description.Name), text)
}

// writeExecutable writes a program that is never seen half-written, unless it is
// there as it should be.
func writeExecutable(path, text string) (string, error) {
	if old, err := os.ReadFile(path); err == nil && string(old) == text {
		return path, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-")
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Chmod(0o700), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return path, nil
}

// askPython runs entryPointScript in a Python.
func askPython(ctx context.Context, python string, args ...string) ([]byte, error) {
	limited, cancel := context.WithTimeout(ctx, findTimeout)
	defer cancel()
	out, words := &bounded{limit: answerLimit}, &bounded{limit: wordsLimit, last: true}
	cmd := osexec.CommandContext(limited, python, append([]string{"-"}, args...)...)
	cmd.Env = process.Environ(map[string]string{"PYTHONIOENCODING": "utf-8"})
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(entryPointScript), out, words
	cmd.WaitDelay = 500 * time.Millisecond
	process.SetGroup(cmd)
	cmd.Cancel = func() error { return process.KillGroup(cmd.Process) }
	err := cmd.Run()
	switch {
	case limited.Err() != nil:
		return nil, fmt.Errorf("ask %s for Python launchers: no answer in time: %w", python, limited.Err())
	case out.over:
		return nil, fmt.Errorf("ask %s for Python launchers: it printed more than %d bytes", python, answerLimit)
	case err != nil:
		lines := strings.Split(strings.TrimSpace(words.String()), "\n")
		return nil, fmt.Errorf("ask %s for Python launchers: %s (%w)", python, lines[len(lines)-1], err)
	}
	// What a package prints when it is imported comes before.
	text := bytes.TrimSpace(out.Bytes())
	return text[bytes.LastIndexByte(text, '\n')+1:], nil
}
