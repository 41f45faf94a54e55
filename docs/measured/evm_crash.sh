#!/usr/bin/env bash
# SIGKILL of gateways and nodes, 40 times at random over 400 messages both ways, with other seeds
# than CI's, on anvil; then the shorter runs on ganache and geth where they are installed.
# Needs what `.ci/run tools` installs. Ends with 0 only if every seed held to the wei.
#   docs/measured/evm_crash.sh [SEED…]
set -euo pipefail
cd "$(dirname "$0")/../.."
tools=$PWD/target/tools
export PATH="$tools/bin:$tools/node_modules/@foundry-rs/anvil-linux-amd64/bin:$tools/node_modules/.bin:$PATH"
git log -1 --format='commit %h, %cs'
run() { # SEED STORY
    DISTPOS_SEED=$1 cargo test --quiet --locked -p distpos-gateway --test pair -- \
        --ignored --nocapture --exact "crash::$2" 2>/dev/null \
        | grep -E '^(Anvil|Ganache|Geth|SIGKILL|all|audit)|panicked'
}
[ $# -gt 0 ] || set -- 1 2 3 4 5 6 7 8
for seed; do run "$seed" on_anvil; done
for engine in ganache geth; do
    if command -v "$engine" >/dev/null; then run "$1" "on_$engine"; fi
done
