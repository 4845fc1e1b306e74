#!/usr/bin/env python3
"""Windows HPC Server / HPC Pack emulator: job (job.exe) submit | cancel | view | list | listtasks | requeue | finish.

Command line, parameters and states from Microsoft's reference ("job submit" cc972834, "job cancel" cc972887, "job"
cc972848, JobState cc897708); job XML from the schema pages "Job Complex Type" (cc897710) and "Task Complex Type"
(cc907039), namespace http://schemas.microsoft.com/HPCS2008/scheduler/. What real clusters print after a submission is
known from clients that parse it: "Job has been submitted. ID: 13." The wording of errors and of `job view` is modelled
on the documentation, not taken from a real cluster: a plugin should rely on the exit status and the id line only.

Checked when submitting (a violation is refused with exit status 1): well-formed XML, namespace, Job/Dependencies/Tasks/
Task structure and order, known attributes, types (int, boolean, decimal, enumerations), Min <= Max, a CommandLine per
task, the rule that RunUntilCanceled needs AutoCalculateMin/Max not both true, project <= 80, names <= 80 characters.
TB_FAKE_WINHPC_LAX=1 lets unknown attributes pass.

Tasks run here: CommandLine is split by Windows' rules (CommandLineToArgvW), %VAR% expands, a trailing .exe and
backslashes in paths are translated, relative StdOut/StdErr paths are relative to WorkDirectory and their directory must
exist (as on Windows), each task gets CCP_JOBID, CCP_TASKID, CCP_JOBNAME, CCP_SCHEDULER, CCP_NODES, CCP_WORKDIR.
A task that fails makes the job Failed; unused output is kept as the task's Output (job view /detailed).
The scheduler is /scheduler:NAME or CCP_SCHEDULER; names other than head1, localhost or $TB_FAKE_HOST cannot be reached.
"""

import os, pwd, re, shutil, sys, time
import xml.etree.ElementTree as ET

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from core import BANNER, System, clean_env, die

S = System("winhpc", first=13)
NS = "http://schemas.microsoft.com/HPCS2008/scheduler/"
B, I, T, D = "boolean", "int", "string", "decimal"
UNIT = ("Core", "Socket", "Node", "Gpu")
PRIO = ("Lowest", "BelowNormal", "Normal", "AboveNormal", "Highest")
JSTATE = (
    "Configuring",
    "Submitted",
    "Validating",
    "ExternalValidation",
    "Queued",
    "Running",
    "Finishing",
    "Finished",
    "Failed",
    "Canceled",
    "Canceling",
)
MINMAX = {m + x: I for m in ("Min", "Max") for x in ("Cores", "Sockets", "Nodes")}
JOB = dict(
    MINMAX,
    Version=D,
    Id=I,
    Name=T,
    SubmitTime=T,
    CreateTime=T,
    StartTime=T,
    EndTime=T,
    ChangeTime=T,
    UnitType=UNIT,
    RunUntilCanceled=B,
    IsExclusive=B,
    ErrorCode=I,
    ErrorParams=T,
    State=JSTATE,
    PreviousState=JSTATE,
    JobType=("Batch", "Admin", "Service", "Broker"),
    Priority=PRIO,
    ExpandedPriority=I,
    RequiredNodes=T,
    RequestedNodes=T,
    IsBackfill=B,
    NextTaskNiceId=I,
    HasGrown=B,
    HasShrunk=B,
    OrderBy=T,
    ParentJobId=I,
    ChildJobId=I,
    AutoCalculateMax=B,
    AutoCalculateMin=B,
    FailOnTaskFailure=B,
    Preemptable=B,
    CanPreempt=B,
    CanGrow=B,
    CanShrink=B,
    NodeGroups=T,
    JobTemplate=T,
    Project=T,
    Owner=T,
    UserName=T,
    SoftwareLicense=T,
    RuntimeSeconds=I,
    MinMemory=I,
    MaxMemory=I,
    MinCoresPerNode=I,
    MaxCoresPerNode=I,
    RequeueCount=I,
    ClientSource=T,
    EndpointReference=T,
    ServiceName=T,
    EmailAddress=T,
    NotifyOnStart=B,
    NotifyOnCompletion=B,
    Progress=I,
    ProgressMessage=T,
    TargetResourceCount=I,
    HoldUntil=T,
    SingleNode=B,
    NodeGroupOp=("Intersect", "Uniform", "Union"),
    EstimatedProcessMemory=I,
    TaskExecutionFailureRetryLimit=I,
    ValidExitCodes=T,
    ParentJobIds=T,
    ChildJobIds=T,
    FailDependentTasks=B,
)
TASK = dict(
    MINMAX,
    Version=D,
    Name=T,
    State=T,
    PreviousState=T,
    ParentJobId=I,
    RuntimeSeconds=I,
    InstanceId=I,
    InstanceValue=I,
    UnitType=UNIT,
    NiceId=I,
    Id=I,
    CommandLine=T,
    RequiredNodes=T,
    DependsOn=T,
    IsParametric=B,
    IsExclusive=B,
    IsRerunnable=B,
    ErrorMessage=T,
    ErrorCode=I,
    ErrorParams=T,
    ExitCode=I,
    GroupId=I,
    StdOutFilePath=T,
    StdErrFilePath=T,
    StdInFilePath=T,
    WorkDirectory=T,
    UserBlob=T,
    StartValue=I,
    EndValue=I,
    IncrementValue=I,
    Type=("Basic", "ParametricSweep", "NodePrep", "NodeRelease", "Service"),
    FailJobOnFailure=B,
    FailJobOnFailureCount=I,
    ExitIfPossible=B,
    ValidExitCodes=T,
    TaskType=T,
    CreateTime=T,
    SubmitTime=T,
    StartTime=T,
    EndTime=T,
    ChangeTime=T,
    AllocatedNodes=T,
    RequeueCount=I,
    HasCustomProperties=B,
    FailureReason=T,
)


