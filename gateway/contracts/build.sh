#!/bin/sh
# Compiles the contracts with solc-js 0.8.37 into artefacts/*.json (abi and creation bytecode).
#   build.sh          writes them
#   build.sh --check  fails if the committed ones differ from what the sources compile to
# SOLCJS names another solcjs than the one npx fetches.
set -eu
cd "$(dirname "$0")"
SOLCJS=${SOLCJS:-npx --yes --package solc@0.8.37 solcjs}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
case $($SOLCJS --version) in
0.8.37+*) ;;
*) echo "solcjs is not 0.8.37" >&2; exit 1 ;;
esac
node build.js input >"$work/input.json"
$SOLCJS --standard-json <"$work/input.json" >"$work/output.json"
mkdir "$work/artefacts"
node build.js output "$work/output.json" "$work/artefacts"
if [ "${1:-}" = --check ]; then
    diff -r artefacts "$work/artefacts" >&2 || { echo "artefacts are not what the sources compile to" >&2; exit 1; }
    echo "artefacts are what the sources compile to"
else
    mkdir -p artefacts
    cp "$work"/artefacts/*.json artefacts/
fi
