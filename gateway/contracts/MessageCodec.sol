// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Text} from "./Text.sol";

/// A message on its way out, without its texts and data.
struct Outgoing {
    uint128 source;
    bytes8 sourceTag;
    uint128 destination;
    uint256 split; // where the "x" is in the address that it is sent to
    bytes8 destinationTag;
    address outbox;
    uint64 sequence;
    address sender;
    address token; // what the asset is here: no part of the message
    bytes32 terms; // of the account that it is sent under; 0: without an account
    uint256 amount;
    uint64 gas;
    uint8 onFail;
    uint64 expires;
}

/// Writes the one encoding of a message: deterministic CBOR, byte for byte as
/// `proto/src/message.rs`. Each function writes at a place in memory and says where it ended.
library MessageCodec {
    uint256 private constant NUMBER = 0;
    uint256 private constant BYTES = 2;
    uint256 private constant TEXT = 3;
    /// More than all but the data comes to: heads 60, chain-ids 64, tags 16, outbox 20, sender 40,
    /// recipient 128, asset 65, terms 32, amount 32, and a word that the last write may pass over.
    uint256 private constant REST_MAX = 640;

    /// The message's bytes. Destination and recipient are in the address text that it is sent to.
    function encode(Outgoing calldata m, string calldata asset, string calldata to, bytes calldata data)
        internal
        pure
        returns (bytes memory out)
    {
        uint256 start;
        assembly ("memory-safe") {
            out := mload(0x40)
            start := add(out, 32)
        }
        uint256 place = route(start, m, bytes(to)[:m.split]);
        place = party(place, m, bytes(to)[m.split + 1:]);
        place = copied(head(place, 9, TEXT, bytes(asset).length), bytes(asset));
        place = terms(place, m.terms);
        place = amount(place, m.amount);
        place = copied(head(place, 12, BYTES, data.length), data);
        place = head(place, 13, NUMBER, m.gas);
        place = head(place, 14, NUMBER, m.onFail);
        place = head(place, 15, NUMBER, m.expires);
        assembly ("memory-safe") {
            mstore(out, sub(place, start))
            mstore(0x40, and(add(add(start, add(data.length, REST_MAX)), 31), not(31)))
        }
    }

    /// Version, chains and tags.
    function route(uint256 place, Outgoing calldata m, bytes calldata destination)
        private
        pure
        returns (uint256)
    {
        (bytes32 source, uint256 length) = Text.chainWord(m.source);
        place = put(place, hex"b00001", 3); // map(16), and version (key 0) is 1
        place = put(head(place, 1, TEXT, length), source, length);
        place = put(head(place, 2, BYTES, 8), m.sourceTag, 8);
        place = copied(head(place, 3, TEXT, destination.length), destination);
        return put(head(place, 4, BYTES, 8), m.destinationTag, 8);
    }

    /// Outbox, sequence, sender and recipient.
    function party(uint256 place, Outgoing calldata m, bytes calldata recipient)
        private
        pure
        returns (uint256)
    {
        place = put(head(place, 5, BYTES, 20), bytes20(m.outbox), 20);
        place = head(place, 6, NUMBER, m.sequence);
        (bytes32 first, bytes8 last) = Text.hexOf(m.sender);
        place = put(put(head(place, 7, TEXT, 40), first, 32), last, 8);
        return copied(head(place, 8, TEXT, recipient.length), recipient);
    }

    /// A key, and the shortest head of its value (RFC 8949, 4.2.1).
    function head(uint256 place, uint256 key, uint256 major, uint256 value) private pure returns (uint256) {
        uint256 size = value < 24 ? 0 : value < 1 << 8 ? 1 : value < 1 << 16 ? 2 : value < 1 << 32 ? 4 : 8;
        uint256 kind = size == 0 ? value : size == 1 ? 24 : size == 2 ? 25 : size == 4 ? 26 : 27;
        put(place, bytes32((key << 248) | (((major << 5) | kind) << 240)), 2);
        return size == 0 ? place + 2 : put(place + 2, bytes32(value << (256 - 8 * size)), size);
    }

    /// 32 bytes or none.
    function terms(uint256 place, bytes32 hash) private pure returns (uint256) {
        if (hash == 0) return head(place, 10, BYTES, 0);
        return put(head(place, 10, BYTES, 32), hash, 32);
    }

    /// The shortest big-endian form; zero is empty.
    function amount(uint256 place, uint256 value) private pure returns (uint256) {
        uint256 length;
        for (uint256 rest = value; rest != 0; rest >>= 8) length++;
        place = head(place, 11, BYTES, length);
        return length == 0 ? place : put(place, bytes32(value << (256 - 8 * length)), length);
    }

    /// The first `length` bytes of a word. The rest of the word is overwritten by what follows.
    function put(uint256 place, bytes32 word, uint256 length) private pure returns (uint256) {
        assembly ("memory-safe") {
            mstore(place, word)
        }
        return place + length;
    }

    function copied(uint256 place, bytes calldata text) private pure returns (uint256) {
        assembly ("memory-safe") {
            calldatacopy(place, text.offset, text.length)
        }
        return place + text.length;
    }
}
