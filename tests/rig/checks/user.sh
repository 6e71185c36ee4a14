#!/bin/bash
# In a booted systemd: a user's own daemon, under the user's own manager.
. /rig/lib.sh

holds "the package installs" dpkg -i smcp_*.deb
useradd --create-home ada
loginctl enable-linger ada
uid=$(id -u ada)
as_ada() { runuser -u ada -- env HOME=/home/ada XDG_RUNTIME_DIR="/run/user/$uid" "$@"; }
soon "the user's manager is there" test -S "/run/user/$uid/systemd/private"
as_ada mkdir -p /home/ada/.local/share/smcp/plugins /home/ada/.config/smcp
as_ada ln -s /usr/share/smcp/plugins/demo_text /home/ada/.local/share/smcp/plugins/
# The system's own has 8000.
printf '[http]\nport = 8123\n' | as_ada tee /home/ada/.config/smcp/smcpd.toml >/dev/null
holds "enable --now" as_ada systemctl --user enable --now smcpd
is "it is active" "$(as_ada systemctl --user is-active smcpd)" active
is "the user calls it" "$(as_ada smcpctl call demo_text.echo message=hi | jq -r .message)" hi
is "it is another than the system's" "$(as_ada smcpctl tools --json | jq '.tools | length') $(smcpctl tools --json | jq '.tools | length')" "5 8"
is "the socket is the user's alone" "$(stat -c '%U %a' "/run/user/$uid/smcp/control.sock")" "ada 600"
holds "reload" as_ada systemctl --user reload smcpd
holds "stop" as_ada systemctl --user stop smcpd
is "nothing of it is left" "$(pgrep -cu ada smcpd) $(ss -Hltn 'sport = 8123')" "0 "
finish
