# sourced by fake.sh check
w=$(mktemp -d /tmp/tbhpc.XXXXXX)
cd "$w" || exit 1
mkdir log
mkx() {
    cat <<X
<?xml version="1.0" encoding="utf-8"?>
<Job Version="2.000" Name="Engines" UnitType="Core" MinCores="1" MaxCores="2" RunUntilCanceled="false" IsExclusive="false" UserName="D\\u" JobType="Batch" Priority="Highest" AutoCalculateMax="true" AutoCalculateMin="true" Project="P" Owner="D\\u" xmlns="http://schemas.microsoft.com/HPCS2008/scheduler/" ${1:-}>
  <Dependencies/>
  <Tasks>
    <Task Version="2.000" Name="T1" MinCores="1" MaxCores="1" CommandLine="sh.exe -c &quot;echo task %CCP_TASKID% of job \$CCP_JOBID X=\$X&quot;" WorkDirectory="$w" IsRerunnable="true" StdOutFilePath="log\\t1.out" StdErrFilePath="log\\t1.err" IsParametric="false" UnitType="Core">
      <EnvironmentVariables><Variable><Name>X</Name><Value>hello world</Value></Variable></EnvironmentVariables>
    </Task>
    <Task Version="2.000" Name="T2" CommandLine="${2:-true}" WorkDirectory="$w" UnitType="Core"/>
  </Tasks>
</Job>
X
}
mkx >ok.xml
out=$(job submit "/jobfile:$w/ok.xml" /scheduler:head1 2>&1)
has 'winhpc: message' '^Job has been submitted\. ID: [0-9]+\.$' "$out"
id=$(sed 's/.*ID: \([0-9]*\)\./\1/' <<<"$out")
t 'winhpc: finishes' wait_for 8 eval "job view $id /scheduler:head1 | grep -q 'State .*: Finished'"
has 'winhpc: output, environment' "task %?1%? of job $id X=hello world|task 1 of job $id X=hello world" "$(cat log/t1.out)"
mkx '' 'sleep 100' >slp.xml
id=$(job.exe submit "/jobfile:slp.xml" /scheduler:head1 | tr -dc 0-9)
t 'winhpc: runs' wait_for 5 eval "job view $id /scheduler:head1 | grep -q Running"
job cancel "$id" /scheduler:head1 >/dev/null
t 'winhpc: canceled' wait_for 6 eval "job view $id /scheduler:head1 | grep -q 'State .*: Canceled'"
job cancel "$id" /scheduler:head1 2>/dev/null
t 'winhpc: cancel twice fails' test $? = 1
mkx 'Colour="red"' >bad.xml
out=$(job submit /jobfile:bad.xml /scheduler:head1 2>&1)
t 'winhpc: unknown attribute refused' test $? = 1
sed 's/ xmlns="[^"]*"//' ok.xml >nons.xml
out=$(job submit /jobfile:nons.xml /scheduler:head1 2>&1)
t 'winhpc: missing namespace refused' test $? = 1
sed 's/RunUntilCanceled="false"/RunUntilCanceled="true"/' ok.xml >ruc.xml
out=$(job submit /jobfile:ruc.xml /scheduler:head1 2>&1)
t 'winhpc: RunUntilCanceled rule' test $? = 1
out=$(job submit /jobfile:ok.xml /scheduler:elsewhere 2>&1)
has 'winhpc: unreachable head node' 'elsewhere' "$out"
cd /
rm -rf "$w"
