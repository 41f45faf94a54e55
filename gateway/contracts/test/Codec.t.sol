// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Inbox} from "../Inbox.sol";
import {Base, Draft} from "./Base.sol";

/// What the contract reads and writes is what `proto` reads and writes, byte for byte.
contract CodecTest is Base {
    string private constant MALFORMED = "5.6.0 message is malformed";
    bytes32 private constant SENT = keccak256("Sent(bytes32,bytes)");
    bytes32 private constant SKIPPED = keccak256("Skipped(bytes32,string)");

    /// The vectors go from `e2e4` to `b1c2`: read them there.
    function thereToo() private {
        door = deploy(THERE, TAG_THERE, owner);
        vm.prank(owner);
        door.setGateway(gateway, true);
    }

    function test_every_refused_vector_is_malformed_here_too() public {
        thereToo();
        string memory file = vm.readFile("../../proto/vectors/message.json");
        uint256 count = 0;
        for (; count < 62; count++) {
            string memory key = string.concat(".refused[", vm.toString(count), "]");
            bytes memory raw = vm.parseBytes(string.concat("0x", vm.parseJsonString(file, string.concat(key, ".bytes"))));
            string memory reason = vm.parseJsonString(file, string.concat(key, ".reason"));
            Inbox.Result memory result = deliver(raw);
            require(result.outcome == Inbox.Outcome.Skipped && same(result.reason, MALFORMED), reason);
            result = voidBy(gateway, raw, "5.7.1 no");
            require(result.outcome == Inbox.Outcome.Skipped && same(result.reason, MALFORMED), reason);
            assertGuard(idOf(raw), Inbox.Guard.None);
        }
    }

    function test_every_valid_vector_is_read_and_has_its_id() public {
        thereToo();
        string memory file = vm.readFile("../../proto/vectors/message.json");
        string[5] memory expected = [
            "5.1.3 recipient is not 40 hex digits",
            "5.1.3 recipient is not 40 hex digits",
            "5.1.3 recipient is not 40 hex digits",
            "5.7.1 not for this chain",
            "5.4.7 expired"
        ];
        for (uint256 i = 0; i < 5; i++) {
            string memory key = string.concat(".valid[", vm.toString(i), "]");
            bytes memory raw = vm.parseBytes(string.concat("0x", vm.parseJsonString(file, string.concat(key, ".bytes"))));
            vm.recordLogs();
            assertSkipped(deliver(raw), expected[i]);
            (, bytes32 id,) = logOf(SKIPPED);
            string memory known = vm.parseJsonString(file, string.concat(key, ".id"));
            assertEq(vm.toString(abi.encodePacked(id)), string.concat("0x", known));
        }
    }

    /// The vector with 65,536 bytes of data is named in the file by its hash only.
    function test_the_longest_message_is_read() public {
        door = deploy("11111111111111111111111111111111", 0xfefefefefefefefe, owner);
        vm.prank(owner);
        door.setGateway(gateway, true);
        Draft memory m;
        (m.source, m.sourceTag) = ("ffffffffffffffffffffffffffffffff", 0xffffffffffffffff);
        (m.destination, m.destinationTag) = ("11111111111111111111111111111111", 0xfefefefefefefefe);
        m.outbox = filled(0xab, 64);
        m.sequence = type(uint64).max;
        (m.sender, m.recipient) = (times("-._:/+@=", 16), times("aZ09", 32));
        m.asset = string.concat(m.source, "/", times("A-._z", 6), "A-");
        (m.terms, m.amount, m.data) = (filled(0xcd, 32), type(uint256).max, filled(0x5a, 65536));
        (m.gas, m.onFail, m.expires) = (type(uint64).max, 1, type(uint64).max);
        bytes memory raw = encode(m);
        string memory id = "0x96b379cdb109773485e867029a94452c4c77321e16dca8d1184e8d16573c979b";
        assertEq(vm.toString(abi.encodePacked(idOf(raw))), id);
        assertSkipped(deliver(raw), "5.2.3 gas is more than a call may use here");
        m.data = filled(0x5a, 65537);
        assertSkipped(deliver(m), MALFORMED);
    }

    function test_what_is_sent_is_the_one_encoding() public {
        Draft memory m;
        (m.source, m.sourceTag, m.destination, m.destinationTag) = (HERE, TAG, THERE, TAG_THERE);
        m.outbox = abi.encodePacked(address(door));
        (m.sequence, m.sender, m.recipient) = (1, hexText(alice), "cosmos1qypq-._:/+@=xX");
        (m.asset, m.terms, m.amount) = (COIN, abi.encodePacked(TERMS), 258);
        (m.data, m.gas, m.onFail) = ("hello", 100_000, 1);
        m.expires = uint64(NOW + 77);
        vm.recordLogs();
        vm.prank(alice);
        bytes32 id = door.send{value: 258}("b1c2xcosmos1qypq-._:/+@=xX", "hello", 100_000, 1, uint64(NOW + 77));
        (bool found, bytes32 topic, bytes memory log) = logOf(SENT);
        assertTrue(found && topic == id && id == idOf(m), "id");
        assertTrue(keccak256(abi.decode(log, (bytes))) == keccak256(encode(m)), "bytes");
    }

    /// Whatever a user sends, the message is what the other encoder makes of it.
    function testFuzz_sent_messages_are_canonical(uint128 chain, bytes20 local, uint96 amount, bytes calldata data, uint64 gas, bool keep, uint64 later, address from)
        public
    {
        vm.assume(chain != 0 && chain != 0xe2e4 && from != address(0));
        later = later % uint64(5 days) + 1;
        Draft memory m;
        (m.source, m.sourceTag, m.destination) = (HERE, TAG, digits(chain));
        if (chain == 0xb1c2) m.destinationTag = TAG_THERE;
        m.outbox = abi.encodePacked(address(door));
        (m.sequence, m.sender, m.recipient) = (1, hexText(from), hexText(address(local)));
        if (amount != 0) (m.asset, m.amount) = (COIN, amount);
        // Without an account there are no terms.
        if (amount != 0 && chain == 0xb1c2) m.terms = abi.encodePacked(TERMS);
        (m.data, m.gas, m.onFail, m.expires) = (data, gas, keep ? 1 : 0, uint64(NOW) + later);
        vm.deal(from, amount);
        vm.prank(from);
        bytes32 id = door.send{value: amount}(string.concat(m.destination, "x", m.recipient), data, gas, m.onFail, m.expires);
        assertTrue(id == idOf(m), "id");
    }

    /// Any well-formed message is read; what becomes of it depends on what it says.
    function testFuzz_well_formed_messages_are_read(Draft memory m, uint8 outbox, uint128 source, uint256 pick) public {
        vm.assume(source != 0 && source != 0xe2e4);
        m.source = digits(source);
        (m.destination, m.destinationTag) = (HERE, TAG);
        m.outbox = filled(0x11, uint256(outbox) % 64 + 1);
        if (m.sequence == 0) m.sequence = 1;
        m.sender = times("Zz9-", pick % 32 + 1);
        m.recipient = hexText(bob);
        m.asset = m.amount == 0 ? "" : string.concat(digits(source), "/", times("A", pick % 32 + 1));
        m.terms = m.amount != 0 && pick % 2 == 0 ? filled(7, 32) : bytes("");
        m.onFail %= 2;
        Inbox.Result memory result = deliver(m);
        assertTrue(!same(result.reason, MALFORMED), "malformed");
    }

    /// One changed byte makes another message or none; never the same.
    function testFuzz_a_changed_byte_is_another_message(uint256 place, uint8 change) public {
        vm.assume(change != 0);
        bytes memory good = encode(payment(1, 1 ether));
        bytes memory bad = bytes.concat(good);
        place %= bad.length;
        bad[place] = bad[place] ^ bytes1(change);
        Inbox.Result memory result = deliver(bad);
        if (result.outcome == Inbox.Outcome.Delivered) {
            // What may change without harm: names and numbers that are the message's own.
            assertGuard(idOf(bad), Inbox.Guard.Delivered);
        }
        assertGuard(idOf(good), Inbox.Guard.None);
        assertDelivered(deliver(good));
    }

    function testFuzz_bytes_of_any_kind_never_revert_a_batch(bytes calldata junk) public {
        bytes[] memory batch = new bytes[](3);
        (batch[0], batch[1], batch[2]) = (junk, encode(payment(1, 1)), bytes.concat(encode(payment(2, 1)), junk));
        vm.prank(gateway);
        Inbox.Result[] memory results = door.deliver(batch);
        assertSkipped(results[0], MALFORMED);
        assertDelivered(results[1]);
        if (junk.length != 0) assertSkipped(results[2], MALFORMED);
    }

    function test_every_truncation_is_malformed() public {
        Draft memory m = payment(1000, 1 ether);
        (m.data, m.gas) = (filled(0x33, 300), 70_000);
        bytes memory good = encode(m);
        for (uint256 length = 0; length < good.length; length += length > 120 && length < 400 ? 37 : 1) {
            bytes memory cut = new bytes(length);
            for (uint256 i = 0; i < length; i++) cut[i] = good[i];
            assertSkipped(deliver(cut), MALFORMED);
        }
    }

    /// Reserved and indefinite lengths and other types, for each of the sixteen heads.
    function test_every_other_head_is_malformed() public {
        bytes memory good = encode(payment(1, 1 ether));
        uint256 place = 1;
        for (uint256 key = 0; key < 16; key++) {
            bytes1 head = good[place + 1];
            for (uint256 other = 0; other < 256; other++) {
                // Another number of the same size is another message, not a malformed one.
                bool number = head >> 5 == 0 && other >> 5 == 0 && other < 24 && uint8(head) < 24;
                if (bytes1(uint8(other)) == head || number) continue;
                good[place + 1] = bytes1(uint8(other));
                assertSkipped(deliver(good), MALFORMED);
            }
            good[place + 1] = head;
            uint256 low = uint8(head) & 31;
            uint256 size = low < 24 ? 0 : 1 << (low - 24);
            uint256 value = low;
            if (size != 0) value = 0;
            for (uint256 i = 0; i < size; i++) value = (value << 8) | uint8(good[place + 2 + i]);
            place += 2 + size + (uint8(head) >> 5 == 0 ? 0 : value);
        }
        assertEq(place, good.length, "walked to the end");
        assertDelivered(deliver(good));
    }

    /// The tricks that look like another chain or another recipient.
    function test_names_have_one_spelling() public {
        string[9] memory sources = ["B1C2", "0b1c2", "b1c2 ", "", "0", "b1c2x", "e2e4", "b1c2\x00", "00"];
        for (uint256 i = 0; i < 9; i++) {
            Draft memory m = note(uint64(i + 1));
            m.source = sources[i];
            assertSkipped(deliver(m), MALFORMED);
        }
        string[6] memory recipients = ["", "b0b 0", "b0b\x00", unicode"bä", "b0b,", "b0b\x7f"];
        for (uint256 i = 0; i < 6; i++) {
            Draft memory m = note(uint64(i + 20));
            m.recipient = recipients[i];
            assertSkipped(deliver(m), MALFORMED);
            m.recipient = hexText(bob);
            m.sender = recipients[i];
            assertSkipped(deliver(m), MALFORMED);
        }
        string[7] memory assets = ["coin", "/coin", "E2E4/coin", "e2e4/", "e2e4/co in", "0e2e4/coin", "e2e4//"];
        for (uint256 i = 0; i < 7; i++) {
            Draft memory m = payment(uint64(i + 40), 1);
            m.asset = assets[i];
            assertSkipped(deliver(m), MALFORMED);
        }
    }

    /// A destination that only looks like this chain in a zero-filled word is none.
    function test_the_own_name_has_one_spelling_too() public {
        string[5] memory wrong = ["e2e4\x00", "e2e4\x00\x00\x00", "0e2e4", "E2E4", "e2e4 "];
        for (uint256 i = 0; i < 5; i++) {
            Draft memory m = payment(uint64(i + 1), 1);
            m.destination = wrong[i];
            assertSkipped(deliver(m), MALFORMED);
            assertSkipped(voidBy(gateway, encode(m), "5.7.1 no"), MALFORMED);
            assertGuard(idOf(m), Inbox.Guard.None);
        }
    }

    /// Every character, in a sender: what the address grammar allows and nothing else.
    function test_each_character_is_judged_as_the_grammar_says() public {
        bytes memory allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._:/+@=";
        for (uint256 c = 0; c < 256; c++) {
            bool ok;
            for (uint256 i = 0; i < allowed.length; i++) ok = ok || uint8(allowed[i]) == c;
            Draft memory m = note(uint64(c + 1));
            bytes memory text = bytes(times("a", c % 40 + 1));
            text[c % text.length] = bytes1(uint8(c));
            m.sender = string(text);
            Inbox.Result memory result = deliver(m);
            assertTrue((result.outcome == Inbox.Outcome.Delivered) == ok, vm.toString(c));
        }
    }

    function filled(uint8 value, uint256 length) private pure returns (bytes memory out) {
        out = new bytes(length);
        for (uint256 i = 0; i < length; i++) out[i] = bytes1(value);
    }

    function times(string memory part, uint256 count) private pure returns (string memory out) {
        for (uint256 i = 0; i < count; i++) out = string.concat(out, part);
    }

    function digits(uint128 chain) private pure returns (string memory out) {
        for (; chain != 0; chain >>= 4) {
            uint8 d = uint8(chain & 15);
            out = string.concat(string(abi.encodePacked(d < 10 ? 48 + d : 87 + d)), out);
        }
    }
}
