#!/bin/sh
# Latency, throughput, and what an idle gateway costs. `docs/measured/latency.md` has the figures.
#
#     docs/measured/latency.sh [FOLDER]
#
# FOLDER is on the disk to be measured; default: the system's folder for temporary files.
set -eu
cd "$(dirname "$0")/../.."
folder=${1:-${TMPDIR:-/tmp}}
target=${CARGO_TARGET_DIR:-target}/release

cargo build --quiet --release -p distpos-examples --example latency
cargo build --quiet --release -p distpos-gateway --bin distpos-gateway
echo "commit $(git rev-parse --short HEAD), $(date -u +%F), $(nproc) processors," \
    "$(uname -sr), $(rustc --version)"

"$target/examples/latency" --directory "$folder" --count 500
"$target/examples/latency" --directory "$folder" --count 50 --burst 4000 | grep -E 'burst|memory'

# One gateway that nobody asks for anything.
home=$(mktemp -d "$folder/distpos-idle.XXXXXX")
pid=
trap 'test -z "$pid" || kill "$pid" 2>/dev/null || true; rm -rf "$home"' EXIT
"$target/distpos-gateway" keygen --directory "$home/keys" >/dev/null
cat >"$home/gateway.toml" <<TOML
[chain]
id = "e2e4"
family = "ledger"
[chain.ledger]
directory = "ledger"
[identity]
directory = "keys"
[spool]
directory = "spool"
[listen]
peers = "127.0.0.1:0"
submission = "127.0.0.1:0"

[metrics]
listen = "127.0.0.1:0"
[resolver]
servers = ["127.0.0.1:53"]
TOML
"$target/distpos-gateway" run --config "$home/gateway.toml" 2>"$home/log" &
pid=$!
until grep -q ' ready' "$home/log"; do
    kill -0 "$pid" || { cat "$home/log"; exit 1; }
    sleep 0.1
done

# Ticks of user and system time (a hundredth of a second each), and how often its threads woke.
ticks() { cut -d ' ' -f 14,15 "/proc/$pid/stat" | tr ' ' '+'; }
wakes() { cat /proc/"$pid"/task/*/status | awk '/^voluntary/ { sum += $2 } END { print sum }'; }
sleep 1
ticks_before=$(($(ticks))) wakes_before=$(wakes)
sleep 10
echo "idle for 10 s: $(($(ticks) - ticks_before)) hundredths of a second of processor time," \
    "$(($(wakes) - wakes_before)) wake-ups,$(grep VmRSS "/proc/$pid/status" | tr -s '\t ' ' ' |
    cut -d : -f 2)"
