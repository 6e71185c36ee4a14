#!/bin/bash
# In a booted systemd: what the deb does when it is installed, upgraded, removed and purged.
#
#   RUNNER run [--env SMCP_UNACTIVATED=1] package.sh smcp_VERSION-1_ARCH.deb [smcp_VERSION-2_ARCH.deb]
#
# The second package is an upgrade; without it the first is taken apart and given a higher revision.
# SMCP_UNACTIVATED: for a smcpd that knows no socket activation: it binds by itself, so the socket units are masked.
# Last line: `N passed, N failed`.
set -u
passed=0 failed=0

# is WHAT FOUND EXPECTED
is() {
    if [[ $2 == "$3" ]]; then
        passed=$((passed + 1))
        echo "ok     $1"
    else
        failed=$((failed + 1))
        printf 'FAILED %s:\n  found    %s\n  expected %s\n' "$1" "$2" "$3"
    fi
}

# quietly COMMAND...: prints its exit status; what it said is shown where that is not 0.
quietly() {
    local status=0
    "$@" >/tmp/said 2>&1 || status=$?
    [[ $status == 0 ]] || sed 's/^/  | /' /tmp/said >&2
    echo $status
}

on_one_line() { tr '\n' ' ' | sed 's/ $//'; }
property() { systemctl show --property "$2" --value "$1"; }
units="smcpd.service smcpd.socket smcpd-call.socket smcpd-http.socket"
# shellcheck disable=SC2086 # they are words
states() { systemctl "$1" $units 2>/dev/null | on_one_line; }

cd "$(dirname "$0")" || exit 1
debs=(smcp_*.deb)
first=${debs[0]}
export DEBIAN_FRONTEND=noninteractive
all_active="active active active active" all_enabled="enabled enabled enabled enabled"
stat_of() { stat -c '%U:%G %a' "$@" 2>&1 | on_one_line; }
# Python is recommended, not needed: where the machine has none, the plugin is a shell program.
tool=demo_text.echo
has_python=$(command -v python3)

if [[ -n ${SMCP_UNACTIVATED:-} ]]; then
    systemctl mask smcpd-http.socket >/dev/null 2>&1
    export SMCP_SOCKET=/run/smcp/daemon/control.sock
    # Feeding the watchdog came with activation, and the sockets it makes are given to a group.
    mkdir -p /etc/systemd/system/smcpd.service.d
    printf '[Service]\nWatchdogSec=0\nSystemCallFilter=@chown\n' >/etc/systemd/system/smcpd.service.d/00-check.conf
    all_active="active active active inactive" all_enabled="enabled enabled enabled masked"
    echo "note: smcpd-http.socket is masked, and the control socket is the daemon's own"
fi

is "the package installs" "$(quietly dpkg -i "$first")" 0
is "its units are enabled" "$(states is-enabled)" "$all_enabled"
is "its units are active" "$(states is-active)" "$all_active"
[[ $(systemctl is-active smcpd) == active ]] || journalctl -u smcpd --no-pager -n 30
is "no unit failed" "$(systemctl --failed --no-legend)" ""
is "systemd-analyze verify finds nothing" "$(systemd-analyze verify --man=no /usr/lib/systemd/system/smcpd*.{service,socket} 2>&1)" ""
exposure=$(systemd-analyze security --no-pager smcpd.service | sed -n 's/.*exposure level for smcpd.service: \([0-9.]*\).*/\1/p')
is "the exposure level ($exposure) is at most 1.3" "$(awk -v e="$exposure" 'BEGIN { print (e > 0 && e <= 1.3) }')" 1
is "the user and the groups are there" \
    "$(id -nu smcp) $(getent group smcp-admin smcp-call | cut -d: -f1 | on_one_line)" "smcp smcp-admin smcp-call"
