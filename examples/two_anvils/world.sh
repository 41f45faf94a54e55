# The world: two nodes, a contract on each, a name server, one gateway of e2e4 and two of b1c2.

CHAINS=(e2e4 b1c2)
ROOT=chains.test
ASSET=e2e4/coin
# The hash of what both communities signed; the contracts compare it and read nothing else of it.
TERMS=$(printf '%064d' 7)
declare -A ETH_ID=([e2e4]=58084 [b1c2]=45506)
declare -A OTHER=([e2e4]=b1c2 [b1c2]=e2e4)
# Gateways by name. Of b1c2's two, `south` is tried first.
GATEWAYS=(north south spare)
declare -A CHAIN_OF=([north]=e2e4 [south]=b1c2 [spare]=b1c2)
declare -A PRIORITY=([north]=10 [south]=10 [spare]=20)
declare -A RPC CONTRACT TAG USER_AT USER_START PID PEERS_PORT USERS_PORT
FUND=5000000000000000000       # what each community puts into its contract, in wei
USER_MONEY=2000000000000000000 # what each sender starts with
WAIT_SECONDS_MAX=180           # longest that a message may take here, with a dead gateway on its way

say() { printf '%4ds  %s\n' "$SECONDS" "$*" >&2; }

die() {
  echo "two_anvils: $*" >&2
  exit 1
}

begin() {
  local tool
  for tool in anvil named curl jq; do
    command -v "$tool" >/dev/null || die "$tool is not on the PATH"
  done
  if [ -z "${DISTPOS_BIN:-}" ]; then
    say "building (release)"
    (cd "$HERE/.." && cargo build --release -p distpos-gateway >&2)
    DISTPOS_BIN=$(cd "$HERE/.." && cargo metadata --format-version 1 --no-deps \
      | jq -r .target_directory)/release
  fi
  WORK=$(mktemp -d)
  MESSAGES=$WORK/messages
  : >"$MESSAGES"
  trap 'finish $?' EXIT
  trap 'exit 130' INT TERM
  SECONDS=0
}

# Ends what was started here, by its process id; on failure shows the ends of the logs.
finish() { # CODE
  local name
  trap - EXIT
  for name in "${!PID[@]}"; do
    kill -CONT "${PID[$name]}" 2>/dev/null || true
    kill -KILL "${PID[$name]}" 2>/dev/null || true
    kill -KILL -- "-${PID[$name]}" 2>/dev/null || true
  done
  wait 2>/dev/null || true
  if [ "$1" -ne 0 ]; then
    for name in "${GATEWAYS[@]}"; do
      echo "--- log of gateway $name" >&2
      tail -n 25 "$WORK/$name/log" >&2 2>/dev/null || true
    done
    echo "two_anvils: failed; all logs are in $WORK" >&2
  else
    rm -rf "$WORK"
  fi
  exit "$1"
}

# A port that nobody listens on, below those that the system hands out by itself.
free_port() {
  local port
  while :; do
    port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
    if ! grep -qs "^$port$" "$WORK/ports" && ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      echo "$port" >>"$WORK/ports"
      echo "$port"
      return
    fi
  done
}

gateway() { "$DISTPOS_BIN/distpos-gateway" "$@"; }

# Runs a command until it succeeds.
until_true() { # SECONDS WHAT COMMAND...
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    ((SECONDS < deadline)) || die "waited in vain: $what"
    sleep 0.2
  done
}

build_world() {
  local chain name
  for chain in "${CHAINS[@]}"; do start_anvil "$chain"; done
  for name in "${GATEWAYS[@]}"; do make_keys "$name"; done
  # Commands of the two chains wait for blocks of their own: side by side it takes half as long.
  for chain in "${CHAINS[@]}"; do
    aside "setup-$chain" deploy "$chain"
  done
  for chain in "${CHAINS[@]}"; do await "setup-$chain"; done
  for chain in "${CHAINS[@]}"; do read_deployed "$chain"; done
  for chain in "${CHAINS[@]}"; do
    aside "setup-$chain" agree "$chain"
  done
  for chain in "${CHAINS[@]}"; do await "setup-$chain"; done
  for name in "${GATEWAYS[@]}"; do configure "$name"; done
  # Each gateway is told the other chain's keys and contract by its operator, not by DNS.
  for name in "${GATEWAYS[@]}"; do add_peer "$name"; done
  for chain in "${CHAINS[@]}"; do write_zone "$chain"; done
  write_root_zone
  start_named
  for name in "${GATEWAYS[@]}"; do start_gateway "$name"; done
  say "three gateways are up: north for e2e4, south and spare for b1c2"
}

# Runs a function beside this one, as a group of its own, so that all of it can be ended.
aside() { # NAME COMMAND...
  local name=$1
  shift
  set -m
  "$@" >&2 &
  PID[$name]=$!
  set +m
}

await() { # NAME
  wait "${PID[$1]}" || die "$1 failed"
  unset "PID[$1]"
}

