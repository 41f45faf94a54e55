# Talking to a node by JSON-RPC, with curl and jq. `$1` is always the chain: e2e4 or b1c2.

# Asks the chain's node; prints the result, "null" for none.
rpc() { # CHAIN METHOD PARAMS
  local body answer
  body=$(printf '{"jsonrpc":"2.0","id":1,"method":"%s","params":%s}' "$2" "$3")
  answer=$(curl -sS --max-time 30 -H 'content-type: application/json' --data @- "${RPC[$1]}" \
    <<<"$body") || die "$2: the node of $1 does not answer"
  jq -r 'if has("error") then error(.error.message) else .result end' <<<"$answer" \
    || die "$2 at $1: $answer"
}

hex_of() { # TEXT
  printf %s "$1" | od -An -v -tx1 | tr -d ' \n'
}

selector() { # CHAIN SIGNATURE
  local hash
  hash=$(rpc "$1" web3_sha3 "[\"0x$(hex_of "$2")\"]")
  echo "${hash:0:10}"
}

# Calls a function that changes nothing. ARGUMENTS are words in hex.
view() { # CHAIN CONTRACT SIGNATURE [ARGUMENTS]
  rpc "$1" eth_call "[{\"to\":\"$2\",\"data\":\"$(selector "$1" "$3")${4:-}\"},\"latest\"]"
}

# The word at INDEX of an answer, as a number.
number_at() { # ANSWER INDEX
  echo $((16#${1:2+64*$2:64}))
}

balance() { # CHAIN ACCOUNT
  local wei
  wei=$(rpc "$1" eth_getBalance "[\"$2\",\"latest\"]")
  echo $((wei))
}

# Waits until a block holds the transaction; prints its receipt.
receipt() { # CHAIN TRANSACTION
  local found deadline=$((SECONDS + 30))
  while :; do
    found=$(rpc "$1" eth_getTransactionReceipt "[\"$2\"]")
    [ "$found" = null ] || break
    ((SECONDS < deadline)) || die "no block of $1 takes $2"
    sleep 0.2
  done
  [ "$(jq -r .status <<<"$found")" = 0x1 ] || die "transaction $2 at $1 reverted"
  echo "$found"
}

# A transaction of the node's own first account, which is rich and unlocked.
from_rich() { # CHAIN FIELDS
  local rich transaction
  rich=$(rpc "$1" eth_accounts '[]' | jq -r '.[0]')
  transaction=$(rpc "$1" eth_sendTransaction "[{\"from\":\"$rich\",$2}]")
  receipt "$1" "$transaction"
}

# Deploys one of the example recipients; prints its address.
deploy_example() { # CHAIN NAME ARGUMENTS
  local code
  code=$(jq -r .bytecode "$HERE/../gateway/contracts/artefacts/$2.json")
  from_rich "$1" "\"gas\":\"0x4c4b40\",\"data\":\"0x${code#0x}$3\"" | jq -r .contractAddress
}

# Logs of the chain's contract, all of them: a JSON array of {event, id}.
events() { # CHAIN
  local names
  names=$(for name in "${EVENTS[@]}"; do
    jq -n --arg hash "$(rpc "$1" web3_sha3 "[\"0x$(hex_of "$name")\"]")" --arg name "${name%%(*}" \
      '{($hash): $name}'
  done | jq -s add)
  rpc "$1" eth_getLogs "[{\"fromBlock\":\"0x0\",\"address\":\"${CONTRACT[$1]}\"}]" \
    | jq -c --argjson names "$names" \
      '[.[] | {event: $names[.topics[0]], id: (.topics[1] // "")[2:]} | select(.event)]'
}

EVENTS=(
  "Sent(bytes32,bytes)"
  "Closed(bytes32,string,string,uint256)"
  "Refunded(bytes32)"
  "Delivered(bytes32,string,string,uint256,uint8)"
  "Voided(bytes32,string,string)"
)
