# `two_anvils.sh --kill SEED`: messages both ways, every fifth to a contract that reverts, while
# gateways are killed; then one message that both gateways of b1c2 come to hold.

PER_CHAIN=20
KILLS=6
# Both gateways of b1c2 are tried first, by lot: what one has begun, the other may be asked about.
PRIORITY[spare]=10
declare -A REVERTER

story() { # SEED
  local chain
  say "kills with seed $1"
  for chain in "${CHAINS[@]}"; do
    REVERTER[$chain]=$(deploy_example "$chain" Reverter "$(printf '%064d' 1)")
  done
  for chain in "${CHAINS[@]}"; do aside "sender-$chain" send_many "$chain"; done
  kill_at_random "$1"
  for chain in "${CHAINS[@]}"; do await "sender-$chain"; done
  say "all $((2 * PER_CHAIN)) messages are sent"
  until_true 300 "the ends of all messages" all_ended
  say "all messages have ended"
  both_hold_it
  audit
  jq -cn --argjson kills $((KILLS + 1)) --argjson seed "$1" --argjson seconds "$SECONDS" \
    --argjson delivered "$(expected_ids 'end=="delivered"' | wc -l)" \
    --argjson refunded "$(expected_ids 'end!="delivered"' | wc -l)" \
    '{ delivered: $delivered, refunded: $refunded, kills: $kills, seed: $seed, seconds: $seconds }'
}

# Sums are all different, so that no mistake can hide behind another.
send_many() { # CHAIN
  local chain=$1 to=${OTHER[$1]} n wei recipient end more answer
  for ((n = 1; n <= PER_CHAIN; n++)); do
    wei=$((1000000000000000 + 7 * n + ${ETH_ID[$chain]}))
    if ((n % 5 == 0)); then
      end=refused recipient=${REVERTER[$to]#0x} more=(--data 0x01 --gas 100000)
    else
      end=delivered recipient=$(printf '00000000000000000000000000000000d158%04x' "$n") more=()
    fi
    # A gateway that was just killed is asked again: nothing has left this process then.
    until answer=$(send "$(any_gateway "$chain")" "${to}x$recipient" --amount "$wei" "${more[@]}" 2>/dev/null); do
      sleep 0.3
    done
    note_message "$(jq -r .id <<<"$answer")" "$chain" "$to" "$recipient" "$wei" "$end" \
      "$(jq -r .transaction <<<"$answer")"
  done
}

any_gateway() { # CHAIN
  local name names=()
  for name in "${GATEWAYS[@]}"; do
    [ "${CHAIN_OF[$name]}" = "$1" ] && names+=("$name")
  done
  echo "${names[RANDOM % ${#names[@]}]}"
}

kill_at_random() { # SEED
  local kill name
  RANDOM=$1
  for ((kill = 1; kill <= KILLS; kill++)); do
    sleep "$((1 + RANDOM % 3)).$((RANDOM % 10))"
    name=${GATEWAYS[RANDOM % ${#GATEWAYS[@]}]}
    stop "$name" KILL
    say "SIGKILL $kill of $KILLS: $name"
    sleep "$((RANDOM % 2)).$((RANDOM % 10))"
    start_gateway "$name"
  done
}

# The node of b1c2 stands still, so that the gateway that takes a message can only hold it; it dies;
# the node goes on, and the sibling is given the message too and delivers it; then the first comes
# back with the message in its spool. One guard: it is delivered once.
both_hold_it() {
  local there sent id first node=${PID[anvil-b1c2]}
  there=$(printf '00000000000000000000000000000000d159%04x' 1)
  kill -STOP "$node"
  sent=$(send north "b1c2x$there" --amount 1234567890123456) || die "distpos-send: $sent"
  id=$(jq -r .id <<<"$sent")
  note_message "$id" e2e4 b1c2 "$there" 1234567890123456 delivered "$(jq -r .transaction <<<"$sent")"
  until_true 60 "a gateway of b1c2 that has $id" taken "$id"
  first=$(<"$WORK/taken")
  stop "$first" KILL
  kill -CONT "$node"
  say "$first took ${id:0:8}… and was killed; its sibling will be asked in a minute"
  until_true 240 "the end of $id" ended_at north "$id" delivered
  say "delivered without $first, which now comes back with ${id:0:8}… in its spool"
  start_gateway "$first"
  until_true 60 "the word of $first on $id" ended_at "$first" "$id" delivered
}

taken() { # ID
  local name
  for name in south spare; do
    [ -n "$(status_of "$name" "$1" .state)" ] || continue
    echo "$name" >"$WORK/taken"
    return 0
  done
  return 1
}
