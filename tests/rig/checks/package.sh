#!/bin/bash
# In a booted systemd: what the deb does when it is installed, upgraded, removed and purged.
#
# The package is taken apart and given a higher version to upgrade to.
. /rig/lib.sh

units="smcpd.service smcpd.socket smcpd-call.socket smcpd-http.socket"
# shellcheck disable=SC2086 # they are words
states() { systemctl "$1" $units 2>/dev/null | on_one_line; }

first=$(echo smcp_*.deb)
all_active="active active active active" all_enabled="enabled enabled enabled enabled"
stat_of() { stat -c '%U:%G %a' "$@" 2>&1 | on_one_line; }

is "the package installs" "$(quietly dpkg -i "$first")" 0
is "its units are enabled" "$(states is-enabled)" "$all_enabled"
is "its units are active" "$(states is-active)" "$all_active"
[[ $(systemctl is-active smcpd) == active ]] || journalctl -u smcpd --no-pager -n 30
is "no unit failed" "$(systemctl --failed --no-legend)" ""
is "systemd-analyze verify finds nothing" "$(systemd-analyze verify --man=no /usr/lib/systemd/system/smcp*.{service,socket,timer} 2>&1)" ""
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
is "an operator links a plugin" "$(quietly smcpctl plugin link /srv/greeter)" 0
is "a tool answers" "$(smcpctl call demo_text.echo message=hi 2>&1 | grep -o '"message": "hi"')" '"message": "hi"'
is "a plugin can do no more than it may" "$(smcpctl call greeter.probe 2>&1)" "as smcp in /var/lib/smcp/state/greeter"
useradd --create-home alice && usermod -aG smcp-admin alice
useradd --create-home agent && usermod -aG smcp-call agent
is "a member of smcp-admin administers" "$(runuser -u alice -- smcpctl health)" ok
is "a member of smcp-call calls" "$(runuser -u agent -- smcpctl call demo_text.echo message=hi 2>&1 | grep -c '"hi"')" 1
is "and administers nothing" "$(runuser -u agent -- smcpctl reload >/dev/null 2>&1; echo $?)" 5
is "a reload is waited for" "$(quietly systemctl reload smcpd)" 0
echo 'nonsense = 1' >>/etc/smcp/smcpd.toml
is "a broken configuration fails the reload" "$(systemctl reload smcpd >/dev/null 2>&1; echo $?)" 1
is "and the daemon goes on" "$(systemctl is-active smcpd) $(smcpctl health)" "active ok"
sed -i '$d' /etc/smcp/smcpd.toml
printf '[execution]\ntimeout = 77\n' >/etc/smcp/smcpd.toml.new
cat /etc/smcp/smcpd.toml.new >/etc/smcp/smcpd.toml
rm /etc/smcp/smcpd.toml.new
rm /var/lib/smcp/plugins/demo_math

dpkg-deb -R "$first" /tmp/again
sed -i 's/^Version: \(.*\)$/Version: \1+upgrade/' /tmp/again/DEBIAN/control
quietly dpkg-deb -b /tmp/again upgrade.deb >/dev/null
second=upgrade.deb
main=$(property MainPID)
since=$(date "+%F %T"); sleep 1
is "an upgrade installs" "$(quietly dpkg -i --force-confold "$second")" 0
is "it is another version" "$(dpkg-query -W -f '${Version}' smcp | grep -cF "$(dpkg-deb -f "$second" Version)")" 1
is "the upgrade restarted the daemon" "$([[ $(property MainPID) != "$main" ]] && systemctl is-active smcpd)" active
is "once" "$(journalctl -u smcpd --no-pager -o cat --since "$since" | grep -c "^Started ")" 1
is "it kept the configuration and its rights" "$(grep -c 'timeout = 77' /etc/smcp/smcpd.toml) $(stat_of /etc/smcp/smcpd.toml)" \
    "1 root:smcp 640"
is "it kept the links, and brought none back" "$(cd /var/lib/smcp/plugins && echo *)" "demo_text greeter"
is "it kept the plugins' state" "$(stat_of /var/lib/smcp/state/greeter)" "smcp:smcp 700"
is "the new configuration holds" "$(smcpctl config show | grep -c '^execution.timeout.77')" 1
is "a tool answers still" "$(smcpctl call demo_text.echo message=hi 2>&1 | grep -c '"hi"')" 1
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
systemctl daemon-reload
is "only the operator's links are left" \
    "$(find /etc /var/lib /var/cache /run /usr -xdev -name '*smcp*' -not -path '/var/lib/dpkg/*' -not -path '/run/systemd/*' | on_one_line)" /var/lib/smcp
is "and nothing beside them" "$(find /var/lib/smcp -mindepth 1 | on_one_line)" "/var/lib/smcp/plugins /var/lib/smcp/plugins/greeter"
is "the operator's files are untouched" "$(ls /srv/greeter)" cli
is "the system user stays, as is Debian's practice" "$(id -nu smcp)" smcp
is "no unit failed" "$(systemctl --failed --no-legend)" ""

finish
