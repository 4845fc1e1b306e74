//go:build unix

package ssh

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// A process that ends while signals are sent does not hide that another got one.
func TestSignalBesideTheDead(t *testing.T) {
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	alive := exec.Command("sleep", "300")
	if err := alive.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = alive.Process.Kill() // ended already in good cases
		_ = alive.Wait()
	})
	for followers, want := range map[string]string{
		fmt.Sprintf("%d %d", dead.Process.Pid, alive.Process.Pid): "reached 7\n",
		fmt.Sprintf("%d %d", alive.Process.Pid, dead.Process.Pid): "reached 7\n",
		fmt.Sprint(dead.Process.Pid):                              "",
	} {
		script := signalScript + "say() { echo \"$*\"; }\nruns() { :; }\nfollowers() { m='" + followers + "'; }\npass CONT 7 1 -\n"
		cmd := exec.Command("/bin/sh")
		cmd.Stdin = strings.NewReader(script)
		out, err := cmd.Output()
		if err != nil && want != "" || string(out) != want {
			t.Errorf("to %s: %q, %v", followers, out, err)
		}
	}
}
