#!/usr/bin/env python3
"""Common engine of the batch-system emulators (lsf.py, pbs.py, htcondor.py, winhpc.py). Standard library only.

Jobs are real processes: every submission leaves one detached supervisor behind that waits for free slots, starts the
tasks of the job in their own process groups, delivers their output the way the emulated system does, and records
states in one JSON file per job. There is no daemon; `fake.sh down` ends the supervisors.

State directory: $TB_FAKE_STATE/<system> (default ${TESTBED_STATE:-/var/tmp/testbed}/fake/<system>).
Settings: TB_FAKE_SLOTS (default 16) running tasks, TB_FAKE_DELAY (default 0.1) seconds from submission to start.

Faults: $TB_FAKE_FAULT of the calling command, and the file <state>/faults (fake.sh fault SYSTEM SPEC), comma separated:
  submit=reject        refused with the system's own words and exit status
  submit=down          the server cannot be reached
  submit=hang          never answers                     submit=slow:S   answers after S seconds
  submit=lost          id is printed, the job never appears
  submit=timeout       the job is accepted, but the command fails (resubmitting would make a second job)
  submit=banner        site banner with digits in it before the real answer (on stdout)
  submit=noid          succeeds, prints nothing useful
  run=pend             pending for ever                  run=slow:S      starts S seconds late
  run=hold             held by the system (H / PSUSP)
  run=die:S[@I]        the node of task I (default: all) dies S seconds after the start: processes gone at once
  run=fail:C[@I]       task I exits with C at once, its command is not run
  run=only:K           only the first K tasks of an array ever start
  query=down | hang | slow:S | empty | flaky:N (the first N calls fail) | garbage
  cancel=down | hang | slow:S | ignored (success is reported, nothing is killed or signalled) | flaky:N
  output=lost | late:S stdout/stderr files never appear / appear S seconds after the end
"""

import fcntl, json, os, pwd, re, signal, subprocess, sys, time

ROOT = os.environ.get("TB_FAKE_STATE") or os.path.join(os.environ.get("TESTBED_STATE", "/var/tmp/testbed"), "fake")


class Fault:
    """One parsed fault value: kind, number, index."""

    def __init__(self, v):
        m = re.match(r"([a-z]+)(?::([\d.]+))?(?:@(\d+))?$", v)
        self.kind, n, i = m.groups() if m else (v, None, None)
        self.num = float(n) if n else None
        self.index = int(i) if i else None


