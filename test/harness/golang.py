"""Building Go programs from a test, with the caches of the person who runs it."""

import os
import subprocess


def go_env(env):
    """env with the real HOME and Go's folders, for a sandbox whose own are empty."""
    names = ("GOCACHE", "GOMODCACHE", "GOPATH", "GOPROXY", "GOFLAGS", "GOSUMDB", "GONOSUMDB", "GOTOOLCHAIN")
    values = subprocess.run(["go", "env", *names], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return dict(env, HOME=os.environ["HOME"], CGO_ENABLED="0", **{k: v for k, v in zip(names, values) if v})


def build(folder, output, env, *flags):
    """Build the program in folder, a module of its own, into output."""
    done = subprocess.run(
        ["go", "build", *flags, "-o", output, "."], cwd=folder, env=go_env(env), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )
    if done.returncode != 0:
        raise AssertionError(f"go build in {folder}:\n{done.stdout}")
    os.chmod(output, 0o755)
