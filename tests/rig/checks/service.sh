#!/bin/bash
# In a booted systemd: enabled, active, called, reloaded, killed, and the same again after a reboot.
. /rig/lib.sh

if [[ $RIG_BOOT == 2 ]]; then
    soon "reboot: it is active" has_property ActiveState active
    is "reboot: its plugins are there" "$(smcpctl call demo_text.echo message=again | jq -r .message)" again
    is "reboot: the configuration holds" "$(smcpctl config show --json | jq -r '.config[] | select(.key == "execution.queue").value')" 77
    is "reboot: the journal has the first boot" "$(journalctl -b -1 -u smcpd -o cat --no-pager SMCP_EVENT=stopped | wc -l)" 3
    holds "disable --now" systemctl disable --now smcpd.service smcpd.socket smcpd-call.socket smcpd-http.socket
    is "disabled: nothing of it runs" "$(pgrep -cu smcp) $(ss -Hltn 'sport = 8000')" "0 "
    finish
fi

holds "the package installs" dpkg -i smcp_*.deb
is "it is enabled and active" "$(systemctl is-enabled smcpd) $(systemctl is-active smcpd)" "enabled active"
says() { property StatusText | grep "^$1"; }
soon "the status is a line for people" says "8 tools from 2 plugins, 0 calls running"
is "a call over the socket" "$(smcpctl call demo_text.echo message=hi | jq -r .message)" hi
is "a call over HTTP" "$(ask tools/call '{"name": "demo_text__echo", "arguments": {"message": "hi"}}' | jq -r .result.structuredContent.message)" hi
has_spare() { smcpctl plugin show demo_text | grep -E 'its parent is up, and (a|[0-9]+) spare' >/dev/null; }
soon "under its hardening a spare waits" has_spare
is "a call takes it" "$(smcpctl call demo_text.echo message=warm | jq -r .message)" warm
is "and leaves none of it" "$(journalctl -u smcpd -o cat --no-pager -p warning | wc -l)" 0
is "it has the three sockets" "$(tr '\0' '\n' <"/proc/$(property MainPID)/environ" | sed -n 's/^LISTEN_FDNAMES=//p' | tr : '\n' | sort | on_one_line)" "call control http"
is "its processes are bounded" "$(property TasksMax)" 4096

main=$(property MainPID)
mkdir -p /etc/smcp/smcpd.toml.d
queue() { smcpctl config show --json | jq -r '.config[] | select(.key == "execution.queue").value'; }
printf '[execution]\nqueue = 77\n' >/etc/smcp/smcpd.toml.d/queue.toml
holds "a reload succeeds" systemctl reload smcpd
is "and the new value holds" "$(queue)" 77
printf '[execution]\nqueue = "many"\n' >/etc/smcp/smcpd.toml.d/queue.toml
holds "a reload of a broken configuration fails" fails systemctl reload smcpd
is "the old value stays, and the process" "$(queue) $(property MainPID) $(systemctl is-active smcpd)" "77 $main active"
is "the journal says where it is broken" "$(journalctl -u smcpd -o cat --no-pager SMCP_EVENT=reload-refused | grep -c 'queue.toml:2')" 1
printf '[execution]\nqueue = 77\n' >/etc/smcp/smcpd.toml.d/queue.toml
# systemd before 253 knows no notify-reload.
if (($(systemctl --version | sed -n '1s/[^ ]* \([0-9]*\).*/\1/p') >= 253)); then
    drop_in notify '[Service]' 'Type=notify-reload' 'ExecReload='
    holds "notify-reload: it restarts as such" systemctl restart smcpd
    holds "notify-reload: systemd waits for the end of a reload" systemctl reload smcpd
    is "notify-reload: it is active" "$(systemctl is-active smcpd)" active
    rm /etc/systemd/system/smcpd.service.d/notify.conf
    systemctl daemon-reload
else
    holds "it restarts" systemctl restart smcpd
fi

# A session that a killed daemon had is unknown to the next one, and that is said so that clients begin anew.
cat >/tmp/session.py <<'P'
import json, sys, urllib.error, urllib.request
def post(message, session=None):
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    if session:
        headers["Mcp-Session-Id"] = session
    request = urllib.request.Request("http://127.0.0.1:8000/mcp", json.dumps(message).encode(), headers)
    return urllib.request.urlopen(request, timeout=20)
params = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "rig", "version": "1"}}
if sys.argv[1:]:
    try:
        post({"jsonrpc": "2.0", "id": 2, "method": "ping"}, sys.argv[1])
        print("answered")
    except urllib.error.HTTPError as error:
        print(error.code, json.loads(error.read())["error"]["code"])
else:
    print(post({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}).headers["Mcp-Session-Id"])
P
session=$(python3 /tmp/session.py)
is "a session is opened" "${#session}" 32
main=$(property MainPID)
kill -9 "$main"
soon "kill -9: it is started again" restarted 1
is "kill -9: by another process" "$([[ $(property MainPID) != "$main" ]] && echo another)" another
is "kill -9: the old session is told 404" "$(python3 /tmp/session.py "$session")" "404 -32001"
is "kill -9: it serves" "$(smcpctl call demo_text.echo message=hi | jq -r .message)" hi

printf 'nonsense = 1\n' >/etc/smcp/smcpd.toml.d/bad.toml
holds "a broken configuration fails the start" fails systemctl restart smcpd
sleep 2
is "it is not tried again" "$(property Result) $(property ExecMainStatus) $(property SubState)" "exit-code 2 failed"
rm /etc/smcp/smcpd.toml.d/bad.toml
holds "a mended one starts" systemctl restart smcpd
is "nothing else failed" "$(systemctl --failed --no-legend)" ""
again