class System:
    def __init__(self, name, first=1, host="head1"):
        self.name, self.first, self.host = name, first, os.environ.get("TB_FAKE_HOST", host)
        self.dir = os.path.join(ROOT, name)
        old = os.umask(0)
        try:
            for d in ("jobs", "req", "slots", "spool", "count"):
                os.makedirs(os.path.join(self.dir, d), mode=0o1777, exist_ok=True)
        finally:
            os.umask(old)
        self.faults = {}
        for src in (self._read("faults"), os.environ.get("TB_FAKE_FAULT", "")):
            for f in re.split(r"[,\s]+", src.strip()):
                if "=" in f:
                    k, v = f.split("=", 1)
                    self.faults[k] = Fault(v)

    def _read(self, n):
        try:
            with open(os.path.join(self.dir, n)) as f:
                return f.read()
        except OSError:
            return ""

    # -- faults -----------------------------------------------------------------------------------------------
    def fault(self, what, down=None):
        """Apply hang/slow/down/flaky for submit, query or cancel; returns the fault's kind or ''."""
        f = self.faults.get(what)
        if not f:
            return ""
        if f.kind == "hang":
            time.sleep(float(os.environ.get("TB_FAKE_HANG", 3600)))
        elif f.kind == "slow":
            time.sleep(f.num or 5)
        elif f.kind == "flaky":
            p = os.path.join(self.dir, "count", what)
            n = int(self._read("count/" + what) or 0) + 1
            fd = os.open(p, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
            os.write(fd, str(n).encode())
            os.close(fd)
            if n <= (f.num or 1) and down:
                down()
            return ""
        elif f.kind == "down" and down:
            down()
        return f.kind

    # -- state ------------------------------------------------------------------------------------------------
    def lock(self):
        old = os.umask(0)
        f = os.open(os.path.join(self.dir, "lock"), os.O_RDWR | os.O_CREAT, 0o666)
        os.umask(old)
        fcntl.flock(f, fcntl.LOCK_EX)
        return f

    def next_id(self):
        l = self.lock()
        try:
            n = int(self._read("seq") or self.first - 1) + 1
            fd = os.open(os.path.join(self.dir, "seq"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
            os.fchmod(fd, 0o666) if os.fstat(fd).st_uid == os.getuid() else None
            os.write(fd, str(n).encode())
            os.close(fd)
            return n
        finally:
            os.close(l)

    def path(self, jid):
        return os.path.join(self.dir, "jobs", "%d.json" % int(jid))

    def load(self, jid):
        for _ in range(20):
            try:
                with open(self.path(jid)) as f:
                    return json.load(f)
            except ValueError:
                time.sleep(0.01)
            except (OSError, OverflowError):
                return None

    def save(self, job):
        p = self.path(job["id"])
        t = "%s.%d" % (p, os.getpid())
        with open(t, "w") as f:
            json.dump(job, f)
        os.chmod(t, 0o644)
        os.replace(t, p)

    def jobs(self):
        try:
            ids = sorted(int(f[:-5]) for f in os.listdir(os.path.join(self.dir, "jobs")) if f.endswith(".json"))
        except OSError:
            return []
        return [j for j in (self.load(i) for i in ids) if j]

    # -- submission -------------------------------------------------------------------------------------------
    def submit(self, job, tasks):
        """job: dict; tasks: list of dicts index, argv, env, cwd, out, err, join, mode ('direct'|'spool'), append,
        limit (seconds), report (bool). Returns the id."""
        jid = job["id"] = job["id"] if "id" in job else self.next_id()
        job.update(user=pwd.getpwuid(os.getuid()).pw_name, submitted=time.time(), host=self.host, n=len(tasks))
        for t in tasks:
            t.update(state="PEND", start=None, end=None, code=None, node=None, pid=None, sig=None)
        job["tasks"] = tasks
        f = self.faults
        job["fault"] = {k: [v.kind, v.num, v.index] for k, v in f.items() if k in ("run", "output")}
        if f.get("submit") and f["submit"].kind == "lost":
            return jid
        self.save(job)
        if os.fork() == 0:  # detach twice: the supervisor is nobody's child and holds none of the caller's files
            os.setsid()
            n = os.open(os.devnull, os.O_RDWR)
            for i in (0, 1, 2):
                os.dup2(n, i)
            os.closerange(3, 256)
            if os.fork():
                os._exit(0)
            os.chdir("/")
            try:
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                signal.signal(signal.SIGHUP, signal.SIG_IGN)
                env = {k: v for k, v in os.environ.items() if k.startswith(("TB_", "TESTBED_", "LANG", "LC_")) or k in ("PATH", "TZ")}
                os.execve(  # no child of the submitter on a real system, so it has nothing of its environment
                    sys.executable, [sys.executable, os.path.abspath(__file__), "--supervise", self.name, str(jid)], env
                )
            finally:
                os._exit(1)
        os.wait()
        return jid

    def request(self, jid, index, what):
        """Ask the supervisor: what is 'kill' or a signal number; index None = all tasks."""
        d = os.path.join(self.dir, "req")
        name = "%d.%s.%s.%d.%f" % (int(jid), "all" if index is None else index, what, os.getpid(), time.time())
        old = os.umask(0)  # writable for all at once: the supervisor may take it away at once
        os.close(os.open(os.path.join(d, name), os.O_WRONLY | os.O_CREAT, 0o666))
        os.umask(old)


def default_signals():
    """A job does not inherit what the supervisor ignores."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


class Supervisor:
    def __init__(self, system, jid):
        self.s = system
        self.jid = jid
        self.job = system.load(jid)
        self.procs = {}
        f = self.job.get("fault", {})
        self.run = Fault("x")
        self.run.kind, self.run.num, self.run.index = f.get("run", [None, None, None])
        self.outf = Fault("x")
        self.outf.kind, self.outf.num, self.outf.index = f.get("output", [None, None, None])
        self.t0 = time.time() + (
            self.run.num or 5 if self.run.kind == "slow" else float(os.environ.get("TB_FAKE_DELAY", 0.1))
        )
        self.late = []

    def slot(self, t):
        d = os.path.join(self.s.dir, "slots")
        l = self.s.lock()
        try:
            used = [n for n in os.listdir(d)]
            if len(used) >= int(os.environ.get("TB_FAKE_SLOTS", 16)):
                for n in used:  # slots of supervisors that were killed
                    try:
                        with open(os.path.join(d, n)) as f:
                            os.kill(int(f.read() or 0), 0)
                    except PermissionError:
                        pass
                    except (OSError, ValueError):
                        try:
                            os.unlink(os.path.join(d, n))
                        except OSError:
                            pass
                return False
            with open(os.path.join(d, "%d.%s" % (self.jid, t["index"])), "w") as f:
                f.write(str(os.getpid()))
            return True
        finally:
            os.close(l)

    def unslot(self, t):
        try:
            os.unlink(os.path.join(self.s.dir, "slots", "%d.%s" % (self.jid, t["index"])))
        except OSError:
            pass

    def start(self, t):
        t["node"] = "node%d" % ((self.jid + t["index"]) % 4 + 1)
        t["start"] = time.time()
        t["state"] = "RUN"
        nf = {}
        for k, v in t["env"].items():
            nf[k] = v.replace("@NODE@", t["node"])
        spool = os.path.join(self.s.dir, "spool", "%d.%s" % (self.jid, t["index"]))
        t["spool"] = [spool + ".o", spool + ".e"]
        direct = t.get("mode") == "direct"
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | (0 if t.get("append", True) else os.O_TRUNC)
            opened = lambda name: open(name, "ab", opener=lambda path, _: os.open(path, flags, 0o666))
            out = opened(t["out"]) if direct and t["out"] else open(os.devnull if direct else t["spool"][0], "wb")
            err = (
                out
                if t.get("join")
                else opened(t["err"]) if direct and t["err"] else open(os.devnull if direct else t["spool"][1], "wb")
            )
        except OSError as e:
            return self.hold(t, "cannot open output: %s" % e, 7)
        if self.run.kind == "fail" and self.run.index in (None, t["index"]):
            return self.finish(t, int(self.run.num or 1), None)
        try:
            cwd = t["cwd"] if os.path.isdir(t["cwd"]) else "/tmp"
            inp = open(t["stdin"], "rb") if t.get("stdin") else open(os.devnull, "rb")
            p = subprocess.Popen(t["argv"], env=nf, cwd=cwd, stdin=inp, stdout=out, stderr=err, start_new_session=True, preexec_fn=default_signals)
            t["pid"] = p.pid
            self.procs[t["index"]] = p
        except OSError as e:
            if self.job.get("exec_fail") == "hold":
                return self.hold(t, "Failed to execute '%s': (errno=%d: '%s')" % (t["argv"][0], e.errno, e.strerror), 6)
            err.write(("%s: %s\n" % (t["argv"][0], e.strerror)).encode())
            err.flush()
            self.finish(t, 127, None)

    def hold(self, t, why, code=1):
        t.update(state="HOLD", why=why, why_code=code)
        self.unslot(t)

    def finish(self, t, code, sig):
        t.update(state="END", end=time.time(), code=code, sig=sig)
        self.unslot(t)
        self.procs.pop(t["index"], None)
        if self.outf.kind == "lost":
            return
        if self.outf.kind == "late":
            self.late.append((time.time() + (self.outf.num or 5), t))
            return
        self.deliver(t)

    def deliver(self, t):
        if not t["start"] and t.get("mode") != "direct":
            return  # it never ran, so there is nothing to deliver
        rep = REPORTS.get(self.s.name)
        if t.get("mode") == "direct":
            if t.get("report") and rep and t["out"]:
                with open(t["out"], "a") as f:
                    f.write(rep(self.job, t, None))
            return
        for which, src, dst in (("o", t["spool"][0], t["out"]), ("e", t["spool"][1], t["err"])):
            if which == "e" and t.get("join"):
                continue
            try:
                with open(src, "rb") as f:
                    data = f.read()
                os.unlink(src)
            except OSError:
                data = b""
            if not dst:
                continue
            if which == "o" and t.get("report") and rep:
                data = rep(self.job, t, data.decode("utf8", "replace")).encode()
            try:
                fd = os.open(
                    dst,
                    os.O_WRONLY | os.O_CREAT | (os.O_APPEND if t.get("append") else os.O_TRUNC),
                    t.get("fmode", 0o644),
                )
                os.write(fd, data)
                os.close(fd)
            except OSError as e:
                t["stage"] = "cannot deliver %s: %s" % (dst, e.strerror)
                with open(src, "wb") as f:
                    f.write(data)

    def signal(self, t, n):
        try:
            os.killpg(t["pid"], n)
        except (OSError, TypeError):
            pass

    def loop(self):
        s, job = self.s, self.job
        last = None
        while True:
            now = time.time()
            for name in os.listdir(os.path.join(s.dir, "req")):
                p = name.split(".")
                if p[0] != str(self.jid):
                    continue
                try:
                    os.unlink(os.path.join(s.dir, "req", name))
                except OSError:
                    pass
                for t in job["tasks"]:
                    if p[1] not in ("all", str(t["index"])) or t["state"] == "END":
                        continue
                    if p[2] == "kill":
                        t["killed"] = True
                        if t["state"] != "RUN":
                            self.finish(t, None, None)
                        elif not t.get("term"):
                            t["term"] = now
                            self.signal(t, signal.SIGTERM)
                    elif p[2] == "hold":
                        if t["state"] == "PEND":
                            self.hold(t, "by user")
                        elif t["state"] == "RUN":
                            t["requeue"] = "HOLD"
                            self.signal(t, signal.SIGKILL)
                    elif p[2] == "release":
                        if t["state"] == "HOLD":
                            t["state"] = "PEND"
                            t.pop("why", None)
                    elif t["state"] == "RUN":
                        self.signal(t, int(p[2]))
            for t in job["tasks"]:
                if t["state"] == "PEND" and now >= self.t0 and not job.get("held"):
                    if self.run.kind == "pend" or (self.run.kind == "only" and job["tasks"].index(t) >= self.run.num):
                        continue
                    if self.run.kind == "hold":
                        self.hold(t, "injected hold")
                        self.run.kind = "done" if t is job["tasks"][-1] else "hold"
                        continue
                    if self.slot(t):
                        self.start(t)
                elif t["state"] == "HOLD" and t.get("why_code") in job.get("remove_held", ()):
                    t["killed"] = t["by_policy"] = True
                    self.finish(t, None, None)
                elif t["state"] == "RUN":
                    p = self.procs.get(t["index"])
                    c = p.poll() if p else 0
                    if c is None:
                        if (
                            self.run.kind == "die"
                            and self.run.index in (None, t["index"])
                            and now - t["start"] >= (self.run.num or 0)
                        ):
                            t["died"] = True
                            self.signal(t, signal.SIGKILL)
                        if t.get("limit") and now - t["start"] > t["limit"] and not t.get("over"):
                            t["over"] = now
                            self.signal(t, signal.SIGTERM)
                        for k in ("term", "over"):
                            if t.get(k) and now - t[k] > job.get("kill_wait", 2):
                                self.signal(t, signal.SIGKILL)
                    else:
                        self.signal(t, signal.SIGKILL)  # what is left of the process group goes with the task
                        if t.pop("requeue", None):
                            self.hold(t, "by user")
                            self.procs.pop(t["index"])
                        else:
                            self.finish(t, c if c >= 0 else None, -c if c < 0 else None)
            for when, t in list(self.late):
                if now >= when:
                    self.late.remove((when, t))
                    self.deliver(t)
            snap = json.dumps(job)
            if snap != last:
                s.save(job)
                last = snap
            if all(t["state"] == "END" for t in job["tasks"]) and not self.late:
                return
            time.sleep(0.05)


REPORTS = {}


def lsf_report(job, t, out):
    n = job["name"] + ("" if not job["array"] else "")
    ok = t["code"] == 0
    i = "[%d]" % t["index"] if job["array"] else ""
    tm = lambda x: time.strftime("%a %b %e %H:%M:%S %Y", time.localtime(x))
    s = "Sender: LSF System <lsfadmin@%s>\nSubject: Job %d%s: <%s> in cluster <testbed> %s\n\n" % (
        t["node"],
        job["id"],
        i,
        n,
        "Done" if ok else "Exited",
    )
    s += "Job <%s> was submitted from host <%s> by user <%s> in cluster <testbed> at %s\n" % (
        n,
        job["host"],
        job["user"],
        tm(job["submitted"]),
    )
    s += "Job was executed on host(s) <%s>, in queue <%s>, as user <%s> in cluster <testbed> at %s\n" % (
        t["node"],
        job["queue"],
        job["user"],
        tm(t["start"] or t["end"]),
    )
    s += "</%s> was used as the home directory.\n<%s> was used as the working directory.\n" % (
        os.path.expanduser("~").strip("/"),
        t["cwd"],
    )
    s += (
        "Started at %s\nTerminated at %s\nResults reported at %s\n\nYour job looked like:\n\n%s\n# LSBATCH: User input\n%s\n%s\n\n"
        % (tm(t["start"] or t["end"]), tm(t["end"]), tm(time.time()), "-" * 60, job["script"], "-" * 60)
    )
    if t.get("killed"):
        s += "TERM_OWNER: job killed by owner.\n"
    if t.get("over"):
        s += "TERM_RUNLIMIT: job killed after reaching LSF run time limit.\n"
    if t.get("died"):
        s += "TERM_ZOMBIE: zombie job, execution host is lost.\n"
    s += (
        "Successfully completed.\n"
        if ok
        else "Exited with %s.\n" % ("signal termination: %d" % t["sig"] if t["sig"] else "exit code %s" % t["code"])
    )
    s += (
        "\nResource usage summary:\n\n    CPU time :                                   0.01 sec.\n    Run time :                                   %d sec.\n\n"
        % (t["end"] - (t["start"] or t["end"]))
    )
    if out is None:
        return "\n%s\n" % s
    s += "The output (if any) follows:\n\n" + out + "\n"
    if t["err"] and not t.get("join"):
        s += "\n\nPS:\n\nRead file <%s> for stderr output of this job.\n\n" % t["err"]
    return s


REPORTS["lsf"] = lsf_report

# One-line warning helpers -----------------------------------------------------------------------------------------
BANNER = "*** Maintenance on 2026-12-24 08:00, 3 queues affected; see ticket 40217 ***"


def die(rc, *lines, out=sys.stderr):
    for l in lines:
        print(l, file=out)
    sys.exit(rc)


def clean_env():
    return {k: v for k, v in os.environ.items() if not k.startswith("TB_FAKE_FAULT")}


if __name__ == "__main__" and len(sys.argv) == 4 and sys.argv[1] == "--supervise":
    s = System(sys.argv[2])
    sup = Supervisor(s, int(sys.argv[3]))
    with open(os.path.join(s.dir, "spool", "%d.pid" % sup.jid), "w") as f:
        f.write(str(os.getpid()))
    try:
        sup.loop()
    finally:
        try:
            os.unlink(os.path.join(s.dir, "spool", "%d.pid" % sup.jid))
        except OSError:
            pass
