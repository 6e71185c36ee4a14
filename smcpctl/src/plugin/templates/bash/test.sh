#!/usr/bin/env bash
# Run it in any directory; it ends with 0 where all is well.
set -euo pipefail
cli="$(cd "$(dirname "$0")" && pwd)/cli"

expect() {
    local wanted=$1 got
    shift
    got=$("$cli" "$@" || true)
    [[ "$got" == "$wanted" ]] || { printf 'cli %s\nwanted %s\ngot    %s\n' "$*" "$wanted" "$got"; exit 1; }
}

expect '{"greeting": "Hello, Ada! Hello, Ada!"}' greet --name=Ada --times=2
expect '{"greeting": "Hello, \"A\"!"}' greet '--name="A"'
expect '{"error": "--times must be a whole number from 1"}' greet --name=Ada --times=0
echo ok
