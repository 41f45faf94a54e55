#!/bin/sh
# Gas of a delivered message, alone and in batches. `docs/measured/evm_gas.md` has the figures.
# Needs what `.ci/run tools` installs; gas does not depend on the machine.
set -eu
cd "$(dirname "$0")/../.."
foundry=$PWD/target/tools/node_modules/@foundry-rs
export PATH="$foundry/anvil-linux-amd64/bin:$PATH"
echo "commit $(git rev-parse --short HEAD), $(date -u +%F)"
echo "through the gateway's own code, on anvil:"
cargo test --quiet -p distpos-gateway --test evm --locked -- --ignored --nocapture gas:: \
    | grep -E '^gas per|percent'
echo "by the contracts' own tests, on forge:"
gateway/contracts/gas.sh
