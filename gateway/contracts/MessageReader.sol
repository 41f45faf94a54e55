// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Text} from "./Text.sol";

/// A message that was read, as far as a destination needs it. Texts and data stay in calldata:
/// `…At` is a position there. `MessageReader.read` writes the words by their place.
struct Incoming {
    uint256 sourceAt;
    uint256 sourceLength;
    uint256 destinationAt;
    uint256 destinationLength;
    bytes8 destinationTag;
    uint256 senderAt;
    uint256 senderLength;
    uint256 recipientAt;
    uint256 recipientLength;
    uint256 assetAt;
    uint256 assetLength;
    bytes32 terms; // 0: none
    uint256 amount;
    uint256 dataAt;
    uint256 dataLength;
    uint256 gas;
    uint256 onFail;
    uint256 expires;
    uint128 source;
}

/// Reads the one encoding of a message (deterministic CBOR, RFC 8949 4.2) where it lies in calldata:
/// sixteen keys in their order, shortest heads, nothing after it; `proto/src/message.rs` and the
/// vectors in `proto/vectors/message.json` say the same.
library MessageReader {
    enum Verdict {
        Ours,
        Elsewhere,
        Malformed
    }

    /// The message's id. The bytes lie after the free memory for a moment; nothing is allocated.
    function id(bytes calldata raw) internal view returns (bytes32 out) {
        bool ok;
        assembly ("memory-safe") {
            let start := mload(0x40)
            mstore(start, "distpos/message/1")
            calldatacopy(add(start, 17), raw.offset, raw.length)
            // The precompile SHA-256.
            ok := staticcall(gas(), 2, start, add(raw.length, 17), 0, 32)
            ok := and(ok, eq(returndatasize(), 32))
            out := mload(0)
        }
        // Out of gas: the gateway's fault, and nothing else can be.
        require(ok);
    }

    /// Reads `raw` into `m`; `own` is this chain, `ownText` its text at the left of a word. The
    /// alphabets of the recipient and of the asset are left to the inbox: of what it delivers it
    /// knows both, of the rest it asks.
    function read(bytes calldata raw, Incoming memory m, uint128 own, uint256 ownText)
        internal
        pure
        returns (Verdict)
    {
        if (!shape(raw, m)) return Verdict.Malformed;
        uint128 source = Text.chainOf(word(m.sourceAt), m.sourceLength);
        m.source = source;
        if (source == 0) return Verdict.Malformed;
        if (!Text.isLocal(slice(m.senderAt, m.senderLength))) return Verdict.Malformed;
        uint256 destination = word(m.destinationAt);
        unchecked {
            uint256 unused = 256 - 8 * m.destinationLength;
            uint256 text = destination >> unused;
            // Zero bytes at the end fill a word, but are in no chain-id.
            if (text << unused == ownText && text & 0xff != 0) {
                // A chain does not send to itself.
                return source == own ? Verdict.Malformed : Verdict.Ours;
            }
        }
        uint128 other = Text.chainOf(destination, m.destinationLength);
        return other == 0 || other == source ? Verdict.Malformed : Verdict.Elsewhere;
    }

    /// The word at a place in calldata.
    function word(uint256 place) internal pure returns (uint256 out) {
        assembly ("memory-safe") {
            out := calldataload(place)
        }
    }

    /// A piece of calldata.
    function slice(uint256 start, uint256 length) internal pure returns (bytes calldata out) {
        assembly ("memory-safe") {
            out.offset := start
            out.length := length
        }
    }

    /// Everything but the alphabets of the texts.
    ///
    /// What does not fit sends the cursor to 2^255, far past any calldata, from where it cannot
    /// come back: every step only adds, and the last comparison wants the exact end. Reading past
    /// the end gives zeros or a neighbour's bytes, and ends in the same comparison.
    function shape(bytes calldata raw, Incoming memory m) private pure returns (bool ok) {
        assembly ("memory-safe") {
            // The value of a head, and where it ends. `kind` is the key before it (shifted left by
            // 3, both are of one byte) and its major type: 0 number, 2 bytes, 3 text.
            function head(place, kind) -> value, next {
                let w := calldataload(place)
                let first := shr(240, w)
                value := and(first, 31)
                next := add(place, 2)
                if xor(shr(5, first), kind) { next := shl(255, 1) }
                if gt(value, 23) {
                    let size := shl(sub(value, 24), 1)
                    // One byte holds what is from 24; more hold what the half of them cannot.
                    let least := shl(shl(2, size), 1)
                    if eq(value, 24) { least := 24 }
                    next := add(next, size)
                    // 28 to 31 are reserved, or of indefinite length.
                    if gt(value, 27) { next := shl(255, 1) }
                    value := shr(sub(256, shl(3, size)), shl(16, w))
                    if lt(value, least) { next := shl(255, 1) }
                }
            }
            // A byte string or text of `least` to `most` bytes: where it starts, and its length.
            function span(place, kind, least, most) -> start, length, next {
                length, start := head(place, kind)
                next := add(start, length)
                if or(lt(length, least), gt(length, most)) { next := shl(255, 1) }
            }

            let place := raw.offset
            // map(16), and version (key 0) is 1
            let lost := xor(shr(232, calldataload(place)), 0xb00001)
            let start, length
            start, length, place := span(add(place, 3), 0xb, 1, 32)
            mstore(m, start)
            mstore(add(m, 0x20), length)
            // Tags are 8 bytes: key 2, head 0x48.
            lost := or(lost, xor(shr(240, calldataload(place)), 0x0248))
            start, length, place := span(add(place, 10), 0x1b, 1, 32)
            mstore(add(m, 0x40), start)
            mstore(add(m, 0x60), length)
            lost := or(lost, xor(shr(240, calldataload(place)), 0x0448))
            mstore(add(m, 0x80), shl(192, shr(192, calldataload(add(place, 2)))))
            start, length, place := span(add(place, 10), 0x2a, 1, 64)
            length, place := head(place, 0x30)
            lost := or(lost, iszero(length)) // sequences start place 1
            start, length, place := span(place, 0x3b, 1, 128)
            mstore(add(m, 0xa0), start)
            mstore(add(m, 0xc0), length)
            start, length, place := span(place, 0x43, 1, 128)
            mstore(add(m, 0xe0), start)
            mstore(add(m, 0x100), length)
            let assetLength
            start, assetLength, place := span(place, 0x4b, 0, 65)
            mstore(add(m, 0x120), start)
            mstore(add(m, 0x140), assetLength)
            start, length, place := span(place, 0x52, 0, 32)
            mstore(add(m, 0x160), mul(calldataload(start), gt(length, 0)))
            // Terms are 32 bytes or none, and none without an asset.
            lost := or(lost, and(length, 31))
            lost := or(lost, gt(length, mul(assetLength, 32)))
            start, length, place := span(place, 0x5a, 0, 32)
            let amount := 0
            if length {
                amount := shr(sub(256, shl(3, length)), calldataload(start))
                // The shortest form: no leading zero.
                lost := or(lost, iszero(byte(0, calldataload(start))))
            }
            mstore(add(m, 0x180), amount)
            // An asset and an amount, or neither.
            lost := or(lost, xor(iszero(amount), iszero(assetLength)))
            start, length, place := span(place, 0x62, 0, 65536)
            mstore(add(m, 0x1a0), start)
            mstore(add(m, 0x1c0), length)
            length, place := head(place, 0x68)
            mstore(add(m, 0x1e0), length)
            length, place := head(place, 0x70)
            mstore(add(m, 0x200), length)
            lost := or(lost, gt(length, 1))
            length, place := head(place, 0x78)
            mstore(add(m, 0x220), length)
            ok := and(eq(place, add(raw.offset, raw.length)), iszero(lost))
        }
    }
}
