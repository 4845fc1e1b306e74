#!/usr/bin/env python3
"""PBS emulator: qsub qstat qdel qsig qselect pbsnodes (called by those names).

Output, messages and exit statuses are those of a real OpenPBS 23.06.06 server:
  - ids "0.head1", arrays "0[].head1", elements "0[3].head1"; numbering starts at 0.
  - arrays: `-J X-Y[:Z]` only, X<Y (so an array of one element is refused); -t is "invalid option" (Torque's).
  - a whole array is "123[]": `qdel 123` of an array is "Unknown Job Id 123.head1", 153.
  - the job starts in $HOME with a login-like environment (PBS_O_WORKDIR is where qsub ran); -V or -v passes variables.
  - output is spooled and delivered at the end, mode 600: NAME.oN, NAME.eN, arrays NAME.oN.I; a plain -o FILE is
    overwritten by every element of an array; ^array_index^ expands; a directory gets "123[1].head1.OU"/".ER".
  - qstat forgets finished jobs: 35 "Job has finished, use -x or -H ..."; -x shows them.
  - qdel of a running job returns before the job is gone.
  - qsub from root: "qsub: Bad UID for job execution", 175 (only with TB_FAKE_ROOT=deny; allowed by default here).
TB_FAKE_PBS_FLAVOR=torque: -t X-Y or -t N, ids "7[].head1" / "7[3].head1", PBS_ARRAYID, output NAME.o7-3, job starts in $HOME,
qstat's wider table, state C for finished (kept), as documented for Torque 6 (http://docs.adaptivecomputing.com/torque/).
"""

import json, os, pwd, re, shlex, signal, sys, time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from core import BANNER, System, clean_env, die

S = System("pbs", first=0)
TORQUE = os.environ.get("TB_FAKE_PBS_FLAVOR") == "torque"
QUEUES = {"batch" if TORQUE else "workq": None, "short": 60, "closed": None}
DEFAULT = next(iter(QUEUES))
ME = pwd.getpwuid(os.getuid()).pw_name
USAGE = [
    "usage: qsub [-a date_time] [-A account_string] [-c interval]",
    "\t[-C directive_prefix] [-e path] [-f ] [-h ] [-I [-X]] [-j oe|eo] [-J X-Y[:Z]]",
    "\t[-k keep] [-l resource_list] [-m mail_options] [-M user_list]",
    "\t[-N jobname] [-o path] [-p priority] [-P project] [-q queue] [-r y|n]",
    "\t[-R o|e|oe] [-S path] [-u user_list] [-W otherattributes=value...]",
    "\t[-v variable_list] [-V ] [-z] [script | -- command [arg1 ...]]",
    "       qsub --version",
]


def down(prog, rc):
    def f():
        if prog == "qdel":
            die(rc, "Connection refused", "Couldn't connect to cluster: %s" % S.host)
        die(rc, "Connection refused", "%s: cannot connect to server %s (errno=15010)" % (prog, S.host))

    return f


def secs(s):
    p = s.split(":")
    if not all(x.isdigit() for x in p) or not 1 <= len(p) <= 3:
        return None
    n = 0
    for x in p:
        n = n * 60 + int(x)
    return n


OPTARG = "aAceljJkmMNopPqrRSuWvC" + ("td" if TORQUE else "")
NOARG = "fhIVXz"


def getopts(args, o, origin):
    i = 0
    while i < len(args):
        a = args[i]
        if a == "--":
            return args[i:]
        if not a.startswith("-") or a == "-":
            return args[i:]
        j = 1
        while j < len(a):
            c = a[j]
            if c in NOARG:
                o.setdefault(c, True)
                j += 1
                continue
            if c not in OPTARG:
                m = ["qsub: invalid option -- '%s'" % c]
                die(
                    1 if origin == "script" else 2,
                    *(m + (["qsub: directive error: %s " % " ".join(args)] if origin == "script" else USAGE))
                )
            v = a[j + 1 :]
            if not v:
                i += 1
                if i >= len(args):
                    die(2, "qsub: option requires an argument -- '%s'" % c, *USAGE)
                v = args[i]
            if c in "lWv" and c in o and o["_from_" + c] == origin:
                o[c] += "," + v
            elif c not in o:
                o[c] = v
                o["_from_" + c] = origin
            break
        i += 1
    return []


