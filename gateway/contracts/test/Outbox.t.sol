// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Deposit} from "../Deposit.sol";
import {Office} from "../Office.sol";
import {Outbox} from "../Outbox.sol";
import {Roles} from "../Roles.sol";
import {Vault} from "../Vault.sol";
import {ChargingToken} from "../examples/ChargingToken.sol";
import {Token} from "../examples/Token.sol";
import {Base} from "./Base.sol";
import {Puppet, Wallet} from "./Mocks.sol";

contract OutboxTest is Base {
    string private constant TO = "b1c2xcosmos1qypq";
    bytes32 private constant CLOSED = keccak256("Closed(bytes32,string,string,uint256)");
    bytes32 private constant REFUNDED = keccak256("Refunded(bytes32)");

    function send(uint256 value) private returns (bytes32) {
        vm.prank(alice);
        return door.send{value: value}(TO, "", 0, 0, 0);
    }

    function state(bytes32 id) private view returns (Outbox.State now_) {
        (, now_,) = door.sent(id);
    }

    function test_a_message_leaves_and_is_closed() public {
        bytes32 id = send(7 ether);
        (address sender, Outbox.State now_, uint256 amount) = door.sent(id);
        assertTrue(sender == alice && now_ == Outbox.State.Open && amount == 7 ether, "entry");
        assertEq(door.openEscrow(address(0)), 7 ether, "escrow");
        assertEq(door.free(address(0)), 100 ether, "what is in escrow is not free");
        assertEq(door.sequenceOf(THERE), 1, "sequence");
        vm.recordLogs();
        close(id);
        (bool found,, bytes memory data) = logOf(CLOSED);
        (string memory to, string memory asset, uint256 sum) = abi.decode(data, (string, string, uint256));
        assertTrue(found && same(to, THERE) && same(asset, COIN) && sum == 7 ether, "event");
        assertTrue(state(id) == Outbox.State.Closed, "closed");
        assertEq(door.openEscrow(address(0)), 0, "escrow is freed");
        assertEq(door.free(address(0)), 107 ether, "it pays what comes back");
        assertEq(sentSum(THERE, COIN), 7 ether, "book");
    }

    function test_a_refund_goes_to_the_recorded_sender_once() public {
        bytes32 id = send(7 ether);
        uint256 before = alice.balance;
        vm.recordLogs();
        refund(id);
        (bool found, bytes32 topic,) = logOf(REFUNDED);
        assertTrue(found && topic == id, "event");
        assertEq(alice.balance, before + 7 ether, "alice");
        vm.recordLogs();
        refund(id);
        close(id);
        assertEq(vm.getRecordedLogs().length, 0, "passed over");
        assertEq(alice.balance, before + 7 ether, "once");
        assertTrue(state(id) == Outbox.State.Refunded, "stays refunded");
        assertEq(sentSum(THERE, COIN), 0, "book");
    }

    function test_what_is_closed_is_never_refunded() public {
        bytes32 id = send(7 ether);
        close(id);
        uint256 before = alice.balance;
        refund(id);
        assertEq(alice.balance, before, "alice");
        assertTrue(state(id) == Outbox.State.Closed, "stays closed");
    }

    function test_one_call_ends_many_and_passes_over_strangers() public {
        bytes32[] memory closed = new bytes32[](3);
        bytes32[] memory refunded = new bytes32[](2);
        (closed[0], closed[1], closed[2]) = (send(1), "nobody knows this", send(2));
        (refunded[0], refunded[1]) = (send(3), closed[0]);
        vm.prank(gateway);
        door.end(closed, refunded);
        assertTrue(state(closed[0]) == Outbox.State.Closed && state(closed[2]) == Outbox.State.Closed, "closed");
        assertTrue(state(refunded[0]) == Outbox.State.Refunded, "refunded");
        assertTrue(state(closed[1]) == Outbox.State.None, "strangers stay strangers");
        assertEq(sentSum(THERE, COIN), 3, "book");
    }

    function test_sequences_are_gapless_for_each_destination() public {
        for (uint256 i = 1; i <= 30; i++) {
            send(0);
            assertEq(door.sequenceOf(THERE), i, "b1c2");
        }
        vm.expectRevert(Vault.OwnChain.selector);
        door.send("e2e4xabc", "", 0, 0, 0);
        door.send("feedxabc", "", 0, 0, 0);
        assertEq(door.sequenceOf("feed"), 1, "another");
        assertEq(door.sequenceOf(THERE), 30, "untouched");
    }

    function test_a_message_without_value_needs_nothing_but_gas() public {
        bytes32 id = send(0);
        close(id);
        bytes32 other = send(0);
        refund(other);
        assertTrue(state(id) == Outbox.State.Closed && state(other) == Outbox.State.Refunded, "ends");
    }

    function test_the_coin_goes_to_a_chain_without_account_and_comes_back() public {
        vm.prank(alice);
        bytes32 id = door.send{value: 5}("feedxabc", "", 0, 0, 0);
        assertEq(door.assetFor("feed", address(0)), COIN);
        uint256 before = alice.balance;
        refund(id);
        assertEq(alice.balance, before + 5, "refund");
    }

    function test_a_refused_refund_waits_to_be_claimed() public {
        Puppet puppet = new Puppet();
        bytes memory input = abi.encodeCall(door.send, (TO, "", 0, 0, 0));
        bytes32 id = abi.decode(puppet.act{value: 9}(address(door), 9, input), (bytes32));
        // It refuses by using up what it is given.
        puppet.whenPaid(address(door), 0, abi.encodeCall(door.send, (TO, "", 0, 0, 0)));
        for (uint256 i = 0; i < 5; i++) puppet.whenPaid(address(door), 0, "");
        refund(id);
        assertEq(door.owed(address(0)), 9, "owed");
        assertEq(door.claimable(address(puppet), address(0)), 9, "claimable");
        assertEq(door.free(address(0)), 100 ether, "what is owed pays nothing else");
        vm.expectRevert(Office.NothingOwed.selector);
        door.claim(address(0), address(this));
        puppet.act(address(door), 0, abi.encodeCall(door.claim, (address(0), bob)));
        assertEq(bob.balance, 9, "claimed, wherever its owner wants it");
        assertEq(door.owed(address(0)), 0, "owed no more");
        vm.expectRevert(Office.NothingOwed.selector);
        puppet.act(address(door), 0, abi.encodeCall(door.claim, (address(0), bob)));
    }

    /// A sender's contract that needs gas to be paid and knows nothing of claims.
    function test_anybody_brings_a_sender_what_is_owed_to_it() public {
        Puppet puppet = new Puppet();
        bytes memory input = abi.encodeCall(door.send, (TO, "", 0, 0, 0));
        bytes32 id = abi.decode(puppet.act{value: 5}(address(door), 5, input), (bytes32));
        for (uint256 i = 0; i < 3; i++) puppet.whenPaid(address(this), 0, "");
        refund(id);
        assertEq(door.claimable(address(puppet), address(0)), 5, "needs more gas than a batch gives");
        vm.prank(bob);
        door.claimFor(address(puppet), address(0));
        assertEq(address(puppet).balance, 5, "paid to itself only");
        assertEq(door.owed(address(0)), 0, "owed");
        vm.expectRevert(Office.NothingOwed.selector);
        door.claimFor(address(puppet), address(0));
    }

    function test_a_claim_that_is_refused_can_be_made_again() public {
        Puppet puppet = new Puppet();
        bytes memory input = abi.encodeCall(door.send, (TO, "", 0, 0, 0));
        bytes32 id = abi.decode(puppet.act{value: 9}(address(door), 9, input), (bytes32));
        for (uint256 i = 0; i < 6; i++) puppet.whenPaid(address(door), 0, abi.encodeCall(door.send, (TO, "", 0, 0, 0)));
        refund(id);
        vm.expectRevert(Office.PaymentRefused.selector);
        puppet.act(address(door), 0, abi.encodeCall(door.claim, (address(0), address(door))));
        assertEq(door.claimable(address(puppet), address(0)), 9, "still there");
    }

    function test_every_refusal_of_a_send() public {
        string[11] memory wrong = [
            "", "x", "b1c2", "b1c2x", "xabc", "B1C2xabc", "0xabc", "00b1c2xabc", "b1c2x a", "b1c2Xabc",
            "b1c2b1c2b1c2b1c2b1c2b1c2b1c2b1c2b1xabc"
        ];
        for (uint256 i = 0; i < 11; i++) {
            vm.expectRevert(Outbox.NotAnAddress.selector);
            door.send(wrong[i], "", 0, 0, 0);
        }
        vm.expectRevert(Outbox.NotAnAddress.selector);
        door.send(string.concat("b1c2x", string(new bytes(129))), "", 0, 0, 0);
        vm.expectRevert(Outbox.DataTooLong.selector);
        door.send(TO, new bytes(65537), 0, 0, 0);
        vm.expectRevert(Outbox.NotOnFail.selector);
        door.send(TO, "", 0, 2, 0);
        vm.expectRevert(Outbox.Expires.selector);
        door.send(TO, "", 0, 0, uint64(NOW));
        vm.expectRevert(Outbox.Expires.selector);
        door.send(TO, "", 0, 0, uint64(NOW + 5 days + 1));
        door.send(TO, "", 0, 0, uint64(NOW + 5 days));
        door.send(TO, new bytes(65536), 0, 1, 0);
        (bool ok,) = address(door).call{value: 1}("");
        assertTrue(!ok, "a plain payment names no recipient");
    }

    function test_a_stranger_ends_nothing() public {
        bytes32 id = send(5);
        vm.expectRevert(Roles.NotGateway.selector);
        door.end(only(id), new bytes32[](0));
        vm.prank(owner);
        vm.expectRevert(Roles.NotGateway.selector);
        door.end(new bytes32[](0), only(id));
    }

    /// A wallet that needs gas is never told to have refused for want of it.
    function test_starved_refunds_revert_and_nothing_is_owed_for_it() public {
        Wallet wallet = new Wallet();
        bytes32 id = wallet.send{value: 5}(address(door), abi.encodeCall(door.send, (TO, "", 0, 0, 0)));
        bytes memory input = abi.encodeCall(door.end, (new bytes32[](0), only(id)));
        for (uint256 gas = 30_000; gas < 250_000; gas += 1_000) {
            vm.prank(gateway);
            (bool ok,) = address(door).call{gas: gas}(input);
            if (ok) break;
            assertTrue(state(id) == Outbox.State.Open, "still open");
        }
        assertTrue(state(id) == Outbox.State.Refunded, "refunded");
        assertEq(door.owed(address(0)), 0, "owed");
        assertEq(wallet.last(), 5, "paid");
    }

    function testFuzz_escrow_is_the_sum_of_what_is_open(uint64[8] memory amounts, uint8 ends) public {
        uint256 open;
        bytes32[8] memory ids;
        for (uint256 i = 0; i < 8; i++) {
            ids[i] = send(amounts[i]);
            open += amounts[i];
        }
        for (uint256 i = 0; i < 8; i++) {
            if ((ends >> i) & 1 == 0) close(ids[i]);
            else refund(ids[i]);
            open -= amounts[i];
            assertEq(door.openEscrow(address(0)), open, "escrow");
            assertEq(door.free(address(0)) + open, address(door).balance, "free and escrow are all");
        }
    }
}