def bad(msg):
    die(1, "The job file is not valid: " + msg)


def check(el, spec, what):
    for k, v in el.attrib.items():
        k = k.split("}")[-1]
        if k not in spec:
            if (
                os.environ.get("TB_FAKE_WINHPC_LAX") == "1"
                or el.attrib.get("{http://www.w3.org/2001/XMLSchema-instance}" + k) is not None
            ):
                continue
            bad("The '%s' attribute is not declared. (element '%s')" % (k, what))
        t = spec[k]
        ok = (
            re.fullmatch(r"[+-]?\d+", v)
            if t == I
            else (
                v in ("true", "false", "1", "0")
                if t == B
                else re.fullmatch(r"[+-]?\d+(\.\d+)?", v) if t == D else v in t if isinstance(t, tuple) else True
            )
        )
        if not ok:
            bad(
                "The '%s' attribute is invalid - The value '%s' is invalid according to its datatype '%s'."
                % (k, v, t if isinstance(t, str) else " | ".join(t))
            )
    for x in ("Cores", "Sockets", "Nodes"):
        a, b = el.get("Min" + x), el.get("Max" + x)
        if a and b and int(a) > int(b):
            bad("The minimum number of %s (%s) is greater than the maximum (%s)." % (x.lower(), a, b))
        if a and int(a) < 1:
            bad("The minimum number of %s must be at least 1." % x.lower())
    if len(el.get("Name", "")) > 80:
        bad("Name is longer than 80 characters.")


