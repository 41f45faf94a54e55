# The story of `two_anvils.sh`: each chapter sends by hand and looks at both chains.

story() {
  there_with_a_note
  a_contract_answers
  and_back
  a_refusal_is_refunded
  nobody_there
  dns_is_away
  the_first_gateway_dies
  audit
  jq -cn --argjson seconds "$SECONDS" --rawfile messages "$MESSAGES" '
    ($messages | rtrimstr("\n") | split("\n") | map(split(" ")[5])) as $ends
    | { delivered: ($ends | map(select(. == "delivered")) | length),
        refunded: ($ends | map(select(. != "delivered")) | length), seconds: $seconds }'
}

# Sends, follows the message to its end, and notes it. ARGUMENTS are those of distpos-send.
relay() { # GATEWAY RECIPIENT WEI END ARGUMENTS...
  local gateway=$1 recipient=$2 wei=$3 end=$4 from=${CHAIN_OF[$1]} to answer code=0 expected=0
  to=${OTHER[$from]}
  shift 4
  answer=$(send "$gateway" "${to}x$recipient" --amount "$wei" --wait --timeout "${WAIT_SECONDS_MAX}s" \
    "$@") || code=$?
  [ "$end" = delivered ] || expected=69
  expect "exit code of distpos-send ($answer)" "$code" "$expected"
  ID=$(jq -r .id <<<"$answer")
  note_message "$ID" "$from" "$to" "$recipient" "$wei" "$end" "$(jq -r .transaction <<<"$answer")"
  SAID=$(jq -r '.message | .outcome + " " + .code + " " + .text' <<<"$answer")
  say "  $from -> $to ${ID:0:8}…: $SAID"
}

recipient_number() { # NUMBER: an address that nobody used before
  printf '00000000000000000000000000000000d157%04x' "$1"
}

there_with_a_note() {
  say "1. value and data from e2e4 to b1c2"
  local there
  there=$(recipient_number 1)
  expect "balance before" "$(balance b1c2 "0x$there")" 0
  relay north "$there" 300000000000000001 delivered --data "0x$(hex_of 'for the well')"
  expect "balance after" "$(balance b1c2 "0x$there")" 300000000000000001
}

a_contract_answers() {
  say "2. a contract at b1c2 is called with value and data, and answers to e2e4"
  local executor word echo answer contract=${CONTRACT[b1c2]}
  executor=$(view b1c2 "$contract" "executor()")
  word=$(printf '%064s' "${contract#0x}" | tr ' ' 0)
  echo=$(deploy_example b1c2 Echo "${executor#0x}$word")
  relay north "${echo#0x}" 20000000000000003 delivered --data "0x$(hex_of answer)" --gas 900000
  expect "calls of the contract" "$(number_at "$(view b1c2 "$echo" "count()")" 0)" 1
  expect "its last message" "$(view b1c2 "$echo" "id()")" "0x$ID"
  expect "what it was told of the sum" "$(number_at "$(view b1c2 "$echo" "amount()")" 0)" \
    20000000000000003
  events b1c2 >"$WORK/events-b1c2"
  answer=$(ids_of b1c2 Sent)
  expect "number of answers" "$(wc -w <<<"$answer")" 1
  note_message "$answer" b1c2 e2e4 - 0 delivered -
  until_true 60 "the answer's end" ended_at south "$answer" delivered
  say "  b1c2 -> e2e4 ${answer:0:8}…: the answer was delivered"
}

and_back() {
  say "3. value and data from b1c2 to e2e4, of which the spare gateway tells"
  local back
  back=$(recipient_number 2)
  relay spare "$back" 70000000000000005 delivered --data "0x$(hex_of 'the rest of it')"
  expect "balance after" "$(balance e2e4 "0x$back")" 70000000000000005
}

a_refusal_is_refunded() {
  say "4. a contract that reverts: the sender gets the value back"
  local reverter before
  reverter=$(deploy_example b1c2 Reverter "$(printf '%064d' 1)")
  before=$(balance e2e4 "${CONTRACT[e2e4]}")
  relay north "${reverter#0x}" 10000000000000007 refused --data 0x01 --gas 100000
  [[ $SAID == "refunded 5.3.0 "* ]] || die "the sender was told: $SAID"
  expect "balance of the contract that reverts" "$(balance b1c2 "$reverter")" 0
  expect "the vault after the refund" "$(balance e2e4 "${CONTRACT[e2e4]}")" "$before"
}

nobody_there() {
  say "5. a chain that DNS does not know: refunded"
  local sent id
  sent=$(send north "dead0x$(recipient_number 3)" --amount 11) || die "distpos-send: $sent"
  id=$(jq -r .id <<<"$sent")
  note_message "$id" e2e4 dead0 - 11 unroutable "$(jq -r .transaction <<<"$sent")"
  until_true 60 "the refund of $id" ended_at north "$id" refunded
}

dns_is_away() {
  say "6. BIND is stopped, and the gateway starts anew, so that it remembers no answer"
  local there sent id
  there=$(recipient_number 4)
  stop named
  stop north
  start_gateway north
  sent=$(send north "b1c2x$there" --amount 4000000000000009) || die "distpos-send: $sent"
  id=$(jq -r .id <<<"$sent")
  note_message "$id" e2e4 b1c2 "$there" 4000000000000009 delivered "$(jq -r .transaction <<<"$sent")"
  until_true 60 "a word of DNS in the status of $id" dns_to_blame north "$id"
  say "  e2e4 -> b1c2 ${id:0:8}…: $(status_of north "$id" '.state + ", " + .code + " " + .text')"
  expect "balance while DNS is away" "$(balance b1c2 "0x$there")" 0
  start_named
  until_true 120 "the end of $id" ended_at north "$id" delivered
  expect "balance after" "$(balance b1c2 "0x$there")" 4000000000000009
  say "  e2e4 -> b1c2 ${id:0:8}…: delivered, late"
}

dns_to_blame() { [ "$(status_of "$1" "$2" '.state + " " + .code')" = "queued 4.4.3" ]; }

the_first_gateway_dies() {
  say "7. SIGKILL of south, which is listed first for b1c2: spare takes over"
  local there back
  there=$(recipient_number 5)
  back=$(recipient_number 6)
  stop south KILL
  relay north "$there" 5000000000000011 delivered
  relay spare "$back" 6000000000000013 delivered
  expect "balance at b1c2" "$(balance b1c2 "0x$there")" 5000000000000011
  expect "balance at e2e4" "$(balance e2e4 "0x$back")" 6000000000000013
  say "   south comes back: it learns from its chain what spare has done, and repeats nothing"
  start_gateway south
  until_true 60 "south's word on the last message" ended_at south "$ID" delivered
  until_true 60 "the ends of all messages" all_ended
}
