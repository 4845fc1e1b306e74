#!/usr/bin/env python3
"""HTCondor emulator: condor_submit condor_q condor_rm condor_hold condor_release condor_history condor_status condor_version.

Messages, tables and the job event log are those of HTCondor 23.9.6; submit language from the manual's condor_submit page
(https://htcondor.readthedocs.io/en/latest/man-pages/condor_submit.html):
  - "Submitting job(s)..." (one dot per job) and "3 job(s) submitted to cluster 42." on stdout; -terse: "42.0 - 42.2".
  - queue [N], several queue statements, $(Cluster) $(ClusterId) $(Process) $(ProcId) $(name) $(name:default) $ENV(X),
    name=value on the command line, -append; comments, trailing backslash; case-insensitive commands.
  - arguments/environment in the new syntax ("..." with '' quoting and "" for a double quote) and the old one.
  - executable is relative to initialdir/the submit directory, never looked up in PATH; with transfer_executable=True
    (default) it must exist when submitting; otherwise the job is held when it cannot be started.
  - the job's environment is empty but for `environment`, getenv and HTCondor's own variables: no PATH, no HOME.
  - output/error/log are relative to initialdir; without `output` stdout is discarded.
  - finished jobs leave condor_q and appear in condor_history; held jobs stay (JobStatus 5), less what a
    periodic_remove of the form ... member(HoldReasonCode, {6, 7}) removes.
  - a removed job that runs still is in condor_q with JobStatus 3; job_max_vacate_time (default 600 s) after SIGTERM it is killed.
JobStatus: 1 idle, 2 running, 3 removed, 4 completed, 5 held. Root is refused with TB_FAKE_ROOT=deny.
"""

import json, os, pwd, re, sys, time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from core import BANNER, System, die

S = System("htcondor", first=1)
ME = pwd.getpwuid(os.getuid()).pw_name


def down_submit():
    die(1, "", "ERROR: Can't find address of local schedd")


def down_q():
    die(
        1,
        "Error: Can't find address for schedd %s" % S.host,
        "",
        "Extra Info: You probably saw this error because the condor_schedd is not ",
        "running on the machine you are trying to query. If the condor_schedd is not ",
        "running, the Condor system will not be able to find an address and port to ",
        "connect to and satisfy this request. Please make sure the Condor daemons are ",
        "running and try again.",
        " ",
    )


def down_rm():
    die(1, "condor_rm: Can't find address for schedd %s" % S.host)


def split_new(s, what, raw):
    """Contents of a double-quoted new-syntax string -> list of words."""
    body, i = "", 1
    while i < len(s):
        if s[i] == '"':
            if s[i + 1 : i + 2] == '"':
                body += '"'
                i += 2
                continue
            if s[i + 1 :].strip():
                sys.stdout.write(
                    "ERROR: Unexpected characters following double-quote.  Did you forget to escape the double-quote by repeating it?  Here is the quote and trailing characters: %s\n\nThe full %s you specified were: %s\n"
                    % (s[i:], what, raw)
                )
                sys.exit(1)
            break
        body += s[i]
        i += 1
    else:
        sys.stdout.write("ERROR: Failed to parse %s: Unterminated double-quote.\n" % what)
        sys.exit(1)
    words, cur, inq, have, i = [], "", False, False, 0
    while i < len(body):
        c = body[i]
        if c == "'":
            if inq and body[i + 1 : i + 2] == "'":
                cur += "'"
                i += 2
                continue
            inq = not inq
            have = True
        elif c.isspace() and not inq:
            if have or cur:
                words.append(cur)
            cur, have = "", False
        else:
            cur += c
        i += 1
    if inq:
        sys.stdout.write("ERROR: Unbalanced quote starting here: %s\n" % body)
        sys.exit(1)
    if have or cur:
        words.append(cur)
    return words