def qsub(argv):
    if argv == ["--version"]:
        die(0, *(["Version: 6.1.3", "Commit: 170e8ab"] if TORQUE else ["pbs_version = 23.06.06"]), out=sys.stdout)
    o = {}
    rest = getopts(argv, o, "cli")
    script, base, cmd = None, "STDIN", None
    if rest and rest[0] == "--":
        cmd = rest[1:]
        if not cmd:
            die(2, *USAGE)
        script = " ".join(cmd)
    elif rest and rest[0] != "-":
        try:
            with open(rest[0]) as f:
                script = f.read()
        except OSError as e:
            die(1, "qsub: script file:: %s" % e.strerror)
        base = os.path.basename(rest[0])
    else:
        script = sys.stdin.read()
    if cmd is None:
        pre = o.get("C", "#PBS")
        for l in script.splitlines():
            if l.startswith(pre + " ") or l.startswith(pre + "\t"):
                try:
                    a = shlex.split(l[len(pre) :], comments=True)
                except ValueError:
                    die(1, "qsub: directive error: %s" % l[len(pre) :])
                getopts(a, o, "script")
            elif l.strip() and not l.lstrip().startswith("#") and not l.startswith(":"):
                break
    k = S.fault("submit", down("qsub", 162))
    if k == "reject":
        (
            die(174, "qsub: Job exceeds queue and/or server resource limits")
            if not TORQUE
            else die(188, "qsub: submit error (Job exceeds queue resource limits)")
        )
    if k == "banner":
        print(BANNER)
    if os.getuid() == 0 and os.environ.get("TB_FAKE_ROOT") == "deny":
        die(175, "qsub: Bad UID for job execution")
    name = o.get("N", base)
    if "N" in o and not re.match(r"^[A-Za-z_+.-][!-~]{0,235}$" if not TORQUE else r"^[A-Za-z][!-~]{0,14}$", name):
        die(2, "qsub: illegal -N value", *USAGE)
    q = o.get("q", DEFAULT).split("@")[0] or DEFAULT
    if q not in QUEUES:
        die(170, "qsub: Unknown queue")
    if q == "closed":
        die(177, "qsub: Queue is not enabled")
    arr = None
    if "J" in o and not TORQUE:
        m = re.match(r"^(\d+)-(\d+)(?::(\d+))?(?:%\d+)?$", o["J"])
        if not m or int(m[1]) >= int(m[2]):
            die(2, "qsub: illegal -J value", *USAGE)
        arr = list(range(int(m[1]), int(m[2]) + 1, int(m[3] or 1)))
        if len(arr) > 10000:
            die(188, "qsub: Array job exceeds server or queue size limit")
    if "t" in o:
        arr = []
        for p in o["t"].split("%")[0].split(","):
            m = re.match(r"^(\d+)(?:-(\d+))?$", p)
            if not m:
                die(2, "qsub: illegal -t value", *USAGE)
            arr += range(int(m[1]), int(m[2] or m[1]) + 1) if m[2] else [int(m[1])]
    res, limit = {"ncpus": "1", "nodect": "1"}, QUEUES[q]
    for p in re.split(r",(?=\w+=)", o.get("l", "")):
        if "=" not in p:
            continue
        a, v = p.split("=", 1)
        res[a] = v
        if a == "walltime":
            limit = secs(v)
            if limit is None:
                die(166, "qsub: Illegal attribute or resource value Resource_List.walltime")
    pw = pwd.getpwuid(os.getuid())
    cwd = os.getcwd()
    jid = S.next_id()
    full = "%d%s.%s" % (jid, "[]" if arr else "", S.host)
    sp = os.path.join(S.dir, "spool", "%d.SC" % jid)
    if cmd is None:
        with open(sp, "w") as f:
            f.write(script if script.endswith("\n") else script + "\n")
        os.chmod(sp, 0o700)
    shell = o.get("S", "").split(",")[0].split("@")[0] or pw.pw_shell or "/bin/sh"
    env = clean_env() if "V" in o else {}
    env = {k2: v for k2, v in env.items() if not k2.startswith("PBS_")}
    for v in re.split(r",(?=\w+(?:=|,|$))", o.get("v", "")):
        if "=" in v:
            a, b = v.split("=", 1)
            env[a] = b.strip("\"'")
        elif v in os.environ:
            env[v] = os.environ[v]
    env.update(HOME=pw.pw_dir, LOGNAME=ME, USER=ME, SHELL=shell)
    env.setdefault("PATH", "/usr/local/bin:/usr/bin:/bin")
    pv = {
        "PBS_O_HOME": pw.pw_dir,
        "PBS_O_HOST": S.host,
        "PBS_O_LOGNAME": ME,
        "PBS_O_PATH": os.environ.get("PATH", ""),
        "PBS_O_QUEUE": q,
        "PBS_O_SHELL": pw.pw_shell,
        "PBS_O_SYSTEM": "Linux",
        "PBS_O_WORKDIR": cwd,
        "PBS_O_LANG": os.environ.get("LANG", "C"),
    }
    exp = lambda p, i: p.replace("^array_index^", str(i))

    def where(opt, ext, tag, i):
        p = o.get(opt)
        sfx = ("-%s" % i if TORQUE else ".%s" % i) if arr else ""
        if not p:
            return os.path.join(cwd, "%s.%s%d%s" % (name, ext, jid, sfx))
        p = re.sub(r"^[\w.-]*:(?=/)", "", p)
        p = os.path.join(cwd, exp(p, i))
        if TORQUE and arr and not os.path.isdir(p):
            p += "-%s" % i
        return (
            os.path.join(p, "%s.%s" % (full.replace("[]", "[%s]" % i), tag))
            if os.path.isdir(p) or p.endswith("/")
            else p
        )

    tasks = []
    for i in arr or [0]:
        me = full.replace("[]", "[%d]" % i)
        nf = os.path.join(S.dir, "spool", "%d.%d.nodes" % (jid, i))
        with open(nf, "w") as f:
            f.write("node%d\n" % ((jid + i) % 4 + 1))
        te = dict(
            env,
            **pv,
            PBS_JOBID=me,
            PBS_JOBNAME=name,
            PBS_QUEUE=q,
            PBS_ENVIRONMENT="PBS_BATCH",
            PBS_NODEFILE=nf,
            PBS_NODENUM="0",
            PBS_TASKNUM="1",
            PBS_JOBDIR=pw.pw_dir,
            PBS_MOMPORT="15003",
            PBS_JOBCOOKIE="%032X" % (jid * 7919 + i),
            NCPUS="1",
            OMP_NUM_THREADS="1",
            TMPDIR=env.get("TMPDIR", "/tmp")
        )
        if arr and TORQUE:
            te["PBS_ARRAYID"] = str(i)
        elif arr:
            te.update(PBS_ARRAY_INDEX=str(i), PBS_ARRAY_ID=full)
        out, err = where("o", "o", "OU", i), where("e", "e", "ER", i)
        j = o.get("j", "n")
        if j == "eo":
            out = err
        interp = [shell, sp]
        if cmd is None and script.startswith("#!") and "S" not in o:
            interp = script.split("\n", 1)[0][2:].split() + [sp]
        tasks.append(
            dict(
                index=i,
                argv=cmd or interp,
                env=te,
                cwd=pw.pw_dir,
                out=out,
                err=err,
                join=j in ("oe", "eo"),
                mode="spool",
                append=False,
                fmode=0o600,
                limit=limit,
            )
        )
    job = dict(
        id=jid,
        name=name,
        queue=q,
        array=bool(arr),
        full=full,
        res=res,
        join=o.get("j", "n"),
        args=" ".join(argv),
        opath=o.get("o"),
        held="h" in o,
        vars=dict(pv, **env),
        outp=(
            where("o", "o", "OU", "^array_index^")
            if arr is None or TORQUE
            else os.path.join(cwd, o["o"] if "o" in o else "%s.o%d.^array_index^" % (name, jid))
        ),
        errp=(
            where("e", "e", "ER", "^array_index^")
            if arr is None or TORQUE
            else os.path.join(cwd, o["e"] if "e" in o else "%s.e%d.^array_index^" % (name, jid))
        ),
        arrspec=o.get("J") or o.get("t"),
        kill_wait=2,
    )
    S.submit(job, tasks)
    if k == "timeout":
        die(162, "qsub: cannot connect to server %s (errno=15010)" % S.host)
    if k == "noid":
        return
    if "z" not in o:
        print(full)
        sys.stdout.flush()
    if "block=true" in o.get("W", "").replace(" ", ""):
        while True:
            j = S.load(jid)
            if all(t["state"] == "END" for t in j["tasks"]):
                sys.exit(rcode(j["tasks"][0]) & 0xFF)
            time.sleep(0.1)


