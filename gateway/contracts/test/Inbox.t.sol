// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Inbox} from "../Inbox.sol";
import {Roles} from "../Roles.sol";
import {Echo} from "../examples/Echo.sol";
import {Reverter} from "../examples/Reverter.sol";
import {Base, Draft} from "./Base.sol";

contract InboxTest is Base {
    bytes32 private constant DELIVERED = keccak256("Delivered(bytes32,string,string,uint256,uint8)");
    bytes32 private constant VOIDED = keccak256("Voided(bytes32,string,string)");
    bytes32 private constant SKIPPED = keccak256("Skipped(bytes32,string)");
    bytes32 private constant SENT = keccak256("Sent(bytes32,bytes)");
    string private constant TOO_MUCH = "5.2.2 amount is more than is counted here";

    function call(uint64 sequence, address to, uint256 amount, bytes memory data, bool keep)
        private
        view
        returns (Draft memory m)
    {
        m = amount == 0 ? note(sequence) : payment(sequence, amount);
        (m.recipient, m.data, m.gas, m.onFail) = (hexText(to), data, 1_000_000, keep ? 1 : 0);
    }

    function test_a_payment_arrives_and_is_told() public {
        vm.recordLogs();
        Draft memory m = payment(1, 5 ether);
        assertDelivered(deliver(m));
        assertEq(bob.balance, 5 ether, "bob");
        assertEq(received(THERE, COIN), 5 ether, "book");
        assertGuard(idOf(m), Inbox.Guard.Delivered);
        (bool found, bytes32 id, bytes memory data) = logOf(DELIVERED);
        (string memory source, string memory asset, uint256 amount, uint8 done) =
            abi.decode(data, (string, string, uint256, uint8));
        assertTrue(found && id == idOf(m) && same(source, THERE) && same(asset, COIN), "names");
        assertTrue(amount == 5 ether && done == 0, "figures");
    }

    function test_a_message_is_delivered_once_whatever_batch_it_comes_in() public {
        bytes memory raw = encode(payment(1, 5));
        bytes[] memory batch = new bytes[](3);
        (batch[0], batch[1], batch[2]) = (raw, raw, encode(payment(2, 6)));
        vm.prank(gateway);
        Inbox.Result[] memory results = door.deliver(batch);
        assertDelivered(results[0]);
        assertOutcome(results[1], Inbox.Outcome.PassedOver, "");
        assertDelivered(results[2]);
        assertOutcome(deliver(raw), Inbox.Outcome.PassedOver, "");
        assertOutcome(voidBy(gateway, raw, "5.7.1 late"), Inbox.Outcome.PassedOver, "");
        assertEq(bob.balance, 11, "bob");
        assertEq(received(THERE, COIN), 11, "book");
        assertGuard(idOf(raw), Inbox.Guard.Delivered);
    }

    function test_a_void_message_is_never_delivered() public {
        bytes memory raw = encode(payment(1, 5));
        vm.recordLogs();
        assertVoided(voidBy(gateway, raw, "5.7.1 policy"), "5.7.1 policy");
        (bool found, bytes32 id, bytes memory data) = logOf(VOIDED);
        (string memory source, string memory reason) = abi.decode(data, (string, string));
        assertTrue(found && id == idOf(raw) && same(source, THERE) && same(reason, "5.7.1 policy"), "event");
        assertOutcome(deliver(raw), Inbox.Outcome.PassedOver, "");
        assertEq(bob.balance, 0, "bob");
        assertGuard(idOf(raw), Inbox.Guard.Void);
    }

    function test_a_call_gets_all_there_is_to_know_and_its_answer_arrives() public {
        Echo echo = new Echo(address(door.executor()), address(door));
        Draft memory m = call(1, address(echo), 7, "answer", false);
        vm.recordLogs();
        assertDelivered(deliver(m));
        (, , bytes memory log) = logOf(SENT);
        assertTrue(echo.id() == idOf(m) && echo.amount() == 7 && address(echo).balance == 7, "id and sum");
        assertEq(echo.source(), THERE);
        assertEq(echo.asset(), COIN);
        // The paper's text, with the chain in it, and an answer to exactly that text.
        assertEq(echo.sender(), string.concat("b1c2x", m.sender));
        Draft memory answer;
        (answer.source, answer.sourceTag, answer.destination, answer.destinationTag) = (HERE, TAG, THERE, TAG_THERE);
        (answer.outbox, answer.sequence) = (abi.encodePacked(address(door)), 1);
        (answer.sender, answer.recipient) = (hexText(address(echo)), m.sender);
        (answer.data, answer.expires) = ("answered", uint64(NOW + 1 days));
        assertTrue(keccak256(abi.decode(log, (bytes))) == keccak256(encode(answer)), "answer");
    }

    function test_a_failed_call_voids_or_keeps_as_the_sender_said() public {
        address reverter = address(new Reverter(true));
        Inbox.Result memory result = deliver(call(1, reverter, 5, "x", false));
        assertVoided(result, "5.3.0 call reverts");
        assertTrue(keccak256(result.detail) == keccak256(abi.encodeWithSignature("Error(string)", "not today")), "why");
        assertEq(reverter.balance, 0, "nothing paid");
        assertEq(received(THERE, COIN), 0, "nothing booked");
        vm.recordLogs();
        assertDelivered(deliver(call(2, reverter, 5, "x", true)));
        (,, bytes memory data) = logOf(DELIVERED);
        (,,, uint8 done) = abi.decode(data, (string, string, uint256, uint8));
        assertEq(done, 2, "call failed");
        assertEq(reverter.balance, 5, "kept");
        assertEq(received(THERE, COIN), 5, "booked");
    }

    function test_a_refused_payment_voids_with_or_without_a_call() public {
        address reverter = address(new Reverter(false));
        assertVoided(deliver(call(1, reverter, 5, "", false)), "5.1.1 recipient refuses payment");
        assertVoided(deliver(call(2, reverter, 5, "x", true)), "5.1.1 recipient refuses payment");
        assertEq(received(THERE, COIN), 0, "nothing booked");
        assertGuard(idOf(call(1, reverter, 5, "", false)), Inbox.Guard.Void);
    }

    function test_a_wallet_cannot_be_called_but_gets_notes() public {
        assertVoided(
            deliver(call(1, bob, 5, "x", false)), "5.1.1 recipient is no contract and cannot be called"
        );
        assertDelivered(deliver(call(2, bob, 5, "x", true)));
        Draft memory m = call(3, bob, 5, "only a note", false);
        m.gas = 0;
        assertDelivered(deliver(m));
        assertEq(bob.balance, 10, "bob");
    }

    function test_every_refusal() public {
        Draft memory m = payment(1, 5);
        m.expires = uint64(NOW - 1);
        skips(m, "5.4.7 expired");
        m.expires = uint64(NOW);
        m.destinationTag = TAG_THERE;
        skips(m, "5.7.1 destination tag is of another genesis");
        m.destinationTag = 0;
        skips(m, "5.7.1 destination tag is of another genesis");
        m.destinationTag = TAG;
        m.gas = 5_000_001;
        skips(m, "5.2.3 gas is more than a call may use here");
        m.gas = 0;
        m.recipient = "alice";
        skips(m, "5.1.3 recipient is not 40 hex digits");
        m.recipient = "b0b000000000000000000000000000000000000g";
        skips(m, "5.1.3 recipient is not 40 hex digits");
        m.recipient = "0xb0b0000000000000000000000000000000000000";
        skips(m, "5.1.3 recipient is not 40 hex digits");
        m.recipient = hexText(bob);
        m.destination = "feed";
        skips(m, "5.7.1 not for this chain");
        m.destination = HERE;
        m.asset = "b1c2/coin";
        skips(m, "5.2.1 no account with the source chain");
        m.asset = COIN;
        m.terms = abi.encode(7);
        skips(m, "5.2.1 other terms than the account's");
        m.terms = "";
        skips(m, "5.2.1 other terms than the account's");
        m.terms = abi.encodePacked(TERMS);
        m.source = "feed";
        skips(m, "5.2.1 no account with the source chain");
        m.source = THERE;
        m.amount = 1000 ether + 1;
        skips(m, "4.2.1 credit_limit of the source chain is reached");
        m.amount = type(uint256).max;
        skips(m, TOO_MUCH);
        m.amount = 100 ether + 1;
        skips(m, "4.2.1 vault is short");
        m.amount = 100 ether;
        assertDelivered(deliver(m));
        // Without value, the source need not be known, nor know the tag.
        m = note(9);
        (m.source, m.destinationTag) = ("feed", 0);
        assertDelivered(deliver(m));
    }

    /// Skipped, told, and free to be delivered later.
    function skips(Draft memory m, string memory reason) private {
        vm.recordLogs();
        assertSkipped(deliver(m), reason);
        (bool found, bytes32 id, bytes memory data) = logOf(SKIPPED);
        assertTrue(found && id == idOf(m) && same(abi.decode(data, (string)), reason), "event");
        assertGuard(idOf(m), Inbox.Guard.None);
    }

    function test_checksummed_and_lower_case_recipients_are_the_same() public {
        Draft memory m = payment(1, 5);
        m.recipient = "B0b0000000000000000000000000000000000004";
        assertDelivered(deliver(m));
        assertEq(bob.balance, 5, "bob");
    }

    function testFuzz_the_recipient_is_who_is_paid(address to, uint64 sequence, bool upper) public {
        vm.assume(sequence != 0 && uint160(to) >= 0x10000 && to.code.length == 0);
        vm.assume(to != address(vm) && to != 0x4e59b44847b379578588920cA78FbF26c0B4956C);
        Draft memory m = payment(sequence, 3);
        bytes memory text = bytes(hexText(to));
        if (upper) for (uint256 i = 0; i < 40; i++) if (uint8(text[i]) > 96) text[i] = bytes1(uint8(text[i]) - 32);
        m.recipient = string(text);
        uint256 before = to.balance;
        assertDelivered(deliver(m));
        assertEq(to.balance, before + 3, "paid");
    }

    function test_books_let_through_what_went_the_other_way() public {
        vm.prank(owner);
        door.setAccount(THERE, COIN, address(0), TERMS, 10, 0, 0);
        assertDelivered(deliver(payment(1, 10)));
        skips(payment(2, 1), "4.2.1 credit_limit of the source chain is reached");
        vm.prank(alice);
        bytes32 id = door.send{value: 4}("b1c2xabc", "", 0, 0, 0);
        skips(payment(2, 1), "4.2.1 credit_limit of the source chain is reached");
        close(id);
        assertDelivered(deliver(payment(2, 4)));
        skips(payment(3, 1), "4.2.1 credit_limit of the source chain is reached");
        // A limit may change, the book stays.
        vm.prank(owner);
        door.setAccount(THERE, COIN, address(0), TERMS, 11, 0, 0);
        assertDelivered(deliver(payment(3, 1)));
        assertEq(received(THERE, COIN), 15, "received");
        assertEq(sentSum(THERE, COIN), 4, "sent");
    }

    function test_no_limit_saturates() public {
        vm.prank(owner);
        door.setAccount(THERE, COIN, address(0), TERMS, type(uint256).max, type(uint256).max, 86400);
        (,,, uint256 creditLimit, uint256 windowMax,,) = door.accountOf(THERE, COIN);
        assertTrue(creditLimit == type(uint256).max && windowMax == type(uint256).max, "no limits");
        skips(payment(1, type(uint128).max), "4.2.1 vault is short");
        skips(payment(1, uint256(type(uint128).max) + 1), TOO_MUCH);
        skips(payment(1, type(uint256).max), TOO_MUCH);
        vm.deal(address(door), type(uint256).max / 2);
        vm.deal(bob, 0);
        assertDelivered(deliver(payment(1, type(uint128).max - 5)));
        skips(payment(2, 6), TOO_MUCH);
        assertDelivered(deliver(payment(2, 5)));
    }

    function test_a_window_frees_itself_evenly() public {
        vm.prank(owner);
        door.setAccount(THERE, COIN, address(0), TERMS, 1000 ether, 1000, 100);
        skips(payment(1, 1001), "5.2.2 above window_max of the source chain");
        assertDelivered(deliver(payment(1, 600)));
        skips(payment(2, 401), "4.2.1 window_max of the source chain is reached");
        assertDelivered(deliver(payment(2, 400)));
        assertEq(used(), 1000, "full");
        vm.warp(NOW + 1);
        assertEq(used(), 990, "a hundredth is free after a hundredth of the time");
        skips(payment(3, 11), "4.2.1 window_max of the source chain is reached");
        assertDelivered(deliver(payment(3, 10)));
        vm.warp(NOW + 51);
        assertEq(used(), 500, "half");
        vm.warp(NOW + 1000);
        assertEq(used(), 0, "all");
        skips(payment(4, 1001), "5.2.2 above window_max of the source chain");
        assertDelivered(deliver(payment(4, 1000)));
        // What is used is kept when the length changes; a shorter one frees it sooner.
        vm.prank(owner);
        door.setAccount(THERE, COIN, address(0), TERMS, 1000 ether, 1000, 10);
        assertEq(used(), 1000, "kept");
        vm.warp(NOW + 1005);
        assertEq(used(), 500, "sooner");
        vm.prank(owner);
        door.setAccount(THERE, COIN, address(0), TERMS, 1000 ether, 0, 0);
        assertDelivered(deliver(payment(5, 5000)));
    }

    /// However it is split, never more than the bucket and what time has freed.
    function testFuzz_a_window_holds(uint16[12] memory amounts, uint8[12] memory pauses) public {
        vm.prank(owner);
        door.setAccount(THERE, COIN, address(0), TERMS, 1000 ether, 50_000, 1000);
        uint256 sum;
        uint256 time;
        for (uint64 i = 0; i < 12; i++) {
            time += pauses[i];
            vm.warp(NOW + time);
            uint256 amount = uint256(amounts[i]) + 1;
            if (deliver(payment(i + 1, amount)).outcome == Inbox.Outcome.Delivered) sum += amount;
            assertTrue(sum * 1000 <= 50_000 * (1000 + time), "window");
        }
        assertEq(bob.balance, sum, "bob");
    }

    function used() private view returns (uint256 sum) {
        (,,,,,, sum) = door.accountOf(THERE, COIN);
    }

    function test_a_void_gives_window_and_book_back() public {
        vm.prank(owner);
        door.setAccount(THERE, COIN, address(0), TERMS, 1000, 1000, 100);
        address reverter = address(new Reverter(true));
        assertDelivered(deliver(payment(1, 300)));
        vm.warp(NOW + 3);
        assertVoided(deliver(call(2, reverter, 700, "x", false)), "5.3.0 call reverts");
        assertEq(used(), 270, "window");
        assertEq(received(THERE, COIN), 300, "book");
    }

    function test_strangers_deliver_and_void_nothing() public {
        bytes memory raw = encode(payment(1, 5));
        vm.expectRevert(Roles.NotGateway.selector);
        door.deliver(only(raw));
        vm.expectRevert(Roles.NotGateway.selector);
        door.voidMessages(only(raw), because("5.7.1 no"));
        vm.prank(owner);
        vm.expectRevert(Roles.NotGateway.selector);
        door.deliver(only(raw));
    }

    function test_each_void_has_one_short_reason() public {
        bytes memory raw = encode(payment(1, 5));
        vm.prank(gateway);
        vm.expectRevert(Inbox.Reasons.selector);
        door.voidMessages(only(raw), new string[](2));
        vm.prank(gateway);
        vm.expectRevert(Inbox.Reasons.selector);
        door.voidMessages(only(raw), because(string(new bytes(213))));
        vm.prank(gateway);
        door.voidMessages(only(raw), because(string(new bytes(212))));
    }

    function test_an_expired_message_can_be_voided_and_another_chains_cannot() public {
        Draft memory m = payment(1, 5);
        m.expires = uint64(NOW - 1);
        assertVoided(voidBy(gateway, encode(m), "5.4.7 expired"), "5.4.7 expired");
        m.destination = "feed";
        assertSkipped(voidBy(gateway, encode(m), "5.4.7 expired"), "5.7.1 not for this chain");
    }
}
