#!/bin/bash
# In a booted systemd: the packaged daemon does what the README of devops shows, and holds where it is closed or killed.
. /rig/lib.sh

drop_ins=/etc/systemd/system/smcpd.service.d
printf '[Unit]\nStartLimitIntervalSec=0\n' | install -D /dev/stdin $drop_ins/01-check.conf
dpkg -i smcp_*.deb >/tmp/said 2>&1 || cat /tmp/said

# The app that the README deploys, in a git repository: a web server that says its version, and whether it is well.
mkdir -p /srv/git/work
cd /srv/git/work || exit 1
cat >serve.py <<'P'
import http.server

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        text = open("version").read()
        self.send_response(500 if "v1.5.0" in text else 200)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        print("GET", self.path, "of", open("version").read().strip(), flush=True)

http.server.HTTPServer(("127.0.0.1", 8080), Handler).serve_forever()
P
echo 'echo built >built' >build.sh
# shellcheck disable=SC2016 # the hook's own variable
printf '#!/bin/sh\necho "migrated as $MODE"\n' >manage
chmod 755 manage
# A commit's id depends on who made it, and when.
export GIT_AUTHOR_NAME=dev GIT_AUTHOR_EMAIL=dev@git.example GIT_COMMITTER_NAME=dev GIT_COMMITTER_EMAIL=dev@git.example
export GIT_AUTHOR_DATE=2026-01-01T00:00:00Z GIT_COMMITTER_DATE=2026-01-01T00:00:00Z
git init --quiet --initial-branch=main
# release VERSION: commits what there is as that, and tags it.
release() {
    echo "$1" >version
    git add --all
    git commit --quiet --message="$1"
    git tag "$1"
}
for version in v1.3.0 v1.4.0 v1.5.0; do
    release $version
done
sed -i '1i raise SystemExit(1)' serve.py
release v1.6.0
sed -i 1d serve.py
release v1.7.0
git clone --quiet --bare . /srv/git/web.git
chown -R smcp: /srv/git/web.git
cd /rig || exit 1
cat >/etc/systemd/system/web.service <<'U'
[Service]
WorkingDirectory=/srv/smcp/web/current
ExecStart=/usr/bin/python3 serve.py
User=smcp
U

python3 page.py plugins/devops/README.md README.md out/README.md
[[ -e /srv/smcp/web/current ]] || finish

# An error is what the call prints, and its status.
call() { smcpctl call "devops.$1" app-name=web "${@:2}" 2>&1 | tee /tmp/said-call; return "${PIPESTATUS[0]}"; }
served() { curl -s http://127.0.0.1:8080/; }
releases() { find /srv/smcp/web/releases -mindepth 1 -maxdepth 1 | wc -l; }
is "what was rolled back to serves" "$(served)" v1.3.0
is "it was built" "$(cat /srv/smcp/web/current/built)" built
is "status knows the unit's process" "$(call status | jq -r '.units[0].pid')" "$(systemctl show -P MainPID web.service)"
holds "one that does not start fails" fails call deploy version=v1.6.0
is "and what ran before runs" "$(served)" v1.3.0
is "and of it nothing is left" "$(releases)" 2

# The daemon is killed with all it started, in the middle of a deploy.
mkfifo -m 666 /srv/smcp/fifo
sed -i 's|^build = .*|build = [["sh", "-c", "echo x >/srv/smcp/fifo; read x </srv/smcp/fifo"]]|' /etc/smcp/devops.toml
(call deploy version=v1.7.0 >/dev/null) &
timeout 20 cat /srv/smcp/fifo >/dev/null
systemctl kill --signal=KILL smcpd
wait
soon "kill -9: it serves again" restarted 1
is "kill -9: the running release runs" "$(served)" v1.3.0
is "kill -9: status says where it was" "$(call status | jq -r .interrupted.killed_at)" build
sed -i 's|^build = .*|build = []|' /etc/smcp/devops.toml
is "kill -9: the next deploy recovers" "$(call deploy version=v1.4.0 | jq -rc '[.outcome, .recovered.killed_at]')" '["deployed","build"]'
is "kill -9: and serves" "$(served)" v1.4.0
is "kill -9: nothing half-built is left" "$(releases)" 3

# Closed: without the rule it may not restart the unit, without the drop-in it may not write.
rm /etc/polkit-1/rules.d/50-smcp.rules
systemctl restart polkit
call deploy version=v1.3.0 >/dev/null
is "without the rule for its unit, it is told and taken back" "$(grep -c '^deploy of .* failed at restart: cannot restart' /tmp/said-call)" 1
is "and what ran before runs" "$(served) $(call status | jq -r .version)" "v1.4.0 v1.4.0"
rm $drop_ins/devops.conf
systemctl daemon-reload
systemctl restart smcpd
sed -i 's|^root = .*|root = "/srv/smcp/other"|' /etc/smcp/devops.toml
holds "without the drop-in, it may not write" fails call deploy
is "and says which one opens it" "$(grep -c 'Read-only.*devops.conf' /tmp/said-call)" 1
is "and nothing is there" "$(find /srv/smcp -maxdepth 1 -name other)" ""
finish
