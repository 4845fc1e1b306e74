#!/bin/sh
# install.sh: install ipcore from the folder that this script is in, or remove it again.
set -eu
umask 022

usage() {
    cat <<'END'
usage: install.sh [--prefix=DIR] [--links] [--uninstall]

  --prefix=DIR  install into DIR/bin, DIR/libexec/ipcore and DIR/share (default /usr/local)
  --links       also make the links ipcluster, ipcontroller and ipengine
  --uninstall   remove what was installed, and nothing else; an installed copy of this
                script, DIR/libexec/ipcore/install.sh, does so too

$DESTDIR, if set, is put before the prefix. A launcher that was put in place of one of
ours (libexec/ipcore/ipcore-launcher-NAME) is neither replaced nor removed.
END
}

fail() {
    echo "error: $1" >&2
    echo "hint: $2" >&2
    exit 1
}

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
prefix='' links='' uninstall=''
for arg; do
    case $arg in
        --prefix=/*) prefix=${arg#--prefix=} ;;
        --links) links=yes ;;
        --uninstall) uninstall=yes ;;
        -h | --help)
            usage
            exit 0
            ;;
        *)
            echo "error: $arg is not an option, or not an absolute folder" >&2
            usage >&2
            exit 2
            ;;
    esac
done
if [ -z "$prefix" ] && [ -e "$here/installed-files" ]; then # this is an installed copy
    prefix=${here%/libexec/ipcore}
fi
root=${DESTDIR:-}${prefix:-/usr/local}
list=libexec/ipcore/installed-files

# The list has a line for each thing that was installed, in the order of installation:
#   d FOLDER | f FILE | l LINK TARGET      (paths below the prefix, which is ".")

# is_ours reports whether a path is free, a file of the list, or a link as we make it.
is_ours() { # path, target
    [ ! -e "$root/$1" ] && [ ! -L "$root/$1" ] && return
    [ -L "$root/$1" ] && [ "$(readlink "$root/$1")" = "$2" ]
}

if [ -n "$uninstall" ]; then
    [ -e "$root/$list" ] || fail "$root/$list does not exist: no ipcore was installed by install.sh there" "give --prefix=DIR as when it was installed"
    old=$(cat "$root/$list")
    echo "$old" | while read -r kind path target; do
        case $kind in
            f) rm -f "$root/$path" ;;
            l) if is_ours "$path" "$target"; then rm -f "$root/$path"; else echo "kept: $root/$path is not the one that was installed"; fi ;;
        esac
    done
    rm -f "$root/$list"
    # Folders that installing made, the innermost first, unless something else is in them.
    echo "$old" | sed -n 's/^d //p' | LC_ALL=C sort -r | while read -r folder; do
        case $folder in
            .) rmdir "$root" 2>/dev/null || true ;;
            *) rmdir "$root/$folder" 2>/dev/null || true ;;
        esac
    done
    echo "ipcore was removed from $root"
    exit
fi

[ -e "$here/bin/ipcore" ] || fail "$here has no bin/ipcore to install" "run the install.sh of an unpacked archive"
if [ -n "$links" ]; then
    for name in ipcluster ipcontroller ipengine; do
        is_ours "bin/$name" ipcore || fail "$root/bin/$name exists and is not a link to ipcore" "remove it, or install without --links"
    done
fi

old=''
[ ! -e "$root/$list" ] || old=$(cat "$root/$list")
new=''
record() { new="$new$*
"; }

folder() { # path: make it and those above it, and record those that did not exist
    if [ ! -d "$root/$1" ]; then
        if [ "$1" = . ]; then mkdir -p "$root"; else folder "$(dirname "$1")" && mkdir "$root/$1"; fi
        record d "$1"
    fi
}

place() { # path, target: make a link, unless something else is there
    folder "$(dirname "$1")"
    if is_ours "$1" "$2"; then
        ln -sf "$2" "$root/$1"
        record l "$1" "$2"
    else
        echo "kept: $root/$1 is not a link to $2"
    fi
}

# A running program keeps its file: the new one takes its place by rename.
copy() { # path, source
    folder "$(dirname "$1")"
    cp "$2" "$root/$1.new"
    if [ -x "$2" ]; then chmod 755 "$root/$1.new"; else chmod 644 "$root/$1.new"; fi
    mv -f "$root/$1.new" "$root/$1"
    record f "$1"
}

cd "$here"
folder .
for path in $(find bin libexec share -type f -o -type l | LC_ALL=C sort); do
    if [ -L "$path" ]; then place "$path" "$(readlink "$path")"; else copy "$path" "$path"; fi
done
copy libexec/ipcore/install.sh install.sh
if [ -n "$links" ]; then
    for name in ipcluster ipcontroller ipengine; do place "bin/$name" ipcore; done
fi

# What an older version had and this one has not is removed; folders stay recorded.
if [ -n "$old" ]; then
    gone=$(echo "$old" | while read -r kind path target; do
        case $kind in
            d) echo "d $path" ;;
            f | l) printf '%s' "$new" | grep -qxF "$kind $path${target:+ $target}" || echo "$kind $path${target:+ $target}" ;;
        esac
    done)
    echo "$gone" | while read -r kind path target; do
        case $kind in
            f) rm -f "$root/$path" ;;
            l) if is_ours "$path" "$target"; then rm -f "$root/$path"; fi ;;
        esac
    done
    new="$new$(echo "$gone" | grep '^d ' || true)
"
fi
printf '%s' "$new" | grep . >"$root/$list"
chmod 644 "$root/$list"
echo "ipcore was installed: $root/bin/ipcore"
