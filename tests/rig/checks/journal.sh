#!/bin/bash
# In a booted systemd: what the journal has, what it explains, and what cannot be forged in it.
. /rig/lib.sh

holds "the package installs" dpkg -i smcp_*.deb
plugin loud <<'P'
#!/usr/bin/python3
import json, sys
if sys.argv[1] == "--describe":
    print(json.dumps({"contract_version": "1.1", "commands": [{"name": "shout", "description": "x",
        "parameters": [{"name": "what", "type": "string", "required": True}]}]}))
else:
    sys.stderr.write("first\nMESSAGE=forged\nPRIORITY=0\n\nSMCP_TOOL=forged\x1b[31m " + sys.argv[2] + "\n")
    print("said")
P
smcpctl rescan >/dev/null
smcpctl call demo_text.echo message=hi >/dev/null
last() { journalctl -u smcpd --no-pager -o json -n 1 "$@"; }
call=$(last SMCP_EVENT=call-finished)
is "a call has its fields" "$(jq -r '[.SMCP_TOOL, .SMCP_PLUGIN, .SMCP_OUTCOME, .SMCP_CALLER, .PRIORITY, .SYSLOG_IDENTIFIER] | join(" ")' <<<"$call")" \
    "demo_text.echo demo_text ok uid 0 6 smcpd"
is "an id and a duration" "$(jq -r '(.SMCP_CALL | length > 1), (.SMCP_DURATION_US | tonumber > 0)' <<<"$call" | on_one_line)" "true true"
is "and no value of an argument" "$(grep -c '"hi"' <<<"$call")" 0
holds "journalctl -x explains it" grep -q 'ended well after' <(journalctl -u smcpd -x --no-pager SMCP_EVENT=call-finished)
undescribed=$(journalctl -u smcpd --no-pager -o json | jq -r 'select(.SMCP_EVENT) | .MESSAGE_ID' | sort -u | while read -r id; do
    journalctl --catalog "$id" >/dev/null 2>&1 || journalctl --list-catalog "$id" 2>/dev/null | grep -q . || echo "$id"
done)
is "so it does every event" "$undescribed" ""
is "a healthy day has no warning" "$(journalctl -u smcpd -p warning -o cat --no-pager)" ""
is "what was begun is said" "$(journalctl -u smcpd -o cat --no-pager SMCP_EVENT=starting SMCP_EVENT=ready | wc -l)" 2
is "who changed what is said" "$(last SMCP_EVENT=change | jq -r '[.SMCP_UID, .SMCP_ACTION, .SMCP_OUTCOME] | join(" ")')" "0 rescan ok"

# Whoever controls a text controls no entry.
printf '[log]\nlevel = "debug"\n' >/etc/smcp/smcpd.toml
systemctl reload smcpd
evil=$'x\nMESSAGE=forged\nSMCP_TOOL=forged\nPRIORITY=0\n'
smcpctl call loud.shout "what=$evil" >/dev/null
smcpctl call "$evil" 2>/dev/null
ask tools/call "$(jq -n --arg evil "$evil" '{name: $evil, arguments: {($evil): $evil}}')" >/dev/null
python3 - "$evil" <<'P'
import json, sys, urllib.request
params = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": sys.argv[1], "version": sys.argv[1]}}
body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}).encode()
headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
urllib.request.urlopen(urllib.request.Request("http://127.0.0.1:8000/mcp", body, headers), timeout=20).read()
P
ln -s /srv/loud $'/var/lib/smcp/plugins/evil\nMESSAGE=forged'
smcpctl rescan >/dev/null
sleep 1
is "no text forges an entry" "$(journalctl --no-pager -o cat MESSAGE=forged | wc -l)" 0
is "nor a field" "$(journalctl --no-pager -o cat SMCP_TOOL=forged | wc -l)" 0
is "nor a priority" "$(journalctl -u smcpd --no-pager -o cat -p 0..2 | wc -l)" 0
said=$(journalctl -u smcpd --no-pager -o json --all SMCP_EVENT=plugin-said SMCP_PLUGIN=loud)
is "what a plugin says is at debug, line by line" "$(jq -r '.PRIORITY' <<<"$said" | sort | uniq -c | awk '{ print ($1 > 3), $2 }')" "1 7"
is "and escaped" "$(grep -c $'\x1b' <<<"$said")" 0

# smcpctl reads the journal: it knows what was before the daemon was started.
rm -f /var/lib/smcp/plugins/evil*
echo >/etc/smcp/smcpd.toml
systemctl restart smcpd
is "logs knows the past" "$(smcpctl logs --tool demo_text.echo --json | jq -r .fields.outcome)" ok
is "and filters by the outcome" "$(smcpctl logs --outcome timeout)" ""
is "audit knows the past" "$(smcpctl audit --json | jq -r '.action' | sort -u | on_one_line)" "reload rescan"
smcpctl logs -f --tool demo_text.slugify --json >/tmp/followed &
follower=$!
sleep 1
smcpctl call demo_text.slugify title=abc >/dev/null
soon "logs -f follows the journal" grep -q demo_text.slugify /tmp/followed
kill $follower
useradd alice && usermod -aG smcp-admin alice
is "who may not read the journal has the daemon's memory" \
    "$(runuser -u alice -- smcpctl logs --tool demo_text.slugify --json | jq -r .fields.outcome)" ok
timeout 3 runuser -u alice -- smcpctl logs -f --tool demo_text.slugify --json >/tmp/followed
is "and follows it" "$(jq -r .fields.outcome /tmp/followed)" ok
finish
