#!/bin/bash
# In a booted systemd: what the rpm's scriptlets do when it is installed, upgraded and erased, by Debian's rpm.
. /rig/lib.sh

packages=(smcp-*.rpm)
package=${packages[0]}
active="active active active active"
states() { systemctl is-active smcpd.service smcpd.socket smcpd-call.socket smcpd-http.socket 2>/dev/null | on_one_line; }

is "the package installs" "$(quietly rpm -i --nodeps "$package")" 0
is "the user and the groups are there" "$(id -nu smcp) $(getent group smcp-admin smcp-call | cut -d: -f1 | on_one_line)" \
    "smcp smcp-admin smcp-call"
is "the configuration is for root and the daemon" "$(stat -c '%U:%G %a' /etc/smcp/smcpd.toml)" "root:smcp 640"
is "the shipped plugins are linked" "$(cd /var/lib/smcp/plugins && echo *)" "demo_math demo_text"
is "it starts" "$(quietly systemctl enable --now smcpd)" 0
is "with its sockets" "$(states)" "$active"
if command -v python3 >/dev/null; then
    is "a tool answers" "$(smcpctl call demo_text.echo message=hi 2>&1 | grep -c '"hi"')" 1
fi
mkdir -p /srv/greeter && printf '#!/bin/sh\necho "{\\"commands\\": []}"\n' >/srv/greeter/cli && chmod 755 /srv/greeter/cli
ln -s /srv/greeter /var/lib/smcp/plugins/greeter
rm /var/lib/smcp/plugins/demo_math
echo '# mine' >>/etc/smcp/smcpd.toml
main=$(systemctl show -P MainPID smcpd)
is "an upgrade installs" "$(quietly rpm -U --nodeps --replacepkgs "$package")" 0
is "it keeps the configuration" "$(tail -n 1 /etc/smcp/smcpd.toml) $(stat -c '%U:%G %a' /etc/smcp/smcpd.toml)" "# mine root:smcp 640"
is "and the links" "$(cd /var/lib/smcp/plugins && echo *)" "demo_text greeter"
is "and restarts the daemon" "$([[ $(systemctl show -P MainPID smcpd) != "$main" ]] && states)" "$active"
is "the package is erased" "$(quietly rpm -e --nodeps smcp)" 0
is "nothing of it runs" "$(states) $(ps -u smcp -o pid= | wc -l)" "inactive inactive inactive inactive 0"
is "the operator's link is left, and the package's is not" "$(cd /var/lib/smcp/plugins && echo *)" greeter
finish
