package conformance

import (
	"os"
	"time"

	"google.golang.org/grpc"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/process"
)

var pluginExitChecks = []Check{{
	Name: "shutdown", Once: true, Executable: true, run: checkShutdown,
	Want: "after plugin.GRPCController/Shutdown it answers, ends within 5 s and removes its socket; its workload keeps running",
}, {
	Name: "sigterm", Once: true, Executable: true, run: checkTerminate,
	Want: "SIGTERM ends the plugin; its workload keeps running",
}, {
	Name: "sigint", Once: true, Executable: true, run: checkInterrupt,
	Want: "SIGINT, which is Ctrl-C in the host's terminal, changes nothing",
}, {
	Name: "host-gone", Once: true, Executable: true, run: checkHostGone,
	Want: "when its host dies it ends within 5 s; a workload that the host has named in a call after Start keeps running",
}, {
	Name: "host-gone-unnamed", Once: true, Executable: true, run: checkHostGoneUnnamed,
	Want: "when its host dies before it has named the workload in a call after Start, the plugin stops the workload, which nobody could find again",
}, {
	Name: "plugin-killed", Once: true, Executable: true, run: checkPluginKilled,
	Want: "when the plugin is killed its workload keeps running, and a new plugin finds and stops it",
}, {
	Name: "pipes-closed", Once: true, Executable: true, run: checkPipesClosed,
	Want: "no workload holds the plugin's stdout or stderr: they close with the plugin",
}}

// startNamed starts a workload in a plugin process that the check started itself, and
// names its id in a further call, which shows that the host has the state.
func (b *fixture) startNamed() (*rawPlugin, *grpc.ClientConn, sdk.State) {
	p, conn, c := b.startServing()
	b.Client = c
	b.onCleanup(b.stopRestored)
	state := b.start(2, sleeper)
	if _, err := c.ToDict(b.ctx, "w"); err != nil {
		b.errorf("ToDict: %v", err)
	}
	b.state = state
	return p, conn, state
}

// stopRestored stops the workload of a plugin that is gone.
func (b *fixture) stopRestored() {
	if _, alive := b.pids(); len(alive) == 0 || b.state == nil {
		return
	}
	b.stopInNewPlugin(b.state)
}

// stopInNewPlugin finds a workload again in a new plugin, and stops it there.
func (b *fixture) stopInNewPlugin(state sdk.State) {
	c := b.anotherClient()
	if _, err := c.FromDict(b.ctx, b.kind, "w", state); err != nil {
		b.errorf("FromDict in a new plugin: %v", err)
		return
	}
	b.noError("Stop in a new plugin", c.Stop(b.ctx, "w"))
	b.noneAlive("after Stop in a new plugin")
}

// stillRuns fails the check unless the workload is running.
func (b *fixture) stillRuns() {
	if _, alive := b.pids(); len(alive) != b.processes(2) {
		b.errorf("the workload has %d processes, and %d are alive", b.processes(2), len(alive))
	}
}

func checkShutdown(b *fixture) {
	p, conn, _ := b.startNamed()
	b.noError("Shutdown", shutdown(b.ctx, conn))
	p.wantEnd("after Shutdown")
	if left := p.leftoverFiles(); len(left) > 0 {
		b.errorf("the plugin left %v", left)
	}
	b.stillRuns()
}

func checkTerminate(b *fixture) {
	p, _, _ := b.startNamed()
	b.noError("SIGTERM", terminate(p.cmd.Process))
	p.wantEnd("after SIGTERM")
	b.stillRuns()
}

func checkInterrupt(b *fixture) {
	p, _, c := b.startServing()
	b.noError("SIGINT", interrupt(p.cmd.Process))
	if p.endsWithin(300 * time.Millisecond) {
		b.fatalf("SIGINT ended the plugin")
	}
	b.noError("afterwards, health", c.Ping(b.ctx))
}

func checkHostGone(b *fixture) {
	p, conn, _ := b.startNamed()
	p.closeHostSide(conn)
	p.wantEnd("after its host's end")
	b.stillRuns()
}

func checkHostGoneUnnamed(b *fixture) {
	p, conn, c := b.startServing()
	b.Client = c
	b.state = b.start(2, sleeper)
	b.onCleanup(b.stopRestored)
	p.closeHostSide(conn)
	if !p.endsWithin(b.Patience) {
		b.fatalf("the plugin still runs %v after its host's end", b.Patience)
	}
	b.noneAlive("after the plugin's end")
}

func checkPluginKilled(b *fixture) {
	p, conn, state := b.startNamed()
	b.noError("SIGKILL", p.cmd.Process.Kill())
	<-p.ended
	_ = conn.Close() // it is broken
	b.stillRuns()
	b.stopInNewPlugin(state)
}

func checkPipesClosed(b *fixture) {
	p, _, _ := b.startNamed()
	b.noError("SIGKILL", process.KillGroup(p.cmd.Process))
	<-p.ended
	limit := time.Now().Add(endTimeout)
	for i, name := range []string{"stdout", "stderr"} {
		if !readsToEnd(p.pipes[i], limit) {
			b.errorf("%s is still open %v after the plugin was killed: the workload holds it", name, endTimeout)
		}
	}
	b.stillRuns()
}

// readsToEnd reads a pipe, and reports whether its end comes before limit.
func readsToEnd(f *os.File, limit time.Time) bool {
	if err := f.SetReadDeadline(limit); err != nil {
		return false
	}
	buffer := make([]byte, 4096)
	for {
		if _, err := f.Read(buffer); err != nil {
			return !os.IsTimeout(err)
		}
	}
}