def condor_submit(argv):
    o, fn, app, defs, i = {}, None, [], [], 0
    while i < len(argv):
        a = argv[i]
        if a in (
            "-terse",
            "-verbose",
            "-spool",
            "-disable",
            "-debug",
            "-unused",
            "-dry-run",
            "-single-cluster",
            "-factory",
        ):
            o[a] = True
        elif a in ("-a", "-append"):
            i += 1
            app.append(argv[i])
        elif a in (
            "-name",
            "-remote",
            "-pool",
            "-batch-name",
            "-addr",
            "-maxjobs",
            "-queue",
            "-password",
            "-dump",
            "-file",
        ):
            i += 1
            o[a] = argv[i] if i < len(argv) else ""
        elif a.startswith("-") and a != "-":
            die(1, "ERROR: unknown option %s" % a)
        elif "=" in a and not os.path.exists(a):
            defs.append(a)
        else:
            fn = a
        i += 1
    fn = fn or o.get("-file") or "-"
    try:
        text = sys.stdin.read() if fn == "-" else open(fn).read()
    except OSError as e:
        die(1, "", "ERROR: Failed to open command file (%s) (%s)" % (fn, e.strerror))
    k = S.fault("submit", down_submit)
    if k == "banner":
        print(BANNER)
    if k == "reject":
        die(
            1,
            "ERROR: Failed to commit job submission into the queue.",
            "ERROR: SUBMIT_REQUIREMENT rejected: job refused by policy",
        )
    if os.getuid() == 0 and os.environ.get("TB_FAKE_ROOT") == "deny":
        die(1, "ERROR: Submitting jobs as user/group 0 (root) is not allowed for security reasons.")
    terse = "-terse" in o
    if not terse:
        sys.stdout.write("Submitting job(s)")
    v, cwd, env0 = {}, os.getcwd(), dict(os.environ)
    for d in defs:
        a, b = d.split("=", 1)
        v[a.strip().lower()] = b.strip()
    lines, cont = [], ""
    for n, l in enumerate(text.splitlines(), 1):
        l = cont + l.strip() if cont else l.strip()
        if l.endswith("\\"):
            cont = l[:-1]
            continue
        cont = ""
        if l and not l.startswith("#"):
            lines.append((n, l))
    qpos = [i for i, (n, l) in enumerate(lines) if re.match(r"(?i)^queue\b(?!\s*=)", l)]
    for a in app:
        lines.insert(qpos[-1] if qpos else len(lines), (0, a))
    if not any(re.match(r"(?i)^queue\b(?!\s*=)", l) for n, l in lines):
        if "-queue" in o:
            lines.append((0, "queue " + o["-queue"]))
        else:
            n = len(text.splitlines())
            sys.stdout.write(
                "\nERROR: on Line %d of submit file: no queue statement\n\nERROR: Failed to parse command file (line %d).\n"
                % (n, n)
            )
            sys.exit(1)

    def expand(s, loc, depth=0):
        if depth > 20:
            return s

        def sub(m):
            if m[1]:
                return env0.get(m[2], "UNDEFINED")
            key, _, dflt = m[2].partition(":")
            kk = key.strip().lower()
            if kk in loc:
                return loc[kk]
            if kk in v:
                return expand(v[kk], loc, depth + 1)
            return dflt if _ else ""

        return re.sub(r"\$(ENV)?\(([^()]*)\)", sub, s)

    cid, tasks, proc, ads = None, [], 0, []
    for n, l in lines:
        m = re.match(r"(?i)^queue\b(?!\s*=)\s*(.*)$", l)
        if not m:
            m = re.match(r"^([+\w.]+)\s*=\s*(.*)$", l)
            if not m:
                sys.stdout.write(
                    "\nERROR: on Line %d of submit file: \n\nERROR: Failed to parse command file (line %d).\n" % (n, n)
                )
                sys.exit(1)
            v[m[1].lower()] = m[2]
            continue
        arg = expand(m[1], {}).strip()
        items, var, cnt = [None], "item", 1
        mm = re.match(r"(?is)^(\d+)?\s*(?:(\w+)?\s*(in|from|matching)\s*(.*))?$", arg)
        if not mm:
            sys.stdout.write("\nERROR: on Line %d of submit file: invalid queue arguments\n" % n)
            sys.exit(1)
        cnt = int(mm[1] or 1)
        if mm[3]:
            var = (mm[2] or "item").lower()
            src = mm[4].strip()
            if mm[3].lower() == "in":
                items = src.strip("()").replace(",", " ").split()
            elif mm[3].lower() == "matching":
                import glob

                items = sorted(x for p in src.replace("files", "").replace(",", " ").split() for x in glob.glob(p))
            else:
                items = [x.strip() for x in open(src) if x.strip()]
        for it in items:
            for step in range(cnt):
                if "executable" not in v:
                    sys.stdout.write("ERROR: No 'executable' parameter was provided\n")
                    sys.exit(1)
                if cid is None and proc == 0:
                    cid = S.next_id()
                loc = {
                    "cluster": str(cid),
                    "clusterid": str(cid),
                    "process": str(proc),
                    "procid": str(proc),
                    "step": str(step),
                    "row": "0",
                    "dollar": "$",
                }
                if it is not None:
                    loc[var] = it
                g = lambda key, d=None: expand(v[key], loc) if key in v else d
                iwd = os.path.join(cwd, g("initialdir", g("initial_dir", cwd)) or cwd)
                if not os.path.isdir(iwd):
                    sys.stdout.write("\nERROR: No such directory: %s\n" % iwd)
                    sys.exit(1)
                uni = (g("universe", "vanilla") or "").lower()
                if uni not in ("vanilla", "local", "scheduler", "parallel", "5"):
                    sys.stdout.write("\nERROR: I don't know about the '%s' universe.\n" % uni)
                    sys.exit(1)
                ex = g("executable")
                exe = os.path.join(iwd, ex)
                te = (g("transfer_executable", "true") or "").lower() in ("true", "yes", "1", "t")
                if te and not os.path.exists(exe):
                    sys.stdout.write("\nERROR: Executable file %s does not exist\n" % ex)
                    sys.exit(1)
                raw = g("arguments", "") or ""
                args = (
                    split_new(raw.strip(), "arguments", raw)
                    if raw.strip().startswith('"')
                    else raw.replace('\\"', '"').split()
                )
                raw = (g("environment", g("env", "")) or "").strip()
                je = {}
                if (g("getenv", "false") or "").lower() in ("true", "yes", "1", "t"):
                    je = {x: y for x, y in env0.items() if not x.startswith("TB_FAKE_FAULT")}
                elif "getenv" in v and v["getenv"].lower() not in ("false", "no", "0", "f"):
                    for p in re.split(r"[,\s]+", g("getenv")):
                        je.update({x: y for x, y in env0.items() if re.fullmatch(re.escape(p).replace(r"\*", ".*"), x)})
                for w in (
                    split_new(raw, "environment", raw) if raw.startswith('"') else [x for x in raw.split(";") if x]
                ):
                    if "=" not in w:
                        sys.stdout.write("ERROR: Missing '=' after environment variable '%s'.\n" % w)
                        sys.exit(1)
                    a, b = w.split("=", 1)
                    je[a.strip()] = b
                sc = os.path.join(S.dir, "spool", "dir_%d.%d" % (cid, proc))
                given = " ".join("%s='%s'" % (a, b.replace("'", "''")) for a, b in sorted(je.items()))
                je.update(
                    _CONDOR_SCRATCH_DIR=sc,
                    _CONDOR_SLOT="slot1_%d" % (proc + 1),
                    _CONDOR_JOB_IWD=iwd,
                    BATCH_SYSTEM="HTCondor",
                    TMPDIR=sc,
                    TMP=sc,
                    TEMP=sc,
                    OMP_NUM_THREADS="1",
                    GOMAXPROCS="1",
                    _CONDOR_JOB_AD=sc + "/.job.ad",
                )
                os.makedirs(sc, exist_ok=True)
                f = lambda key: (lambda x: os.path.join(iwd, x) if x and x != "/dev/null" else None)(g(key, ""))
                tasks.append(
                    dict(
                        index=proc,
                        argv=[exe] + args,
                        env=je,
                        given=given,
                        cwd=iwd,
                        out=f("output"),
                        err=f("error"),
                        join=False,
                        mode="direct",
                        append=False,
                        stdin=f("input"),
                        log=f("log"),
                        cmd=exe,
                        args=" ".join(args),
                        batch=o.get("-batch-name") or g("batch_name") or g("jobbatchname"),
                    )
                )
                proc += 1
                if not terse:
                    sys.stdout.write(".")
    if not terse:
        sys.stdout.write("\n")
    held = (v.get("hold", "false")).lower() in ("true", "yes")
    codes = re.search(r"(?i)\bmember\(\s*HoldReasonCode\s*,\s*\{([\d\s,]*)\}", v.get("periodic_remove", ""))
    S.submit(
        dict(
            id=cid,
            name=tasks[0]["cmd"],
            queue="",
            array=True,
            exec_fail="hold",
            kill_wait=float(v.get("job_max_vacate_time") or 600),
            periodic_remove=v.get("periodic_remove"),
            remove_held=[int(c) for c in codes[1].split(",")] if codes else [],
            held=held,
        ),
        tasks,
    )
    if tasks[0]["log"] and not S.faults.get("submit", type("x", (), {"kind": ""})).kind == "lost":
        if os.fork() == 0:
            os.setsid()
            n = os.open(os.devnull, os.O_RDWR)
            for i in (0, 1, 2):
                os.dup2(n, i)
            follow(cid)
            os._exit(0)
    if k == "timeout":
        sys.stdout.flush()
        die(1, "ERROR: Failed to commit job submission into the queue.")
    if k == "noid":
        return
    if terse:
        print("%d.0 - %d.%d" % (cid, cid, proc - 1))
    else:
        print("%d job(s) submitted to cluster %d." % (proc, cid))


