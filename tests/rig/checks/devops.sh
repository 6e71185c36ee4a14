#!/bin/bash
# In a booted systemd: the packaged daemon deploys a demo service, takes a broken release of it back, and rolls back.
. /rig/lib.sh

drop_ins=/usr/share/doc/smcp/drop-ins
dpkg -i smcp_*.deb >/tmp/said 2>&1 || cat /tmp/said

# The app: a web server that says its version, and whether it is well.
mkdir -p /srv/source /srv/smcp
cat >/srv/source/serve.py <<'P'
import http.server

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        text = open("version").read()
        self.send_response(500 if "broken" in text else 200)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        print("asked for", self.path, "of", open("version").read(), flush=True)

http.server.HTTPServer(("127.0.0.1", 8090), Handler).serve_forever()
P
cat >/etc/systemd/system/demo.service <<'U'
[Service]
WorkingDirectory=/srv/smcp/demo/current
ExecStart=/usr/bin/python3 serve.py
User=smcp
U
cat >/etc/smcp/devops.toml <<'T'
[apps.demo]
root = "/srv/smcp/demo"
source = { directory = "/srv/source" }
build = [["sh", "-c", "echo built >built"]]
shared = ["data/"]
units = ["demo.service"]
health = { http = "http://127.0.0.1:8090/", timeout = 2, interval = 0.5, retries = 10 }
T
chown smcp: /srv/smcp
chgrp smcp /etc/smcp/devops.toml
systemctl daemon-reload

holds "it is linked" smcpctl plugin link /usr/share/smcp/plugins/devops
# An error is what the call prints, and its status.
call() { smcpctl call "devops.$1" "${@:2}" 2>&1 | tee /tmp/said-call; return "${PIPESTATUS[0]}"; }
is "status says all, and that nothing is deployed" "$(call status | jq -r '.apps[].state')" "not deployed"
is "a dry run says the steps" "$(call deploy app-name=demo dry-run=true | jq -r '.steps[].step' | on_one_line)" \
    "fetch shared build switch restart health finish"
echo one >/srv/source/version
holds "closed as shipped: it may not write" fails call deploy app-name=demo
is "and says which drop-in opens it" "$(grep -c 'Read-only.*write.conf' /tmp/said-call)" 1
is "and nothing is there" "$(ls -A /srv/smcp)" ""

# Openings: the directory, the journal, and the one unit.
mkdir -p /etc/systemd/system/smcpd.service.d /etc/polkit-1/rules.d
cp $drop_ins/write.conf /etc/systemd/system/smcpd.service.d/50-write.conf
drop_in 50-journal '[Service]' 'SupplementaryGroups=systemd-journal'
holds "it restarts with the drop-ins" systemctl restart smcpd
call deploy app-name=demo >/dev/null
is "without the rule for its unit, it is told and taken back" "$(grep -c '^deploy of .* failed at restart: cannot restart' /tmp/said-call)" 1
is "and no release is left" "$(call status app-name=demo | jq -rc '[.state, .releases]')" '["not deployed",[]]'
sed 's/nginx.service/demo.service/' $drop_ins/systemctl.rules >/etc/polkit-1/rules.d/50-smcp.rules
systemctl restart polkit

served() { curl -s http://127.0.0.1:8090/; }
is "the first release is deployed" "$(call deploy app-name=demo | jq -r .outcome)" deployed
is "and serves" "$(served)" one
is "again it is unchanged" "$(call deploy app-name=demo | jq -r .outcome)" unchanged
echo two >/srv/source/version
is "the second is deployed" "$(call deploy app-name=demo | jq -r .outcome)" deployed
is "and serves" "$(served)" two
is "status says so" "$(call status app-name=demo | jq -rc '[.state, .units[0].state, .health.healthy, (.releases | length)]')" \
    '["deployed","active",true,2]'
pid=$(systemctl show -P MainPID demo.service)
is "and its process" "$(call status app-name=demo | jq -r '.units[0].pid')" "$pid"

echo broken >/srv/source/version
holds "a broken one fails" fails call deploy app-name=demo
is "it says why" "$(grep -c '^deploy of .* answers 500; it was taken back' /tmp/said-call)" 1
is "what ran before runs" "$(served) $(systemctl is-active demo)" "two active"
is "and the broken one is gone" "$(find /srv/smcp/demo/releases -mindepth 1 -maxdepth 1 | wc -l)" 2
echo 'exit(1)' >/srv/source/serve.py
echo three >/srv/source/version
holds "one that does not start fails" fails call deploy app-name=demo
is "and what ran before runs" "$(served)" two

is "a rollback goes to the first" "$(call rollback app-name=demo | jq -r .outcome)" "rolled back"
is "which serves" "$(served)" one
is "the history has all" "$(call history app-name=demo | jq -rc '[.entries[].outcome]')" \
    '["rolled back","failed","failed","deployed","deployed","failed"]'
is "the log is the unit's" "$(call logs app-name=demo lines=200 | jq -r '.lines[]' | grep -c 'asked for / of two' | sed 's/^[1-9].*/some/')" some

# The daemon is killed with all it started, in the middle of a deploy.
mkfifo -m 666 /srv/smcp/fifo
cat >/srv/source/serve.py </srv/smcp/demo/current/serve.py
sed -i 's|^build.*|build = [["sh", "-c", "echo x >/srv/smcp/fifo; sleep 600"]]|' /etc/smcp/devops.toml
(call deploy app-name=demo >/dev/null) &
timeout 20 cat /srv/smcp/fifo >/dev/null
systemctl kill --signal=KILL smcpd
wait
soon "kill -9: it serves again" restarted 1
is "kill -9: the running release runs" "$(served)" one
is "kill -9: status says where it was" "$(call status app-name=demo | jq -r .interrupted.killed_at)" build
sed -i 's|^build.*|build = []|' /etc/smcp/devops.toml
is "kill -9: the next deploy recovers" "$(call deploy app-name=demo | jq -rc '[.outcome, .recovered.killed_at]')" '["deployed","build"]'
is "kill -9: and serves" "$(served)" three
is "kill -9: nothing half-built is left" "$(find /srv/smcp/demo/releases -mindepth 1 -maxdepth 1 | wc -l)" 3
finish
