#!/bin/bash
# In a booted systemd: a daemon that hangs is restarted, stopped as a whole or wedged part by part.
. /rig/lib.sh

printf '[Unit]\nStartLimitIntervalSec=0\n[Service]\nWatchdogSec=2\nRestartSec=200ms\nTimeoutAbortSec=2\n' |
    install -D /dev/stdin /etc/systemd/system/smcpd.service.d/01-check.conf
holds "the package installs" dpkg -i smcp_*.deb
sleep 5
is "it is left alone while it is well" "$(property NRestarts) $(systemctl is-active smcpd)" "0 active"
kill -STOP "$(property MainPID)"
soon "SIGSTOP: the watchdog restarts it" restarted 1
is "SIGSTOP: it serves again" "$(smcpctl call demo_text.echo message=hi | jq -r .message)" hi

# The daemon that ships cannot be wedged; this one can.
install -m 755 smcpd-wedge /usr/bin/smcpd
for part in executor control call http; do
    drop_in wedge '[Service]' "Environment=WEDGE=$part"
    systemctl restart smcpd
    before=$(property NRestarts)
    bites() { (($(property NRestarts) > before)); }
    soon "$part hangs: the watchdog restarts it" bites
done
rm /etc/systemd/system/smcpd.service.d/wedge.conf
systemctl daemon-reload
systemctl restart smcpd
is "no part hangs: it serves" "$(smcpctl call demo_text.echo message=hi | jq -r .message)" hi
holds "the journal says why" grep -q 'Watchdog timeout' <(journalctl -u smcpd -o cat --no-pager)
finish
