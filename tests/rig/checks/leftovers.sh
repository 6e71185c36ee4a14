#!/bin/bash
# In a booted systemd: nothing outlives the service, wherever its processes moved.
. /rig/lib.sh

printf '[Service]\nRestart=no\n' | install -D /dev/stdin /etc/systemd/system/smcpd.service.d/01-check.conf
holds "the package installs" dpkg -i smcp_*.deb
plugin runaway <<'P'
#!/usr/bin/python3
"""Leaves a daemonized child behind and goes on."""
import json, os, sys, time
if sys.argv[1] == "--describe":
    print(json.dumps({"contract_version": "1.1", "commands": [{"name": "run", "description": "x"}]}))
    sys.exit()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        null = os.open("/dev/null", os.O_RDWR)
        for descriptor in range(3):
            os.dup2(null, descriptor)
        os.execve("/bin/sleep", ["sleep", "98765"], {})
    os._exit(0)
time.sleep(98765)
P
plugin patient <<'P'
#!/bin/sh
if [ "$1" = --describe ]; then
    echo '{"contract_version": "1.1", "commands": [{"name": "wait", "description": "x"}]}'
else
    sleep 6; echo finished
fi
P
printf '[execution]\ndrain = 1\ngrace = 1\n' >/etc/smcp/smcpd.toml
holds "it restarts" systemctl restart smcpd

is_over() { [[ $(pgrep -cu smcp) == 0 ]] && fails has_property ActiveState active; }
for end in "systemctl stop smcpd" "systemctl kill --kill-who=main -s KILL smcpd"; do
    smcpctl call runaway.run >/dev/null 2>&1 &
    soon "a daemonized child runs" pgrep -f 'sleep 98765'
    $end
    soon "no process is left after $end" is_over
    is "its cgroup is gone" "$(find /sys/fs/cgroup/system.slice/smcpd.service -name cgroup.procs -exec cat {} + 2>/dev/null)" ""
    systemctl reset-failed smcpd 2>/dev/null
    systemctl start smcpd
done

# A drain that is longer than TimeoutStopSec= is granted, because the daemon asks for the time.
printf '[execution]\ndrain = 20\n' >/etc/smcp/smcpd.toml
drop_in 02-check '[Service]' 'TimeoutStopSec=2'
systemctl restart smcpd
smcpctl call patient.wait >/tmp/answer 2>&1 &
call=$!
is_running() { property StatusText | grep '1 calls running'; }
soon "the call runs" is_running
systemctl stop smcpd
wait "$call"
is "a call may end in a drain beyond TimeoutStopSec=" "$(cat /tmp/answer) $(property Result)" "finished success"
finish
