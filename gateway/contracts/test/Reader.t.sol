// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Inbox} from "../Inbox.sol";
import {Base, Draft} from "./Base.sol";

/// Reads a message one byte at a time, from the CDDL and the text grammar; shares nothing with the
/// contracts.
contract SlowReader {
    bytes private raw;
    uint256 private place;
    bool private ok;

    function isMessage(bytes calldata message) external returns (bool) {
        (raw, place, ok) = (message, 0, true);
        if (next() != 0xb0) return false;
        key(0);
        if (head(0) != 1) return false;
        key(1);
        string memory source = chain();
        key(2);
        if (head(2) != 8) return false;
        place += 8;
        key(3);
        string memory destination = chain();
        key(4);
        if (head(2) != 8) return false;
        place += 8;
        key(5);
        take(2, 1, 64);
        key(6);
        if (head(0) == 0) return false;
        key(7);
        local(take(3, 1, 128));
        key(8);
        local(take(3, 1, 128));
        value();
        key(12);
        take(2, 0, 65536);
        key(13);
        head(0);
        key(14);
        if (head(0) > 1) return false;
        key(15);
        head(0);
        return ok && place == raw.length && keccak256(bytes(source)) != keccak256(bytes(destination));
    }

    function value() private {
        key(9);
        bytes memory asset = take(3, 0, 65);
        key(10);
        bytes memory terms = take(2, 0, 32);
        key(11);
        bytes memory amount = take(2, 0, 32);
        if (terms.length != 0 && (terms.length != 32 || asset.length == 0)) ok = false;
        if ((asset.length == 0) != (amount.length == 0)) ok = false;
        if (amount.length != 0 && amount[0] == 0) ok = false;
        if (asset.length == 0) return;
        uint256 slash;
        while (slash < asset.length && asset[slash] != "/") slash++;
        if (slash == asset.length || asset.length - slash - 1 == 0 || asset.length - slash - 1 > 32) {
            ok = false;
            return;
        }
        bytes memory issuer = new bytes(slash);
        for (uint256 i = 0; i < slash; i++) issuer[i] = asset[i];
        isChain(issuer);
        for (uint256 i = slash + 1; i < asset.length; i++) if (!among(asset[i], "-._")) ok = false;
    }

    function next() private returns (uint256) {
        if (place >= raw.length) {
            ok = false;
            return 0;
        }
        return uint8(raw[place++]);
    }

    function key(uint256 expected) private {
        if (head(0) != expected) ok = false;
    }

    function head(uint256 major) private returns (uint256 found) {
        uint256 first = next();
        if (first >> 5 != major || first & 31 > 27) ok = false;
        found = first & 31;
        if (found < 24 || !ok) return found;
        uint256 size = 1 << (found - 24);
        found = 0;
        for (uint256 i = 0; i < size; i++) found = (found << 8) | next();
        if (found < 24 || (size > 1 && found < 1 << (4 * size))) ok = false;
    }

    function take(uint256 major, uint256 least, uint256 most) private returns (bytes memory out) {
        uint256 length = head(major);
        if (!ok || length < least || length > most || place + length > raw.length) {
            ok = false;
            return "";
        }
        out = new bytes(length);
        for (uint256 i = 0; i < length; i++) out[i] = raw[place++];
    }

    function chain() private returns (string memory) {
        bytes memory text = take(3, 1, 32);
        isChain(text);
        return string(text);
    }

    function isChain(bytes memory text) private {
        if (text.length == 0 || text.length > 32 || text[0] == "0") ok = false;
        for (uint256 i = 0; i < text.length; i++) {
            bool digit = text[i] >= "0" && text[i] <= "9";
            if (!digit && (text[i] < "a" || text[i] > "f")) ok = false;
        }
    }

    function local(bytes memory text) private {
        for (uint256 i = 0; i < text.length; i++) if (!among(text[i], "-._:/+@=")) ok = false;
    }

    function among(bytes1 c, bytes memory others) private pure returns (bool) {
        if ((c >= "0" && c <= "9") || (c >= "a" && c <= "z") || (c >= "A" && c <= "Z")) return true;
        for (uint256 i = 0; i < others.length; i++) if (c == others[i]) return true;
        return false;
    }
}

