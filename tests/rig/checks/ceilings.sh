#!/usr/bin/env bash
# Ceilings of a plugin's control group, in force: `tests/rig/machine`, for a container lends no controllers here.
source ./lib.sh

dpkg -i ./smcp_*.deb >/tmp/installed 2>&1 || { cat /tmp/installed; finish; }
group=/sys/fs/cgroup/system.slice/smcpd.service/plugin-hog
for name in hog neighbour; do
    mkdir -p /srv/$name
    cp hostile/cli.py /srv/$name/
    ln -sfn /srv/$name /var/lib/smcp/plugins/$name
done
cat >>/etc/smcp/smcpd.toml <<'TOML'

[plugin.hog]
warm = "off"
[plugin.hog.sandbox]
memory = 4_294_967_296
processes = 4_096
total_memory = 268_435_456
total_processes = 40
cpu_weight = 1
TOML
shipped_drop_in cgroups
holds "the daemon starts with the drop-in" systemctl restart smcpd
soon "both plugins are served" smcpctl tools show neighbour.spin
call() { smcpctl call --json --args - "$1" <<<"$2"; }
# Whether a call of the plugin fails.
fails_at_once() { call "$1.spin" '{"seconds": 0}' | jq -r '.isError == true'; }

is "the ceilings are the kernel's" \
    "$(fails_at_once hog >/dev/null; cat $group/{memory.max,pids.max,cpu.weight} | on_one_line)" "268435456 40 1"

# The unit has a /tmp of its own.
told() { cat /tmp/systemd-private-*-smcpd.service-*/tmp/forked; }
call hog.fork-bomb '{"note": "/tmp/forked"}' >/tmp/bomb &
bomb=$!
soon "a fork bomb meets its ceiling" told
forked=$(told | jq .forked)
is "it forked less than 40 times" "$((forked > 10 && forked < 40))" 1
is "its neighbour is served meanwhile" "$(fails_at_once neighbour)" false
cat $group/pids.{current,peak,events} 2>/dev/null | sed 's/^/  | /'
smcpctl calls --json | jq -r '.. | .id? // empty' | head -n 1 | xargs -r smcpctl cancel >/dev/null
wait $bomb
# But for the launcher that waits for the next call.
empty() {
    local pid
    for pid in $(<$group/cgroup.procs); do
        grep -qz launch-waiting "/proc/$pid/cmdline" || return
    done
}
soon "nothing of it is left" empty
empty || ps -o pid,stat,args -p "$(paste -sd, $group/cgroup.procs)" | sed 's/^/  | /'

daemon=$(property MainPID)
call hog.hog '{"step": 8, "bytes": 1073741824}' >/tmp/hog
sed 's/^/  | /' /tmp/hog | head -n 12
is "who takes more memory than its group may is ended" "$(grep -c '^oom_kill [1-9]' $group/memory.events)" 1
sed 's/^/  | /' $group/memory.events
is "the daemon lives" "$(property MainPID)" "$daemon"
is "its neighbour too" "$(fails_at_once neighbour)" false
is "and so does it, at its next call" "$(fails_at_once hog)" false

# Two dozen that compute, of the least weight, beside one of the usual.
usage() { sed -n 's/^usage_usec //p' "/sys/fs/cgroup/system.slice/smcpd.service/plugin-$1/cpu.stat"; }
hog=$(usage hog) neighbour=$(usage neighbour)
call hog.spin '{"seconds": 12, "processes": 24}' >/dev/null &
call neighbour.spin '{"seconds": 8, "processes": 2}' >/dev/null
hog=$(($(usage hog) - hog)) neighbour=$(($(usage neighbour) - neighbour))
echo "  | in 8 s: the neighbour's two processes $((neighbour / 1000)) ms, the hog's two dozen $((hog / 1000)) ms"
is "processors go by weight and not by number" "$((neighbour > 3 * hog))" 1
wait
finish
