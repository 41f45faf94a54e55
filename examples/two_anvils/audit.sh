# The books: what was sent, how each message must have ended, and whether both chains agree, to the
# wei. Every message of the run is one line of $MESSAGES: ID FROM TO RECIPIENT WEI END TRANSACTION.

note_message() { # ID FROM TO RECIPIENT WEI END TRANSACTION
  echo "$*" >>"$MESSAGES"
}

# Sums WEI of the lines that awk's CONDITION picks (fields by name).
total() { # CONDITION
  local sum=0 wei
  while read -r wei; do sum=$((sum + wei)); done < <(
    awk "{ id=\$1; from=\$2; to=\$3; recipient=\$4; wei=\$5; end=\$6 } $1 { print wei }" "$MESSAGES"
  )
  echo "$sum"
}

expect() { # WHAT FOUND EXPECTED
  [ "$2" = "$3" ] || die "$1 is $2, expected $3"
}

# Ids of the chain's events with one of these names, sorted; a repeated one shows up twice.
ids_of() { # CHAIN EVENT...
  local chain=$1
  shift
  jq -r --args '.[] | select(.event | IN($ARGS.positional[])) | .id' "$@" <"$WORK/events-$chain" | sort
}

# Ids of $MESSAGES that awk's CONDITION picks, sorted.
expected_ids() { # CONDITION
  awk "{ id=\$1; from=\$2; to=\$3; end=\$6 } $1 { print id }" "$MESSAGES" | sort
}

all_ended() {
  local chain
  for chain in "${CHAINS[@]}"; do
    events "$chain" >"$WORK/events-$chain"
    [ "$(ids_of "$chain" Closed Refunded | wc -l)" -ge "$(expected_ids "from==\"$chain\"" | wc -l)" ] \
      || return 1
  done
}

# Everything must have ended, once, as was expected, on both sides; and no wei be lost or made.
audit() {
  local chain other
  for chain in "${CHAINS[@]}"; do events "$chain" >"$WORK/events-$chain"; done
  for chain in "${CHAINS[@]}"; do
    other=${OTHER[$chain]}
    expect "what left $chain" "$(ids_of "$chain" Sent)" "$(expected_ids "from==\"$chain\"")"
    expect "what was closed at $chain" "$(ids_of "$chain" Closed)" \
      "$(expected_ids "from==\"$chain\" && end==\"delivered\"")"
    expect "what was refunded at $chain" "$(ids_of "$chain" Refunded)" \
      "$(expected_ids "from==\"$chain\" && end!=\"delivered\"")"
    expect "what $other delivered" "$(ids_of "$other" Delivered)" "$(ids_of "$chain" Closed)"
    expect "what $other voided" "$(ids_of "$other" Voided)" \
      "$(expected_ids "from==\"$chain\" && end==\"refused\"")"
    audit_money "$chain"
    audit_guards "$chain"
  done
  say "audit: every message ended once, and both chains' money adds up to the wei"
}

audit_money() { # CHAIN
  local chain=$1 recipient out in gas=0 transaction paid contract=${CONTRACT[$1]}
  local coin
  coin=$(printf '%064d' 0)
  out=$(total "from==\"$chain\" && end==\"delivered\"")
  in=$(total "to==\"$chain\" && end==\"delivered\"")
  expect "the vault of $chain" "$(balance "$chain" "$contract")" $((FUND + out - in))
  expect "the escrow of $chain" "$(number_at "$(view "$chain" "$contract" "openEscrow(address)" "$coin")" 0)" 0
  # What left beyond what came belongs to the other chain.
  expect "what $chain holds of ${OTHER[$chain]}'s" \
    "$(number_at "$(view "$chain" "$contract" "coveredOf(address)" "$coin")" 0)" \
    $((out > in ? out - in : 0))
  expect "what $chain still owes" "$(number_at "$(view "$chain" "$contract" "owed(address)" "$coin")" 0)" 0
  for recipient in $(awk -v chain="$chain" '$3 == chain && $4 != "-" { print $4 }' "$MESSAGES" | sort -u); do
    expect "the balance of $recipient at $chain" "$(balance "$chain" "0x$recipient")" \
      "$(total "to==\"$chain\" && recipient==\"$recipient\" && end==\"delivered\"")"
  done
  for transaction in $(awk -v chain="$chain" '$2 == chain && $7 != "-" { print $7 }' "$MESSAGES"); do
    paid=$(receipt "$chain" "0x$transaction" | jq -r '.gasUsed, .effectiveGasPrice' | tr '\n' ' ')
    gas=$((gas + ${paid%% *} * $(cut -d' ' -f2 <<<"$paid")))
  done
  expect "the sender's balance at $chain" "$(balance "$chain" "${USER_AT[$chain]}")" \
    $((${USER_START[$chain]} - out - gas))
}

# The contracts' own word on each message, besides their events.
audit_guards() { # CHAIN
  local chain=$1 id from to recipient wei end transaction state guard expected
  while read -r id from to recipient wei end transaction; do
    [ "$from" = "$chain" ] || continue
    state=$(number_at "$(view "$chain" "${CONTRACT[$chain]}" "sent(bytes32)" "$id")" 1)
    case $end in delivered) expected=2 ;; *) expected=3 ;; esac
    expect "the outbox's state of $id" "$state" "$expected"
    [ "$end" != unroutable ] || continue
    guard=$(number_at "$(view "$to" "${CONTRACT[$to]}" "guard(bytes32)" "$id")" 0)
    case $end in delivered) expected=1 ;; *) expected=2 ;; esac
    expect "the guard's word on $id" "$guard" "$expected"
  done <"$MESSAGES"
}
