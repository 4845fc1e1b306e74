package conformance

import (
	"os"
	"time"

	"google.golang.org/grpc"

	"github.com/ipcore/ipcore/sdk"
)

var endChecks = []Check{{
	Name: "shutdown", Once: true, Executable: true, run: checkShutdown,
	Want: "asked by plugin.GRPCController/Shutdown it answers, ends within 5 s and removes its socket; its workload goes on",
}, {
	Name: "sigterm", Once: true, Executable: true, run: checkTerminate,
	Want: "SIGTERM is an orderly end; its workload goes on",
}, {
	Name: "sigint", Once: true, Executable: true, run: checkInterrupt,
	Want: "SIGINT, which is Ctrl-C in the host's terminal, changes nothing",
}, {
	Name: "leash", Once: true, Executable: true, run: checkLeash,
	Want: "when its host dies it ends within 5 s; a workload that the host has named since its Start goes on",
}, {
	Name: "leash-unknown", Once: true, Executable: true, run: checkUnknownLeft,
	Want: "when its host dies before it named the workload again, which nobody could find then, the workload is ended too",
}, {
	Name: "killed", Once: true, Executable: true, run: checkKilled,
	Want: "when the plugin is killed its workload goes on, and a new plugin finds and ends it",
}, {
	Name: "pipes-free", Once: true, Executable: true, run: checkPipes,
	Want: "no workload holds the plugin's stdout or stderr: they close with the plugin",
}}

// held starts a workload in a plugin process of the check's own. The host has
// named it, so it has the state.
func (b *bed) held() (*bare, *grpc.ClientConn, sdk.State) {
	p, conn, c := b.serve()
	b.Client = c
	b.later(b.endRestored)
	state := b.start(2, sleeper)
	if _, err := c.ToDict(b.ctx, "w"); err != nil {
		b.errorf("ToDict: %v", err)
	}
	b.state = state
	return p, conn, state
}

// endRestored ends what a plugin that is gone has left.
func (b *bed) endRestored() {
	if _, alive := b.pids(); len(alive) == 0 || b.state == nil {
		return
	}
	c := b.another()
	if _, err := c.FromDict(b.ctx, b.kind, "w", b.state); err != nil {
		b.errorf("FromDict in a new plugin: %v", err)
		return
	}
	b.no("Stop in a new plugin", c.Stop(b.ctx, "w"))
	b.noneAlive("after Stop in a new plugin")
}

// alive fails unless the workload goes on.
func (b *bed) goesOn() {
	if _, alive := b.pids(); len(alive) != b.n(2) {
		b.errorf("of the workload's %d processes %d are alive", b.n(2), len(alive))
	}
}

func checkShutdown(b *bed) {
	p, conn, _ := b.held()
	b.no("Shutdown", shutdown(b.ctx, conn))
	if !p.gone(endTimeout) {
		b.errorf("it is still there %v after Shutdown", endTimeout)
	}
	if left := p.litter(); len(left) > 0 {
		b.errorf("it left %v", left)
	}
	b.goesOn()
}

func checkTerminate(b *bed) {
	p, _, _ := b.held()
	b.no("SIGTERM", terminate(p.cmd.Process))
	if !p.gone(endTimeout) {
		b.errorf("it is still there %v after SIGTERM", endTimeout)
	}
	b.goesOn()
}

func checkInterrupt(b *bed) {
	p, _, c := b.serve()
	b.no("SIGINT", interrupt(p.cmd.Process))
	if p.gone(300 * time.Millisecond) {
		b.fatalf("it ended")
	}
	b.no("afterwards, health", c.Ping(b.ctx))
}

func checkLeash(b *bed) {
	p, conn, _ := b.held()
	p.vanish(conn)
	if !p.gone(endTimeout) {
		b.errorf("it is still there %v after its host's end", endTimeout)
	}
	b.goesOn()
}

func checkUnknownLeft(b *bed) {
	p, conn, c := b.serve()
	b.Client = c
	b.state = b.start(2, sleeper)
	b.later(b.endRestored)
	p.vanish(conn)
	if !p.gone(b.Patience) {
		b.fatalf("it is still there %v after its host's end", b.Patience)
	}
	b.noneAlive("after the plugin's end")
}

func checkKilled(b *bed) {
	p, conn, state := b.held()
	b.no("SIGKILL", p.cmd.Process.Kill())
	<-p.ended
	_ = conn.Close() // broken already
	b.goesOn()
	c := b.another()
	if _, err := c.FromDict(b.ctx, b.kind, "w", state); err != nil {
		b.fatalf("FromDict in a new plugin: %v", err)
	}
	b.no("Stop in a new plugin", c.Stop(b.ctx, "w"))
	b.noneAlive("after Stop in a new plugin")
}

func checkPipes(b *bed) {
	p, _, _ := b.held()
	b.no("SIGKILL", killGroup(p.cmd.Process))
	<-p.ended
	limit := time.Now().Add(endTimeout)
	for i, name := range []string{"stdout", "stderr"} {
		if !drains(p.pipes[i], limit) {
			b.errorf("%s is still open %v after the plugin was killed: the workload holds it", name, endTimeout)
		}
	}
	b.goesOn()
}

// drains reads a pipe to its end, until a moment.
func drains(f *os.File, limit time.Time) bool {
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