is "the user may not log in" "$(getent passwd smcp | cut -d: -f6,7)" /var/lib/smcp:/usr/sbin/nologin
is "the configuration is for root and the daemon" "$(stat_of /etc/smcp/smcpd.toml)" "root:smcp 640"
is "the sockets are root's and the groups'" "$(stat_of /run/smcp /run/smcp/control.sock /run/smcp/call.sock)" \
    "root:root 755 root:smcp-admin 660 root:smcp-call 660"
is "directories belong to whom they should" "$(stat_of /run/smcp/daemon /var/lib/smcp /var/lib/smcp/plugins /var/cache/smcp)" \
    "smcp:smcp 750 smcp:smcp 755 root:root 755 smcp:smcp 750"
is "it listens on loopback alone" "$(ss -Hltn 'sport = 8000' | awk '{ print $4 }')" 127.0.0.1:8000
is "the shipped plugins are linked" "$(readlink /var/lib/smcp/plugins/* | on_one_line)" \
    "/usr/share/smcp/plugins/demo_math /usr/share/smcp/plugins/demo_text"

# The operator's own: a plugin, a link to it, and a line in the configuration.
mkdir -p /srv/greeter
cat >/srv/greeter/cli <<'P'
#!/bin/sh
case "$1" in
--describe) echo '{"commands": [{"name": "echo", "parameters": [{"name": "message", "required": true}]}, {"name": "probe"}]}' ;;
echo) printf '{"message": "%s"}\n' "${2#--message=}" ;;
probe) # what a plugin must not be able to do
    for path in /etc/smcp /usr/bin /var/lib/smcp/plugins /run/smcp; do
        if touch "$path/x" 2>/dev/null; then echo "wrote $path"; fi
    done
    if mv /var/lib/smcp/plugins /var/lib/smcp/p 2>/dev/null; then echo "moved the plugins"; fi
    if [ -r /etc/shadow ]; then echo "may read shadow"; fi
    if [ -n "$(ls -A /home 2>/dev/null)" ]; then echo "saw /home"; fi
    echo "as $(id -nu) in $PWD"
    ;;
esac
P
chmod 755 /srv/greeter/cli
mkdir -p /home/someone
if [[ -z $has_python ]]; then
    tool=greeter.echo
    echo "note: there is no python3 here: greeter, a shell program, stands in for demo_text"
fi
is "an operator links a plugin" "$(quietly smcpctl plugin link /srv/greeter)" 0
is "a tool answers" "$(smcpctl call "$tool" message=hi 2>&1 | grep -o '"message": "hi"')" '"message": "hi"'
is "a plugin can do no more than it may" "$(smcpctl call greeter.probe 2>&1)" "as smcp in /var/lib/smcp/state/greeter"
if [[ -z ${SMCP_UNACTIVATED:-} ]]; then
    useradd --create-home operator && usermod -aG smcp-admin operator
    useradd --create-home agent && usermod -aG smcp-call agent
    is "a member of smcp-admin administers" "$(runuser -u operator -- smcpctl health)" ok
    is "a member of smcp-call calls" "$(runuser -u agent -- smcpctl call "$tool" message=hi 2>&1 | grep -c '"hi"')" 1
    is "and administers nothing" "$(runuser -u agent -- smcpctl reload >/dev/null 2>&1; echo $?)" 5
    is "a reload is waited for" "$(quietly systemctl reload smcpd)" 0
    echo 'nonsense = 1' >>/etc/smcp/smcpd.toml
    is "a broken configuration fails the reload" "$(systemctl reload smcpd >/dev/null 2>&1; echo $?)" 1
    is "and the daemon goes on" "$(systemctl is-active smcpd) $(smcpctl health)" "active ok"
    sed -i '$d' /etc/smcp/smcpd.toml
fi
printf '[execution]\ntimeout = 77\n' >/etc/smcp/smcpd.toml.new
cat /etc/smcp/smcpd.toml.new >/etc/smcp/smcpd.toml
rm /etc/smcp/smcpd.toml.new
rm /var/lib/smcp/plugins/demo_math

