// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Inbox} from "../Inbox.sol";
import {Office} from "../Office.sol";
import {Outbox} from "../Outbox.sol";
import {Roles} from "../Roles.sol";
import {Vault} from "../Vault.sol";
import {ChargingToken} from "../examples/ChargingToken.sol";
import {Echo} from "../examples/Echo.sol";
import {FalseToken} from "../examples/FalseToken.sol";
import {NoReturnToken} from "../examples/NoReturnToken.sol";
import {Reverter} from "../examples/Reverter.sol";
import {Token} from "../examples/Token.sol";
import {Base, Draft} from "./Base.sol";
import {BlindToken, DearToken, HeavyToken, OddToken} from "./Mocks.sol";

contract TokensTest is Base {
    string private constant TO = "b1c2xcosmos1qypq";
    string private constant ASSET = "e2e4/test";
    string private constant NOT_EXACT = "5.2.1 token does not pay the exact amount";

    /// Opens an account for a token, gives alice 1,000 and the vault 1,000 of it.
    function open(Token token) private returns (address place) {
        place = address(token);
        vm.prank(owner);
        door.setAccount(THERE, ASSET, place, TERMS, 1000 ether, 0, 0);
        token.mint(alice, 1000);
        token.mint(address(door), 1000);
        allow(place, type(uint256).max);
    }

    /// Whatever `approve` returns.
    function allow(address token, uint256 amount) private {
        vm.prank(alice);
        (bool ok,) = token.call(abi.encodeCall(Token.approve, (address(door), amount)));
        assertTrue(ok, "approved");
    }

    function send(address token, uint256 amount) private returns (bytes32) {
        vm.prank(alice);
        return door.sendToken(token, amount, TO, "", 0, 0, 0);
    }

    function tokens(uint64 sequence, uint256 amount) private view returns (Draft memory m) {
        m = payment(sequence, amount);
        m.asset = ASSET;
    }

    function roundTrip(address token, function(address) view returns (uint256) balance) private {
        bytes32 id = send(token, 300);
        (,, uint256 amount) = door.sent(id);
        assertEq(amount, 300, "recorded");
        assertEq(door.openEscrow(token), 300, "escrow");
        assertEq(door.free(token), 1000, "free");
        close(id);
        assertEq(sentSum(THERE, ASSET), 300, "book");
        id = send(token, 200);
        refund(id);
        assertEq(balance(alice), 700, "refunded");
        assertDelivered(deliver(tokens(1, 1300)));
        assertEq(balance(bob), 1300, "bob");
        assertEq(door.free(token), 0, "all is paid");
        assertSkipped(deliver(tokens(2, 1)), "4.2.1 vault is short");
        assertEq(door.openEscrow(address(0)), 0, "the coin is untouched");
        assertEq(address(door).balance, 100 ether, "the coin is untouched");
    }

    address private token_;

    function plain(address account) private view returns (uint256) {
        return Token(token_).balanceOf(account);
    }

    function test_a_plain_token_goes_and_comes() public {
        token_ = open(new Token());
        roundTrip(token_, plain);
    }

    function test_a_token_that_returns_false_goes_and_comes() public {
        token_ = open(new FalseToken());
        roundTrip(token_, plain);
    }

    function test_a_token_that_returns_nothing_goes_and_comes() public {
        token_ = open(Token(address(new NoReturnToken())));
        roundTrip(token_, plain);
    }

    function test_a_charging_token_carries_what_arrives_and_pays_nothing_inexact() public {
        address token = open(new ChargingToken());
        bytes32 id = send(token, 500);
        (,, uint256 amount) = door.sent(id);
        assertEq(amount, 495, "what arrived");
        assertEq(door.openEscrow(token), 495, "escrow");
        assertVoided(deliver(tokens(1, 200)), NOT_EXACT);
        assertEq(Token(token).balanceOf(bob), 0, "undone");
        assertEq(Token(token).balanceOf(address(door)), 1495, "undone");
        assertEq(received(THERE, ASSET), 0, "undone");
        // Less than a hundred is not charged.
        assertDelivered(deliver(tokens(2, 99)));
        // A refund is the recorded sum; what the token takes of it is between it and the sender.
        refund(id);
        assertEq(Token(token).balanceOf(alice), 500 + 491, "refund, charged");
        assertEq(door.owed(token), 0, "nothing more is owed");
    }

    function test_a_refused_token_refund_waits_to_be_claimed() public {
        FalseToken token = new FalseToken();
        open(token);
        bytes32 id = send(address(token), 300);
        token.freeze(true);
        refund(id);
        assertEq(door.owed(address(token)), 300, "owed");
        assertEq(door.claimable(alice, address(token)), 300, "claimable");
        assertEq(door.free(address(token)), 1000, "not free");
        vm.prank(alice);
        vm.expectRevert(Office.PaymentRefused.selector);
        door.claim(address(token), bob);
        vm.prank(alice);
        vm.expectRevert(Office.NothingOwed.selector);
        door.claim(address(0), bob);
        token.freeze(false);
        vm.prank(alice);
        door.claim(address(token), bob);
        assertEq(token.balanceOf(bob), 300, "bob");
        assertEq(door.owed(address(token)), 0, "paid");
        vm.prank(alice);
        vm.expectRevert(Office.NothingOwed.selector);
        door.claim(address(token), bob);
    }

    /// A token that takes more gas than a batch gives is paid to who brings its own.
    function test_a_dear_token_is_claimed_with_the_claimants_gas() public {
        DearToken token = new DearToken();
        open(token);
        bytes32 id = send(address(token), 40);
        refund(id);
        assertEq(door.claimable(alice, address(token)), 40, "a refund in a batch is bounded");
        vm.prank(alice);
        door.claim(address(token), bob);
        assertEq(token.balanceOf(bob), 40, "claimed");
        assertEq(door.owed(address(token)), 0, "owed");
        assertEq(door.free(address(token)), 1000, "free");
    }

    function test_what_cannot_be_taken_is_not_sent() public {
        FalseToken token = new FalseToken();
        open(token);
        vm.startPrank(alice);
        vm.expectRevert(Vault.NothingArrived.selector);
        door.sendToken(address(token), 1001, TO, "", 0, 0, 0);
        vm.expectRevert(Vault.NothingArrived.selector);
        door.sendToken(address(token), 0, TO, "", 0, 0, 0);
        token.freeze(true);
        vm.expectRevert(Vault.NothingArrived.selector);
        door.sendToken(address(token), 1, TO, "", 0, 0, 0);
        token.freeze(false);
        vm.expectRevert(Vault.NoAccount.selector);
        door.sendToken(address(0x1234567), 1, TO, "", 0, 0, 0);
        vm.expectRevert(Vault.NoAccount.selector);
        door.sendToken(address(0), 1, TO, "", 0, 0, 0);
        vm.expectRevert(Vault.NoAccount.selector);
        door.sendToken(address(token), 1, "feedxabc", "", 0, 0, 0);
        vm.expectRevert(Outbox.NotAnAddress.selector);
        door.sendToken(address(token), 1, "b1c2", "", 0, 0, 0);
        token.approve(address(door), 5);
        vm.expectRevert(Vault.NothingArrived.selector);
        door.sendToken(address(token), 6, TO, "", 0, 0, 0);
        vm.stopPrank();
        assertEq(door.sequenceOf(THERE), 0, "no sequence is used up");
    }

    function test_sums_of_2_to_the_128_are_refused() public {
        Token token = new Token();
        open(token);
        token.mint(alice, type(uint256).max / 2);
        vm.startPrank(alice);
        vm.expectRevert(Vault.TooMuch.selector);
        door.sendToken(address(token), uint256(type(uint128).max) + 1, TO, "", 0, 0, 0);
        door.sendToken(address(token), type(uint128).max, TO, "", 0, 0, 0);
        vm.expectRevert(Vault.TooMuch.selector);
        door.sendToken(address(token), 1, TO, "", 0, 0, 0);
        vm.stopPrank();
        (bool open_,,,,,,) = door.accountOf(THERE, ASSET);
        assertTrue(open_, "open");
    }

    function test_a_token_with_a_call() public {
        address token = open(new Token());
        Echo echo = new Echo(address(door.executor()), address(door));
        Draft memory m = tokens(1, 70);
        (m.recipient, m.data, m.gas) = (hexText(address(echo)), "answer", 1_000_000);
        assertDelivered(deliver(m));
        assertEq(Token(token).balanceOf(address(echo)), 70, "paid before it was called");
        assertTrue(echo.amount() == 70 && same(echo.asset(), ASSET), "told");
        m.sequence = 2;
        m.recipient = hexText(address(new Reverter(true)));
        assertVoided(deliver(m), "5.3.0 call reverts");
        assertEq(Token(token).balanceOf(address(door)), 930, "both undone");
        m.sequence = 3;
        m.onFail = 1;
        assertDelivered(deliver(m));
        assertEq(Token(token).balanceOf(address(door)), 860, "kept");
    }

    function test_odd_tokens_pay_nothing_and_hurt_nobody() public {
        OddToken token = new OddToken();
        open(token);
        OddToken.Way[7] memory ways = [
            OddToken.Way.TakesMoreFromSender,
            OddToken.Way.PaysMoreToReceiver,
            OddToken.Way.MovesNothing,
            OddToken.Way.ShortTrue,
            OddToken.Way.WordTwo,
            OddToken.Way.BurnsGas,
            OddToken.Way.RevertBomb
        ];
        for (uint64 i = 0; i < 7; i++) {
            token.set(ways[i]);
            bytes[] memory batch = new bytes[](3);
            batch[0] = encode(payment(100 + 2 * i, 1));
            batch[1] = encode(tokens(i + 1, 100));
            batch[2] = encode(payment(101 + 2 * i, 1));
            vm.prank(gateway);
            uint256 before = gasleft();
            Inbox.Result[] memory results = door.deliver(batch);
            assertTrue(before - gasleft() < 1_000_000, "bounded");
            assertDelivered(results[0]);
            assertVoided(results[1], NOT_EXACT);
            assertDelivered(results[2]);
            assertEq(token.balanceOf(address(door)), 1000, "vault");
            assertEq(token.balanceOf(bob), 0, "bob");
        }
        assertEq(bob.balance, 14, "the coin's payments went through");
        assertEq(received(THERE, ASSET), 0, "book");
    }

    function test_a_return_bomb_is_not_copied() public {
        OddToken token = new OddToken();
        open(token);
        token.set(OddToken.Way.Bomb);
        uint256 before = gasleft();
        assertDelivered(deliver(tokens(1, 100)));
        assertTrue(before - gasleft() < 500_000, "bounded");
    }

    function test_a_refund_never_costs_others() public {
        OddToken token = new OddToken();
        open(token);
        bytes32 id = send(address(token), 300);
        token.set(OddToken.Way.TakesMoreFromSender);
        refund(id);
        assertEq(token.balanceOf(alice), 700, "not paid: it would have taken another's");
        assertEq(door.claimable(alice, address(token)), 300, "claimable");
        assertEq(token.balanceOf(address(door)), 1300, "vault");
        token.set(OddToken.Way.BurnsGas);
        vm.prank(alice);
        vm.expectRevert(Office.PaymentRefused.selector);
        door.claim(address(token), alice);
        token.set(OddToken.Way.Plain);
        vm.prank(alice);
        door.claim(address(token), alice);
        assertEq(token.balanceOf(alice), 1000, "claimed");
    }

    function test_many_refunds_of_a_burning_token_cost_bounded_gas() public {
        OddToken token = new OddToken();
        open(token);
        bytes32[] memory ids = new bytes32[](4);
        for (uint256 i = 0; i < 3; i++) ids[i] = send(address(token), 10);
        vm.prank(alice);
        ids[3] = door.send{value: 7}(TO, "", 0, 0, 0);
        token.set(OddToken.Way.BurnsGas);
        uint256 before = alice.balance;
        vm.prank(gateway);
        uint256 gas = gasleft();
        door.end(new bytes32[](0), ids);
        assertTrue(gas - gasleft() < 1_500_000, "bounded");
        assertEq(alice.balance, before + 7, "the others are paid");
        assertEq(door.claimable(alice, address(token)), 30, "claimable");
    }

    function test_a_token_that_hides_its_balances_is_short_not_wrong() public {
        BlindToken token = new BlindToken();
        vm.prank(owner);
        door.setAccount(THERE, ASSET, address(token), TERMS, 1000, 0, 0);
        token.mint(address(door), 100);
        token.mint(alice, 100);
        bytes32 id = send(address(token), 50);
        token.set(true);
        assertSkipped(deliver(tokens(1, 5)), "4.2.1 vault is short");
        assertEq(door.free(address(token)), 0, "free");
        refund(id);
        assertEq(door.claimable(alice, address(token)), 50, "claimable");
        vm.prank(alice);
        vm.expectRevert(Vault.BalanceUnknown.selector);
        door.sendToken(address(token), 5, TO, "", 0, 0, 0);
        token.set(false);
        assertDelivered(deliver(tokens(1, 5)));
    }

    /// A balance that can be read after the transfer, and could not before it, is no sum that came:
    /// all that the vault holds would be the caller's.
    function test_a_balance_that_was_not_told_before_is_not_taken_for_nothing() public {
        HeavyToken token = new HeavyToken();
        vm.prank(owner);
        door.setAccount(THERE, ASSET, address(token), TERMS, 0, 0, 0);
        token.mint(address(door), 1000);
        token.mint(alice, 3);
        address place = door.depositAddress(TO, bob);
        token.mint(place, 1);
        vm.startPrank(alice);
        token.approve(address(door), 3);
        vm.cool(address(token));
        vm.expectRevert(Vault.BalanceUnknown.selector);
        door.sendToken(address(token), 1, TO, "", 0, 0, 0);
        vm.cool(address(token));
        vm.expectRevert(Vault.BalanceUnknown.selector);
        door.deposit(THERE, ASSET, 1);
        vm.cool(address(token));
        vm.expectRevert(Vault.BalanceUnknown.selector);
        door.fundToken(address(token), 1);
        vm.cool(address(token));
        vm.expectRevert(Vault.BalanceUnknown.selector);
        door.forwardDeposit(TO, bob, address(token));
        // Who has the places read before pays for what really comes.
        token.balanceOf(address(door));
        bytes32 id = door.sendToken(address(token), 1, TO, "", 0, 0, 0);
        vm.stopPrank();
        (,, uint256 amount) = door.sent(id);
        assertEq(amount, 1, "what alice sent");
        assertEq(reserveOf(THERE, ASSET), 0, "reserve");
        assertEq(door.openEscrow(address(token)), 1, "escrow");
        assertEq(door.free(address(token)), 1000, "the float is untouched");
    }

    function test_a_token_without_code_is_no_token() public {
        vm.prank(owner);
        door.setAccount(THERE, ASSET, address(0x1234567), TERMS, 1000, 0, 0);
        vm.prank(alice);
        vm.expectRevert(Vault.BalanceUnknown.selector);
        door.sendToken(address(0x1234567), 5, TO, "", 0, 0, 0);
        vm.expectRevert(Vault.BalanceUnknown.selector);
        door.fundToken(address(0x1234567), 5);
        assertSkipped(deliver(tokens(1, 5)), "4.2.1 vault is short");
    }

    function test_anybody_funds() public {
        Token token = new Token();
        open(token);
        vm.prank(alice);
        door.fundToken(address(token), 40);
        assertEq(door.free(address(token)), 1040, "free");
        vm.deal(bob, 3);
        vm.prank(bob);
        door.fund{value: 3}();
        assertEq(door.free(address(0)), 100 ether + 3, "free");
    }

    function testFuzz_value_in_is_value_out_and_held(uint96 sum, uint96 sent, uint96 paid, bool refunds, uint8 kind) public {
        Token token = kind % 3 == 0
            ? new Token()
            : kind % 3 == 1 ? Token(address(new NoReturnToken())) : Token(address(new FalseToken()));
        vm.prank(owner);
        door.setAccount(THERE, ASSET, address(token), TERMS, type(uint256).max, 0, 0);
        sent = uint96(uint256(sent) % (uint256(sum) + 1));
        token.mint(alice, sum);
        allow(address(token), sum);
        if (sent != 0) {
            bytes32 id = send(address(token), sent);
            if (refunds) refund(id);
            else close(id);
        }
        bool delivered = paid != 0 && deliver(tokens(1, paid)).outcome == Inbox.Outcome.Delivered;
        assertTrue(delivered == (paid != 0 && !refunds && paid <= sent), "as far as it is there");
        uint256 held = token.balanceOf(address(door));
        assertEq(token.balanceOf(alice) + token.balanceOf(bob) + held, sum, "value");
        assertEq(door.free(address(token)), held, "free");
    }
}