def winsplit(s):
    """CommandLineToArgvW."""
    out, cur, q, have, i = [], "", False, False, 0
    while i < len(s):
        c = s[i]
        if c == "\\":
            n = 0
            while s[i : i + 1] == "\\":
                n += 1
                i += 1
            if s[i : i + 1] == '"':
                cur += "\\" * (n // 2)
                have = True
                if n % 2:
                    cur += '"'
                    i += 1
            else:
                cur += "\\" * n
            continue
        if c == '"':
            if q and s[i + 1 : i + 2] == '"':
                cur += '"'
                i += 2
                continue
            q = not q
            have = True
        elif c in " \t" and not q:
            if have or cur:
                out.append(cur)
            cur, have = "", False
        else:
            cur += c
        i += 1
    if have or cur:
        out.append(cur)
    return out


def posix(p):
    return p.replace("\\", "/") if p else p


def child(el, name):
    return [c for c in el if c.tag == "{%s}%s" % (NS, name)]


def load_xml(path):
    try:
        root = ET.parse(path).getroot()
    except OSError:
        die(1, "Could not find file '%s'." % path)
    except ET.ParseError as e:
        bad(str(e))
    if root.tag == "Job":
        bad("Could not find schema information for the element 'Job'. (namespace %s is missing)" % NS)
    if root.tag != "{%s}Job" % NS:
        bad("The element '%s' is not declared." % root.tag)
    check(root, JOB, "Job")
    order = ["CustomProperties", "ExtendedTerms", "EnvironmentVariables", "Dependencies", "Tasks"]
    pos = -1
    for c in root:
        n = c.tag.split("}")[-1]
        if c.tag != "{%s}%s" % (NS, n) or n not in order or order.index(n) <= pos and n != order[pos]:
            bad("The element 'Job' has invalid child element '%s'." % n)
        pos = order.index(n)
    if not child(root, "Dependencies"):
        (
            bad("The element 'Job' has incomplete content. List of possible elements expected: 'Dependencies'.")
            if os.environ.get("TB_FAKE_WINHPC_LAX") != "1"
            else None
        )
    if not child(root, "Tasks"):
        bad("The element 'Job' has incomplete content. List of possible elements expected: 'Tasks'.")
    tr = lambda k: root.get(k, "").lower() in ("true", "1")
    if tr("RunUntilCanceled") and tr("AutoCalculateMax") and tr("AutoCalculateMin"):
        die(1, "RunUntilCanceled cannot be true when AutoCalculateMin and AutoCalculateMax are both true.")
    ts = []
    for t in child(root, "Tasks")[0]:
        if t.tag != "{%s}Task" % NS:
            bad("The element 'Tasks' has invalid child element '%s'." % t.tag.split("}")[-1])
        check(t, TASK, "Task")
        for c in t:
            if c.tag.split("}")[-1] not in ("EnvironmentVariables", "CustomProperties", "ExtendedTerms"):
                bad("The element 'Task' has invalid child element '%s'." % c.tag.split("}")[-1])
        env = {}
        for ev in child(t, "EnvironmentVariables"):
            for v in ev:
                n, x = child(v, "Name"), child(v, "Value")
                if v.tag != "{%s}Variable" % NS or not n:
                    bad("The element 'EnvironmentVariables' has invalid content.")
                env[(n[0].text or "").strip()] = (x[0].text or "") if x else ""
        typ = t.get("Type", "ParametricSweep" if t.get("IsParametric", "false").lower() in ("true", "1") else "Basic")
        if not t.get("CommandLine", "").strip():
            bad("Task '%s' has no command line." % t.get("Name", ""))
        r = (
            [None]
            if typ != "ParametricSweep"
            else range(int(t.get("StartValue", 1)), int(t.get("EndValue", 1)) + 1, int(t.get("IncrementValue", 1)))
        )
        for v in r:
            ts.append((t, env, v))
    if not ts:
        die(1, "The job contains no tasks.")
    return root, ts


def args_of(argv):
    o, pos = {}, []
    for a in argv:
        m = re.match(r"^[/-]([A-Za-z?]+)(?::(.*))?$", a)
        if m and not os.path.exists(a):
            o[m[1].lower()] = m[2] if m[2] is not None else True
        else:
            pos.append(a)
    return o, pos


def reach(o, what):
    h = o.get("scheduler") or os.environ.get("CCP_SCHEDULER", "")

    def down():
        die(
            1,
            "Failed to connect to the scheduler on head node '%s'. The connection could not be made because the target machine actively refused it."
            % h,
        )

    if not h:
        die(
            1,
            "The scheduler is not specified. Use the /scheduler parameter or set the CCP_SCHEDULER environment variable.",
        )
    if h.lower() not in ("head1", "localhost", "127.0.0.1", S.host.lower()):
        down()
    return h, S.fault(what, down)


def submit(argv):
    o, pos = args_of(argv)
    h, k = reach(o, "submit")
    if k == "reject":
        die(
            1,
            "The job failed validation against its job template: the value for the property 'Priority' is not allowed.",
        )
    if k == "banner":
        print(BANNER)
    base = clean_env()
    me = pwd.getpwuid(os.getuid()).pw_name
    if "jobfile" in o:
        root, ts = load_xml(o["jobfile"])
        attr = dict(root.attrib)
    elif pos:
        ns = {k2.lower(): k2 for k2 in ("WorkDirectory",)}
        el = ET.Element(
            "{%s}Task" % NS,
            {"CommandLine": " ".join(('"%s"' % p if " " in p else p) for p in pos), "Name": o.get("name", "")},
        )
        for a, b in (
            ("workdir", "WorkDirectory"),
            ("stdout", "StdOutFilePath"),
            ("stderr", "StdErrFilePath"),
            ("stdin", "StdInFilePath"),
        ):
            if a in o:
                el.set(b, o[a])
        par = o.get("parametric")
        vals = [None]
        if par:
            m = re.match(r"^(\d+)-(\d+)(?::(\d+))?$", par)
            if not m:
                die(1, "Invalid value for /parametric: %s" % par)
            vals = range(int(m[1]), int(m[2]) + 1, int(m[3] or 1))
        ts, attr = [(el, {}, v) for v in vals], {"Name": o.get("jobname", "")}
    else:
        die(1, "The command line is missing. Type 'job submit /?' for help.")
    jid = S.next_id()
    tasks = []
    for n, (t, env, v) in enumerate(ts, 1):
        star = lambda s: s.replace("*", str(v)) if v is not None and s else s
        wd = posix(t.get("WorkDirectory")) or pwd.getpwuid(os.getuid()).pw_dir
        e = dict(base, **env)
        e.update(
            CCP_JOBID=str(jid),
            CCP_TASKID=str(n),
            CCP_TASKINSTANCEID=str(v or 0),
            CCP_JOBNAME=attr.get("Name", ""),
            CCP_SCHEDULER=h,
            CCP_NODES="1 @NODE@ 1",
            CCP_NODES_CORES="1 @NODE@ 1",
            CCP_WORKDIR=wd,
            CCP_NUMCPUS="1",
            CCP_JOBTYPE=attr.get("JobType", "Batch"),
        )
        cl = re.sub(r"%(\w+)%", lambda m: e.get(m[1], m[0]), star(t.get("CommandLine")))
        a = winsplit(cl)
        x = posix(a[0])
        for c in (x, re.sub(r"(?i)\.(exe|cmd|bat)$", "", x)):
            f = os.path.join(wd, c) if "/" in c else shutil.which(c, path=e.get("PATH"))
            if f and os.path.exists(f):
                x = f
                break
        p = lambda key: (lambda q: os.path.join(wd, posix(star(q))) if q else None)(t.get(key))
        tasks.append(
            dict(
                index=n,
                argv=[x] + a[1:],
                env=e,
                cwd=wd,
                out=p("StdOutFilePath") or os.path.join(S.dir, "spool", "%d.%d.output" % (jid, n)),
                err=p("StdErrFilePath")
                or p("StdOutFilePath")
                or os.path.join(S.dir, "spool", "%d.%d.output" % (jid, n)),
                join=not t.get("StdErrFilePath"),
                mode="direct",
                append=False,
                stdin=p("StdInFilePath"),
                name=t.get("Name", ""),
                cl=t.get("CommandLine"),
                limit=int(t.get("RuntimeSeconds", 0)) or None,
            )
        )
    S.submit(dict(id=jid, name=attr.get("Name", ""), queue="", array=True, attr=attr, exec_fail="", kill_wait=2), tasks)
    if k == "timeout":
        die(1, "The operation has timed out.")
    if k == "noid":
        return
    print("Job has been submitted. ID: %d." % jid)


def tstate(t):
    if t["state"] == "END":
        return "Canceled" if t.get("killed") else "Finished" if t["code"] == 0 else "Failed"
    if t["state"] == "HOLD" and "hold" in t["why"]:
        return "Queued"  # JobHoldUntil; it is nowhere in what these commands print
    return {"PEND": "Queued", "RUN": "Running", "HOLD": "Failed"}[t["state"]]


def tcode(t):
    """The exit code; TerminateProcess, as taskkill calls it, gives 1."""
    return t["code"] if t["code"] is not None else 1 if t["sig"] else ""


def jstate(j):
    s = [tstate(t) for t in j["tasks"]]
    if "Running" in s:
        return "Running"
    if "Queued" in s:
        return "Queued" if all(x == "Queued" for x in s) else "Running"
    return "Canceled" if "Canceled" in s else "Failed" if "Failed" in s else "Finished"


def get(pos):
    if not pos or not pos[0].isdigit():
        die(1, "The job ID is missing or not a number.")
    j = S.load(pos[0])
    if not j:
        die(
            1,
            "Job with ID %s was not found. The specified job ID is not valid. Check your job ID and try again."
            % pos[0],
        )
    return j


def cancel(argv, verb="cancel"):
    o, pos = args_of(argv)
    h, k = reach(o, "cancel")
    j = get(pos)
    if jstate(j) in ("Finished", "Failed", "Canceled"):
        die(1, "The job cannot be %sed because it is in the %s state." % (verb, jstate(j)))
    if k != "ignored":
        S.request(j["id"], None, "kill")
    print("Job %d has been %s." % (j["id"], "canceled" if verb == "cancel" else "finished"))


def view(argv):
    o, pos = args_of(argv)
    h, k = reach(o, "query")
    j = get(pos)
    if k == "empty":
        die(1, "Job with ID %s was not found." % pos[0])
    if k == "garbage":
        print("??")
        return
    tm = lambda x: time.strftime("%-m/%-d/%Y %-I:%M:%S %p", time.localtime(x)) if x else ""
    st = [t["start"] for t in j["tasks"] if t["start"]]
    en = [t["end"] for t in j["tasks"] if t["end"]]
    s = jstate(j)
    c = [tstate(t) for t in j["tasks"]]
    for a, b in (
        ("Job ID", j["id"]),
        ("Job Name", j["name"]),
        ("State", s),
        ("Priority", j["attr"].get("Priority", "Normal")),
        ("Project Name", j["attr"].get("Project", "")),
        ("Submit Time", tm(j["submitted"])),
        ("Start Time", tm(min(st)) if st else ""),
        ("End Time", tm(max(en)) if s in ("Finished", "Failed", "Canceled") and en else ""),
        ("Owner", "TESTBED\\" + j["user"]),
        ("Number of Tasks", len(c)),
        ("   Notsubmitted", 0),
        ("   Queued", c.count("Queued")),
        ("   Running", c.count("Running")),
        ("   Finished", c.count("Finished")),
        ("   Failed", c.count("Failed")),
        ("   Canceled", c.count("Canceled")),
        ("Error Message", "One or more tasks in the job have failed." if s == "Failed" else ""),
    ):
        print("%-33s: %s" % (a, b))
    if "detailed" in o:
        for t in j["tasks"]:
            print(
                "\nTask %d.%d %s\n%-33s: %s\n%-33s: %s\n%-33s: %s"
                % (
                    j["id"],
                    t["index"],
                    t["name"],
                    "State",
                    tstate(t),
                    "Exit Code",
                    tcode(t),
                    "Command Line",
                    t["cl"],
                )
            )


def lst(argv):
    o, pos = args_of(argv)
    h, k = reach(o, "query")
    n = 0
    print("%-8s %-20s %-20s %-12s %-10s" % ("Job ID", "Owner", "Job Name", "State", "Priority"))
    for j in S.jobs() if k != "empty" else []:
        if o.get("status", o.get("state", "all")).lower() not in ("all", jstate(j).lower()) or (
            "status" not in o and "state" not in o and "all" not in o and jstate(j) not in ("Queued", "Running")
        ):
            continue
        n += 1
        print(
            "%-8d %-20s %-20s %-12s %-10s"
            % (j["id"], "TESTBED\\" + j["user"], j["name"][:20], jstate(j), j["attr"].get("Priority", "Normal"))
        )
    print("\n%d matching job(s) for TESTBED\\%s" % (n, pwd.getpwuid(os.getuid()).pw_name))


def listtasks(argv):
    o, pos = args_of(argv)
    reach(o, "query")
    j = get(pos)
    print("%-10s %-16s %-10s %s" % ("Task ID", "Task Name", "State", "Command Line"))
    for t in j["tasks"]:
        print("%-10s %-16s %-10s %s" % ("%d.%d" % (j["id"], t["index"]), t["name"][:16], tstate(t), t["cl"]))


if __name__ == "__main__":
    a = sys.argv[2:]
    if not a or a[0].lower() not in ("submit", "cancel", "finish", "view", "list", "listtasks"):
        die(
            1,
            "Unknown subcommand. Usage: job {add | cancel | clone | finish | list | listtasks | modify | new | requeue | submit | view} [/?]",
        )
    v = a[0].lower()
    (
        cancel(a[1:], "finish")
        if v == "finish"
        else {"submit": submit, "cancel": cancel, "view": view, "list": lst, "listtasks": listtasks}[v](a[1:])
    )
