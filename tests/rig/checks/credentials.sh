#!/bin/bash
# In a booted systemd: API keys and secrets of plugins by SetCredential=, LoadCredential= and LoadCredentialEncrypted=.
. /rig/lib.sh

holds "the package installs" dpkg -i smcp_*.deb
plugin look <<'P'
#!/bin/sh
if [ "$1" = --describe ]; then
    echo '{"contract_version": "1.1", "commands": [{"name": "at", "description": "x"}]}'
else
    env
fi
P
sed 's/at"/on"/' /srv/look/cli | plugin other

printf 'from-a-file\n' | install -m 600 /dev/stdin /etc/smcp/letta.key
systemd-creds setup >/dev/null 2>&1
printf 'encrypted-key' | systemd-creds encrypt --with-key=host --name=smcp.key.sealed - /etc/smcp/sealed.cred
printf 'sesame' | systemd-creds encrypt --with-key=host --name=smcp.plugin.look.TOKEN - /etc/smcp/token.cred
drop_in credentials '[Service]' 'SetCredential=smcp.key:in-the-unit' \
    'LoadCredential=smcp.key.letta:/etc/smcp/letta.key' \
    'LoadCredentialEncrypted=smcp.key.sealed:/etc/smcp/sealed.cred' \
    'LoadCredentialEncrypted=smcp.plugin.look.TOKEN:/etc/smcp/token.cred'
holds "the sealed file does not show the key" fails grep -q encrypted-key /etc/smcp/sealed.cred
holds "it restarts" systemctl restart smcpd
is "without a key: 401" "$(ask ping '{}')" "HTTP 401"
is "with a wrong one: 401" "$(ask ping '{}' 'X-API-Key: other')" "HTTP 401"
for key in in-the-unit from-a-file encrypted-key; do
    is "the key $key is taken" "$(ask ping '{}' "Authorization: Bearer $key" | jq -c .result)" "{}"
done
smcpctl call look.at >/tmp/environment
holds "the plugin has its secret" grep -qx 'TOKEN=sesame' /tmp/environment
holds "no other has it" fails grep sesame <(smcpctl call other.on)
holds "and nothing of systemd's" fails grep -E '^(CREDENTIALS_DIRECTORY|LISTEN_|WATCHDOG_|NOTIFY_SOCKET)' /tmp/environment
smcpctl config show --origin >/tmp/shown
holds "the origin of a secret is shown" grep -q 'credential smcp.plugin.look.TOKEN' /tmp/shown
holds "the origin of a key is shown" grep -q 'credential smcp.key.sealed' /tmp/shown
journalctl -u smcpd --no-pager -o json --all >>/tmp/shown
holds "no secret is shown or logged" fails grep -E 'sesame|encrypted-key|in-the-unit|from-a-file' /tmp/shown
is "wrong keys are in the journal" "$(journalctl -u smcpd -o cat --no-pager SMCP_EVENT=key-wrong | wc -l)" 1
drop_in misspelt '[Service]' 'SetCredential=smcp.keys:k'
holds "a name that is misspelt stops the start" fails systemctl restart smcpd
is "with status 2" "$(property ExecMainStatus)" 2
finish