start_anvil() { # CHAIN
  local port
  port=$(free_port)
  # A block a second; with epochs of one slot a block is final when two more follow it.
  anvil --host 127.0.0.1 --port "$port" --chain-id "${ETH_ID[$1]}" --block-time 1 \
    --slots-in-an-epoch 1 --quiet >"$WORK/anvil-$1.log" 2>&1 &
  PID[anvil-$1]=$!
  RPC[$1]=http://127.0.0.1:$port
  until_true 20 "anvil of $1" node_answers "$1"
  say "anvil for $1 (chain id ${ETH_ID[$1]}) at ${RPC[$1]}"
}

node_answers() { # CHAIN
  curl -sS --max-time 2 -H 'content-type: application/json' \
    --data '{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}' "${RPC[$1]}" \
    >/dev/null 2>&1
}

make_keys() { # GATEWAY
  mkdir "$WORK/$1"
  gateway keygen --directory "$WORK/$1/keys" --json >"$WORK/$1/public"
  gateway evm keygen "$WORK/$1/evm.key" >"$WORK/$1/account"
  PEERS_PORT[$1]=$(free_port)
  USERS_PORT[$1]=$(free_port)
}

# Owner and user get money, the owner deploys; the contract's gateways may deliver and refund.
deploy() { # CHAIN
  local owner user name roles=()
  owner=$(gateway evm keygen "$WORK/owner-$1.key")
  user=0x$("$DISTPOS_BIN/distpos-send" keygen --evm "$WORK/user-$1.key")
  echo "$user" >"$WORK/user-$1"
  for name in "${GATEWAYS[@]}"; do
    [ "${CHAIN_OF[$name]}" = "$1" ] || continue
    roles+=(--gateway "$(<"$WORK/$name/account")")
    from_rich "$1" "\"to\":\"$(<"$WORK/$name/account")\",\"value\":\"0x8ac7230489e80000\"" >/dev/null
  done
  from_rich "$1" "\"to\":\"$owner\",\"value\":\"0x8ac7230489e80000\"" >/dev/null
  from_rich "$1" "\"to\":\"$user\",\"value\":\"$(printf '0x%x' "$USER_MONEY")\"" >/dev/null
  gateway evm deploy --rpc "${RPC[$1]}" --key "$WORK/owner-$1.key" --chain "$1" "${roles[@]}" \
    >"$WORK/deployed-$1"
}

# What `evm deploy` printed is the [chain] part of a configuration, with the tag in its first line.
read_deployed() { # CHAIN
  CONTRACT[$1]=$(sed -n 's/^contract = "\(.*\)"$/\1/p' "$WORK/deployed-$1")
  TAG[$1]=$(sed -n 's/^# genesis tag \([0-9a-f]*\),.*/\1/p' "$WORK/deployed-$1")
  USER_AT[$1]=$(<"$WORK/user-$1")
  USER_START[$1]=$(balance "$1" "${USER_AT[$1]}")
  [ -n "${CONTRACT[$1]}" ] && [ -n "${TAG[$1]}" ] || die "evm deploy: $(<"$WORK/deployed-$1")"
  say "contract of $1 is ${CONTRACT[$1]}, genesis tag ${TAG[$1]}"
}

agree() { # CHAIN
  local owner=(--rpc "${RPC[$1]}" --key "$WORK/owner-$1.key" --contract "${CONTRACT[$1]}")
  local other=${OTHER[$1]}
  gateway evm peer "$other" "${owner[@]}" --genesis "${TAG[$other]}" --reason "agreed with $other"
  gateway evm account "$other" "$ASSET" "${owner[@]}" --terms "$TERMS" --token coin --credit-limit 100eth \
    --reason "agreed with $other"
  gateway evm fund "${owner[@]}" --amount "$FUND" --reason "the community's float"
}

configure() { # GATEWAY
  local chain=${CHAIN_OF[$1]} keys=() name
  for name in "${GATEWAYS[@]}"; do
    [ "${CHAIN_OF[$name]}" = "$chain" ] && keys+=("$(jq -r .chain_key "$WORK/$name/public")")
  done
  {
    cat "$WORK/deployed-$chain"
    printf 'poll = "300ms"\n\n[identity]\ndirectory = "keys"\nkeys = [%s]\n' \
      "$(printf '"%s", ' "${keys[@]}" | sed 's/, $//')"
    printf '\n[spool]\ndirectory = "spool"\n'
    printf '\n[listen]\npeers = "127.0.0.1:%s"\nsubmission = "127.0.0.1:%s"\n' \
      "${PEERS_PORT[$1]}" "${USERS_PORT[$1]}"
    printf '\n[metrics]\nlisten = "127.0.0.1:0"\n'
    # All of this runs on loopback, which gateways refuse to connect to unless told otherwise.
    printf '\n[resolver]\nroots = ["%s"]\nservers = ["127.0.0.1:%s"]\nallow_special = true\n' \
      "$ROOT" "${DNS_PORT:=$(free_port)}"
  } >"$WORK/$1/gateway.toml"
  gateway records --config "$WORK/$1/gateway.toml" --host "$1.$chain.$ROOT" \
    --genesis "${TAG[$chain]}" --selector "k1$1" --pri "${PRIORITY[$1]}" --ttl 60 >"$WORK/$1/records"
}

