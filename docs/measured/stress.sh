#!/usr/bin/env bash
# Many more seeds of the simulated stories than CI runs: chaos over three chains with two gateways
# each, kills at many instants, and the two-chain story with faults, told twice for each seed.
# Needs nothing but Rust; takes some minutes. Ends with 0 only if every seed told its story.
set -euo pipefail
cd "$(dirname "$0")/../.."
git log -1 --format='commit %h, %cs'
cargo test --locked -p distpos-gateway --test stories -- --ignored stress --nocapture |
  awk '/^seed/ { seeds++ } /^test |^test result/ { print } END { print seeds " seeds" }'