def follow(cid):
    """Writes the job event log (user log) while the job lives."""

    def ev(t, no, msg, *more):
        with open(t["log"], "a") as f:
            f.write(
                "%03d (%03d.%03d.000) %s %s\n%s...\n"
                % (no, cid, t["index"], time.strftime("%Y-%m-%d %H:%M:%S"), msg, "".join("\t%s\n" % m for m in more))
            )

    seen = {}
    addr = "<127.0.0.1:9618?addrs=127.0.0.1-9618&alias=%s&noUDP&sock=schedd_1_1>" % S.host
    while True:
        j = S.load(cid)
        if not j:
            return
        for t in j["tasks"]:
            s = seen.get(t["index"])
            if s is None:
                ev(t, 0, "Job submitted from host: %s" % addr)
                s = "PEND"
            if t["state"] != s:
                if t["state"] == "RUN" or (t["state"] == "END" and s == "PEND" and t["start"]):
                    ev(
                        t,
                        1,
                        "Job executing on host: %s" % addr.replace("schedd", "startd"),
                        "SlotName: slot1_%d@%s" % (t["index"] + 1, t["node"]),
                    )
                if t["state"] == "HOLD":
                    ev(t, 12, "Job was held.", t.get("why", ""), "Code 6 Subcode 2")
                if t["state"] == "PEND":
                    ev(t, 13, "Job was released.", "via condor_release (by user %s)" % j["user"])
                if t["state"] == "END":
                    if t.get("killed"):
                        ev(t, 9, "Job was aborted.", "via condor_rm (by user %s)" % j["user"])
                    elif t.get("died"):
                        ev(
                            t,
                            22,
                            "Job disconnected, attempting to reconnect",
                            "Socket between submit and execute hosts closed unexpectedly",
                        )
                        ev(t, 24, "Job reconnection failed", "Job not found at execution machine")
                    else:
                        ev(
                            t,
                            5,
                            "Job terminated.",
                            (
                                "(1) Normal termination (return value %d)" % t["code"]
                                if t["code"] is not None
                                else "(0) Abnormal termination (signal %d)" % (t["sig"] or 9)
                            ),
                        )
            seen[t["index"]] = t["state"]
        if all(t["state"] == "END" for t in j["tasks"]):
            return
        time.sleep(0.1)