# What `records` printed for the other operator goes into this one's configuration.
add_peer() { # GATEWAY
  local name other=${OTHER[${CHAIN_OF[$1]}]}
  for name in "${GATEWAYS[@]}"; do
    [ "${CHAIN_OF[$name]}" = "$other" ] && break
  done
  {
    echo
    sed -n "/^\[peer\.$other\]/,\$p" "$WORK/$name/records"
  } >>"$WORK/$1/gateway.toml"
  gateway check --config "$WORK/$1/gateway.toml" >"$WORK/$1/check" \
    || die "check of $1: $(<"$WORK/$1/check")"
}

# A chain's zone: the lines that `records` printed, and where its hosts are. Where a chain has two
# gateways, both selectors are put into the policy by hand, as here by sed, and one of the two policy
# records is left out: a chain has one.
write_zone() { # CHAIN
  local name selectors='' kinds='"v=DPOS'
  for name in "${GATEWAYS[@]}"; do
    [ "${CHAIN_OF[$name]}" = "$1" ] && selectors+="${selectors:+,}k1$name"
  done
  {
    zone_start
    for name in "${GATEWAYS[@]}"; do
      [ "${CHAIN_OF[$name]}" = "$1" ] || continue
      printf '%s.%s.%s. IN A 127.0.0.1\n' "$name" "$1" "$ROOT"
      grep "$kinds" "$WORK/$name/records" \
        | sed "s/sel=k1$name/sel=$selectors/"
      kinds='"v=DPOS\(KEY\)\?1'
    done
  } >"$WORK/$1.$ROOT"
}

zone_start() {
  printf '$TTL 60\n@ IN SOA ns admin 1 60 60 60 60\n@ IN NS ns\nns IN A 127.0.0.1\n'
}

write_root_zone() {
  local chain
  zone_start >"$WORK/$ROOT"
  for chain in "${CHAINS[@]}"; do printf '%s IN NS ns.%s\n' "$chain" "$chain" >>"$WORK/$ROOT"; done
  {
    printf 'options { directory "%s"; pid-file none; session-keyfile none; recursion no;\n' "$WORK"
    printf '  dnssec-validation no; listen-on port %s { 127.0.0.1; };\n' "$DNS_PORT"
    printf '  listen-on-v6 { none; }; };\ncontrols { };\n'
    for chain in "$ROOT" "${CHAINS[@]/%/.$ROOT}"; do
      printf 'zone "%s" { type primary; file "%s"; };\n' "$chain" "$chain"
    done
  } >"$WORK/named.conf"
}

start_named() {
  : >"$WORK/named.log"
  named -g -c "$WORK/named.conf" 2>"$WORK/named.log" &
  PID[named]=$!
  until_true 20 "named" grep -q ' running$' "$WORK/named.log"
  grep -q 'zone .*: loaded serial 1' "$WORK/named.log" || die "named: $(<"$WORK/named.log")"
  say "BIND serves ${CHAINS[*]/%/.$ROOT} at 127.0.0.1:$DNS_PORT"
}

stop() { # NAME [SIGNAL]: and waits until it is gone
  kill "-${2:-TERM}" "${PID[$1]}"
  wait "${PID[$1]}" 2>/dev/null || true
  unset "PID[$1]"
}

start_gateway() { # GATEWAY
  # Not by the function: the process id must be the gateway's own.
  "$DISTPOS_BIN/distpos-gateway" run --config "$WORK/$1/gateway.toml" 2>>"$WORK/$1/log" &
  PID[$1]=$!
  until_true 20 "gateway $1" users_answer "$1"
}

users_at() { echo "http://127.0.0.1:${USERS_PORT[$1]}"; }

users_answer() { # GATEWAY
  curl -s --max-time 2 -o "$WORK/$1/chain" "$(users_at "$1")/v1/chain"
}

# `distpos-send` at a gateway, with the key of its chain's user and with the user's own node.
send() { # GATEWAY TO ARGUMENTS...
  local chain=${CHAIN_OF[$1]} at
  at=$(users_at "$1")
  shift
  "$DISTPOS_BIN/distpos-send" "$@" --key "$WORK/user-$chain.key" --rpc "${RPC[$chain]}" \
    --gateway "$at" --json
}

# How a message stands at a gateway: one field of it.
status_of() { # GATEWAY ID FIELD
  "$DISTPOS_BIN/distpos-send" status "$2" --gateway "$(users_at "$1")" --json 2>/dev/null \
    | jq -r "$3" || true
}

ended_at() { # GATEWAY ID OUTCOME
  [ "$(status_of "$1" "$2" .outcome)" = "$3" ]
}
