# What the checks share; each one sources it. Prints a line for each check, `ok WHAT` or `FAILED WHAT`.
# shellcheck shell=bash
set -u
cd /rig || exit 1
export DEBIAN_FRONTEND=noninteractive
# `count` goes on after a reboot.
touch /rig/.counted
failed=0

# is WHAT FOUND EXPECTED
is() {
    if [[ $2 == "$3" ]]; then
        echo "ok     $1"
        echo passed >>/rig/.counted
    else
        failed=$((failed + 1))
        echo failed >>/rig/.counted
        printf 'FAILED %s:\n  found    %s\n  expected %s\n' "$1" "$2" "$3"
    fi
}

# holds WHAT COMMAND...: it succeeds.
holds() {
    local what=$1 status=0
    shift
    "$@" >/tmp/said 2>&1 || status=$?
    is "$what" "$status" 0
    [[ $status == 0 ]] || tail -n 8 /tmp/said | sed 's/^/  | /'
}

# soon WHAT COMMAND...: it succeeds within 20 s.
soon() {
    local what=$1 _
    shift
    for _ in {1..200}; do
        "$@" >/dev/null 2>&1 && break
        sleep 0.1
    done
    holds "$what" "$@"
}

# quietly COMMAND...: prints its exit status; what it said is shown where that is not 0.
quietly() {
    local status=0
    "$@" >/tmp/said 2>&1 || status=$?
    [[ $status == 0 ]] || sed 's/^/  | /' /tmp/said >&2
    echo $status
}

fails() { ! "$@"; }
on_one_line() { tr '\n' ' ' | sed 's/ $//'; }
# property NAME: of the service.
property() { systemctl show --property "$1" --value smcpd.service; }
has_property() { [[ $(property "$1") == "$2" ]]; }
restarted() { (($(property NRestarts) >= $1)) && has_property ActiveState active; }

# drop_in NAME LINE...: adds to the service.
drop_in() {
    mkdir -p /etc/systemd/system/smcpd.service.d
    printf '%s\n' "${@:2}" >"/etc/systemd/system/smcpd.service.d/$1.conf"
    systemctl daemon-reload
}

# shipped_drop_in NAME: adds one that comes with the package.
shipped_drop_in() {
    mkdir -p /etc/systemd/system/smcpd.service.d
    cp "/usr/share/doc/smcp/drop-ins/$1.conf" /etc/systemd/system/smcpd.service.d/
    systemctl daemon-reload
}

# plugin NAME: links a plugin whose program is on standard input.
plugin() {
    mkdir -p "/srv/$1"
    cat >"/srv/$1/cli"
    chmod 755 "/srv/$1/cli"
    ln -sfn "/srv/$1" "/var/lib/smcp/plugins/$1"
}

# ask METHOD PARAMS [HEADER...]: one JSON-RPC request over HTTP; prints the body, or `HTTP STATUS`.
ask() {
    python3 - "$@" <<'PYTHON'
import json, sys, urllib.error, urllib.request
method, params, *headers = sys.argv[1:]
body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": json.loads(params)}).encode()
request = urllib.request.Request("http://127.0.0.1:8000/messages/", body, {"Content-Type": "application/json"})
for header in headers:
    request.add_header(*header.split(": ", 1))
try:
    print(urllib.request.urlopen(request, timeout=20).read().decode())
except urllib.error.HTTPError as error:
    print("HTTP", error.code)
PYTHON
}

# Boots once more, where all was well.
again() {
    ((failed == 0)) || finish
    rig-reboot
}

# Ends the check, with its count.
finish() {
    if grep -q failed /rig/.counted; then
        journalctl -u smcpd -o cat --no-pager -n 30 2>/dev/null | sed 's/^/  | /'
    fi
    echo "$(grep -c passed /rig/.counted) passed, $(grep -c failed /rig/.counted) failed"
    fails grep -q failed /rig/.counted
    exit
}