def js(j, t):
    if t["state"] == "END" or t["state"] == "RUN" and t.get("killed"):
        return 3 if t.get("killed") else 4
    return {"PEND": 5 if j.get("held") else 1, "RUN": 2, "HOLD": 5}[t["state"]]


def ad(j, t):
    a = {
        "ClusterId": j["id"],
        "ProcId": t["index"],
        "JobStatus": js(j, t),
        "Owner": j["user"],
        "User": j["user"] + "@testbed",
        "Cmd": t["cmd"],
        "Args": t["args"],
        "Arguments": t["args"],
        "Iwd": t["cwd"],
        "Environment": t["given"],
        "QDate": int(j["submitted"]),
        "Out": t["out"] or "/dev/null",
        "Err": t["err"] or "/dev/null",
        "JobUniverse": 5,
        "JobPrio": 0,
        "GlobalJobId": "%s#%d.%d#%d" % (S.host, j["id"], t["index"], j["submitted"]),
    }
    if t.get("batch"):
        a["JobBatchName"] = t["batch"]
    if t["log"]:
        a["UserLog"] = t["log"]
    if t["start"]:
        a["JobStartDate"] = a["JobCurrentStartDate"] = int(t["start"])
    if t["start"] and t["state"] != "END":
        a["RemoteHost"] = "slot1_%d@%s" % (t["index"] + 1, t["node"])
    if t["state"] == "END":
        a["CompletionDate"] = int(t["end"]) if not t.get("killed") else 0
        a["ExitBySignal"] = t["code"] is None and bool(t["sig"])
        if t["code"] is not None:
            a["ExitCode"] = t["code"]
        elif t["sig"]:
            a["ExitSignal"] = t["sig"]
        if t["start"]:
            a["LastRemoteHost"] = "slot1_%d@%s" % (t["index"] + 1, t["node"])
    why = t.get("why", "submitted on hold at user's request")
    if js(j, t) == 3:
        a.update(LastJobStatus=5 if t.get("why") else 2 if t["start"] else 1, RemoveReason="via condor_rm (by user %s)" % j["user"])
        if t.get("why"):
            a["LastHoldReason"] = why
        if t.get("by_policy"):
            a["RemoveReason"] = "The job attribute PeriodicRemove expression '%s' evaluated to TRUE" % j["periodic_remove"]
    if js(j, t) == 5:
        a.update(HoldReason=why, HoldReasonCode=t.get("why_code", 15))
    return a


