#!/usr/bin/env python3
"""LSF emulator: bsub bjobs bkill bqueues bhosts bpeek lsid (called by those names).

Behaviour from the IBM Spectrum LSF 10.1 command reference (topics bsub, bjobs, bkill, "Job arrays",
https://www.ibm.com/docs/en/spectrum-lsf/10.1.0) and from running OpenLava 4.0, an LSF-compatible scheduler:
  - bsub reads a job script on stdin and honours its "#BSUB" lines (command line wins); `bsub script` runs the file
    without looking inside. No command and empty stdin: "No command is specified. Job not submitted.", 255.
  - answers "Job <7> is submitted to queue <q>." with -q, "... to default queue <normal>." without.
  - arrays: -J "name[1-4]", indices start at 1, %I and %J in -o/-e, LSB_JOBINDEX (0 outside arrays).
    -o/-e without %I: all elements append to the one file.
  - the job runs in the submission directory with the submission environment (-env "none"/"all"/list as in 10.1).
  - -o collects output in a temporary file, delivered with a report in front of it after the end, appended (-oo
    overwrites); with LSB_STDOUT_DIRECT=Y it is written as the job runs and the report follows.
  - bjobs: "No unfinished job found" and "Job <9> is not found" go to stderr, 255.
Root submits like anybody else (real sites often forbid it: TB_FAKE_ROOT=deny).
"""

import json, os, re, shlex, socket, sys, time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from core import BANNER, System, clean_env, die

S = System("lsf", first=101)
QUEUES = {"normal": None, "short": 15 * 60, "long": None, "priority": None, "night": None}
DEFAULT = "normal"
CLOSED = {"night"}
ST = {"PEND": "PEND", "RUN": "RUN", "HOLD": "PSUSP"}


def stat(t):
    if t["state"] != "END":
        return "UNKWN" if t.get("died") else ST[t["state"]]
    return "DONE" if t["code"] == 0 and not t.get("killed") else "EXIT"


def lsf_down():
    die(
        255, "batch system daemon not responding ... still trying", "Failed in LSF library call: Communication time out"
    )


FLAGS = set("-B -H -I -Ip -Is -K -N -r -rn -x -ar -ul -Ne -h -V".split())
OPTS = set(
    "-J -o -oo -e -eo -q -n -W -We -cwd -env -P -R -M -m -u -i -is -E -Ep -g -G -L -app -a -b -t -w -c -C -D -F -f -S -T -v -sp -sla -U -p -k -data -gpu -Jd -eptl -hostfile -outdir -rnc -Q -s -wa -wt -ti -stage -network -jsm".split()
)


def parse(args, o, script=False):
    """bsub's options in args into o; returns what is left (the command)."""
    i = 0
    while i < len(args):
        a = args[i]
        if a in FLAGS:
            o.setdefault(a, True)
            i += 1
            continue
        k = (
            a
            if a in OPTS
            else next(
                (
                    x
                    for x in ("-J", "-o", "-e", "-q", "-n", "-W", "-P", "-R", "-M", "-m")
                    if a.startswith(x) and len(a) > 2 and a not in OPTS
                ),
                None,
            )
        )
        if k is None:
            if a.startswith("-") and len(a) > 1:
                (
                    die(
                        255,
                        "bsub: illegal option -- %s" % a.lstrip("-")[:1],
                        "Usage: bsub [-h] [-V] [options] command [arguments]",
                    )
                    if not script
                    else die(255, "Bad option <%s> in embedded options. Job not submitted." % a)
                )
            return args[i:]
        if k == a:
            if i + 1 >= len(args):
                die(255, "bsub: option requires an argument -- %s" % a.lstrip("-"))
            v = args[i + 1]
            i += 2
        else:
            v = a[2:]
            i += 1
        if k == "-R":
            o.setdefault(k, [])
            o[k].append(v) if isinstance(o[k], list) else None
        else:
            o.setdefault(k, v)
    return []


