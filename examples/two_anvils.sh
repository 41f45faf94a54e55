#!/usr/bin/env bash
# Two real EVM nodes (anvil), a real name server (BIND), and real `distpos-gateway` processes, used
# as operators and senders would use them: every step is a command that you could type.
#
#   examples/two_anvils.sh                the story: there and back, a refund, DNS gone for a while,
#                                         a gateway gone for good
#   examples/two_anvils.sh --kill [SEED]  40 messages both ways while gateways are killed (SIGKILL)
#
# Needs on the PATH: anvil, named (Debian: bind9), curl, jq, and cargo, unless DISTPOS_BIN names the
# directory with distpos-gateway and distpos-send. Nothing outside a temporary directory is written,
# and nothing but loopback is listened on. The last line is a JSON object; the exit code is 0 only if
# all went as it should.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=two_anvils/node.sh
. "$HERE/two_anvils/node.sh"
# shellcheck source=two_anvils/world.sh
. "$HERE/two_anvils/world.sh"
# shellcheck source=two_anvils/audit.sh
. "$HERE/two_anvils/audit.sh"

main() {
  case "${1:-}" in
    "") . "$HERE/two_anvils/story.sh" ;;
    --kill) . "$HERE/two_anvils/kill.sh" ;;
    *)
      echo "usage: two_anvils.sh [--kill [SEED]]" >&2
      exit 64
      ;;
  esac
  begin
  build_world
  story "${2:-7}"
}

main "$@"
