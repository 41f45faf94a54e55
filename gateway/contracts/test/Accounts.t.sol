// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Inbox} from "../Inbox.sol";
import {Office} from "../Office.sol";
import {Outbox} from "../Outbox.sol";
import {Roles} from "../Roles.sol";
import {Vault} from "../Vault.sol";
import {ChargingToken} from "../examples/ChargingToken.sol";
import {FalseToken} from "../examples/FalseToken.sol";
import {Reverter} from "../examples/Reverter.sol";
import {Token} from "../examples/Token.sol";
import {Base, Draft} from "./Base.sol";

/// Accounts between chains: terms, credit, deposits, settlements.
contract AccountsTest is Base {
    string private constant TO = "b1c2xcosmos1qypq";
    string private constant ASSET = "e2e4/test";
    string private constant CREDIT = "4.2.1 credit_limit of the source chain is reached";
    string private constant OTHER_TERMS = "5.2.1 other terms than the account's";
    string private constant NO_ACCOUNT = "5.2.1 no account with the source chain";
    bytes32 private constant ACCOUNT_SET =
        keccak256("AccountSet(string,string,address,bytes32,uint256,uint256,uint64)");
    bytes32 private constant RESERVE_CHANGED = keccak256("ReserveChanged(string,string,address,int256,string)");
    bytes32 private constant SENT = keccak256("Sent(bytes32,bytes)");

    function setAccount(bytes32 terms, uint256 creditLimit) private {
        vm.prank(owner);
        door.setAccount(THERE, COIN, address(0), terms, creditLimit, 0, 0);
    }

    function openToken(Token token) private returns (address place) {
        place = address(token);
        vm.prank(owner);
        door.setAccount(THERE, ASSET, place, TERMS, 0, 0, 0);
        token.mint(alice, 1000);
        vm.prank(alice);
        (bool ok,) = place.call(abi.encodeCall(Token.approve, (address(door), 1000)));
        assertTrue(ok, "approved");
    }

    function settle(int256 change, address to) private {
        vm.prank(owner);
        door.settle(THERE, COIN, change, to, "invoice 7");
    }

    // Terms

    function test_value_passes_under_the_accounts_terms_only() public {
        Draft memory m = payment(1, 5);
        m.terms = abi.encodePacked(keccak256("what was signed last year"));
        assertSkipped(deliver(m), OTHER_TERMS);
        m.terms = "";
        assertSkipped(deliver(m), OTHER_TERMS);
        m.terms = new bytes(32);
        assertSkipped(deliver(m), OTHER_TERMS);
        assertGuard(idOf(m), Inbox.Guard.None);
        assertDelivered(deliver(payment(1, 5)));
        // Without value there is nothing to agree on.
        assertDelivered(deliver(note(2)));
    }

    function test_new_terms_refuse_what_was_sent_under_the_old_ones() public {
        bytes32 next = keccak256("what both sides signed next");
        setAccount(next, 1000 ether);
        assertSkipped(deliver(payment(1, 5)), OTHER_TERMS);
        Draft memory m = payment(1, 5);
        m.terms = abi.encodePacked(next);
        assertDelivered(deliver(m));
        assertEq(received(THERE, COIN), 5, "the figures go on");
    }

    function test_a_closed_account_takes_no_value_and_keeps_its_figures() public {
        door.deposit{value: 7}(THERE, COIN, 7);
        vm.recordLogs();
        setAccount(0, 0);
        (bool found,, bytes memory data) = logOf(ACCOUNT_SET);
        (string memory chain, string memory asset, bytes32 terms,,,) =
            abi.decode(data, (string, string, bytes32, uint256, uint256, uint64));
        assertTrue(found && same(chain, THERE) && same(asset, COIN) && terms == 0, "event");
        (bool open,, bytes32 now_,,,,) = door.accountOf(THERE, COIN);
        assertTrue(!open && now_ == 0, "closed");
        assertSkipped(deliver(payment(1, 5)), NO_ACCOUNT);
        Draft memory m = payment(1, 5);
        m.terms = "";
        assertSkipped(deliver(m), NO_ACCOUNT);
        m.terms = new bytes(32);
        assertSkipped(deliver(m), NO_ACCOUNT);
        vm.expectRevert(Vault.NoAccount.selector);
        door.deposit{value: 1}(THERE, COIN, 1);
        assertDelivered(deliver(note(2)));
        assertEq(door.coveredOf(address(0)), 7, "what is the peer's stays the peer's");
        // The owner gives it back.
        settle(-7, bob);
        assertEq(bob.balance, 7, "bob");
        assertEq(door.coveredOf(address(0)), 0, "covered");
        setAccount(TERMS, 10);
        assertDelivered(deliver(payment(1, 5)));
    }

    /// What leaves carries the terms that the other side has to know it by.
    function test_what_is_sent_carries_the_terms() public {
        assertTrue(keccak256(termsOfNext(5)) == keccak256(abi.encodePacked(TERMS)), "the account's");
        assertEq(termsOfNext(0).length, 0, "none without value");
        setAccount(0, 0);
        assertEq(termsOfNext(5).length, 0, "none of a closed account");
    }

    function termsOfNext(uint256 value) private returns (bytes memory terms) {
        Draft memory m;
        (m.source, m.sourceTag, m.destination, m.destinationTag) = (HERE, TAG, THERE, TAG_THERE);
        (m.outbox, m.sequence) = (abi.encodePacked(address(door)), door.sequenceOf(THERE) + 1);
        (m.sender, m.recipient) = (hexText(alice), "cosmos1qypq");
        if (value != 0) (m.asset, m.amount) = (COIN, value);
        m.expires = uint64(NOW + 1 days);
        vm.prank(alice);
        bytes32 id = door.send{value: value}(TO, "", 0, 0, 0);
        if (idOf(m) == id) return "";
        m.terms = abi.encodePacked(TERMS);
        assertTrue(idOf(m) == id, "no other encoding");
        return m.terms;
    }

    function test_a_token_that_leaves_carries_its_accounts_terms() public {
        address token = openToken(new Token());
        bytes32 others = keccak256("terms for the token");
        vm.prank(owner);
        door.setAccount(THERE, ASSET, token, others, 0, 0, 0);
        vm.recordLogs();
        vm.prank(alice);
        door.sendToken(token, 50, TO, "", 0, 0, 0);
        assertTrue(carries(others), "sendToken");
        address place = door.depositAddress(TO, bob);
        Token(token).mint(place, 9);
        vm.recordLogs();
        door.forwardDeposit(TO, bob, token);
        assertTrue(carries(others), "forwardDeposit");
        assertEq(pendingOut(THERE, ASSET), 59, "pending");
        assertEq(pendingOut(THERE, COIN), 0, "of the other account");
    }

    /// Whether the message just sent has these terms behind key 10.
    function carries(bytes32 terms) private returns (bool) {
        (, , bytes memory log) = logOf(SENT);
        bytes memory message = abi.decode(log, (bytes));
        bytes32 expected = keccak256(bytes.concat(hex"0a5820", terms, hex"0b"));
        for (uint256 i = 0; i + 36 <= message.length; i++) {
            bytes32 found;
            assembly ("memory-safe") {
                found := keccak256(add(add(message, 32), i), 36)
            }
            if (found == expected) return true;
        }
        return false;
    }

    /// Closing one account of a token does not take the token from the one that is open.
    function test_closing_one_of_two_names_leaves_the_other() public {
        vm.startPrank(owner);
        door.setAccount(THERE, "b1c2/shell", address(0), TERMS, 5, 0, 0);
        door.setAccount(THERE, COIN, address(0), 0, 0, 0, 0);
        vm.stopPrank();
        assertEq(door.assetFor(THERE, address(0)), "b1c2/shell");
    }

    /// Two names of one token: what is sent goes by the one opened last, and new limits of the other
    /// do not change that.
    function test_new_limits_of_one_name_do_not_take_the_token_from_the_other() public {
        address token = openToken(new Token());
        vm.startPrank(owner);
        door.setAccount(THERE, "b1c2/shell", token, TERMS, 0, 0, 0);
        assertEq(door.assetFor(THERE, token), "b1c2/shell");
        door.setAccount(THERE, ASSET, token, TERMS, 77, 0, 0);
        assertEq(door.assetFor(THERE, token), "b1c2/shell");
        door.setAccount(THERE, ASSET, token, keccak256("new terms"), 77, 0, 0);
        assertEq(door.assetFor(THERE, token), "b1c2/shell");
        // Closed and opened again, it is the one opened last.
        door.setAccount(THERE, ASSET, token, 0, 77, 0, 0);
        assertEq(door.assetFor(THERE, token), "b1c2/shell");
        door.setAccount(THERE, ASSET, token, TERMS, 77, 0, 0);
        vm.stopPrank();
        assertEq(door.assetFor(THERE, token), ASSET);
    }

    /// Closing the name that a token goes by: setting the other one anew, with the values that it
    /// has, makes the token go by that.
    function test_an_open_name_takes_over_from_a_closed_one() public {
        address token = openToken(new Token());
        bytes32 others = keccak256("terms of the shell");
        vm.startPrank(owner);
        door.setAccount(THERE, "b1c2/shell", token, others, 0, 0, 0);
        door.setAccount(THERE, "b1c2/shell", token, 0, 0, 0, 0);
        door.setAccount(THERE, ASSET, token, TERMS, 0, 0, 0);
        // The coin's own name, too.
        door.setAccount(THERE, "b1c2/coin", address(0), others, 0, 0, 0);
        door.setAccount(THERE, "b1c2/coin", address(0), 0, 0, 0, 0);
        door.setAccount(THERE, COIN, address(0), TERMS, 0, 0, 0);
        vm.stopPrank();
        assertEq(door.assetFor(THERE, token), ASSET);
        assertEq(door.assetFor(THERE, address(0)), COIN);
        vm.recordLogs();
        vm.prank(alice);
        door.sendToken(token, 50, TO, "", 0, 0, 0);
        assertTrue(carries(TERMS), "what leaves has terms");
        assertEq(pendingOut(THERE, ASSET), 50, "pending");
    }

    /// A token's account that is closed keeps its token: no way to swap it by closing.
    function test_a_closed_account_keeps_its_token() public {
        address token = openToken(new Token());
        vm.startPrank(owner);
        door.setAccount(THERE, ASSET, token, 0, 0, 0, 0);
        vm.expectRevert(Office.OtherToken.selector);
        door.setAccount(THERE, ASSET, address(0x1234567), TERMS, 0, 0, 0);
        vm.stopPrank();
        assertTrue(door.isBacking(token), "still backing");
    }

    // Credit

    function test_credit_is_limit_and_reserve_and_returns_to_the_unit() public {
        setAccount(TERMS, 10);
        door.deposit{value: 4}(THERE, COIN, 4);
        vm.prank(alice);
        bytes32 id = door.send{value: 3}(TO, "", 0, 0, 0);
        assertSkipped(deliver(payment(1, 15)), CREDIT);
        assertDelivered(deliver(payment(1, 14)));
        assertSkipped(deliver(payment(2, 1)), CREDIT);
        assertEq(pendingOut(THERE, COIN), 3, "what is pending is nobody's yet");
        close(id);
        assertEq(pendingOut(THERE, COIN), 0, "not pending");
        assertSkipped(deliver(payment(2, 4)), CREDIT);
        assertDelivered(deliver(payment(2, 3)));
        assertSkipped(deliver(payment(3, 1)), CREDIT);
        assertGuard(idOf(payment(3, 1)), Inbox.Guard.None);
        door.deposit{value: 1}(THERE, COIN, 1);
        assertDelivered(deliver(payment(3, 1)));
    }

    /// Fully prepaid: the default.
    function test_a_limit_of_zero_lets_through_what_was_deposited() public {
        setAccount(TERMS, 0);
        assertSkipped(deliver(payment(1, 1)), CREDIT);
        door.deposit{value: 5}(THERE, COIN, 5);
        assertSkipped(deliver(payment(1, 6)), CREDIT);
        assertDelivered(deliver(payment(1, 5)));
        assertSkipped(deliver(payment(2, 1)), CREDIT);
        assertEq(door.coveredOf(address(0)), 0, "spent");
        assertEq(door.free(address(0)), 100 ether, "no float was needed");
    }

    function testFuzz_the_limit_is_exact(uint64 limit, uint64 reserve, uint64 sent, uint64 amount) public {
        vm.deal(address(this), type(uint128).max);
        vm.deal(alice, type(uint128).max);
        setAccount(TERMS, limit);
        if (reserve != 0) door.deposit{value: reserve}(THERE, COIN, reserve);
        if (sent != 0) {
            vm.prank(alice);
            close(door.send{value: sent}(TO, "", 0, 0, 0));
        }
        door.fund{value: limit}();
        vm.deal(bob, 0);
        uint256 room = uint256(limit) + reserve + sent;
        if (amount != 0) {
            Inbox.Result memory result = deliver(payment(1, amount));
            if (amount > room) assertSkipped(result, CREDIT);
            else assertDelivered(result);
            if (amount <= room) room -= amount;
        }
        assertSkipped(deliver(payment(2, room + 1)), CREDIT);
        if (room != 0) assertDelivered(deliver(payment(3, room)));
        assertSkipped(deliver(payment(4, 1)), CREDIT);
    }

    /// What can never pass is refused, whatever else it would wait for.
    function test_never_comes_before_later() public {
        vm.prank(owner);
        door.setAccount(THERE, COIN, address(0), TERMS, 0, 5, 100);
        assertSkipped(deliver(payment(1, 6)), "5.2.2 above window_max of the source chain");
        assertSkipped(deliver(payment(1, 5)), CREDIT);
        assertSkipped(deliver(payment(1, 1 << 128)), "5.2.2 amount is more than is counted here");
        assertSkipped(deliver(payment(1, type(uint128).max)), "5.2.2 above window_max of the source chain");
    }

    function test_a_refund_and_a_close_end_what_is_pending() public {
        vm.startPrank(alice);
        bytes32 one = door.send{value: 3}(TO, "", 0, 0, 0);
        bytes32 two = door.send{value: 4}(TO, "", 0, 0, 0);
        door.send(TO, "", 0, 0, 0);
        vm.stopPrank();
        assertEq(pendingOut(THERE, COIN), 7, "both");
        assertEq(door.coveredOf(address(0)), 0, "what is pending covers nothing");
        refund(one);
        assertEq(pendingOut(THERE, COIN), 4, "one");
        assertEq(sentSum(THERE, COIN), 0, "nothing sent");
        close(two);
        refund(two);
        assertEq(pendingOut(THERE, COIN), 0, "none");
        assertEq(sentSum(THERE, COIN), 4, "sent");
        assertEq(door.coveredOf(address(0)), 4, "it covers what comes back");
    }

    /// A message that left before its account was closed ends as others do.
    function test_what_left_ends_after_its_account_was_closed() public {
        vm.startPrank(alice);
        bytes32 one = door.send{value: 3}(TO, "", 0, 0, 0);
        bytes32 two = door.send{value: 4}(TO, "", 0, 0, 0);
        vm.stopPrank();
        setAccount(0, 0);
        close(one);
        refund(two);
        assertEq(pendingOut(THERE, COIN), 0, "ended");
        assertEq(sentSum(THERE, COIN), 3, "sent");
        assertEq(door.coveredOf(address(0)), 3, "the peer's");
    }

    // Deposits

    function test_anybody_deposits_the_coin() public {
        vm.deal(bob, 9);
        vm.recordLogs();
        vm.prank(bob);
        door.deposit{value: 9}(THERE, COIN, 9);
        (bool found, bytes32 by, bytes memory data) = logOf(RESERVE_CHANGED);
        (string memory chain, string memory asset, int256 change, string memory note) =
            abi.decode(data, (string, string, int256, string));
        assertTrue(found && by == bytes32(uint256(uint160(bob))) && change == 9, "event");
        assertTrue(same(chain, THERE) && same(asset, COIN) && bytes(note).length == 0, "names");
        assertEq(reserveOf(THERE, COIN), 9, "reserve");
        assertEq(door.coveredOf(address(0)), 9, "covered");
        assertEq(door.free(address(0)), 100 ether + 9, "free");
        assertEq(address(door).balance, 100 ether + 9, "held");
    }

    function test_a_token_is_deposited_by_an_allowance() public {
        address token = openToken(new Token());
        vm.prank(alice);
        door.deposit(THERE, ASSET, 300);
        assertEq(Token(token).balanceOf(alice), 700, "pulled");
        assertEq(reserveOf(THERE, ASSET), 300, "reserve");
        assertEq(door.coveredOf(token), 300, "covered");
        assertEq(door.coveredOf(address(0)), 0, "not in the coin");
        Draft memory m = payment(1, 300);
        m.asset = ASSET;
        assertDelivered(deliver(m));
        assertEq(door.coveredOf(token), 0, "spent");
    }

    function test_of_a_charging_token_what_arrived_is_deposited() public {
        address token = openToken(Token(address(new ChargingToken())));
        vm.recordLogs();
        vm.prank(alice);
        door.deposit(THERE, ASSET, 500);
        (,, bytes memory data) = logOf(RESERVE_CHANGED);
        (,, int256 change,) = abi.decode(data, (string, string, int256, string));
        assertTrue(change == 495, "told");
        assertEq(reserveOf(THERE, ASSET), 495, "one in a hundred was charged");
        assertEq(Token(token).balanceOf(address(door)), 495, "held");
        assertEq(door.coveredOf(token), 495, "covered");
    }

    function test_wrong_deposits_keep_nobodys_money() public {
        FalseToken token = new FalseToken();
        openToken(token);
        vm.expectRevert(Office.OtherAmount.selector);
        door.deposit{value: 4}(THERE, COIN, 5);
        vm.expectRevert(Office.OtherAmount.selector);
        door.deposit{value: 5}(THERE, COIN, 4);
        vm.expectRevert(Office.OtherAmount.selector);
        door.deposit{value: 5}(THERE, COIN, 0);
        vm.expectRevert(Office.OtherAmount.selector);
        door.deposit{value: 5}(THERE, ASSET, 5);
        vm.expectRevert(Vault.NothingArrived.selector);
        door.deposit(THERE, COIN, 0);
        vm.prank(alice);
        vm.expectRevert(Vault.NothingArrived.selector);
        door.deposit(THERE, ASSET, 0);
        vm.expectRevert(Vault.NothingArrived.selector);
        door.deposit(THERE, ASSET, 5);
        vm.expectRevert(Vault.NoAccount.selector);
        door.deposit{value: 5}("feed", COIN, 5);
        vm.expectRevert(Vault.NoAccount.selector);
        door.deposit{value: 5}("", COIN, 5);
        vm.expectRevert(Vault.NoAccount.selector);
        door.deposit{value: 5}(THERE, "b1c2/other", 5);
        token.freeze(true);
        vm.prank(alice);
        vm.expectRevert(Vault.NothingArrived.selector);
        door.deposit(THERE, ASSET, 5);
        assertEq(address(door).balance, 100 ether, "nothing came");
        assertEq(reserveOf(THERE, ASSET), 0, "nothing counted");
    }

    function test_reserves_end_at_2_to_the_128() public {
        vm.deal(address(this), type(uint256).max / 2);
        vm.expectRevert(Vault.TooMuch.selector);
        door.deposit{value: 1 << 128}(THERE, COIN, 1 << 128);
        door.deposit{value: type(uint128).max}(THERE, COIN, type(uint128).max);
        vm.expectRevert(Vault.TooMuch.selector);
        door.deposit{value: 1}(THERE, COIN, 1);
        vm.prank(owner);
        vm.expectRevert(Vault.TooMuch.selector);
        door.settle(THERE, COIN, type(int256).max, address(0), "invoice 7");
        assertEq(door.coveredOf(address(0)), type(uint128).max, "covered");
    }

    function test_deposits_and_settlements_go_on_while_paused() public {
        vm.prank(owner);
        door.pause();
        door.deposit{value: 9}(THERE, COIN, 9);
        settle(-9, bob);
        assertEq(bob.balance, 9, "given back");
    }

    // Settlements

    function test_a_settlement_elsewhere_makes_float_a_reserve() public {
        vm.recordLogs();
        settle(30 ether, address(0));
        (bool found, bytes32 by, bytes memory data) = logOf(RESERVE_CHANGED);
        (string memory chain, string memory asset, int256 change, string memory note) =
            abi.decode(data, (string, string, int256, string));
        assertTrue(found && by == bytes32(uint256(uint160(owner))) && change == 30 ether, "event");
        assertTrue(same(chain, THERE) && same(asset, COIN) && same(note, "invoice 7"), "with its note");
        assertEq(reserveOf(THERE, COIN), 30 ether, "reserve");
        assertEq(door.coveredOf(address(0)), 30 ether, "covered");
        assertEq(address(door).balance, 100 ether, "nothing moved");
        vm.prank(owner);
        vm.expectRevert(Office.FloatShort.selector);
        door.settle(THERE, COIN, 70 ether + 1, address(0), "invoice 7");
        settle(70 ether, address(0));
        assertEq(door.coveredOf(address(0)), 100 ether, "all of it");
    }

    /// A peer that owes pays its debt first: no float is needed for what only fills a hole.
    function test_a_settlement_of_a_debt_needs_no_float() public {
        assertDelivered(deliver(payment(1, 100 ether)));
        assertEq(door.free(address(0)), 0, "all float is lent");
        settle(100 ether, address(0));
        assertEq(reserveOf(THERE, COIN), 100 ether, "reserve");
        assertEq(door.coveredOf(address(0)), 0, "nothing is covered by it");
        vm.prank(owner);
        vm.expectRevert(Office.FloatShort.selector);
        door.settle(THERE, COIN, 1, address(0), "invoice 7");
    }

    function test_a_deposit_is_given_back_or_becomes_float() public {
        door.deposit{value: 9}(THERE, COIN, 9);
        vm.recordLogs();
        settle(-4, bob);
        (,, bytes memory data) = logOf(RESERVE_CHANGED);
        (,, int256 change,) = abi.decode(data, (string, string, int256, string));
        assertTrue(change == -4, "event");
        assertEq(bob.balance, 4, "paid");
        assertEq(reserveOf(THERE, COIN), 5, "reserve");
        settle(-5, address(0));
        assertEq(bob.balance, 4, "not paid");
        assertEq(reserveOf(THERE, COIN), 0, "reserve");
        assertEq(door.coveredOf(address(0)), 0, "float");
        assertEq(door.free(address(0)), 100 ether + 5, "free");
    }

    function test_a_token_deposit_is_given_back() public {
        address token = openToken(new Token());
        vm.prank(alice);
        door.deposit(THERE, ASSET, 300);
        vm.prank(owner);
        door.settle(THERE, ASSET, -300, bob, "closing");
        assertEq(Token(token).balanceOf(bob), 300, "bob");
        assertEq(door.coveredOf(token), 0, "covered");
    }

    /// What a peer has spent of its reserve is not given back; it can be written off, without a payout.
    function test_what_is_spent_is_not_given_back() public {
        door.deposit{value: 10 ether}(THERE, COIN, 10 ether);
        assertDelivered(deliver(payment(1, 6 ether)));
        assertEq(reserveOf(THERE, COIN), 10 ether, "the figure stays");
        vm.deal(bob, 0);
        vm.prank(owner);
        vm.expectRevert(Office.ReserveShort.selector);
        door.settle(THERE, COIN, -4 ether - 1, bob, "more than is left");
        settle(-4 ether, bob);
        assertEq(bob.balance, 4 ether, "bob");
        assertEq(door.coveredOf(address(0)), 0, "covered");
        assertEq(door.free(address(0)), 100 ether, "the float is untouched");
        vm.prank(owner);
        vm.expectRevert(Office.ReserveShort.selector);
        door.settle(THERE, COIN, -1, bob, "nothing is left");
        // What was paid back elsewhere: from now on the peer owes it.
        settle(-6 ether, address(0));
        assertEq(reserveOf(THERE, COIN), 0, "reserve");
        assertEq(door.free(address(0)), 100 ether, "the float is untouched");
    }

    /// Of a vault that has lost money nobody is paid first.
    function test_nothing_is_given_back_at_anothers_cost() public {
        vm.startPrank(owner);
        door.setPeer("feed", TAG_THERE);
        door.setAccount("feed", COIN, address(0), TERMS, 0, 0, 0);
        vm.stopPrank();
        door.deposit{value: 10 ether}(THERE, COIN, 10 ether);
        door.deposit{value: 10 ether}("feed", COIN, 10 ether);
        vm.deal(address(door), 19 ether);
        vm.prank(owner);
        vm.expectRevert(Office.FloatShort.selector);
        door.settle(THERE, COIN, -10 ether, bob, "first");
        door.fund{value: 1 ether}();
        settle(-10 ether, bob);
        assertEq(bob.balance, 10 ether, "bob");
    }

    /// The own coin leaves without an account: what is closed is counted, and can be settled, as in
    /// one that was closed.
    function test_what_was_sent_without_an_account_can_be_settled() public {
        vm.startPrank(owner);
        door.setPeer("feed", TAG_THERE);
        vm.expectRevert(Vault.NoAccount.selector);
        door.settle("feed", COIN, 5, address(0), "nothing was sent");
        vm.stopPrank();
        vm.prank(alice);
        close(door.send{value: 3 ether}("feedxabc", "", 0, 0, 0));
        vm.startPrank(owner);
        vm.expectRevert(Office.FloatShort.selector);
        door.settle("feed", COIN, 100 ether + 1, address(0), "more than the float");
        door.settle("feed", COIN, 4 ether, address(0), "paid elsewhere");
        assertEq(door.coveredOf(address(0)), 7 ether, "covered");
        vm.expectRevert(Office.ReserveShort.selector);
        door.settle("feed", COIN, -4 ether - 1, bob, "more than the reserve");
        door.settle("feed", COIN, -4 ether, bob, "given back");
        vm.stopPrank();
        assertEq(bob.balance, 4 ether, "bob");
        assertEq(door.coveredOf(address(0)), 3 ether, "what was sent is still the peer's");
        (bool open,,,,,,) = door.accountOf("feed", COIN);
        assertTrue(!open, "not opened by it");
        vm.expectRevert(Vault.NoAccount.selector);
        door.deposit{value: 1}("feed", COIN, 1);
    }

    function test_wrong_settlements_change_nothing() public {
        door.deposit{value: 9}(THERE, COIN, 9);
        address refusing = address(new Reverter(false));
        address[3] memory who = [alice, gateway, address(this)];
        for (uint256 i = 0; i < 3; i++) {
            vm.prank(who[i]);
            vm.expectRevert(Roles.NotOwner.selector);
            door.settle(THERE, COIN, -9, who[i], "mine");
        }
        vm.startPrank(owner);
        vm.expectRevert(Office.ReserveShort.selector);
        door.settle(THERE, COIN, -10, bob, "wrong");
        vm.expectRevert(Office.ReserveShort.selector);
        door.settle(THERE, COIN, type(int256).min, bob, "wrong");
        vm.expectRevert(Office.NoChange.selector);
        door.settle(THERE, COIN, 0, address(0), "wrong");
        vm.expectRevert(Office.NoNote.selector);
        door.settle(THERE, COIN, 5, address(0), "");
        vm.expectRevert(Office.NoNote.selector);
        door.settle(THERE, COIN, -5, bob, "");
        vm.expectRevert(Office.NotAPayout.selector);
        door.settle(THERE, COIN, 5, bob, "a sign is wrong");
        vm.expectRevert(Vault.NoAccount.selector);
        door.settle("feed", COIN, 5, address(0), "wrong");
        vm.expectRevert(Vault.NoAccount.selector);
        door.settle(THERE, "b1c2/other", 5, address(0), "wrong");
        vm.expectRevert(Office.PaymentRefused.selector);
        door.settle(THERE, COIN, -5, refusing, "wrong");
        vm.expectRevert(Office.PaymentRefused.selector);
        door.settle(THERE, COIN, -5, address(door), "wrong");
        vm.stopPrank();
        assertEq(reserveOf(THERE, COIN), 9, "reserve");
        assertEq(door.coveredOf(address(0)), 9, "covered");
        assertEq(address(door).balance, 100 ether + 9, "held");
    }
}