def indices(spec):
    r = []
    for p in spec.split(","):
        m = re.match(r"^\s*(\d+)(?:-(\d+)(?::(\d+))?)?\s*$", p)
        if not m:
            return None
        a = int(m[1])
        b = int(m[2] or a)
        st = int(m[3] or 1)
        if a < 1 or b < a or st < 1:
            return None
        r += range(a, b + 1, st)
    return r if len(r) <= 1000000 else None


def bsub(argv):
    o = {}
    cmd = parse(argv, o)
    if o.get("-V"):
        die(0, "IBM Spectrum LSF Standard 10.1.0.0 (testbed emulator)")
    text = None
    if not cmd:
        if sys.stdin.isatty():
            sys.stdout.write("bsub> ")
            sys.stdout.flush()
        text = sys.stdin.read()
        emb = []
        for l in text.splitlines():
            m = re.match(r"^\s*#BSUB\b(.*)$", l)
            if m:
                try:
                    emb += shlex.split(m[1], comments=True)
                except ValueError:
                    die(255, "Bad embedded option line. Job not submitted.")
        parse(emb, o, script=True)
        if not text.strip():
            die(255, "No command is specified. Job not submitted.")
    k = S.fault("submit", lsf_down)
    if k == "reject":
        die(255, "User cannot use the queue. Job not submitted.")
    if k == "banner":
        print(BANNER)
    if os.getuid() == 0 and os.environ.get("TB_FAKE_ROOT") == "deny":
        die(255, "Bad user ID. Job not submitted.")
    q = o.get("-q", os.environ.get("LSB_DEFAULTQUEUE", DEFAULT)).split()[0]
    if q not in QUEUES:
        die(255, "%s: No such queue. Job not submitted." % q)
    if q in CLOSED:
        die(255, "%s: Queue has been closed. Job not submitted." % q)
    name, arr = o.get("-J"), None
    if name and ("[" in name or "]" in name):
        m = re.match(r"^([^\[\]]*)\[([^\[\]]*)\](?:%(\d+))?$", name)
        arr = indices(m[2]) if m else None
        if not arr:
            die(255, "Bad job name. Job not submitted.")
    n = o.get("-n", "1")
    if not re.match(r"^\d+(,\d+)?$", n):
        die(255, "Bad argument for option -n. Job not submitted.")
    limit = QUEUES[q]
    if "-W" in o:
        m = re.match(r"^(?:(\d+):)?(\d+)(/.*)?$", o["-W"])
        if not m:
            die(255, "%s: Bad run limit specification. Job not submitted." % o["-W"])
        limit = (int(m[1] or 0) * 60 + int(m[2])) * 60 * float(os.environ.get("TB_FAKE_MINUTE", 60)) / 60
    jid = S.next_id()
    cwd = o.get("-cwd") or os.getcwd()
    script = text if text is not None else " ".join(shlex.quote(c) if re.search(r"\s", c) else c for c in cmd)
    jname = name or " ".join(script.split())
    sp = os.path.join(S.dir, "spool", "%d.job" % jid)
    with open(sp, "w") as f:
        f.write(script + "\n")
    os.chmod(sp, 0o700)
    inter = ["/bin/sh"]
    if text is not None and text.startswith("#!"):
        inter = text.split("\n", 1)[0][2:].split()
    e = o.get("-env", "all")
    env = (
        clean_env()
        if e.split(",")[0].strip() in ("all", "")
        else {k: os.environ[k] for k in ("HOME", "USER", "LOGNAME", "PATH", "SHELL", "LANG") if k in os.environ}
    )
    for p in e.split(","):
        if "=" in p:
            k, v = p.split("=", 1)
            env[k.strip()] = v
        elif p.strip() in os.environ:
            env[p.strip()] = os.environ[p.strip()]
    direct = os.environ.get("LSB_STDOUT_DIRECT", env.get("LSB_STDOUT_DIRECT", "")).upper() == "Y"
    exp = lambda s, i: s and os.path.join(cwd, s.replace("%J", str(jid)).replace("%I", str(i)))
    tasks = []
    for i in arr or [0]:
        out, err = exp(o.get("-o") or o.get("-oo"), i), exp(o.get("-e") or o.get("-eo"), i)
        if out and os.path.isdir(out):
            out = os.path.join(out, "%d.out" % jid)
        te = dict(
            env,
            LSB_JOBID=str(jid),
            LSB_JOBINDEX=str(i),
            LSB_JOBNAME=jname,
            LSB_QUEUE=q,
            LSB_HOSTS=" ".join(["@NODE@"] * int(n.split(",")[0])),
            LSB_MCPU_HOSTS="@NODE@ %s" % n.split(",")[0],
            LSB_DJOB_NUMPROC=n.split(",")[0],
            LSB_BATCH_JID="%d[%d]" % (jid, i) if arr else str(jid),
            LSB_SUB_HOST=S.host,
            LS_SUBCWD=cwd,
            LSB_JOBFILENAME=sp,
            LSB_OUTPUTFILE=out or "",
            LSB_EXEC_CLUSTER="testbed",
            LSFUSER=os.environ.get("USER", ""),
        )
        if arr:
            te.update(LSB_JOBINDEX_END=str(arr[-1]), LSB_JOBINDEX_STEP=str(arr[1] - arr[0] if len(arr) > 1 else 1))
        tasks.append(
            dict(
                index=i,
                argv=inter + [sp],
                env=te,
                cwd=cwd,
                out=out,
                err=err,
                join=err is None or err == out,
                mode="direct" if direct else "spool",
                append="-oo" not in o,
                report=bool(out),
                limit=limit,
                stdin=exp(o.get("-i"), i),
            )
        )
    job = dict(
        id=jid,
        name=jname,
        queue=q,
        array=bool(arr),
        script=script,
        base=name.split("[")[0] if name else jname,
        held="-H" in o,
    )
    S.submit(job, tasks)
    if k == "timeout":
        die(255, "Failed in LSF library call: Communication time out")
    if k == "noid":
        print("Request received.")
        return
    print("Job <%d> is submitted to %squeue <%s>." % (jid, "" if "-q" in o else "default ", q))
    sys.stdout.flush()
    if "-K" in o:
        print("<<Waiting for dispatch ...>>")
        sys.stdout.flush()
        started = False
        while True:
            j = S.load(jid)
            if not started and any(t["start"] for t in j["tasks"]):
                started = True
                print("<<Starting on %s>>" % j["tasks"][0]["node"])
                sys.stdout.flush()
            if all(t["state"] == "END" for t in j["tasks"]):
                print("<<Job is finished>>")
                sys.exit(max((t["code"] if t["code"] is not None else 128 + (t["sig"] or 0)) for t in j["tasks"]))
            time.sleep(0.1)