/// Deposit addresses: any wallet sends, with a plain transfer.
contract DepositTest is Base {
    string private constant TO = "b1c2xcosmos1qypq";
    Token private token = new Token();

    function setUp() public override {
        super.setUp();
        vm.prank(owner);
        door.setAccount(THERE, "e2e4/test", address(token), TERMS, 1000 ether, 0, 0);
    }

    function pay(address to, uint256 amount) private {
        vm.prank(bob);
        (bool ok,) = to.call{value: amount}("");
        assertTrue(ok, "paid");
    }

    function test_coins_paid_before_and_after_the_first_forward() public {
        vm.deal(bob, 10);
        address place = door.depositAddress(TO, alice);
        pay(place, 3);
        bytes32 id = door.forwardDeposit(TO, alice, address(0));
        (address sender,, uint256 amount) = door.sent(id);
        assertTrue(sender == alice && amount == 3, "sent for alice, whoever paid and whoever forwarded");
        pay(place, 4);
        id = door.forwardDeposit(TO, alice, address(0));
        (,, amount) = door.sent(id);
        assertEq(amount, 4, "again");
        assertEq(door.openEscrow(address(0)), 7, "escrow");
        assertEq(place.balance, 0, "nothing stays");
        uint256 before = alice.balance;
        refund(id);
        assertEq(alice.balance, before + 4, "refund");
    }

    function test_tokens_too_and_what_arrives_counts() public {
        ChargingToken charging = new ChargingToken();
        vm.prank(owner);
        door.setAccount(THERE, "e2e4/charging", address(charging), TERMS, 1000 ether, 0, 0);
        address place = door.depositAddress(TO, alice);
        token.mint(place, 50);
        charging.mint(place, 1000);
        (,, uint256 amount) = door.sent(door.forwardDeposit(TO, alice, address(token)));
        assertEq(amount, 50, "plain");
        (,, amount) = door.sent(door.forwardDeposit(TO, alice, address(charging)));
        assertEq(amount, 990, "charging");
        token.mint(place, 5);
        (,, amount) = door.sent(door.forwardDeposit(TO, alice, address(token)));
        assertEq(amount, 5, "after the first forward");
    }

    function test_an_address_is_for_one_destination_and_one_sender() public {
        address place = door.depositAddress(TO, alice);
        vm.deal(place, 5);
        assertTrue(place != door.depositAddress(TO, bob) && place != door.depositAddress("b1c2xcosmos1qypQ", alice), "differ");
        vm.expectRevert(Vault.NothingArrived.selector);
        door.forwardDeposit(TO, bob, address(0));
        vm.expectRevert(Vault.NothingArrived.selector);
        door.forwardDeposit("b1c2xelse", alice, address(0));
        assertEq(place.balance, 5, "untouched");
        vm.expectRevert(Vault.NothingArrived.selector);
        door.forwardDeposit(TO, alice, address(token));
        vm.expectRevert(Vault.NoAccount.selector);
        door.forwardDeposit(TO, alice, address(0x1234567));
        vm.expectRevert(Outbox.NotAnAddress.selector);
        door.depositAddress("b1c2", alice);
        vm.expectRevert(Outbox.NotAnAddress.selector);
        door.depositAddress(TO, address(0));
        vm.expectRevert(Outbox.NotAnAddress.selector);
        door.forwardDeposit(TO, address(0), address(0));
        vm.expectRevert(Vault.OwnChain.selector);
        door.forwardDeposit("e2e4xabc", alice, address(0));
        // Who is told an address pays to it: there must be a way out.
        vm.expectRevert(Vault.OwnChain.selector);
        door.depositAddress("e2e4xabc", alice);
    }

    function test_a_deposit_gives_to_its_creator_only() public {
        vm.deal(door.depositAddress(TO, alice), 5);
        door.forwardDeposit(TO, alice, address(0));
        address payable place = payable(door.depositAddress(TO, alice));
        vm.deal(place, 5);
        vm.expectRevert(Deposit.NotVault.selector);
        Deposit(place).give(address(0), 5);
        assertEq(place.balance, 5, "untouched");
    }

    function test_paused_deposits_wait() public {
        vm.deal(door.depositAddress(TO, alice), 5);
        vm.prank(owner);
        door.pause();
        vm.expectRevert(Roles.IsPaused.selector);
        door.forwardDeposit(TO, alice, address(0));
        vm.prank(owner);
        door.resume();
        door.forwardDeposit(TO, alice, address(0));
    }
}
