# sourced by fake.sh check
w=$(mktemp -d /tmp/tbpbs.XXXXXX)
cd "$w" || exit 1
printf '#!/bin/sh\n#PBS -N arr\n#PBS -J 1-4\n#PBS -j oe\n#PBS -V\necho "index $PBS_ARRAY_INDEX of $PBS_JOBID X=$TBX in $PBS_O_WORKDIR"; exit $((PBS_ARRAY_INDEX-1))\n' >a.sh
id=$(TBX=hello qsub a.sh)
has 'pbs: qsub prints the id' '^[0-9]+\[\]\.head1$' "$id"
n=${id%%[*}
t 'pbs: array finishes' wait_for 10 eval "qstat -xf '$id' | grep -q 'job_state = F'"
has 'pbs: output' "index 3 of $n\[3\].head1 X=hello in $w" "$(cat arr.o"$n".3 2>/dev/null)"
out=$(qstat "$id" 2>&1)
t 'pbs: finished job is 35' test $? = 35
has 'pbs: finished' 'Job has finished, use -x or -H to obtain historical job information' "$out"
has 'pbs: json exit status' '"Exit_status":.2' "$(qstat -x -f -F json "$n[3]")"
id=$(qsub -N slp -- /bin/sleep 100)
t 'pbs: runs' wait_for 5 eval "qstat $id | grep -q ' R workq'"
has 'pbs: table' "^$id +slp +$(id -un) +00:00:00 R workq" "$(qstat "$id")"
qdel "$id"
t 'pbs: qdel' wait_for 6 eval "! qstat $id"
id=$(qsub -J 1-3 -- /bin/sleep 50)
out=$(qdel "${id%%[*}" 2>&1)
t 'pbs: an array needs []' test $? = 153
qdel "$id"
out=$(qsub -J 1-1 a.sh 2>&1)
t 'pbs: -J 1-1 refused' test $? = 2
out=$(printf '#PBS -t 1-2\ntrue\n' | qsub 2>&1)
has 'pbs: -t refused' "invalid option -- 't'" "$out"
out=$(qsub -q nosuch a.sh 2>&1)
t 'pbs: unknown queue is 170' test $? = 170
out=$(TB_FAKE_FAULT=query=down qstat 2>&1)
has 'pbs: server down' "cannot connect to server head1 \(errno=15010\)" "$out"
rm -f "$TB_FAKE_STATE/pbs/count/query"
TB_FAKE_FAULT=query=flaky:1 qstat >/dev/null 2>&1
t 'pbs: flaky once' test $? = 255
TB_FAKE_FAULT=query=flaky:1 qstat >/dev/null 2>&1
t 'pbs: then fine' test $? = 0
id=$(printf '#PBS -t 1-2\necho $PBS_ARRAYID\n' | TB_FAKE_PBS_FLAVOR=torque qsub -N tq)
t 'pbs: torque flavour' wait_for 6 grep -q 2 "$w/tq.o${id%%[*}-2"
cd /
rm -rf "$w"
