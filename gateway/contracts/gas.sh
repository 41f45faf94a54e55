#!/bin/sh
# Prints what a delivered message costs, single and in batches, and one that leaves; fails where a
# batch of twenty is above its limit (test/Gas.t.sol).
set -eu
cd "$(dirname "$0")"
told=$(./test.sh --match-contract GasTest -vv) || { echo "$told" >&2; exit 1; }
echo "$told" | sed -n 's,^  \(.* | gas .*\),\1,p'
