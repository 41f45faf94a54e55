// Input and output of solc's standard JSON, for build.sh.
"use strict";
const fs = require("fs");

const contracts = ["Text", "Tokens", "MessageCodec", "MessageReader", "Clerk", "Executor", "Deposit", "Roles", "Vault", "Payer", "Outbox", "Inbox", "Distpos"];
const examples = ["Echo", "Reverter", "Token", "ChargingToken", "NoReturnToken", "FalseToken", "ResetToken"];
const sources = [...contracts, ...examples.map((name) => `examples/${name}`)];
const artefacts = {
  "Distpos.sol": "Distpos",
  ...Object.fromEntries(examples.map((name) => [`examples/${name}.sol`, name])),
};
// EIP-170: a contract's deployed code.
const CODE_BYTES_MAX = 24576;

function input() {
  const content = (name) => [`${name}.sol`, { content: fs.readFileSync(`${name}.sol`, "utf8") }];
  return {
    language: "Solidity",
    sources: Object.fromEntries(sources.map(content)),
    settings: {
      viaIR: true,
      optimizer: { enabled: true, runs: 200 },
      // The oldest rules that still are everywhere: private chains upgrade late.
      evmVersion: "paris",
      // No hash of comments and paths at the end, so that only code changes change the code.
      metadata: { appendCBOR: false, bytecodeHash: "none" },
      outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
    },
  };
}

function output(file, directory) {
  const text = fs.readFileSync(file, "utf8");
  const result = JSON.parse(text.slice(text.indexOf("{")));
  const errors = (result.errors || []).map((error) => error.formattedMessage);
  if (errors.length > 0) {
    console.error(errors.join("\n"));
    process.exit(1);
  }
  for (const [source, name] of Object.entries(artefacts)) {
    const contract = result.contracts[source][name];
    const size = contract.evm.deployedBytecode.object.length / 2;
    console.error(`${name}: ${size} bytes of code`);
    if (size > CODE_BYTES_MAX) process.exit(1);
    const abi = contract.abi.map((entry) => `    ${JSON.stringify(entry)}`).join(",\n");
    const bytecode = `0x${contract.evm.bytecode.object}`;
    fs.writeFileSync(`${directory}/${name}.json`, `{\n  "abi": [\n${abi}\n  ],\n  "bytecode": "${bytecode}"\n}\n`);
  }
}

const [mode, file, directory] = process.argv.slice(2);
if (mode === "input") process.stdout.write(JSON.stringify(input()));
else output(file, directory);