def rcode(t):
    return -29 if t.get("over") else t["code"] if t["code"] is not None else 256 + (t["sig"] or 15)


def tst(j, t):
    if t["state"] == "END":
        return ("C" if TORQUE else "X") if j["array"] else ("C" if TORQUE else "F")
    return {"PEND": "H" if j.get("held") else "Q", "RUN": "E" if t.get("term") else "R", "HOLD": "H"}[t["state"]]


def jst(j):
    s = [t["state"] for t in j["tasks"]]
    if all(x == "END" for x in s):
        return "C" if TORQUE else "F"
    if not j["array"]:
        return tst(j, j["tasks"][0])
    if TORQUE:
        return "R" if "RUN" in s else "Q"
    if "H" in [tst(j, t) for t in j["tasks"]] and "RUN" not in s:
        return "H"
    return "Q" if all(x == "PEND" for x in s) else "B"


def find(spec):
    """'7', '7.head1', '7[]', '7[3].head1' -> (job, [tasks] or None for the array as such) or None."""
    m = re.match(r"^(\d+)(\[(\d*)(?:-(\d+))?\])?(?:\.([\w.-]+))?$", spec)
    if not m:
        return "bad"
    j = S.load(m[1])
    if not j or bool(m[2]) != j["array"]:
        return None
    if m[2] and m[3]:
        t = [t for t in j["tasks"] if int(m[3]) <= t["index"] <= int(m[4] or m[3])]
        return (j, t) if t else None
    return (j, None)


