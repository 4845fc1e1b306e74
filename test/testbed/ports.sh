#!/usr/bin/env bash
# ports.sh: keeps the beds' fixed ports free. Where the kernel's range for clients
# begins at 1024 (sysctl net.ipv4.ip_local_port_range), any connection of a test may
# be given such a port, and then a bed's daemon can't listen. As root this adds them
# to net.ipv4.ip_local_reserved_ports, which lasts until the machine is started again;
# elsewhere it does nothing.
ports=22022,26444-26445,26817-26899,27717,29618 # ssh, sge, slurm, mongo, condor
list=/proc/sys/net/ipv4/ip_local_reserved_ports
[ -w "$list" ] || exit 0
now=$(cat "$list")
case ,$now, in *,$ports,*) exit 0 ;; esac
echo "${now:+$now,}$ports" >"$list" 2>/dev/null || true # a container's may be read-only
