#!/usr/bin/env bash
# A million messages for fifty chains, one of them dead; CI runs a smaller one. Needs nothing but
# Rust, 10 GB of disk beside the tenth that gateways leave free, and time.
#
#     docs/measured/backlog.sh [FOLDER [MESSAGES]]
#
# FOLDER is on the disk to be measured; default: the system's folder for temporary files.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=${CARGO_TARGET_DIR:-target}/release
cargo build --quiet --release --locked -p distpos-examples --example backlog
echo "commit $(git log -1 --format='%h, %cs'), $(nproc) processors, $(uname -sr), $(rustc --version)"
time "$target/examples/backlog" --directory "${1:-${TMPDIR:-/tmp}}" --messages "${2:-1000000}" --json