def select(specs, jname, user, keep, filtered=False):
    """(job, task) pairs for job ids like 101 or 101[2-3]; complains per id. Returns pairs, failed.

    Jobs given by id are all taken, unless filtered says that only some states are wanted.
    """
    pairs, bad = [], 0
    if specs and specs != ["0"]:
        for s in specs:
            m = re.match(r"^(\d+)(?:\[([\d,:-]+)\])?$", s)
            if not m:
                die(255, "%s: Illegal job ID." % s)
            j = S.load(m[1])
            ix = indices(m[2]) if m[2] else None
            p = [(j, t) for t in j["tasks"] if ix is None or t["index"] in ix] if j else []
            if p and filtered:
                pairs += [(j, t) for j, t in p if keep(stat(t))]
                continue
            if not p:
                print("Job <%s> is not found" % s, file=sys.stderr)
                bad += 1
            pairs += p
        return pairs, bad
    for j in S.jobs():
        if user not in ("all", j["user"]):
            continue
        if (
            jname
            and jname not in (j["name"], j["base"])
            and not re.match("^" + re.escape(jname).replace(r"\*", ".*") + "$", j["base"])
        ):
            continue
        pairs += [(j, t) for t in j["tasks"] if keep(stat(t))]
    return pairs, 0


def bjobs(argv):
    k = S.fault("query", lsf_down)
    if k == "garbage":
        print("mbatchd: \x00\x07 corrupted reply")
        sys.exit(0)
    o, specs, i = {}, [], 0
    while i < len(argv):
        a = argv[i]
        if a in ("-a", "-d", "-p", "-r", "-s", "-w", "-l", "-W", "-A", "-noheader", "-json", "-UF", "-sum", "-X"):
            o[a] = True
        elif a in ("-u", "-J", "-q", "-m", "-o", "-P", "-G", "-g"):
            i += 1
            o[a] = argv[i] if i < len(argv) else ""
        elif a.startswith("-"):
            die(255, "bjobs: illegal option -- %s" % a[1:2])
        else:
            specs.append(a)
        i += 1
    # -d, -p, -r and -s choose states, together or alone.
    chosen = {"-d": ("DONE", "EXIT"), "-p": ("PEND", "PSUSP"), "-r": ("RUN",), "-s": ("PSUSP", "USUSP", "SSUSP")}
    states = [st for flag in chosen if flag in o for st in chosen[flag]]
    keep = lambda s: s in states if states else "-a" in o or s not in ("DONE", "EXIT")
    me = os.environ.get("USER") or __import__("pwd").getpwuid(os.getuid()).pw_name
    pairs, bad = select(specs, o.get("-J"), o.get("-u", me), keep, filtered=bool(states))
    if k == "empty":
        pairs = []
    if specs and k == "empty":
        die(255, *["Job <%s> is not found" % s for s in specs])
    if not pairs:
        if "-json" in o:
            print(json.dumps({"COMMAND": "bjobs", "JOBS": 0, "RECORDS": []}, indent=2))
        if not bad:
            print(
                "No %s found" % ("job" if "-a" in o else "finished job" if "-d" in o else "unfinished job"),
                file=sys.stderr,
            )
        sys.exit(255)
    tm = lambda x: time.strftime("%b %e %H:%M", time.localtime(x)) if x else "-"
    nm = lambda j, t: j["base"] + ("[%d]" % t["index"] if j["array"] else "")
    if "-o" in o:
        spec = o["-o"]
        d = " "
        m = re.search(r"delimiter=['\"]?(.)['\"]?", spec)
        if m:
            d = m[1]
            spec = spec.replace(m[0], "")
        F = {
            "jobid": lambda j, t: str(j["id"]),
            "jobindex": lambda j, t: str(t["index"]),
            "stat": lambda j, t: stat(t),
            "user": lambda j, t: j["user"],
            "queue": lambda j, t: j["queue"],
            "job_name": lambda j, t: nm(j, t),
            "name": lambda j, t: nm(j, t),
            "exec_host": lambda j, t: t["node"] or "-",
            "from_host": lambda j, t: j["host"],
            "exit_code": lambda j, t: (
                "-"
                if t["state"] != "END" or t["code"] == 0
                else str(t["code"] if t["code"] is not None else 128 + (t["sig"] or 9))
            ),
            "submit_time": lambda j, t: tm(j["submitted"]),
            "start_time": lambda j, t: tm(t["start"]),
            "finish_time": lambda j, t: tm(t["end"]),
            "exit_reason": lambda j, t: (
                "TERM_OWNER: job killed by owner"
                if t.get("killed")
                else "TERM_RUNLIMIT: job killed after reaching LSF run time limit" if t.get("over") else "-"
            ),
        }
        cols = [re.match(r"[a-z_]+", c)[0] for c in spec.split()]
        bad_c = [c for c in cols if c not in F]
        if bad_c:
            die(255, "%s: Unknown field name in the -o option." % bad_c[0])
        if "-json" in o:
            print(
                json.dumps(
                    {
                        "COMMAND": "bjobs",
                        "JOBS": len(pairs),
                        "RECORDS": [
                            {c.upper(): ("" if F[c](j, t) == "-" else F[c](j, t)) for c in cols} for j, t in pairs
                        ],
                    },
                    indent=2,
                )
            )
            return
        rows = ([[c.upper() for c in cols]] if "-noheader" not in o else []) + [
            [F[c](j, t) for c in cols] for j, t in pairs
        ]
        for r in rows:
            print(
                d.join(x.ljust(11) if d == " " else x for x in r).rstrip()
                if d != " "
                else " ".join(x.ljust(10) for x in r)
            )
        return
    if "-l" in o:
        for j, t in pairs:
            i = "[%d]" % t["index"] if j["array"] else ""
            print(
                "\nJob <%d%s>, Job Name <%s>, User <%s>, Project <default>, Status <%s>, Queue <%s>, Command <%s>"
                % (j["id"], i, nm(j, t), j["user"], stat(t), j["queue"], " ".join(j["script"].split())[:200])
            )
            f = lambda x: time.strftime("%a %b %e %H:%M:%S", time.localtime(x))
            print("%s: Submitted from host <%s>, CWD <%s>;" % (f(j["submitted"]), j["host"], t["cwd"]))
            if t["start"]:
                print(
                    "%s: Started 1 Task(s) on Host(s) <%s>, Allocated 1 Slot(s), Execution CWD <%s>;"
                    % (f(t["start"]), t["node"], t["cwd"])
                )
            if t["state"] == "END":
                if stat(t) == "DONE":
                    print("%s: Done successfully. The CPU time used is 0.0 seconds;" % f(t["end"]))
                else:
                    print(
                        "%s: Exited%s. The CPU time used is 0.0 seconds;"
                        % (
                            f(t["end"]),
                            (
                                " with exit code %d" % t["code"]
                                if t["code"] is not None
                                else " by signal %d" % t["sig"] if t["sig"] else ""
                            ),
                        )
                    )
                if t.get("killed"):
                    print("%s: Completed <exit>; TERM_OWNER: job killed by owner." % f(t["end"]))
        return
    if "-noheader" not in o:
        print("JOBID   USER    STAT  QUEUE      FROM_HOST   EXEC_HOST   JOB_NAME   SUBMIT_TIME")
    for j, t in pairs:
        n = nm(j, t)
        n = n if "-w" in o or len(n) <= 10 else "*" + n[-9:]
        print(
            "%-7d %-7.7s %-5s %-10.10s %-11.11s %-11.11s %-10s %s"
            % (
                j["id"],
                j["user"],
                stat(t),
                j["queue"],
                j["host"],
                t["node"] or ("-" if "-w" in o else ""),
                n,
                tm(j["submitted"]),
            )
        )
        if "-p" in o and stat(t) == "PEND":
            print(" Not enough job slot(s): 4 hosts;")
    sys.exit(255 if bad else 0)


