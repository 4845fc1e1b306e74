# sourced by fake.sh check
w=$(mktemp -d /tmp/tbhtc.XXXXXX)
cd "$w" || exit 1
cat >a.sub <<'S'
universe   = vanilla
executable = /bin/sh
transfer_executable = False
arguments  = "-c 'echo proc $(Process) of $(Cluster) X=$X $HOME; exit $(Process)'"
environment = "X='hello world'"
output = out.$(Cluster).$(Process)
log = a.log
queue 3
S
out=$(condor_submit a.sub 2>&1)
has 'htcondor: message' '^3 job\(s\) submitted to cluster [0-9]+\.$' "$out"
id=$(sed -n 's/.*cluster \([0-9]*\)\.$/\1/p' <<<"$out")
t 'htcondor: three finish' wait_for 10 eval "[ \$(condor_history $id -af ProcId | wc -l) = 3 ]"
has 'htcondor: output, bare environment' "^proc 2 of $id X=hello world *\$" "$(cat out."$id".2 2>/dev/null)"
has 'htcondor: exit code' '^2 4 2$' "$(condor_history "$id" -constraint 'ProcId==2' -af ProcId JobStatus ExitCode)"
t 'htcondor: event log' wait_for 3 grep -q "^005 (.*Job terminated." a.log
printf 'executable=/bin/sleep\ntransfer_executable=False\narguments=100\nqueue 2\n' >s.sub
id=$(condor_submit -terse s.sub | sed 's/\..*//')
t 'htcondor: runs' wait_for 5 eval "[ \"\$(condor_q $id -af JobStatus | tr -d '\n')\" = 22 ]"
has 'htcondor: rm one' "^Job $id.0 marked for removal" "$(condor_rm "$id".0)"
has 'htcondor: rm cluster' "^All jobs in cluster $id have been marked for removal" "$(condor_rm "$id")"
t 'htcondor: removed' wait_for 6 eval "[ \"\$(condor_history $id -af JobStatus | tr -d '\n')\" = 33 ]"
out=$(condor_rm 9999 2>&1)
t 'htcondor: unknown cluster' test $? = 1
printf 'executable=nosuch\ntransfer_executable=False\nqueue\n' >h.sub
id=$(condor_submit -terse h.sub | sed 's/\..*//')
t 'htcondor: bad executable is held' wait_for 5 eval "[ \"\$(condor_q $id -af JobStatus)\" = 5 ]"
condor_rm "$id" >/dev/null
out=$(TB_FAKE_FAULT=query=down condor_q 2>&1)
t 'htcondor: schedd down' test $? = 1
cd /
rm -rf "$w"
