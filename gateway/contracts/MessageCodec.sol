// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// A message on its way in. The destination is always the chain of the contract that reads it.
struct Delivery {
    string source;
    bytes8 sourceTag;
    bytes8 destinationTag;
    bytes outbox;
    uint64 sequence;
    string sender;
    string recipient;
    string asset;
    bytes terms;
    uint256 amount;
    bytes data;
    uint64 gas;
    uint8 onFail;
    uint64 expires;
}

/// The one encoding of a message: deterministic CBOR, byte for byte as `proto/src/message.rs`.
library MessageCodec {
    /// The message's bytes.
    function encode(Delivery memory m, string memory destination) internal pure returns (bytes memory) {
        bytes memory start = bytes.concat(
            hex"b0_00_01_01", // map(16), version 1, key 1
            text(m.source),
            hex"02_48",
            m.sourceTag,
            hex"03",
            text(destination),
            hex"04_48",
            m.destinationTag,
            hex"05",
            head(2, m.outbox.length),
            m.outbox
        );
        start = bytes.concat(
            start,
            hex"06",
            head(0, m.sequence),
            hex"07",
            text(m.sender),
            hex"08",
            text(m.recipient),
            hex"09",
            text(m.asset),
            hex"0a",
            head(2, m.terms.length),
            m.terms
        );
        bytes memory amount = minimal(m.amount);
        start = bytes.concat(start, hex"0b", head(2, amount.length), amount, hex"0c", head(2, m.data.length));
        bytes memory end =
            bytes.concat(hex"0d", head(0, m.gas), hex"0e", head(0, m.onFail), hex"0f", head(0, m.expires));
        return bytes.concat(start, m.data, end);
    }

    /// The message's id.
    function id(bytes memory message) internal pure returns (bytes32) {
        return sha256(bytes.concat("distpos/message/1", message));
    }

    /// The shortest head of a CBOR value (RFC 8949, 4.2.1).
    function head(uint8 major, uint256 value) internal pure returns (bytes memory) {
        uint8 kind = major << 5;
        if (value < 24) return abi.encodePacked(kind | uint8(value));
        if (value <= type(uint8).max) return abi.encodePacked(kind | 24, uint8(value));
        if (value <= type(uint16).max) return abi.encodePacked(kind | 25, uint16(value));
        if (value <= type(uint32).max) return abi.encodePacked(kind | 26, uint32(value));
        return abi.encodePacked(kind | 27, uint64(value));
    }

    /// A CBOR text.
    function text(string memory value) internal pure returns (bytes memory) {
        return bytes.concat(head(3, bytes(value).length), bytes(value));
    }

    /// The shortest big-endian form; zero is empty.
    function minimal(uint256 value) internal pure returns (bytes memory out) {
        uint256 length;
        for (uint256 rest = value; rest != 0; rest >>= 8) length++;
        out = new bytes(length);
        for (uint256 i = length; i != 0; i--) {
            out[i - 1] = bytes1(uint8(value));
            value >>= 8;
        }
    }

    /// An address as 40 lower-case hex digits.
    function hexOf(address account) internal pure returns (string memory) {
        bytes16 digits = "0123456789abcdef";
        bytes memory out = new bytes(40);
        uint160 rest = uint160(account);
        for (uint256 i = 40; i != 0; i--) {
            out[i - 1] = digits[rest & 15];
            rest >>= 4;
        }
        return string(out);
    }

    /// An address of 40 hex digits in either case. Mixed-case checksums are the gateway's to check.
    function parseHex(string memory local) internal pure returns (bool ok, address account) {
        bytes memory digits = bytes(local);
        if (digits.length != 40) return (false, address(0));
        uint160 out;
        for (uint256 i = 0; i < 40; i++) {
            uint8 c = uint8(digits[i]);
            if (c >= 48 && c <= 57) c -= 48;
            else if (c >= 97 && c <= 102) c -= 87;
            else if (c >= 65 && c <= 70) c -= 55;
            else return (false, address(0));
            out = (out << 4) | c;
        }
        return (true, address(out));
    }

    /// Whether this is a chain-id: 1 to 32 lower-case hex digits, no leading zero.
    function isChainId(bytes memory digits) internal pure returns (bool) {
        if (digits.length == 0 || digits.length > 32 || digits[0] == "0") return false;
        for (uint256 i = 0; i < digits.length; i++) {
            uint8 c = uint8(digits[i]);
            if (!((c >= 48 && c <= 57) || (c >= 97 && c <= 102))) return false;
        }
        return true;
    }

    /// Whether this names an asset, `<issuer chain-id>/<label>`; the label is 1 to 32 letters, digits
    /// or -._
    function isAsset(bytes memory name) internal pure returns (bool) {
        uint256 slash;
        while (slash < name.length && name[slash] != "/") slash++;
        if (slash + 1 >= name.length || name.length - slash > 33) return false;
        bytes memory issuer = new bytes(slash);
        for (uint256 i = 0; i < slash; i++) issuer[i] = name[i];
        uint256 allowed = (uint256(0x07fffffe87fffffe) << 64) | uint256(0x03ff600000000000);
        for (uint256 i = slash + 1; i < name.length; i++) {
            uint8 c = uint8(name[i]);
            if (c > 127 || (allowed >> c) & 1 == 0) return false;
        }
        return isChainId(issuer);
    }

    // Whether this is a local address: 1 to 128 letters, digits or -._:/+@=
    function isLocal(bytes memory local) internal pure returns (bool) {
        if (local.length == 0 || local.length > 128) return false;
        // Bit c is set where the character c is allowed.
        uint256 allowed = (uint256(0x07fffffe87ffffff) << 64) | uint256(0x27ffe80000000000);
        for (uint256 i = 0; i < local.length; i++) {
            uint8 c = uint8(local[i]);
            if (c > 127 || (allowed >> c) & 1 == 0) return false;
        }
        return true;
    }
}