SIG = {n[3:]: getattr(__import__("signal"), n) for n in dir(__import__("signal")) if re.match(r"SIG[A-Z]+\d?$", n)}


def bkill(argv):
    k = S.fault("cancel", lsf_down)
    specs, sig, jname, i, user = [], None, None, 0, None
    while i < len(argv):
        a = argv[i]
        if a == "-s":
            i += 1
            sig = argv[i].upper().replace("SIG", "")
        elif a == "-J":
            i += 1
            jname = argv[i]
        elif a in ("-q", "-m", "-u", "-g", "-app", "-stat"):
            i += 1
        elif a in ("-b", "-r", "-d"):
            pass
        elif a.startswith("-"):
            die(255, "bkill: illegal option -- %s" % a[1:2])
        else:
            specs.append(a)
        i += 1
    if sig and sig.isdigit():
        sig = next((n for n, v in SIG.items() if v == int(sig)), sig)
    if sig and sig not in SIG:
        die(255, "%s: Illegal signal value" % sig)
    me = __import__("pwd").getpwuid(os.getuid()).pw_name
    if not specs and not jname:
        die(255, "Job ID or -J/-u/-q/-m/-g option required")
    rc = 0
    todo = []
    for s in specs if specs and specs != ["0"] else ["*"]:
        if s == "*":
            p, _ = select([], jname, me, lambda x: x not in ("DONE", "EXIT"))
            seen = sorted({j["id"] for j, t in p})
            if not seen:
                die(255, "No matching job found")
            todo += [(str(x), S.load(x), None) for x in seen]
            continue
        m = re.match(r"^(\d+)(?:\[([\d,:-]+)\])?$", s)
        if not m:
            print("%s: Illegal job ID." % s, file=sys.stderr)
            rc = 255
            continue
        j = S.load(m[1])
        ix = indices(m[2]) if m[2] else None
        if not j or (ix and not [t for t in j["tasks"] if t["index"] in ix]):
            print("Job <%s>: No matching job found" % s, file=sys.stderr)
            rc = 255
            continue
        todo.append((s, j, ix))
    for s, j, ix in todo:
        if j["user"] != me and os.getuid() != 0:
            print("Job <%s>: User permission denied" % s, file=sys.stderr)
            rc = 255
            continue
        live = [t for t in j["tasks"] if (ix is None or t["index"] in ix) and t["state"] != "END"]
        if not live:
            print("Job <%s>: Job has already finished" % s, file=sys.stderr)
            rc = 255
            continue
        if k != "ignored":
            what = (
                "kill"
                if not sig or sig in ("KILL", "TERM")
                else {"STOP": str(int(SIG["STOP"])), "CONT": str(int(SIG["CONT"]))}.get(sig, str(int(SIG[sig])))
            )
            for x in ([None] if ix is None else ix):
                S.request(j["id"], x, what)
        print("Job <%s> is being %s" % (s, "terminated" if not sig or sig in ("KILL", "TERM") else "signaled"))
    sys.exit(rc)