def match(argv_ids, constraint, rows):
    r = []
    for j, t in rows:
        a = ad(j, t)
        okk = not argv_ids
        for s in argv_ids:
            m = re.match(r"^(\d+)(?:\.(\d+))?$", s)
            okk |= bool(m and int(m[1]) == j["id"] and (m[2] is None or int(m[2]) == t["index"])) or (
                not m and s == j["user"]
            )
        for c in constraint:  # enough of ClassAd: comparisons joined by &&
            for e in c.strip().strip("()").split("&&"):
                m = re.match(r"^\s*\(?\s*(\w+)\s*(==|=\?=|!=|=!=|<=|>=|<|>)\s*(\"?)([^\")]*)\"?\s*\)?\s*$", e)
                if not m:
                    continue
                x = {kk.lower(): y for kk, y in a.items()}.get(m[1].lower())
                y = m[4].strip()
                if isinstance(x, bool):
                    y = y.lower() == "true"
                elif isinstance(x, int):
                    y = float(y)
                okk &= (
                    x is not None
                    and {
                        "==": x == y,
                        "=?=": x == y,
                        "!=": x != y,
                        "=!=": x != y,
                        "<": x < y if not isinstance(x, str) else False,
                        ">": x > y if not isinstance(x, str) else False,
                        "<=": x <= y if not isinstance(x, str) else False,
                        ">=": x >= y if not isinstance(x, str) else False,
                    }[m[2]]
                )
        if okk:
            r.append((j, t))
    return r


def qargs(argv):
    o = {"ids": [], "c": [], "af": None, "attrs": None}
    i = 0
    while i < len(argv):
        a = argv[i]
        if a in ("-constraint", "-const"):
            i += 1
            o["c"].append(argv[i])
        elif a.startswith("-af") or a.startswith("-autoformat"):
            o["af"] = []
            o["aff"] = a.partition(":")[2]
            o["af"] = (
                argv[i + 1 :]
                if not [x for x in argv[i + 1 :] if x.startswith("-")]
                else [x for x in argv[i + 1 : i + 1 + [y.startswith("-") for y in argv[i + 1 :]].index(True)]]
            )
            i += len(o["af"])
        elif a in ("-attributes", "-attrs"):
            i += 1
            o["attrs"] = argv[i].split(",")
        elif a in ("-name", "-pool", "-limit", "-match", "-file", "-submitter", "-since", "-completedsince"):
            i += 1
            o[a] = argv[i]
        elif a.startswith("-"):
            o[a] = True
        else:
            o["ids"].append(a)
        i += 1
    return o


def show(rows, o):
    fmt = lambda x: "undefined" if x is None else str(x).lower() if isinstance(x, bool) else str(x)
    low = lambda a: {k.lower(): v for k, v in a.items()}
    if o["af"] is not None:
        for j, t in rows:
            a = ad(j, t)
            l = low(a)
            p = ["%d.%d" % (j["id"], t["index"])] if "j" in o["aff"] else []
            print(
                (", " if "," in o["aff"] else "\t" if "t" in o["aff"] else " ").join(
                    p + [fmt(l.get(x.lower())) for x in o["af"]]
                )
            )
        return True
    if "-json" in o or "-long" in o or "-l" in o:
        ads = [ad(j, t) for j, t in rows]
        if o["attrs"]:
            ads = [{k: v for k, v in a.items() if k.lower() in [x.lower() for x in o["attrs"]]} for a in ads]
        if "-json" in o:
            if ads:
                print("[\n" + "\n,\n".join(json.dumps(dict(sorted(a.items())), indent=2) for a in ads) + "\n]")
        else:
            for a in ads:
                print("\n".join("%s = %s" % (k, json.dumps(v)) for k, v in sorted(a.items())) + "\n")
        return True
    return False