if [[ ${#debs[@]} == 1 ]]; then
    dpkg-deb -R "$first" /tmp/again
    sed -i 's/^Version: \(.*\)$/Version: \1+upgrade/' /tmp/again/DEBIAN/control
    quietly dpkg-deb -b /tmp/again upgrade.deb >/dev/null
    second=upgrade.deb
else
    second=${debs[1]}
fi
main=$(property smcpd MainPID)
since=$(date "+%F %T"); sleep 1
is "an upgrade installs" "$(quietly dpkg -i --force-confold "$second")" 0
is "it is another version" "$(dpkg-query -W -f '${Version}' smcp | grep -cF "$(dpkg-deb -f "$second" Version)")" 1
is "the upgrade restarted the daemon" "$([[ $(property smcpd MainPID) != "$main" ]] && systemctl is-active smcpd)" active
is "once" "$(journalctl -u smcpd --no-pager -o cat --since "$since" | grep -c "^Started ")" 1
is "it kept the configuration and its rights" "$(grep -c 'timeout = 77' /etc/smcp/smcpd.toml) $(stat_of /etc/smcp/smcpd.toml)" \
    "1 root:smcp 640"
is "it kept the links, and brought none back" "$(cd /var/lib/smcp/plugins && echo *)" "demo_text greeter"
is "it kept the plugins' state" "$(stat_of /var/lib/smcp/state/greeter)" "smcp:smcp 700"
is "the new configuration holds" "$(smcpctl config show | grep -c '^execution.timeout.77')" 1
is "a tool answers still" "$(smcpctl call "$tool" message=hi 2>&1 | grep -c '"hi"')" 1
is "what was enabled is" "$(states is-enabled)" "$all_enabled"

is "the package is removed" "$(quietly dpkg -r smcp)" 0
is "nothing of it runs" "$(states is-active)" "inactive inactive inactive inactive"
is "no process is left" "$(ps -u smcp -o pid= | wc -l)" 0
is "sockets are gone" "$(find /run/smcp -type s 2>/dev/null; ss -Hltn 'sport = 8000')" ""
is "removal keeps configuration and plugins" "$(find /etc/smcp /var/lib/smcp/plugins -mindepth 1 | sort | on_one_line)" \
    "/etc/smcp/smcpd.toml /var/lib/smcp/plugins/demo_text /var/lib/smcp/plugins/greeter"
is "it can be installed again" "$(quietly dpkg -i --force-confold "$second")" 0
is "and runs as before" "$(states is-active) $(cd /var/lib/smcp/plugins && echo *)" "$all_active demo_text greeter"

is "the package is purged" "$(quietly dpkg -P smcp)" 0
is "the purge says what it kept" "$(grep '^smcp: ' /tmp/said)" "smcp: kept /var/lib/smcp/plugins: what is linked there is yours"
rm -rf /etc/systemd/system/smcpd.service.d
[[ -z ${SMCP_UNACTIVATED:-} ]] || systemctl unmask smcpd-http.socket >/dev/null 2>&1
systemctl daemon-reload
is "only the operator's links are left" \
    "$(find /etc /var/lib /var/cache /run /usr -xdev -name '*smcp*' -not -path '/var/lib/dpkg/*' -not -path '/run/systemd/*' | on_one_line)" /var/lib/smcp
is "and nothing beside them" "$(find /var/lib/smcp -mindepth 1 | on_one_line)" "/var/lib/smcp/plugins /var/lib/smcp/plugins/greeter"
is "the operator's files are untouched" "$(ls /srv/greeter)" cli
is "the system user stays, as is Debian's practice" "$(id -nu smcp)" smcp
is "no unit failed" "$(systemctl --failed --no-legend)" ""

echo "$passed passed, $failed failed"
[[ $failed == 0 ]]
