#!/bin/sh
# Look-ups a second against BIND, and the memory of a million known chains. `docs/measured/dns_rate.md`
# has the figures. Needs named, dnssec-keygen and dnssec-signzone.
#
#     docs/measured/dns_rate.sh
set -eu
cd "$(dirname "$0")/../.."
echo "commit $(git rev-parse --short HEAD), $(date -u +%F), $(nproc) processors," \
    "$(uname -sr), $(rustc --version)"
cargo run --quiet --release -p distpos-resolver --example lookup_rate -- 10000 1000000