/// The contract's reader and the slow one say the same of whatever looks like a message.
contract ReaderTest is Base {
    SlowReader private slow = new SlowReader();

    /// A text longer than it should be; bytes changed, put in, or left out, in up to four places.
    /// Enough runs to have met this chain's name with a zero byte after it, which passed once.
    /// forge-config: default.fuzz.runs = 2048
    function testFuzz_both_readers_agree(uint256 seed, uint8 edits) public {
        Draft memory m = seed % 3 == 0 ? note(1) : payment(1, seed % 1000);
        if (m.amount == 0) (m.asset, m.terms) = ("", bytes(""));
        if (seed % 5 == 0) (m.data, m.gas) = (new bytes(seed % 300), uint64(seed >> 200));
        if (seed % 7 < 3 && m.amount != 0) m.terms = seed % 7 == 0 ? abi.encodePacked(seed) : bytes("");
        if (seed % 11 == 0) m.destination = "b1c3";
        m.sequence = uint64(seed >> (seed % 61 + 190)) | 1;
        lengthen(m, seed >> 100);
        bytes memory raw = encode(m);
        for (uint256 i = 0; i < edits % 5; i++) {
            seed = uint256(keccak256(abi.encode(seed, i)));
            raw = edited(raw, seed);
        }
        bool expected = slow.isMessage(raw);
        Inbox.Result memory result = deliver(raw);
        bool malformed = same(result.reason, "5.6.0 message is malformed");
        require(malformed != expected, vm.toString(raw));
    }

    /// One text a character longer, or none.
    function lengthen(Draft memory m, uint256 seed) private pure {
        bytes4 often = "\x000x/";
        bytes1 c = seed % 2 == 0 ? bytes1(uint8(seed >> 8)) : often[(seed >> 8) % 4];
        uint256 which = (seed >> 16) % 8;
        if (which == 0) m.source = string.concat(m.source, string(abi.encodePacked(c)));
        if (which == 1) m.destination = string.concat(m.destination, string(abi.encodePacked(c)));
        if (which == 2) m.sender = string.concat(m.sender, string(abi.encodePacked(c)));
        if (which == 3) m.recipient = string.concat(m.recipient, string(abi.encodePacked(c)));
        if (which == 4 && m.amount != 0) m.asset = string.concat(m.asset, string(abi.encodePacked(c)));
    }

    function edited(bytes memory raw, uint256 seed) private pure returns (bytes memory out) {
        // Chain-ids and tags are at the start, and are read in the most particular way.
        uint256 place = (seed >> 16) % (seed % 4 < 2 ? 40 : raw.length + 1);
        uint8[12] memory often = [0, 1, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x40, 0x60, 0x58, 0x78, 0x30];
        bytes1 c = (seed >> 64) % 2 == 0 ? bytes1(uint8(seed >> 8)) : bytes1(often[(seed >> 8) % 12]);
        uint256 way = (seed >> 128) % 4;
        bool skip = way < 2; // change or leave out
        out = new bytes(raw.length + 1);
        uint256 to;
        for (uint256 i = 0; i <= raw.length; i++) {
            if (i == place && way != 1) out[to++] = c; // change or put in
            if (i < raw.length && !(i == place && skip)) out[to++] = raw[i];
        }
        assembly {
            mstore(out, to)
        }
        // A length that fits again: the string that was put into grows.
        if (way == 3) grow(out, place);
    }

    /// Makes the string that `place` is in a byte longer, if its head says so in five bits.
    function grow(bytes memory raw, uint256 place) private pure {
        for (uint256 back = 1; back < 48 && back <= place; back++) {
            uint8 head = uint8(raw[place - back]);
            if ((head >> 5 == 2 || head >> 5 == 3) && head & 31 < 23 && head & 31 >= back - 1) {
                raw[place - back] = bytes1(head + 1);
                return;
            }
        }
    }
}
