# sourced by fake.sh check
w=$(mktemp -d /tmp/tblsf.XXXXXX)
cd "$w" || exit 1
printf '#!/bin/sh\n#BSUB -J arr[1-4]\n#BSUB -o out.%%J.%%I\n#BSUB -q short\necho "index $LSB_JOBINDEX of $LSB_JOBID X=$TBX"; exit $((LSB_JOBINDEX-1))\n' >a.sh
out=$(TBX=hello bsub <a.sh 2>&1)
has 'lsf: bsub message' '^Job <[0-9]+> is submitted to queue <short>\.$' "$out"
id=$(sed 's/[^0-9]*\([0-9]*\).*/\1/' <<<"$out")
t 'lsf: array finishes' wait_for 10 eval "[ \$(bjobs -a -o stat -noheader $id | grep -c 'DONE\|EXIT') = 4 ]"
has 'lsf: output with report' 'index 3 of [0-9]+ X=hello' "$(cat out."$id".3 2>/dev/null)"
has 'lsf: report' '^Exited with exit code 2\.' "$(cat out."$id".3 2>/dev/null)"
has 'lsf: states' '^DONE EXIT EXIT EXIT $' "$(bjobs -o stat -noheader "$id" | awk '{printf "%s ",$1}')"
out=$(bsub -J slp sleep 100)
id=$(sed 's/[^0-9]*\([0-9]*\).*/\1/' <<<"$out")
t 'lsf: runs' wait_for 5 eval "bjobs $id | grep -q RUN"
has 'lsf: bkill' "Job <$id> is being terminated" "$(bkill "$id")"
t 'lsf: killed' wait_for 6 eval "bjobs -a | grep -q '^$id .*EXIT'"
out=$(bkill "$id" 2>&1)
has 'lsf: already finished' "Job <$id>: Job has already finished" "$out"
out=$(bjobs 99999 2>&1)
t 'lsf: unknown job 255' test $? = 255
out=$(bsub -q nosuch true 2>&1)
has 'lsf: no such queue' 'nosuch: No such queue. Job not submitted.' "$out"
out=$(TB_FAKE_FAULT=submit=reject bsub true 2>&1)
t 'lsf: fault submit=reject' test $? = 255
out=$(TB_FAKE_FAULT=run=pend bsub -J never true)
has 'lsf: fault run=pend' 'PEND' "$(
    sleep 0.6
    bjobs -J never
)"
bkill -J never >/dev/null
out=$(TB_FAKE_FAULT=run=die:0.3@2 bsub -J 'dies[1-2]' sleep 2)
id=$(sed 's/[^0-9]*\([0-9]*\).*/\1/' <<<"$out")
t 'lsf: fault run=die of one task' wait_for 6 eval "[ \"\$(bjobs -a -o stat -noheader $id | tr -s ' \n' ' ')\" = 'DONE EXIT ' ]"
cd /
rm -rf "$w"
