// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// The texts of the protocol: chain-ids, local addresses, names of assets. Read a word (32
/// characters) at a time: all bytes of a word are compared at once, each in its own lane, which
/// works because a byte below 0x80 plus at most 0x80 never carries into the next.
///
/// A chain-id is kept as the number that its digits are: without leading zeros, one number has one
/// text. Zero is no chain-id.
library Text {
    uint256 private constant ONES = 0x0101010101010101010101010101010101010101010101010101010101010101;
    uint256 private constant HIGH = 0x80 * ONES;
    /// Makes letters lower case; what is no letter becomes none.
    uint256 private constant LOWER = 0x20 * ONES;
    /// What fills the unused end of a word: "0", which every alphabet here has.
    uint256 private constant ZEROS = 0x30 * ONES;

    /// Longest local address, in characters.
    uint256 internal constant LOCAL_MAX = 128;
    /// Longest name of an asset: a chain-id, a slash, a label of 32.
    uint256 internal constant ASSET_MAX = 65;

    /// The number of a chain-id of `length` characters at the left of `word`; 0 if it is none.
    /// Bytes after it may be anything.
    function chainOf(uint256 word, uint256 length) internal pure returns (uint128) {
        if (length == 0 || length > 32 || word >> 248 == 0x30) return 0;
        unchecked {
            // Leading zeros in place of what follows it.
            uint256 used = 8 * length;
            uint256 digits = (word >> (256 - used)) | (ZEROS << used);
            return isHex(digits, digits) ? nibbles(digits) : 0;
        }
    }

    /// The 20 bytes of 40 hex digits in either case, which are `first`, and overlapping with it
    /// the last 32. Mixed-case checksums are the gateway's to check.
    function account(uint256 first, uint256 last) internal pure returns (bool ok, address) {
        if (!isHex(first, first | LOWER) || !isHex(last, last | LOWER)) return (false, address(0));
        return (true, address(uint160((uint256(nibbles(first)) << 32) | uint32(nibbles(last)))));
    }

    /// The text of a chain-id.
    function chainText(uint128 chain) internal pure returns (string memory out) {
        (bytes32 word, uint256 length) = chainWord(chain);
        assembly ("memory-safe") {
            out := mload(0x40)
            mstore(0x40, add(out, 64))
            mstore(out, length)
            mstore(add(out, 32), word)
        }
    }

    /// The same at the left of a word.
    function chainWord(uint128 chain) internal pure returns (bytes32 word, uint256 length) {
        for (uint256 rest = chain; rest != 0; rest >>= 4) length++;
        word = bytes32(digitsOf(chain) << (256 - 8 * length));
    }

    /// An address as 40 lower-case hex digits.
    function hexOf(address account_) internal pure returns (bytes32 first, bytes8 last) {
        uint160 number = uint160(account_);
        return (bytes32(digitsOf(uint128(number >> 32))), bytes8(uint64(digitsOf(uint32(number)))));
    }

    /// 32 lower-case hex digits of a number.
    function digitsOf(uint128 number) private pure returns (uint256 x) {
        x = number;
        x = (x | (x << 64)) & 0x0000000000000000ffffffffffffffff0000000000000000ffffffffffffffff;
        x = (x | (x << 32)) & 0x00000000ffffffff00000000ffffffff00000000ffffffff00000000ffffffff;
        x = (x | (x << 16)) & 0x0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff;
        x = (x | (x << 8)) & 0x00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff;
        x = (x | (x << 4)) & (0x0f * ONES);
        unchecked {
            uint256 letters = ((x + 0x06 * ONES) >> 4) & ONES;
            x = x + ZEROS + letters * 0x27;
        }
    }

    // Whether this is a local address: 1 to 128 letters, digits or -._:/+@=
    function isLocal(bytes calldata text) internal pure returns (bool) {
        if (text.length == 0 || text.length > LOCAL_MAX) return false;
        unchecked {
            for (uint256 from = 0; from < text.length; from += 32) {
                uint256 w = filled(text, from);
                if (w & HIGH != 0) return false;
                // Most are letters and digits only.
                uint256 found = range(w | LOWER, 0x61, 0x7a) | range(w, 0x30, 0x39);
                if (found == HIGH) continue;
                found |= range(w, 0x2d, 0x2f) | range(w, 0x3a, 0x3a) | range(w, 0x40, 0x40)
                    | range(w, 0x5f, 0x5f) | range(w, 0x2b, 0x2b) | range(w, 0x3d, 0x3d);
                if (found != HIGH) return false;
            }
            return true;
        }
    }

    /// Whether this names an asset, `<issuer chain-id>/<label>`; the label is 1 to 32 letters,
    /// digits or -._
    function isAsset(bytes calldata name) internal pure returns (bool) {
        uint256 slash;
        while (slash < name.length && name[slash] != "/") slash++;
        if (slash > 32 || slash + 1 >= name.length || name.length - slash > 33) return false;
        if (chainOf(uint256(bytes32(name)), slash) == 0) return false;
        uint256 w = filled(name[slash + 1:], 0);
        if (w & HIGH != 0) return false;
        uint256 found = range(w, 0x61, 0x7a) | range(w, 0x30, 0x39) | range(w, 0x41, 0x5a)
            | range(w, 0x5f, 0x5f) | range(w, 0x2d, 0x2e);
        return found == HIGH;
    }

    /// The word of `text` from a place on, with its unused end filled.
    function filled(bytes calldata text, uint256 from) private pure returns (uint256 w) {
        assembly ("memory-safe") {
            w := calldataload(add(text.offset, from))
        }
        unchecked {
            uint256 used = 8 * (text.length - from);
            if (used < 256) w = ((w >> (256 - used)) << (256 - used)) | (ZEROS >> used);
        }
    }

    /// Whether `w` is hex digits; `letters` is the same, or with bit 5 set, where upper case will do.
    function isHex(uint256 w, uint256 letters) private pure returns (bool) {
        return w & HIGH == 0 && range(w, 0x30, 0x39) | range(letters, 0x61, 0x66) == HIGH;
    }

    /// The high bit of each byte from `low` to `high`; all bytes of `w` are below 0x80.
    function range(uint256 w, uint256 low, uint256 high) private pure returns (uint256) {
        unchecked {
            return (w + (0x80 - low) * ONES) & ~(w + (0x7f - high) * ONES) & HIGH;
        }
    }

    /// The number of 32 hex digits.
    function nibbles(uint256 w) private pure returns (uint128) {
        unchecked {
            // Letters have bit 6, and their low four bits count from 1.
            uint256 x = (w & (0x0f * ONES)) + 9 * ((w >> 6) & ONES);
            x = (x | (x >> 4)) & 0x00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff;
            x = (x | (x >> 8)) & 0x0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff;
            x = (x | (x >> 16)) & 0x00000000ffffffff00000000ffffffff00000000ffffffff00000000ffffffff;
            x = (x | (x >> 32)) & 0x0000000000000000ffffffffffffffff0000000000000000ffffffffffffffff;
            return uint128(x | (x >> 64));
        }
    }
}
