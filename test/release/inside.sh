#!/bin/sh
# inside.sh unpacked|archive|package: in a bare Debian: install ipcore, use it as an
# ordinary user, remove it, and see that nothing is left. run.sh calls it.
set -eu
form=$1
version=$(cat /test/VERSION)

say() { echo "-- $*"; }
fail() {
    echo "FAILED: $*"
    exit 1
}
wants() { # text, pattern
    echo "$1" | grep -qE -- "$2" || fail "no line matches '$2' in:
$1"
}

# Every file with its owner, mode and link. Left out are what is not of the system, and
# the package manager's own logs, backups and locks.
files() {
    find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /test -o -path /var/log -o -path '/var/lib/dpkg/*-old' \
        -o -path '/var/lib/dpkg/*lock*' -o -path /var/lib/dpkg/triggers \) -prune -o -printf '%p %y %m %U:%G %l\n' | sort
}
processes() { # of the user
    for dir in /proc/[0-9]*; do
        if [ "$(stat -c %U "$dir" 2>/dev/null)" = tester ]; then tr '\0' ' ' <"$dir/cmdline" && echo; fi
    done
}

useradd --create-home --shell /bin/bash tester
files >/test/before

case $form in
    unpacked | archive)
        tar -xzf /test/ipcore-*.tar.gz -C /test
        chmod 755 /test
        folder=$(echo /test/ipcore-*/)
        bin=${folder}bin
        ;;
esac
case $form in
    archive)
        "$folder/install.sh" --links
        rm -rf "$folder"
        bin=/usr/local/bin
        ;;
    package)
        dpkg -i /test/ipcore_*.deb >/test/log 2>&1 || { cat /test/log && fail "dpkg -i"; }
        bin=/usr/bin
        ;;
esac

# as_user runs a command as the ordinary user in that user's home.
as_user() { su tester -c "cd && export PATH=$bin:/usr/bin:/bin && $1"; }

say "version"
out=$(as_user "ipcore version")
echo "$out"
wants "$out" "^ipcore $version \\(commit [0-9a-f]{12}"

say "launchers"
out=$(as_user "ipcore launchers")
echo "$out"
[ "$(echo "$out" | grep -c " $version  *$(dirname "$bin")/libexec/ipcore/ipcore-launcher-")" = 11 ] || fail "these are not our 11 launchers"

say "ipcore -n 4"
as_user "exec ipcore -n 4" >/test/start.log 2>&1 &
as_user "ipcore wait -n 4 --timeout 60" || { cat /test/start.log && fail "no engines"; }
out=$(as_user "ipcore exec 'import os, sys; print(os.getpid(), sys.version_info[:2]); 6 * 7'")
echo "$out"
[ "$(echo "$out" | grep -c 42)" = 4 ] || fail "not four results"
as_user "ipcore status"
case $form in archive) wants "$(as_user "ipcluster list")" default ;; esac
as_user "ipcore stop"
wait || { cat /test/start.log && fail "ipcore -n 4 ended with an error"; }
cat /test/start.log

say "a Slurm script"
out=$(as_user "ipcore script engines --engines=slurm -n 4 --slurm.queue=debug")
echo "$out"
wants "$out" '^#SBATCH --array=1-4$'
wants "$out" '^#SBATCH --partition=debug$'
wants "$out" "$bin/ipcore"

say "an entry point that no Python package has goes through ipcore-launcher-exec"
out=$(as_user "ipcore -n 1 --engines=nonesuch" 2>&1 || true)
wants "$out" 'no entry point of that name'

say "completion"
case $form in
    archive) file=/usr/local/share/bash-completion/completions/ipcore ;;
    package) file=/usr/share/bash-completion/completions/ipcore ;;
    *) file=${folder}share/bash-completion/completions/ipcore ;;
esac
wants "$(bash -c ". $file && complete -p ipcore")" ipcore

say "nothing runs; what the user has"
out=$(processes)
[ -z "$out" ] || fail "still running: $out"
wants "$(as_user "ipcore list")" '^no cluster|^PROFILE|^$'
cd /home/tester
out=$(find .ipython .local -type f ! -path '.ipython/profile_default/log/*')
[ -z "$out" ] || fail "more than logs: $out"
find .ipython .local ! -name '*.log' | sort # a profile, its logs and empty folders: the user's own
rm -rf .ipython .local
cd /

if [ "$form" = archive ]; then
    say "a launcher that was put in place of ours stays"
    theirs=/usr/local/libexec/ipcore/ipcore-launcher-lsf
    rm $theirs
    printf '#!/bin/sh\n' >$theirs
    tar -xzf /test/ipcore-*.tar.gz -C /test
    rm "${folder}share/doc/ipcore/SECURITY.md" # as if a newer version no longer had it
    out=$("$folder/install.sh" --links)
    [ ! -e /usr/local/share/doc/ipcore/SECURITY.md ] || fail "a file of the older version is left"
    wants "$out" "^kept: $theirs"
    [ "$(cat $theirs)" = '#!/bin/sh' ] || fail "it was replaced"
    rm -rf "$folder"

    say "remove"
    out=$(/usr/local/libexec/ipcore/install.sh --uninstall)
    echo "$out"
    [ "$(cat $theirs)" = '#!/bin/sh' ] || fail "it was removed"
    rm $theirs
    rmdir /usr/local/libexec/ipcore /usr/local/libexec
fi
case $form in
    unpacked) rm -rf "$folder" ;;
    package) dpkg --purge ipcore ;;
esac

files >/test/after
diff /test/before /test/after || fail "these files are left, or gone"
say "nothing is left"
