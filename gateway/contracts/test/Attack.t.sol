// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Clerk} from "../Clerk.sol";
import {Executor, IRecipient} from "../Executor.sol";
import {Inbox} from "../Inbox.sol";
import {Office} from "../Office.sol";
import {Outbox} from "../Outbox.sol";
import {Payer} from "../Payer.sol";
import {Roles} from "../Roles.sol";
import {Tokens} from "../Tokens.sol";
import {Vault} from "../Vault.sol";
import {Token} from "../examples/Token.sol";
import {Base, Door, Draft} from "./Base.sol";
import {Bomb, Burner, HookToken, Puppet} from "./Mocks.sol";

/// What somebody would try who means ill.
contract AttackTest is Base {
    string private constant ASSET = "e2e4/hook";
    string private constant TO = "b1c2xcosmos1qypq";
    HookToken private token = new HookToken();

    function setUp() public override {
        super.setUp();
        vm.prank(owner);
        door.setAccount(THERE, ASSET, address(token), TERMS, 1000 ether, 0, 0);
        token.mint(alice, 1000);
        token.mint(address(door), 1000);
        vm.prank(alice);
        token.approve(address(door), 1000);
        vm.deal(address(token), 100);
    }

    function call(uint64 sequence, address to, uint256 amount) private view returns (Draft memory m) {
        m = amount == 0 ? note(sequence) : payment(sequence, amount);
        (m.recipient, m.data, m.gas) = (hexText(to), "x", 2_000_000);
    }

    function tokens(uint64 sequence, address to, uint256 amount) private view returns (Draft memory m) {
        m = payment(sequence, amount);
        (m.asset, m.recipient) = (ASSET, hexText(to));
    }

    // Re-entrancy

    /// A recipient that is a gateway itself reaches no second delivery, end, void or claim.
    function test_a_recipient_with_a_role_cannot_come_back_in() public {
        Puppet puppet = new Puppet();
        vm.prank(owner);
        door.setGateway(address(puppet), true);
        bytes32 id = door.send{value: 5}(TO, "", 0, 0, 0);
        bytes memory other = encode(payment(2, 7));
        puppet.whenCalled(address(door), 0, abi.encodeCall(door.deliver, (only(other))));
        puppet.whenCalled(address(door), 0, abi.encodeCall(door.voidMessages, (only(other), because("5.7.1 no"))));
        puppet.whenCalled(address(door), 0, abi.encodeCall(door.end, (new bytes32[](0), only(id))));
        puppet.whenCalled(address(door), 0, abi.encodeCall(door.claim, (address(0), address(puppet))));
        assertDelivered(deliver(call(1, address(puppet), 3)));
        for (uint256 i = 0; i < 4; i++) {
            assertTrue(!puppet.worked(i), "refused");
            assertTrue(bytes4(puppet.answers(i)) == Roles.Reentered.selector, "by the lock");
        }
        assertEq(bob.balance, 0, "bob");
        assertEq(address(puppet).balance, 3, "paid once");
    }

    function test_an_owner_as_recipient_changes_no_account_meanwhile() public {
        Puppet puppet = new Puppet();
        vm.prank(owner);
        door.setOwner(address(puppet));
        puppet.whenCalled(
            address(door), 0, abi.encodeCall(door.setAccount, (THERE, COIN, address(0), TERMS, 0, 0, 0))
        );
        assertDelivered(deliver(call(1, address(puppet), 3)));
        assertTrue(!puppet.worked(0), "locked");
    }

    /// Sending from within a call is wanted; the sum is escrowed and the books are right.
    function test_a_recipient_may_send_on_what_it_got() public {
        Puppet puppet = new Puppet();
        puppet.whenCalled(address(door), 3, abi.encodeCall(door.send, (TO, "", 0, 0, 0)));
        bytes[] memory batch = new bytes[](2);
        batch[0] = encode(call(1, address(puppet), 3));
        // The vault's own float is 100 ether: what was sent on is no part of it.
        batch[1] = encode(payment(2, 100 ether - 2));
        vm.prank(gateway);
        Inbox.Result[] memory results = door.deliver(batch);
        assertDelivered(results[0]);
        assertSkipped(results[1], "4.2.1 vault is short");
        assertEq(door.openEscrow(address(0)), 3, "escrow");
        assertEq(door.free(address(0)), 100 ether - 3, "free");
    }

    function test_a_refund_hook_cannot_come_back_in() public {
        Puppet puppet = new Puppet();
        vm.prank(owner);
        door.setGateway(address(puppet), true);
        bytes32[] memory ids = new bytes32[](2);
        for (uint256 i = 0; i < 2; i++) {
            bytes memory input = abi.encodeCall(door.send, (TO, "", 0, 0, 0));
            ids[i] = abi.decode(puppet.act{value: 5}(address(door), 5, input), (bytes32));
        }
        puppet.whenPaid(address(door), 0, abi.encodeCall(door.end, (new bytes32[](0), only(ids[0]))));
        refund(ids[0]);
        assertEq(address(puppet).balance + door.claimable(address(puppet), address(0)), 5, "once");
        assertEq(door.openEscrow(address(0)), 5, "the other is open");
    }

    /// A claimant that claims again while it is paid.
    function test_a_claim_is_paid_once() public {
        Puppet puppet = new Puppet();
        bytes memory input = abi.encodeCall(door.send, (TO, "", 0, 0, 0));
        bytes32 id = abi.decode(puppet.act{value: 5}(address(door), 5, input), (bytes32));
        for (uint256 i = 0; i < 3; i++) {
            puppet.whenPaid(address(door), 0, abi.encodeCall(door.send, (TO, "", 0, 0, 0)));
            puppet.whenPaid(address(door), 0, abi.encodeCall(door.claim, (address(0), address(puppet))));
        }
        refund(id);
        assertEq(door.claimable(address(puppet), address(0)), 5, "refused: too much gas");
        puppet.act(address(door), 0, abi.encodeCall(door.claim, (address(0), address(puppet))));
        assertEq(address(puppet).balance, 5, "once");
        assertEq(door.owed(address(0)), 0, "owed");
        assertTrue(!puppet.worked(1), "the nested claim is refused");
    }

    /// Who is given a deposit back has code of its own: nothing is paid twice, and what it deposits
    /// meanwhile is counted.
    function test_a_deposit_given_back_is_paid_once() public {
        Puppet puppet = new Puppet();
        door.deposit{value: 9}(THERE, COIN, 9);
        bytes memory again = abi.encodeCall(door.settle, (THERE, COIN, -2, address(puppet), "given back"));
        puppet.whenPaid(address(door), 0, again);
        puppet.whenPaid(address(door), 0, abi.encodeCall(door.setAccount, (THERE, COIN, address(0), 0, 0, 0, 0)));
        puppet.whenPaid(address(door), 0, abi.encodeCall(door.claim, (address(0), address(puppet))));
        puppet.whenPaid(address(door), 1, abi.encodeCall(door.deposit, (THERE, COIN, 1)));
        vm.startPrank(owner);
        door.setOwner(address(puppet));
        vm.stopPrank();
        puppet.act(address(door), 0, abi.encodeCall(door.settle, (THERE, COIN, -4, address(puppet), "given back")));
        for (uint256 i = 0; i < 3; i++) {
            assertTrue(!puppet.worked(i), "refused");
            assertTrue(bytes4(puppet.answers(i)) == Roles.Reentered.selector, "by the lock");
        }
        assertTrue(puppet.worked(3), "deposited");
        assertEq(address(puppet).balance, 3, "paid once, less what it deposited");
        assertEq(reserveOf(THERE, COIN), 6, "reserve");
        assertEq(door.coveredOf(address(0)), 6, "covered");
        assertEq(address(door).balance, 100 ether + 6, "held");
    }

    /// A recipient that deposits what it was just paid, and one that does and then fails.
    function test_a_recipient_may_deposit_what_it_got() public {
        Puppet puppet = new Puppet();
        puppet.whenCalled(address(door), 3, abi.encodeCall(door.deposit, (THERE, COIN, 3)));
        assertDelivered(deliver(call(1, address(puppet), 5)));
        assertEq(reserveOf(THERE, COIN), 3, "reserve");
        assertEq(received(THERE, COIN), 5, "received");
        assertEq(door.coveredOf(address(0)), 0, "two are owed yet");
        assertVoided(deliver(call(2, address(new Fickle(address(door))), 5)), "5.3.0 call reverts");
        assertEq(reserveOf(THERE, COIN), 3, "undone");
        assertEq(received(THERE, COIN), 5, "unbooked");
        assertEq(door.coveredOf(address(0)), coverOf(THERE, COIN), "covered");
    }

    /// A token whose hook deposits, sends or settles while a deposit is counted.
    function test_deposits_do_not_nest() public {
        token.mint(address(token), 100);
        vm.prank(address(token));
        token.approve(address(door), 100);
        vm.prank(owner);
        door.setOwner(address(token));
        token.hookBefore(address(door), 0, abi.encodeCall(door.deposit, (THERE, ASSET, 50)));
        token.hookBefore(address(door), 0, abi.encodeCall(door.sendToken, (address(token), 50, TO, "", 0, 0, 0)));
        token.hookAfter(address(door), 0, abi.encodeCall(door.fundToken, (address(token), 50)));
        token.hookAfter(address(door), 0, abi.encodeCall(door.settle, (THERE, ASSET, 5, address(0), "")));
        token.hookAfter(
            address(door), 0, abi.encodeCall(door.setAccount, (THERE, ASSET, address(token), 0, 0, 0, 0))
        );
        // Of another money it may.
        token.hookAfter(address(door), 7, abi.encodeCall(door.deposit, (THERE, COIN, 7)));
        vm.prank(alice);
        door.deposit(THERE, ASSET, 10);
        for (uint256 i = 0; i < 5; i++) {
            assertTrue(!token.worked(i), "refused");
            assertTrue(bytes4(token.answers(i)) == Roles.Reentered.selector, "by a lock");
        }
        assertTrue(token.worked(5), "the coin");
        assertEq(reserveOf(THERE, ASSET), 10, "its own sum only");
        assertEq(door.coveredOf(address(token)), 10, "covered");
        assertEq(door.free(address(token)), 1010, "free");
        assertEq(reserveOf(THERE, COIN), 7, "the coin's");
    }

    /// A token's hook while a deposit in it is given back: the sum leaves once, and what comes in
    /// meanwhile is counted as what it is.
    function test_a_hook_in_a_payout_takes_nothing_twice() public {
        vm.prank(alice);
        door.deposit(THERE, ASSET, 100);
        token.mint(address(token), 50);
        vm.prank(address(token));
        token.approve(address(door), 50);
        token.hookBefore(address(door), 0, abi.encodeCall(door.deposit, (THERE, ASSET, 20)));
        token.hookAfter(address(door), 0, abi.encodeCall(door.settle, (THERE, ASSET, -60, bob, "given back")));
        vm.prank(owner);
        door.settle(THERE, ASSET, -60, bob, "given back");
        assertTrue(token.worked(0) && !token.worked(1), "only the deposit");
        assertEq(token.balanceOf(bob), 60, "once");
        assertEq(reserveOf(THERE, ASSET), 60, "reserve");
        assertEq(door.coveredOf(address(token)), 60, "covered");
        assertEq(token.balanceOf(address(door)), 1060, "held");
    }

    /// A token that calls its sender's hook: one sum must not be counted by two takings.
    function test_takings_do_not_nest() public {
        vm.prank(alice);
        token.approve(address(token), 1000);
        token.mint(address(token), 100);
        vm.prank(address(token));
        token.approve(address(door), 100);
        token.hookBefore(address(door), 0, abi.encodeCall(door.sendToken, (address(token), 50, TO, "", 0, 0, 0)));
        token.hookAfter(address(door), 0, abi.encodeCall(door.fundToken, (address(token), 50)));
        token.hookAfter(address(door), 0, abi.encodeCall(door.forwardDeposit, (TO, alice, address(0))));
        vm.deal(door.depositAddress(TO, alice), 5);
        vm.prank(alice);
        bytes32 id = door.sendToken(address(token), 10, TO, "", 0, 0, 0);
        (,, uint256 amount) = door.sent(id);
        assertEq(amount, 10, "its own sum only");
        for (uint256 i = 0; i < 3; i++) {
            assertTrue(!token.worked(i), "refused");
            assertTrue(bytes4(token.answers(i)) == Roles.Reentered.selector, "by the intake's lock");
        }
        assertEq(door.openEscrow(address(token)), 10, "escrow");
        assertEq(door.free(address(token)), 1000, "free");
    }

    /// What is paid out while a taking is counted would be missing in somebody's message.
    function test_a_claim_within_a_taking_is_refused() public {
        Puppet puppet = new Puppet();
        token.mint(address(puppet), 100);
        puppet.act(address(token), 0, abi.encodeCall(token.approve, (address(door), 100)));
        bytes memory sendIt = abi.encodeCall(door.sendToken, (address(token), 40, TO, "", 0, 0, 0));
        bytes32 id = abi.decode(puppet.act(address(door), 0, sendIt), (bytes32));
        // The refund fails: the token's hook burns its gas.
        Burner burner = new Burner(true);
        for (uint256 i = 0; i < 3; i++) token.hookBefore(address(burner), 0, "");
        refund(id);
        assertEq(door.claimable(address(puppet), address(token)), 40, "claimable");
        token.clear();
        token.hookBefore(
            address(puppet), 0, abi.encodeCall(puppet.act, (address(door), 0, abi.encodeCall(door.claim, (address(token), address(puppet)))))
        );
        id = abi.decode(puppet.act(address(door), 0, abi.encodeCall(door.sendToken, (address(token), 60, TO, "", 0, 0, 0))), (bytes32));
        (,, uint256 amount) = door.sent(id);
        assertEq(amount, 60, "all that came");
        assertTrue(!token.worked(token.count() - 1), "the claim is refused");
        assertEq(door.claimable(address(puppet), address(token)), 40, "and waits");
        assertEq(door.openEscrow(address(token)), 60, "escrow");
        assertEq(door.free(address(token)), 1000, "free");
    }

    /// A recipient whose token hook sends the payment straight on: refused as inexact, all undone.
    function test_a_hook_in_the_payout_cannot_fake_the_sum() public {
        Puppet puppet = new Puppet();
        puppet.act(address(token), 0, abi.encodeCall(token.approve, (address(door), 1000)));
        token.hookAfter(
            address(puppet), 0, abi.encodeCall(puppet.act, (address(door), 0, abi.encodeCall(door.sendToken, (address(token), 10, TO, "", 0, 0, 0))))
        );
        assertVoided(deliver(tokens(1, address(puppet), 10)), "5.2.1 token does not pay the exact amount");
        assertEq(door.openEscrow(address(token)), 0, "the nested message is undone");
        assertEq(door.sequenceOf(THERE), 0, "with its sequence");
        assertEq(token.balanceOf(address(door)), 1000, "vault");
    }

    // Gas

    function test_starved_deliveries_revert_and_end_nothing() public {
        Puppet puppet = new Puppet();
        bytes memory raw = encode(call(1, address(puppet), 3));
        bytes memory input = abi.encodeCall(door.deliver, (only(raw)));
        vm.prank(gateway);
        vm.expectRevert(Tokens.InsufficientGas.selector);
        door.deliver{gas: 2_000_000}(only(raw));
        for (uint256 gas = 30_000; gas < 2_500_000; gas += 20_000) {
            vm.prank(gateway);
            (bool ok,) = address(door).call{gas: gas}(input);
            if (ok) break;
            assertGuard(idOf(raw), Inbox.Guard.None);
        }
        assertGuard(idOf(raw), Inbox.Guard.Delivered);
        assertEq(address(puppet).balance, 3, "delivered whole, or not at all");
        assertEq(puppet.amount(), 3, "called");
    }

    /// Whatever gas a gateway gives, a payment and a token's are never taken for refused.
    function testFuzz_no_verdict_for_want_of_gas(uint32 gas, bool inToken) public {
        gas = gas % 1_000_000 + 21_000;
        Draft memory m = inToken ? tokens(1, bob, 3) : payment(1, 3);
        vm.prank(gateway);
        (bool ok,) = address(door).call{gas: gas}(abi.encodeCall(door.deliver, (only(encode(m)))));
        assertGuard(idOf(m), ok ? Inbox.Guard.Delivered : Inbox.Guard.None);
    }

    function test_who_burns_gas_burns_only_its_own() public {
        address[2] memory burners = [address(new Burner(false)), address(new Burner(true))];
        for (uint64 i = 0; i < 2; i++) {
            bytes[] memory batch = new bytes[](3);
            batch[0] = encode(payment(10 * i + 1, 1));
            batch[1] = encode(call(10 * i + 2, burners[i], 1));
            batch[2] = encode(payment(10 * i + 3, 1));
            vm.prank(gateway);
            uint256 before = gasleft();
            Inbox.Result[] memory results = door.deliver(batch);
            assertTrue(before - gasleft() < 2_500_000, "bounded");
            assertDelivered(results[0]);
            assertVoided(results[1], i == 0 ? "5.3.0 call reverts" : "5.1.1 recipient refuses payment");
            assertDelivered(results[2]);
        }
    }

    function test_return_bombs_are_not_copied() public {
        address[2] memory bombs = [address(new Bomb(false)), address(new Bomb(true))];
        for (uint64 i = 0; i < 2; i++) {
            Draft memory m = call(i + 1, bombs[i], 0);
            m.gas = 4_000_000;
            vm.prank(gateway);
            uint256 before = gasleft();
            Inbox.Result memory result = door.deliver(only(encode(m)))[0];
            assertTrue(before - gasleft() < 3_000_000, "bounded");
            if (i == 0) assertDelivered(result);
            else assertVoided(result, "5.3.0 call reverts");
            assertTrue(result.detail.length <= 256, "cut");
            assertEq(uint256(deliver(payment(i + 50, 1)).outcome), 1, "goes on");
        }
        Draft memory paid = payment(9, 1);
        paid.recipient = hexText(bombs[0]);
        assertDelivered(deliver(paid));
        paid.sequence = 10;
        paid.recipient = hexText(bombs[1]);
        assertVoided(deliver(paid), "5.1.1 recipient refuses payment");
    }

    /// Memory is paid for by the square; a batch of long messages must not pay for all of it.
    function test_long_messages_do_not_make_the_next_ones_dearer() public {
        Puppet puppet = new Puppet();
        uint256[2] memory spent;
        uint64 sequence;
        for (uint256 round = 0; round < 2; round++) {
            bytes[] memory batch = new bytes[](round == 0 ? 2 : 12);
            for (uint256 i = 0; i < batch.length; i++) {
                Draft memory m = call(++sequence, address(puppet), 0);
                m.data = new bytes(50_000);
                batch[i] = encode(m);
            }
            bytes memory input = abi.encodeCall(door.deliver, (batch));
            vm.prank(gateway);
            address to = address(door);
            uint256 before;
            uint256 later;
            // In place: a call in Solidity copies its input first, and that would be counted.
            assembly ("memory-safe") {
                before := gas()
                pop(call(gas(), to, 0, add(input, 32), mload(input), 0, 0))
                later := gas()
            }
            spent[round] = (before - later) / batch.length;
            for (uint256 i = 0; i < batch.length; i++) assertGuard(idOf(batch[i]), Inbox.Guard.Delivered);
        }
        assertTrue(spent[1] < spent[0] * 5 / 4, string.concat("a message: ", vm.toString(spent[0]), ", in a longer batch ", vm.toString(spent[1])));
    }

    /// The most that a message may ask for is there when it is called.
    function test_the_call_gets_the_gas_it_asks_for() public {
        GasMeter meter = new GasMeter();
        Draft memory m = call(1, address(meter), 0);
        m.gas = 5_000_000;
        for (uint256 gas = 5_000_000; gas < 6_500_000; gas += 25_000) {
            vm.prank(gateway);
            (bool ok,) = address(door).call{gas: gas}(abi.encodeCall(door.deliver, (only(encode(m)))));
            if (ok) break;
        }
        assertTrue(meter.found() > 4_990_000, "all of it");
    }

    // Stolen roles

    /// Closing is a gateway's word too: it frees what messages lock and raises what may come back.
    /// Only the window bounds what enough dishonest gateways take (README, *Whom it trusts*).
    function test_who_may_close_and_deliver_takes_open_messages_too_within_the_window() public {
        vm.prank(owner);
        door.setAccount(THERE, COIN, address(0), TERMS, 0, 7 ether, 1 days);
        vm.prank(alice);
        bytes32 id = door.send{value: 50 ether}(TO, "", 0, 0, 0);
        assertSkipped(deliver(payment(1, 1)), "4.2.1 credit_limit of the source chain is reached");
        close(id);
        assertDelivered(deliver(payment(2, 7 ether)));
        assertSkipped(deliver(payment(3, 1 ether)), "4.2.1 window_max of the source chain is reached");
    }

    // Confused deputies

    function test_own_contracts_precompiles_and_tokens_get_no_messages() public {
        address[9] memory wrong = [
            address(door), address(door.executor()), door.office(), created(2), address(0), address(1), address(9), address(0xffff), address(token)
        ];
        // The door made its office first, then its clerk, then its executor.
        assertTrue(created(1) == door.office() && created(3) == address(door.executor()), "parts");
        assertTrue(created(2).code.length != 0, "clerk");
        for (uint64 i = 0; i < 9; i++) {
            assertSkipped(deliver(call(i + 1, wrong[i], 0)), "5.1.1 recipient is not for messages");
            assertSkipped(deliver(call(i + 1, wrong[i], 5)), "5.1.1 recipient is not for messages");
            assertSkipped(deliver(tokens(i + 1, wrong[i], 5)), "5.1.1 recipient is not for messages");
        }
        assertDelivered(deliver(payment(99, 1)));
    }

    /// The address of a contract that the door created.
    function created(uint8 nonce) private view returns (address) {
        return address(uint160(uint256(keccak256(abi.encodePacked(hex"d694", address(door), nonce)))));
    }

    function test_nobody_else_uses_the_executor() public {
        Executor executor = door.executor();
        vm.expectRevert(Executor.NotInbox.selector);
        executor.run(bob, 100_000, "");
        vm.prank(owner);
        vm.expectRevert(Executor.NotInbox.selector);
        executor.run(address(token), 100_000, abi.encodeCall(Token.transfer, (bob, 1)));
        assertEq(address(executor).balance + token.balanceOf(address(executor)), 0, "it holds nothing");
    }

    function test_nobody_else_performs() public {
        Payer.Payment memory p;
        (p.to, p.amount) = (bob, 1 ether);
        vm.expectRevert(Payer.OnlySelf.selector);
        door.perform(p, "");
        vm.prank(gateway);
        vm.expectRevert(Payer.OnlySelf.selector);
        door.perform(p, "");
    }

    /// A recipient named as a token cannot make the vault call it: accounts name the tokens.
    function test_a_claim_calls_no_token_of_the_callers_choice() public {
        Puppet fake = new Puppet();
        vm.expectRevert(Office.NothingOwed.selector);
        door.claim(address(fake), address(this));
    }

    /// Data that looks like another function is data: the executor only ever calls `onDistpos`.
    function test_data_is_only_data() public {
        Draft memory m = call(1, address(new Selector()), 0);
        m.data = abi.encodeCall(Token.transfer, (bob, 1000));
        assertDelivered(deliver(m));
        assertTrue(
            Selector(payable(address(uint160(uint256(bytes32(bytes20(parse(m.recipient)))) >> 96)))).seen()
                == IRecipient.onDistpos.selector,
            "onDistpos"
        );
    }

    function parse(string memory text) private pure returns (bytes memory) {
        return vm.parseBytes(string.concat("0x", text));
    }

    // Replay

    /// Every field is in the id: the same message with anything changed is another one.
    function test_a_replay_by_any_other_name_is_another_message() public {
        Draft memory m = payment(1, 3);
        assertDelivered(deliver(m));
        bytes32 id = idOf(m);
        m.sourceTag = 0;
        assertTrue(idOf(m) != id, "source tag");
        m.sourceTag = TAG_THERE;
        m.destinationTag = TAG_THERE;
        assertSkipped(deliver(m), "5.7.1 destination tag is of another genesis");
        m.destinationTag = TAG;
        assertOutcome(deliver(m), Inbox.Outcome.PassedOver, "");
        // The same bytes on another chain's contract are not for it.
        door = deploy("feed", TAG, owner);
        vm.prank(owner);
        door.setGateway(gateway, true);
        assertSkipped(deliver(m), "5.7.1 not for this chain");
    }
}

/// Deposits what it was paid, and then will have none of it.
contract Fickle {
    address private immutable door;

    constructor(address door_) {
        door = door_;
    }

    receive() external payable {}

    function onDistpos(bytes32, string calldata, string calldata, string calldata, uint256 amount, bytes calldata)
        external
    {
        Door(door).deposit{value: amount}("b1c2", "e2e4/coin", amount);
        revert();
    }
}

contract GasMeter {
    uint256 public found;

    function onDistpos(bytes32, string calldata, string calldata, string calldata, uint256, bytes calldata) external {
        found = gasleft();
    }
}

contract Selector {
    bytes4 public seen;

    fallback() external payable {
        seen = msg.sig;
    }
}
