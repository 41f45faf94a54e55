#!/bin/sh
# Runs the contract tests with forge and solc-js; arguments go to `forge test`.
# FORGE and SOLC_JS name the program and the package's folder, where CI has not installed them.
set -eu
cd "$(dirname "$0")"
tools=$PWD/../../target/tools/node_modules
export SOLC_JS="${SOLC_JS:-$tools/solc}"
exec "${FORGE:-$tools/@foundry-rs/forge-linux-amd64/bin/forge}" test --offline --use ./solc-wrap.js "$@"
