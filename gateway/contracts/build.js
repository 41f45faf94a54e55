// Input and output of solc's standard JSON, for build.sh.
"use strict";
const fs = require("fs");

const contracts = ["Text", "Tokens", "MessageCodec", "MessageReader", "Clerk", "Executor", "Deposit", "Roles", "Staff", "Vault", "Office", "Payer", "Outbox", "Inbox", "Distpos"];
const examples = ["Echo", "Reverter", "Token", "ChargingToken", "NoReturnToken", "FalseToken", "ResetToken"];
const sources = [...contracts, ...examples.map((name) => `examples/${name}`)];
const artefacts = {
  "Distpos.sol": "Distpos",
  ...Object.fromEntries(examples.map((name) => [`examples/${name}.sol`, name])),
};
// EIP-170: a contract's deployed code.
const CODE_BYTES_MAX = 24576;
// EIP-3860: the code that creates it, with all that it creates in turn.
const CREATION_BYTES_MAX = 49152;

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
      outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object", "storageLayout"] } },
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
  const layout = (name) => result.contracts[`${name}.sol`][name].storageLayout;
  if (!isSameStorage(layout("Office"), layout("Distpos"))) {
    console.error("Office must find its storage where Distpos has it");
    process.exit(1);
  }
  for (const [source, name] of Object.entries(artefacts)) {
    const contract = result.contracts[source][name];
    // What Distpos hands on to its Office answers at its address too.
    const abi = name === "Distpos" ? united(contract.abi, result.contracts["Office.sol"].Office) : contract.abi;
    tellSize(name, contract);
    const lines = abi.map((entry) => `    ${JSON.stringify(entry)}`).join(",\n");
    const bytecode = `0x${contract.evm.bytecode.object}`;
    fs.writeFileSync(`${directory}/${name}.json`, `{\n  "abi": [\n${lines}\n  ],\n  "bytecode": "${bytecode}"\n}\n`);
  }
}

function tellSize(name, contract) {
  const size = contract.evm.deployedBytecode.object.length / 2;
  const initial = contract.evm.bytecode.object.length / 2;
  console.error(`${name}: ${size} bytes of code, ${initial} to create it`);
  if (size > CODE_BYTES_MAX || initial > CREATION_BYTES_MAX) process.exit(1);
}

// The ABI of a contract with that of the one that it hands the rest on to.
function united(abi, rest) {
  tellSize("Office", rest);
  const known = new Set(abi.map((entry) => JSON.stringify(entry)));
  const more = rest.abi.filter((entry) => entry.type !== "constructor" && !known.has(JSON.stringify(entry)));
  return [...abi, ...more];
}

// Whether the first storage layout is the start of the second, field by field and in every struct.
function isSameStorage(first, second) {
  const places = (layout) => layout.storage.map((entry) => place(entry, layout.types));
  const all = places(second);
  return places(first).length > 0 && places(first).every((entry, i) => entry === all[i]);
}

// Where a field is and what it is made of; types have numbers of the compilation in their names.
function place(entry, types) {
  return `${entry.slot}/${entry.offset} ${entry.label} ${described(entry.type, types)}`;
}

function described(name, types) {
  const type = types[name];
  const parts = [type.label, type.encoding, type.numberOfBytes];
  if (type.key) parts.push(described(type.key, types), described(type.value, types));
  for (const member of type.members || []) parts.push(place(member, types));
  return parts.join(" ");
}

const [mode, file, directory] = process.argv.slice(2);
if (mode === "input") process.stdout.write(JSON.stringify(input()));
else output(file, directory);
