#!/bin/bash
# In a booted systemd with python3 and polkitd: each drop-in opens what it says, and it was closed before.
. /rig/lib.sh

directory=/etc/systemd/system/smcpd.service.d
drop_ins=/usr/share/doc/smcp/drop-ins
mkdir -p $directory
printf '[Service]\nTimeoutStopSec=5\n[Unit]\nStartLimitIntervalSec=0\n' >$directory/01-check.conf
dpkg -i smcp_*.deb >/tmp/said 2>&1 || cat /tmp/said

# What each opens, tried by a plugin: each command prints `open`, or else why not.
mkdir -p /srv/try
cat >/srv/try/cli.py <<'P'
import argparse, mmap, os, socket, subprocess, tempfile

def devops():
    run("journalctl", "--quiet", "--lines=1", "--unit=smcpd", "--grep=.")
    write()

def docker():
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect("/run/docker.sock")

def home():
    assert open("/home/alice/projects/note").read() == "hello"
    assert os.listdir("/home") == ["alice"], os.listdir("/home")

def jit():
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)

def network():
    socket.create_connection(("10.9.9.1", 7), timeout=2)

def proc():
    assert "MemTotal" in open("/proc/meminfo").read()

def rawnet():
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)

def sandbox():
    run("unshare", "-Ur", "true")

def systemctl():
    run("systemctl", "--no-ask-password", "restart", "nginx.service")

def systemctl_of_others():
    run("systemctl", "--no-ask-password", "restart", "other.service")

def write():
    tempfile.TemporaryFile(dir="/srv/smcp")

def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

ways = {name.replace("_", "-"): way for name, way in globals().items() if callable(way) and name != "run"}
parser = argparse.ArgumentParser()
commands = parser.add_subparsers(dest="command", required=True)
for name in ways:
    commands.add_parser(name)
chosen = parser.parse_args().command
try:
    ways[chosen]()
    print("open")
except Exception as error:
    print("closed:", type(error).__name__, str(error).strip())
P
groupadd -f docker
socat UNIX-LISTEN:/run/docker.sock,fork,group=docker,mode=660 /dev/null &
mkdir -p /home/alice/projects /home/bob /srv/smcp
printf hello >/home/alice/projects/note
chown smcp /srv/smcp
ip address add 10.9.9.1/32 dev lo
socat TCP-LISTEN:7,bind=10.9.9.1,fork /dev/null &
for unit in nginx other; do
    printf '[Service]\nType=oneshot\nExecStart=/bin/true\n' >/etc/systemd/system/$unit.service
done
systemctl daemon-reload
smcpctl plugin link /srv/try >/dev/null

try() { smcpctl call "try.$1" 2>&1; }
closed() { [[ $1 == closed:* ]] && echo closed || echo "$1"; }
# What the daemon grants besides: its own sandbox holds the plugin too.
declare -A granted=(
    [devops]='sandbox.write = ["/srv/smcp"]' [write]='sandbox.write = ["/srv/smcp"]'
    [sandbox]='sandbox = "off"'
)
grant=/etc/smcp/smcpd.toml.d/try.toml
# open_with NAME: the drop-in, and what is granted with it.
open_with() {
    cp "$drop_ins/$1.conf" "$directory/50-check.conf"
    [[ -z ${granted[$1]:-} ]] || printf '[plugin.try]\n%s\n' "${granted[$1]}" | install -D -m 644 /dev/stdin $grant
    systemctl daemon-reload
    systemctl restart smcpd || journalctl -u smcpd --no-pager -n 20
}

for name in devops docker home jit network proc rawnet sandbox write; do
    is "$name: closed as shipped" "$(closed "$(try $name)")" closed
    open_with $name
    is "$name: open with its drop-in" "$(try $name)" open
    is "$name: other plugins run as ever" "$(smcpctl call demo_math.calculate operation=add a=2 b=3 2>&1)" \
        '{"operation": "add", "a": 2, "b": 3, "result": 5}'
    rm -f $directory/50-check.conf $grant
    systemctl daemon-reload
    systemctl restart smcpd
done
open_with limits
is "limits: they hold" "$(systemctl show -P MemoryHigh -P MemoryMax -P TasksMax smcpd | tr '\n' ' ')" "1073741824 2147483648 2048 "
if command -v pkaction >/dev/null; then
    is "systemctl: closed without its rules" "$(closed "$(try systemctl)")" closed
    cp $drop_ins/systemctl.rules /etc/polkit-1/rules.d/50-smcp.rules
    systemctl restart polkit
    is "systemctl: open with them" "$(try systemctl)" open
    is "systemctl: for no other unit" "$(closed "$(try systemctl-of-others)")" closed
else
    echo "note: there is no polkit here: systemctl.rules was not tried"
fi
# cgroups.conf has a check of its own.
is "each drop-in was tried" "$(cd $drop_ins && echo *.conf)" \
    "cgroups.conf containers.conf devops.conf docker.conf home.conf jit.conf limits.conf network.conf proc.conf rawnet.conf sandbox.conf write.conf"
finish
