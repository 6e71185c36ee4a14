#!/bin/bash
# In a booted systemd: the port never closes, whatever becomes of the daemon; and it needs no socket units.
. /rig/lib.sh

printf '[Unit]\nStartLimitIntervalSec=0\n' | install -D /dev/stdin /etc/systemd/system/smcpd.service.d/01-check.conf
holds "the package installs" dpkg -i smcp_*.deb
cat >/tmp/hammer.py <<'P'
import collections, http.client, json, threading, time
body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                   "params": {"name": "demo_text__echo", "arguments": {"message": "hi"}}})
ends = collections.Counter()
stop = time.monotonic() + 10

def hammer():
    while time.monotonic() < stop:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", 8000, timeout=20)
            connection.request("POST", "/messages/", body, {"Content-Type": "application/json"})
            reply = connection.getresponse()
            answer = json.loads(reply.read())
            ends["answered" if "result" in answer else str(answer)] += 1
        except Exception as error:
            ends[repr(error)] += 1

threads = [threading.Thread(target=hammer) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(json.dumps(ends))
P
python3 /tmp/hammer.py >/tmp/hammered &
hammer=$!
restarts=0
for _ in 1 2 3 4; do
    sleep 1.5
    systemctl restart smcpd && restarts=$((restarts + 1))
done
sleep 1
systemctl kill --kill-who=main -s TERM smcpd
sleep 1
systemctl start smcpd
wait "$hammer"
echo "note: $restarts restarts and one TERM under load: $(cat /tmp/hammered)"
is "it restarted under load" "$restarts" 4
is "nobody was refused or cut off" "$(jq -c 'keys' /tmp/hammered)" '["answered"]'
holds "and they went on being served" jq -e '.answered > 10' /tmp/hammered

systemctl stop smcpd
is "a connection starts a daemon that was stopped" "$(ask ping '{}' | jq -c .result) $(systemctl is-active smcpd)" "{} active"
systemctl stop smcpd
is "so does smcpctl" "$(smcpctl call demo_text.echo message=hi | jq -r .message) $(systemctl is-active smcpd)" "hi active"

mkdir -p /etc/smcp/smcpd.toml.d /etc/systemd/system/smcpd-http.socket.d
printf '[http]\nport = 8001\n' >/etc/smcp/smcpd.toml.d/port.toml
holds "a port unlike the socket's stops the start" fails systemctl restart smcpd
is "for good" "$(property ExecMainStatus)" 2
holds "the way out is named" grep 'smcpd-http.socket' <(journalctl -u smcpd -o cat --no-pager -n 20)
printf '[Socket]\nListenStream=\nListenStream=127.0.0.1:8001\n' >/etc/systemd/system/smcpd-http.socket.d/address.conf
systemctl daemon-reload
systemctl reset-failed 'smcpd*'
systemctl stop smcpd
systemctl restart smcpd-http.socket smcpd.socket smcpd-call.socket
holds "with that drop-in it starts" systemctl restart smcpd
is "on the new port" "$(ss -Hltn 'sport = 8001' | awk '{ print $4 }')$(ss -Hltn 'sport = 8000')" 127.0.0.1:8001

systemctl stop smcpd smcpd.socket smcpd-call.socket smcpd-http.socket
rm /etc/smcp/smcpd.toml.d/port.toml
systemctl mask -q smcpd-http.socket smcpd-call.socket
systemctl daemon-reload
systemctl reset-failed 'smcpd*' 2>/dev/null
holds "without the sockets for HTTP and for calls it starts" systemctl restart smcpd
is "and listens by itself" "$(ask ping '{}' | jq -c .result) $(smcpctl health)" "{} ok"
systemctl stop smcpd smcpd.socket
# What a drop-in cannot take back: a unit without any socket.
sed -E '/^(Requires|Sockets|Also)=/d; /^After=/s/smcpd.socket//' /usr/lib/systemd/system/smcpd.service >/etc/systemd/system/smcpd.service
systemctl mask -q smcpd.socket
systemctl daemon-reload
holds "without any socket unit it starts" systemctl start smcpd
is "and makes its own" "$(ask ping '{}' | jq -c .result) $(smcpctl --socket /run/smcp/daemon/control.sock health)" "{} ok"
finish
