#!/bin/bash
# In a booted systemd: an operator puts the shipped plugins to work as docs/shipped-plugins.md shows it.
. /rig/lib.sh

mkdir -p /srv/source
cp smcp_*.deb "$HOME"/
# Another host, as far as the service's filter of addresses goes.
ip address add 192.0.2.10/22 dev lo
cat >letta.py <<'P'
import json, signal, sys
from fake_letta import FakeLetta

signal.signal(signal.SIGTERM, lambda *_: sys.exit())
with FakeLetta(("192.0.2.10", 8283)) as fake:
    try:
        signal.pause()
    finally:
        print(json.dumps({name: getattr(fake, name) for name in ("messages", "wrong")}), flush=True)
P
python3 letta.py >letta.json &
letta=$!
printf '[global]\nno-index = true\nfind-links = /rig/wheels\n' >/etc/pip.conf
# A minute is long: it goes off five times more, soon.
mkdir -p /etc/systemd/system/smcp-promptyoself.timer.d
{ echo '[Timer]'; printf 'OnActiveSec=%s\n' 1 5 9 13 17; echo AccuracySec=100ms; } >/etc/systemd/system/smcp-promptyoself.timer.d/soon.conf

python3 page.py docs/shipped-plugins.md shipped-plugins.md out/shipped-plugins.md || failed=1
systemctl stop smcp-promptyoself.timer

kill $letta
wait $letta
is "Letta got the prompt once, and nothing else" "$(jq -c '[.messages[] | [.agent, .content]]' letta.json)" \
    '[["agent-00000000-0000-4000-8000-000000000001","Read the mail"]]'
is "and every request was sound" "$(jq -c .wrong letta.json)" "[]"
is "the timer called more than once" "$(($(journalctl --unit=smcp-promptyoself -o cat | grep -c '"delivered": 0') > 1))" 1
is "and none of its calls failed" "$(journalctl --unit=smcp-promptyoself -o cat | grep -ci fail)" 0
is "the key is in no log" "$(journalctl --no-pager | grep -c letta-key)" 0
is "plugins keep their state to themselves" "$(stat -c '%U %a' /var/lib/smcp/state/{promptyoself,botfather} | on_one_line)" "smcp 700 smcp 700"
((failed == 0)) || journalctl --unit=smcp-promptyoself -o cat -n 20 --no-pager | sed 's/^/  | /'
finish
