#!/usr/bin/env node
// solc-js as forge wants a solc: answers `--version` and `--standard-json`.
// SOLC_JS names the package's folder where node does not find it from here.
"use strict";
const fs = require("fs");
const solc = require(process.env.SOLC_JS || "solc");

const arguments_ = process.argv.slice(2);
if (arguments_.includes("--version")) {
  process.stdout.write(`solc, the solidity compiler commandline interface\nVersion: ${solc.version().replace("Emscripten.clang", "Linux.g++")}\n`);
} else if (arguments_.includes("--standard-json")) {
  process.stdout.write(solc.compile(fs.readFileSync(0, "utf8")));
} else {
  console.error("usage: solc-wrap.js --version | --standard-json <input");
  process.exit(64);
}