def canon(spec):
    return spec if "." in spec else "%s.%s" % (spec, S.host)


def hms(s):
    return "%02d:%02d:%02d" % (s // 3600, s // 60 % 60, s % 60)


def ct(x):
    return time.strftime("%a %b %e %H:%M:%S %Y", time.localtime(x))


def attrs(j, t=None):
    """Ordered attributes as qstat -f shows them."""
    a = [("Job_Name", j["name"]), ("Job_Owner", "%s@%s" % (j["user"], j["host"]))]
    one = t or (None if j["array"] else j["tasks"][0])
    if one and one["start"]:
        a += [
            ("resources_used." + k, v)
            for k, v in (
                ("cpupercent", 0),
                ("cput", "00:00:00"),
                ("mem", "1396kb"),
                ("ncpus", 1),
                ("vmem", "2500kb"),
                ("walltime", hms(int((one["end"] or time.time()) - one["start"]))),
            )
        ]
    a += [
        ("job_state", tst(j, t) if t else jst(j)),
        ("queue", j["queue"]),
        ("server", j["host"]),
        ("Checkpoint", "u"),
        ("ctime", ct(j["submitted"])),
    ]
    a += [("Error_Path", "%s:%s" % (j["host"], one["err"] if one else j["errp"]))]
    if one and one["node"]:
        a += [("exec_host", one["node"] + "/0"), ("exec_vnode", "(%s:ncpus=1)" % one["node"])]
    a += [
        ("Hold_Types", "u" if j.get("held") else "n"),
        ("Join_Path", j["join"]),
        ("Keep_Files", "n"),
        ("Mail_Points", "a"),
        ("mtime", ct((one and (one["end"] or one["start"])) or j["submitted"])),
        ("Output_Path", "%s:%s" % (j["host"], one["out"] if one else j["outp"])),
        ("Priority", 0),
        ("qtime", ct(j["submitted"])),
        ("Rerunable", "True"),
    ]
    r = dict(j["res"])
    r.setdefault("place", "pack")
    r.setdefault("select", "1:ncpus=" + r["ncpus"])
    a += [("Resource_List." + k, int(v) if v.isdigit() else v) for k, v in sorted(r.items())]
    if one and one["start"]:
        a += [("stime", ct(one["start"])), ("session_id", one["pid"] or 0), ("jobdir", os.path.expanduser("~"))]
    a += [
        (
            "substate",
            {"Q": 10, "R": 42, "B": 70, "H": 20, "E": 51, "X": 70, "F": 92}.get(tst(j, t) if t else jst(j), 42),
        ),
        ("Variable_List", j["vars"]),
    ]
    if one and one["node"]:
        c = "Job run at %s on (%s:ncpus=1)" % (
            time.strftime("%a %b %d at %H:%M", time.localtime(one["start"] or j["submitted"])),
            one["node"],
        )
        if one["state"] == "END":
            c += (
                " and exceeded resource walltime"
                if one.get("over")
                else (
                    " and terminated by %s@%s" % (j["user"], j["host"])
                    if one.get("killed")
                    else " and finished" if one["code"] == 0 else " and failed"
                )
            )
        a += [("comment", c)]
    a += [("etime", ct(j["submitted"]))]
    if one and one["start"]:
        a += [("run_count", 1)]
    if one and one["state"] == "END":
        a += [("Stageout_status", 0 if one.get("stage") else 1), ("Exit_status", rcode(one))]
    if t:
        a += [("array_id", j["full"]), ("array_index", t["index"])]
    elif j["array"]:
        st = [x["state"] for x in j["tasks"]]
        rem = [x["index"] for x in j["tasks"] if x["state"] == "PEND"]
        a += [
            ("Submit_arguments", j["args"]),
            ("array", "True"),
            (
                "array_state_count",
                "Queued:%d Running:%d Exiting:0 Expired:%d"
                % (st.count("PEND") + st.count("HOLD"), st.count("RUN"), st.count("END")),
            ),
            ("array_indices_submitted", j["arrspec"]),
            ("array_indices_remaining", "%d-%d" % (rem[0], rem[-1]) if len(rem) > 1 else str(rem[0]) if rem else "-"),
        ]
        if all(x == "END" for x in st):
            a += [("Exit_status", max(1 if rcode(x) else 0 for x in j["tasks"]))]
    else:
        a += [("Submit_arguments", j["args"])]
    return a + [("project", "_pbs_project_default"), ("Submit_Host", j["host"])]


def qstat(argv):
    o, specs, i = {}, [], 0
    while i < len(argv):
        a = argv[i]
        if a.startswith("-") and len(a) > 1:
            for c in a[1:]:
                if c in "uF":
                    i += 1
                    o[c] = argv[i] if i < len(argv) else ""
                    break
                if c not in "fxtJHaiprsn1wQBEGMTq":
                    die(
                        2,
                        "qstat: invalid option -- '%s'" % c,
                        "usage:  qstat [-f] [-J] [-p] [-t] [-x] [-E] [-F format] [-D delim] [ job_identifier... | destination... ]",
                    )
                o[c] = True
        else:
            specs.append(a)
        i += 1
    k = S.fault("query", down("qstat", 255))
    if k == "garbage":
        print("qstat: Protocol (ASN.1) error")
        sys.exit(1)
    if "B" in o:
        print(
            "Server             Max   Tot   Que   Run   Hld   Wat   Trn   Ext Status\n---------------- ----- ----- ----- ----- ----- ----- ----- ----- -----------"
        )
        print("%-16s %5d %5d %5d %5d %5d %5d %5d %5d %-11s" % (S.host, 0, len(S.jobs()), 0, 0, 0, 0, 0, 0, "Active"))
        return
    if "Q" in o or "q" in o:
        print(
            "Queue              Max   Tot Ena Str   Que   Run   Hld   Wat   Trn   Ext Type\n---------------- ----- ----- --- --- ----- ----- ----- ----- ----- ----- ----"
        )
        for q in QUEUES:
            js = [jst(j) for j in S.jobs() if j["queue"] == q]
            print(
                "%-16s %5d %5d %3s %3s %5d %5d %5d %5d %5d %5d %s"
                % (
                    q,
                    0,
                    len(js),
                    "no" if q == "closed" else "yes",
                    "yes",
                    js.count("Q"),
                    js.count("R") + js.count("B"),
                    js.count("H"),
                    0,
                    0,
                    0,
                    "Exe*",
                )
            )
            return
    hist = "x" in o or "H" in o or TORQUE
    rows, rc, err = [], 0, []
    if specs:
        for s in specs:
            r = find(s) if k != "empty" else None
            if r == "bad":
                die(1, "qstat: illegally formed job identifier: %s" % s)
            if r is None:
                err.append("qstat: Unknown Job Id %s" % canon(s))
                rc = 153
                continue
            j, ts = r
            if jst(j) in "F" and not hist:
                err.append("qstat: %s Job has finished, use -x or -H to obtain historical job information" % canon(s))
                rc = 35
                continue
            rows += (
                [(j, t) for t in ts]
                if ts
                else [(j, None)] + ([(j, t) for t in j["tasks"]] if "t" in o and j["array"] else [])
            )
    else:
        for j in [] if k == "empty" else S.jobs():
            if ("u" in o and j["user"] not in o["u"].split(",")) or ("J" in o and not j["array"]):
                continue
            f = jst(j) in "FC"
            if ("H" in o and not f) or (f and not hist):
                continue
            rows += [(j, None)] + ([(j, t) for t in j["tasks"]] if "t" in o and j["array"] else [])
    lab = lambda j, t: j["full"].replace("[]", "[%d]" % t["index"]) if t else j["full"]
    if "f" in o and o.get("F") == "json":
        jobs = {}
        for j, t in rows:
            d = {}
            for a, v in attrs(j, t):
                if "." in a and a.split(".")[0] in ("Resource_List", "resources_used"):
                    d.setdefault(a.split(".")[0], {})[a.split(".", 1)[1]] = v
                else:
                    d[a] = v
            jobs[lab(j, t)] = d
        if rows or not specs:
            print(
                json.dumps(
                    {
                        "timestamp": int(time.time()),
                        "pbs_version": "23.06.06",
                        "pbs_server": S.host,
                        **({"Jobs": jobs} if jobs else {}),
                    },
                    indent="\t",
                    separators=(",", ":\t"),
                )
            )
    elif "f" in o:
        for j, t in rows:
            print("Job Id: %s" % lab(j, t))
            for a, v in attrs(j, t):
                if isinstance(v, dict):
                    v = ",".join("%s=%s" % x for x in v.items())
                l = "    %s = %s" % (a, v)
                while len(l) > 79 and "," in l[40:79]:  # long values break at a comma, continued by a tab
                    c = l.rindex(",", 0, 79) + 1
                    print(l[:c])
                    l = "\t" + l[c:]
                print(l)
            print()
    elif rows:
        if set("aisnHru1w") & set(o):
            print(
                "\n%s: \n%60sReq'd  Req'd   Elap\nJob ID          Username Queue    Jobname    SessID NDS TSK Memory Time  S Time\n--------------- -------- -------- ---------- ------ --- --- ------ ----- - -----"
                % (S.host, "")
            )
            for j, t in rows:
                one = t or j["tasks"][0]
                el = (
                    "   -- "
                    if not one["start"] or j["array"] and not t
                    else time.strftime("%H:%M", time.gmtime((one["end"] or time.time()) - one["start"]))
                )
                print(
                    "%-15.15s %-8.8s %-8.8s %-10.10s %6s %3d %3d %6s %5s %s %s"
                    % (
                        lab(j, t),
                        j["user"],
                        j["queue"],
                        j["name"],
                        "--" if j["array"] and not t else one["pid"] or "--",
                        1,
                        1,
                        "--",
                        "--",
                        tst(j, t) if t else jst(j),
                        el,
                    )
                )
        elif TORQUE:
            print(
                "Job ID                    Name             User            Time Use S Queue\n------------------------- ---------------- --------------- -------- - -----"
            )
            for j, t in rows:
                print(
                    "%-25.25s %-16.16s %-15.15s %8s %s %-15s"
                    % (lab(j, t), j["name"], j["user"], "0", tst(j, t) if t else jst(j), j["queue"])
                )
        else:
            print(
                "Job id            Name             User              Time Use S Queue\n----------------  ---------------- ----------------  -------- - -----"
            )
            for j, t in rows:
                one = t or (None if j["array"] else j["tasks"][0])
                print(
                    "%-17.17s %-16.16s %-17.17s %8s %s %-16s"
                    % (
                        lab(j, t),
                        j["name"],
                        j["user"],
                        "00:00:00" if one and one["start"] else "0",
                        tst(j, t) if t else jst(j),
                        j["queue"],
                    )
                )
    sys.stdout.flush()
    for e in err:
        print(e, file=sys.stderr)
    sys.exit(rc)


def qdel(argv):
    k = S.fault("cancel", down("qdel", 162))
    rc, i, specs = 0, 0, []
    while i < len(argv):
        if argv[i] in ("-W", "-m"):
            i += 1
        elif argv[i] in ("-x", "-p", "-Wforce"):
            pass
        elif argv[i].startswith("-"):
            die(
                2,
                "qdel: invalid option -- '%s'" % argv[i][1:2],
                "usage:\n\tqdel [-W delay|force] [-x] [-W suppress_email=X] job_identifier...",
            )
        else:
            specs.append(argv[i])
        i += 1
    if not specs:
        die(2, "usage:\n\tqdel [-W delay|force] [-x] [-W suppress_email=X] job_identifier...")
    for s in specs:
        r = find(s)
        if r == "bad":
            print("qdel: illegally formed job identifier: %s" % s, file=sys.stderr)
            rc = 1
            continue
        if r is None or (jst(r[0]) in "FC" and TORQUE):
            print("qdel: Unknown Job Id %s" % canon(s), file=sys.stderr)
            rc = 153
            continue
        j, ts = r
        if jst(j) == "F":
            print("qdel: Job has finished %s" % canon(s), file=sys.stderr)
            rc = 35
            continue
        if j["user"] != ME and os.getuid():
            print("qdel: Unauthorized Request  %s" % canon(s), file=sys.stderr)
            rc = 159
            continue
        if k != "ignored":
            for x in [None] if ts is None else [t["index"] for t in ts]:
                S.request(j["id"], x, "kill")
    sys.exit(rc)


def qsig(argv):
    k = S.fault("cancel", down("qsig", 162))
    sig, specs, i, rc = "TERM", [], 0, 0
    while i < len(argv):
        if argv[i] == "-s":
            i += 1
            sig = argv[i]
        elif argv[i].startswith("-s"):
            sig = argv[i][2:]
        elif argv[i].startswith("-"):
            die(2, "usage: qsig [-s signal] job_identifier...\n       qsig --version")
        else:
            specs.append(argv[i])
        i += 1
    n = int(sig) if sig.isdigit() else getattr(signal, "SIG" + sig.upper().replace("SIG", ""), None)
    for s in specs or die(2, "usage: qsig [-s signal] job_identifier...\n       qsig --version"):
        r = find(s)
        if r in (None, "bad"):
            print("qsig: Unknown Job Id %s" % canon(s), file=sys.stderr)
            rc = 153
            continue
        if n is None:
            print("qsig: Unknown/illegal signal name %s" % canon(s), file=sys.stderr)
            rc = 170
            continue
        j, ts = r
        run = [t for t in (ts or j["tasks"]) if t["state"] == "RUN"]
        if not run and not (j["array"] and ts is None and jst(j) == "B"):
            print("qsig: Request invalid for state of job %s" % canon(s), file=sys.stderr)
            rc = 168
            continue
        for t in run if k != "ignored" else []:
            S.request(j["id"], t["index"], str(int(n)))
    sys.exit(rc)


def qselect(argv):
    S.fault("query", down("qselect", 255))
    for j in S.jobs():
        if jst(j) not in "FC" or "-x" in argv:
            print(j["full"])


def pbsnodes(argv):
    S.fault(
        "query", lambda: die(1, "Connection refused", "pbsnodes: cannot connect to server %s, error=15010" % S.host)
    )
    for n in range(1, 5):
        print(
            "node%d\n     Mom = node%d\n     Port = 15002\n     pbs_version = 23.06.06\n     ntype = PBS\n     state = free\n     pcpus = 4\n     resources_available.ncpus = 4\n     resources_assigned.ncpus = %d\n"
            % (n, n, sum(1 for j in S.jobs() for t in j["tasks"] if t["state"] == "RUN" and t["node"] == "node%d" % n))
        )


if __name__ == "__main__":
    globals()[sys.argv[1]](sys.argv[2:])
