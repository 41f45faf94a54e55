#!/usr/bin/env bash
# The whole economy: 20 chains, 100,000 messages, and everything that goes wrong between them. CI
# runs a smaller one. Needs nothing but Rust. Ends with 0 only if all books add up.
#
#     docs/measured/economy.sh [SEED]
set -euo pipefail
cd "$(dirname "$0")/../.."
target=${CARGO_TARGET_DIR:-target}/release
cargo build --quiet --release --locked -p distpos-examples --example economy
echo "commit $(git log -1 --format='%h, %cs'), $(nproc) processors, $(uname -sr), $(rustc --version)"
time "$target/examples/economy" --chains 20 --messages 100000 --seed "${1:-1}" --json