def bqueues(argv):
    S.fault("query", lsf_down)
    names = [a for a in argv if not a.startswith("-")]
    bad = [n for n in names if n not in QUEUES]
    if bad:
        die(255, "%s: No such queue" % bad[0])
    print("QUEUE_NAME      PRIO STATUS          MAX JL/U JL/P JL/H NJOBS  PEND   RUN  SUSP ")
    js = S.jobs()
    for q in names or QUEUES:
        ts = [stat(t) for j in js if j["queue"] == q for t in j["tasks"]]
        p, r, h = ts.count("PEND"), ts.count("RUN"), ts.count("PSUSP")
        print(
            "%-15s  30  %-13s   -    -    -    - %5d %5d %5d %5d"
            % (q, "Closed:Active" if q in CLOSED else "Open:Active", p + r + h, p, r, h)
        )


def bhosts(argv):
    S.fault("query", lsf_down)
    print("HOST_NAME          STATUS          JL/U    MAX  NJOBS    RUN  SSUSP  USUSP    RSV ")
    ts = [t for j in S.jobs() for t in j["tasks"] if t["state"] == "RUN"]
    for i in range(1, 5):
        r = sum(1 for t in ts if t["node"] == "node%d" % i)
        print("%-18s %-14s %5s %6d %6d %6d %6d %6d %6d" % ("node%d" % i, "ok", "-", 16, r, r, 0, 0, 0))


def bpeek(argv):
    p, bad = select([argv[-1]] if argv else [], None, os.environ.get("USER", ""), lambda s: s == "RUN")
    if not p:
        sys.exit(255)
    j, t = p[0]
    print("<< output from stdout >>")
    try:
        print(open(t["out"] if t["mode"] == "direct" else t["spool"][0]).read(), end="")
    except (OSError, TypeError, KeyError):
        pass


def lsid(argv):
    print(
        "IBM Spectrum LSF Standard 10.1.0.0 (testbed emulator)\n\nMy cluster name is testbed\nMy master name is %s"
        % S.host
    )


if __name__ == "__main__":
    globals()[sys.argv[1]](sys.argv[2:])
