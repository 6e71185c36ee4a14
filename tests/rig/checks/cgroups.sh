#!/usr/bin/env bash
# A control group for each plugin, which the drop-in has systemd delegate.
source ./lib.sh

apt-get -qq install -y ./smcp_*.deb >/tmp/installed 2>&1 || { cat /tmp/installed; finish; }
unit=/sys/fs/cgroup/system.slice/smcpd.service
for name in away here; do
    plugin $name <<'PLUGIN'
#!/bin/sh
case $1 in
--describe) echo '{"contract_version": "1.1", "plugin": {"name": "p", "version": "1", "description": "p"}, "commands": [
  {"name": "slip", "description": "Leaves a process that nothing tells of", "timeout": 1, "parameters": []},
  {"name": "look", "description": "Says where it is", "parameters": []},
  {"name": "leave", "description": "Tries to leave", "parameters": []}]}' ;;
slip) setsid sh -c 'trap "" TERM; env -i sleep 987 </dev/null >/dev/null 2>&1 &' ; trap '' TERM; sleep 60 ;;
look) grep ^0:: /proc/self/cgroup ;;
leave) echo $$ >/sys/fs/cgroup/system.slice/smcpd.service/daemon/cgroup.procs && echo left || echo held ;;
esac
PLUGIN
done
call() { ask tools/call "{\"name\": \"$1\", \"arguments\": {}}"; }
text() { call "$1" | jq -r '.result.content[0].text'; }

smcpctl rescan >/dev/null
is "without the drop-in there is no group" "$(text here.look)" "0::/system.slice/smcpd.service"

shipped_drop_in cgroups
holds "the daemon starts with the drop-in" systemctl restart smcpd
is "it is in a leaf of its own" "$(cat $unit/daemon/cgroup.procs)" "$(property MainPID)"
is "a call is in its plugin's group" "$(text here.look)" "0::/system.slice/smcpd.service/plugin-here"
is "and cannot leave it" "$(text here.leave)" held
is "its figures are shown" "$(smcpctl plugin show here --json | jq '.plugin.described.group | has("processes")')" true
for pair in memory.max pids.max cpu.weight; do
    if [[ -e $unit/plugin-here/$pair ]]; then
        is "$pair is a number" "$(grep -cE '^[0-9]+$' $unit/plugin-here/$pair)" 1
    else
        echo "passed over: this machine's tree has no $pair"
    fi
done
call away.slip >/dev/null
is "a call over its time leaves nothing, whatever it did" "$(pgrep -fc 'sleep 987')" 0
is "its neighbour goes on" "$(text here.look)" "0::/system.slice/smcpd.service/plugin-here"
holds "a reload finds its way" systemctl reload smcpd
holds "the unit stops" systemctl stop smcpd
is "and nothing of it is left" "$(systemctl is-active smcpd) $([[ -e $unit ]] && echo there)" "inactive "
finish