def condor_q(argv):
    k = S.fault("query", down_q)
    if k == "garbage":
        print("-- Failed to parse ad")
        sys.exit(1)
    o = qargs(argv)
    all_ = [(j, t) for j in S.jobs() for t in j["tasks"] if t["state"] != "END"] if k != "empty" else []
    rows = match(o["ids"], o["c"], all_)
    if not o["ids"] and "-allusers" not in o and os.getuid():
        rows = [(j, t) for j, t in rows if j["user"] == ME]
    if show(rows, o):
        return
    tm = lambda x: time.strftime("%m/%d %H:%M", time.localtime(x))
    mm = lambda x: "%2d/%s" % (time.localtime(x).tm_mon, time.strftime("%-d %H:%M", time.localtime(x)))
    print("\n\n-- Schedd: %s : <127.0.0.1:9618?... @ %s" % (S.host, time.strftime("%m/%d/%y %H:%M:%S")))
    if "-hold" in o:
        rows = [r for r in rows if js(*r) == 5]
        print(" ID      OWNER          HELD_SINCE  HOLD_REASON")
        for j, t in rows:
            print(
                "%4d.%-3d %-14s %s %s"
                % (j["id"], t["index"], j["user"], mm(t["start"] or j["submitted"]), ad(j, t)["HoldReason"])
            )
    elif "-nobatch" in o:
        print(" ID      OWNER            SUBMITTED     RUN_TIME ST PRI SIZE CMD")
        for j, t in rows:
            r = int(time.time() - t["start"]) if t["start"] else 0
            print(
                "%4d.%-3d %-14s %s %3d+%02d:%02d:%02d %s  0    0.0 %s"
                % (
                    j["id"],
                    t["index"],
                    j["user"],
                    mm(j["submitted"]),
                    r // 86400,
                    r // 3600 % 24,
                    r // 60 % 60,
                    r % 60,
                    "?IRXCH"[js(j, t)],
                    (os.path.basename(t["cmd"]) + " " + t["args"]).strip(),
                )
            )
    elif "-totals" not in o:
        print("OWNER  BATCH_NAME    SUBMITTED   DONE   RUN    IDLE  TOTAL JOB_IDS")
        for c in sorted({j["id"] for j, t in rows}):
            j = S.load(c)
            ts = [t for jj, t in rows if jj["id"] == c]
            st = [js(j, t) for t in j["tasks"]]
            n = lambda x: "%6s" % (st.count(x) or "_")
            d = sum(1 for x in st if x in (3, 4))
            ix = [t["index"] for t in ts]
            print(
                "%-6s %-10s %s %6s %s %s %6d %s"
                % (
                    j["user"],
                    t["batch"] or "ID: %d" % c,
                    mm(j["submitted"]),
                    d or "_",
                    n(2),
                    n(1),
                    len(st),
                    "%d.%d-%d" % (c, ix[0], ix[-1]) if len(ix) > 1 else "%d.%d" % (c, ix[0]),
                )
            )

    def tot(label, rr):
        s = [js(j, t) for j, t in rr]
        print(
            "Total for %s: %d jobs; 0 completed, 0 removed, %d idle, %d running, %d held, 0 suspended"
            % (label, len(s), s.count(1), s.count(2), s.count(5))
            + (" " if label != "all users" else "")
        )

    if "-totals" not in o:
        print()
    tot("query", rows)
    if os.getuid():
        tot(ME, [r for r in all_ if r[0]["user"] == ME])
    tot("all users", all_)
    print()


def condor_history(argv):
    S.fault("query", down_q)
    o = qargs(argv)
    rows = match(o["ids"], o["c"], [(j, t) for j in S.jobs() for t in j["tasks"] if t["state"] == "END"])
    rows.sort(key=lambda r: -r[1]["end"])
    if "-limit" in o:
        rows = rows[: int(o["-limit"])]
    if show(rows, o):
        return
    print(" ID     OWNER          SUBMITTED   RUN_TIME     ST COMPLETED   CMD            ")
    for j, t in rows:
        r = int(t["end"] - t["start"]) if t["start"] else 0
        f = lambda x: time.strftime("%m/%d %H:%M", time.localtime(x))
        print(
            "%-7s %-14s %s %3d+%02d:%02d:%02d %s  %-11s %-14s"
            % (
                "%d.%d" % (j["id"], t["index"]),
                j["user"],
                f(j["submitted"]),
                r // 86400,
                r // 3600 % 24,
                r // 60 % 60,
                r % 60,
                "?IRXCH"[js(j, t)],
                "" if t.get("killed") else f(t["end"]),
                t["cmd"] + " " + t["args"],
            )
        )


def act(argv, verb, past, what, cond):
    k = S.fault("cancel", down_rm)
    o = qargs(argv)
    rc = 0
    live = [(j, t) for j in S.jobs() for t in j["tasks"] if t["state"] != "END" and cond(j, t)]
    mine = [(j, t) for j, t in live if os.getuid() == 0 or j["user"] == ME]
    if not o["ids"] and not o["c"] and "-all" not in o:
        die(1, "You did not specify any jobs", "Usage: condor_%s [options] [constraints]" % verb)

    def go(rows):
        if k != "ignored":
            for j, t in rows:
                if j.get("held") and what == "release":
                    pass
                S.request(j["id"], t["index"], what)

    if o["c"] or "-all" in o:
        rows = match([], o["c"], mine)
        go(rows)
        print(
            "All jobs %s %s" % ("marked for removal" if verb == "rm" else past + ".", "")
            if "-all" in o
            else "Jobs matching constraint (%s) have been %s" % (o["c"][0], past)
        )
        return
    for s in o["ids"]:
        rows = match([s], [], mine)
        if not re.match(r"^\d+(\.\d+)?$", s):
            go(rows)
            (
                print("User %s's job(s) have been %s." % (s, past))
                if rows
                else print(
                    "Couldn't find/%s all of user %s's job(s)." % (verb.replace("rm", "remove"), s), file=sys.stderr
                )
            )
            rc = rc or (0 if rows else 1)
            continue
        if "." in s:
            if rows:
                go(rows)
                print("Job %s %s" % (s, past))
            else:
                known = [1 for j, t in match([s], [], [(j, t) for j in S.jobs() for t in j["tasks"]]) if t["state"] != "END"]
                print("Job %s already %s" % (s, past) if known else "Job %s not found" % s, file=sys.stderr)
                rc = 1
        elif rows:
            go(rows)
            print("All jobs in cluster %s have been %s" % (s, past))
        else:
            print("\nCouldn't find/%s all jobs in cluster %s" % (verb.replace("rm", "remove"), s), file=sys.stderr)
            rc = 1
    sys.exit(rc)


def condor_rm(argv):
    act(argv, "rm", "marked for removal", "kill", lambda j, t: not t.get("killed"))


def condor_hold(argv):
    act(argv, "hold", "held", "hold", lambda j, t: t["state"] != "HOLD")


def condor_release(argv):
    act(argv, "release", "released", "release", lambda j, t: t["state"] == "HOLD")


def condor_version(argv):
    print("$CondorVersion: 23.9.6 2026-01-01 BuildID: testbed-emulator $\n$CondorPlatform: X86_64-Debian_12 $")


def condor_status(argv):
    S.fault("query", lambda: die(1, "Error: communication error", "CEDAR:6001:Failed to connect to <127.0.0.1:9618>"))
    o = qargs(argv)
    run = [t for j in S.jobs() for t in j["tasks"] if t["state"] == "RUN"]
    if o["af"] is not None:
        for i in range(1, 5):
            print("slot1@node%d" % i)
        return
    print("Name        OpSys      Arch   State     Activity LoadAv Mem   ActvtyTime\n")
    for i in range(1, 5):
        b = any(t["node"] == "node%d" % i for t in run)
        print(
            "slot1@node%d LINUX      X86_64 %-9s %-8s 0.000 1024  0+00:00:45"
            % (i, "Claimed" if b else "Unclaimed", "Busy" if b else "Idle")
        )


if __name__ == "__main__":
    globals()[sys.argv[1]](sys.argv[2:])
