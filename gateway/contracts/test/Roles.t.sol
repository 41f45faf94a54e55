// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Inbox} from "../Inbox.sol";
import {Office} from "../Office.sol";
import {Outbox} from "../Outbox.sol";
import {Roles} from "../Roles.sol";
import {Vault} from "../Vault.sol";
import {Token} from "../examples/Token.sol";
import {Base, Draft} from "./Base.sol";
import {Puppet} from "./Mocks.sol";

contract RolesTest is Base {
    address private pauser = address(0xA11CE0009);

    function test_strangers_and_gateways_set_nothing_up() public {
        address[3] memory who = [alice, gateway, pauser];
        vm.prank(owner);
        door.setPauser(pauser);
        for (uint256 i = 0; i < 3; i++) {
            vm.startPrank(who[i]);
            vm.expectRevert(Roles.NotOwner.selector);
            door.setOwner(alice);
            vm.expectRevert(Roles.NotOwner.selector);
            door.setGateway(alice, true);
            vm.expectRevert(Roles.NotOwner.selector);
            door.setRequired(1);
            vm.expectRevert(Roles.NotOwner.selector);
            door.setPauser(alice);
            vm.expectRevert(Roles.NotOwner.selector);
            door.setPeer("feed", 0);
            vm.expectRevert(Roles.NotOwner.selector);
            door.setAccount(THERE, COIN, address(0), TERMS, 1, 0, 0);
            vm.expectRevert(Roles.NotOwner.selector);
            door.resume();
            if (who[i] != pauser) {
                vm.expectRevert(Roles.NotPauser.selector);
                door.pause();
            }
            vm.stopPrank();
        }
        vm.prank(owner);
        vm.expectRevert(Roles.NoOwner.selector);
        door.setOwner(address(0));
        vm.prank(owner);
        door.setOwner(alice);
        vm.prank(owner);
        vm.expectRevert(Roles.NotOwner.selector);
        door.setOwner(owner);
    }

    function test_a_contract_needs_a_chain_and_an_owner() public {
        vm.expectRevert(Roles.NoOwner.selector);
        this.make(HERE, address(0));
        string[6] memory wrong = ["", "0", "0e2e4", "E2E4", "e2e4x", "e2e4e2e4e2e4e2e4e2e4e2e4e2e4e2e4e"];
        for (uint256 i = 0; i < 6; i++) {
            vm.expectRevert(Vault.NotAChainId.selector);
            this.make(wrong[i], owner);
        }
        string memory longest = "e2e4e2e4e2e4e2e4e2e4e2e4e2e4e2e4";
        assertEq(this.make(longest, owner), longest);
        assertEq(this.make("f", owner), "f");
        assertTrue(door.tag() == TAG, "tag");
        assertEq(door.chainId(), HERE);
        assertTrue(address(door).code.length <= 24_576, "EIP-170");
    }

    function make(string calldata chain, address first) external returns (string memory) {
        return deploy(chain, TAG, first).chainId();
    }

    function test_peers_and_accounts_are_checked() public {
        vm.startPrank(owner);
        vm.expectRevert(Vault.NotAChainId.selector);
        door.setPeer("FEED", 0);
        vm.expectRevert(Vault.OwnChain.selector);
        door.setPeer(HERE, 0);
        vm.expectRevert(Office.NoPeer.selector);
        door.setAccount("feed", COIN, address(0), TERMS, 1, 0, 0);
        vm.expectRevert(Office.NoPeer.selector);
        door.setAccount("", COIN, address(0), TERMS, 1, 0, 0);
        vm.expectRevert(Office.NotAnAsset.selector);
        door.setAccount(THERE, "coin", address(0), TERMS, 1, 0, 0);
        vm.expectRevert(Office.OtherToken.selector);
        door.setAccount(THERE, COIN, address(0x1234567), TERMS, 1, 0, 0);
        door.setPeer("feed", 0);
        // Nobody opens an account for the own coin in something else.
        vm.expectRevert(Office.OtherToken.selector);
        door.setAccount("feed", COIN, address(0x1234567), TERMS, 1, 0, 0);
        door.setAccount("feed", "feed/gold", address(0x1234567), TERMS, 1, 2, 3);
        vm.expectRevert(Office.OtherToken.selector);
        door.setAccount("feed", "feed/gold", address(0), TERMS, 1, 0, 0);
        vm.expectRevert(Office.OtherToken.selector);
        door.setAccount("feed", "feed/gold", address(0x1234568), TERMS, 1, 0, 0);
        door.setAccount("feed", "feed/gold", address(0x1234567), TERMS, 4, 5, 6);
        vm.stopPrank();
        (bool open, address token, bytes32 terms, uint256 creditLimit, uint256 windowMax, uint64 windowSeconds, uint256 used) =
            door.accountOf("feed", "feed/gold");
        assertTrue(open && token == address(0x1234567) && creditLimit == 4 && windowMax == 5 && terms == TERMS, "account");
        assertTrue(windowSeconds == 6 && used == 0, "window");
        (open,,,,,,) = door.accountOf(THERE, "feed/gold");
        assertTrue(!open, "of another chain");
        (bool registered, bytes8 tag) = door.peerOf(THERE);
        assertTrue(registered && tag == TAG_THERE, "peer");
        (registered,) = door.peerOf("abc");
        assertTrue(!registered, "stranger");
        assertTrue(door.isBacking(address(0x1234567)) && !door.isBacking(address(0)), "backing");
        assertEq(door.assetFor("feed", address(0x1234567)), "feed/gold");
        assertEq(door.assetFor(THERE, address(0x1234567)), "");
        assertEq(door.assetFor("feed", address(0)), COIN);
    }

    function test_the_account_opened_last_names_what_is_sent() public {
        vm.startPrank(owner);
        door.setAccount(THERE, "b1c2/shell", address(0), TERMS, 5, 0, 0);
        assertEq(door.assetFor(THERE, address(0)), "b1c2/shell");
        vm.stopPrank();
        vm.prank(alice);
        bytes32 id = door.send{value: 3}("b1c2xabc", "", 0, 0, 0);
        vm.startPrank(owner);
        door.setAccount(THERE, COIN, address(0), TERMS, 5, 0, 0);
        assertEq(door.assetFor(THERE, address(0)), "b1c2/shell");
        door.setAccount(THERE, COIN, address(0), 0, 5, 0, 0);
        door.setAccount(THERE, COIN, address(0), TERMS, 5, 0, 0);
        vm.stopPrank();
        assertEq(door.assetFor(THERE, address(0)), COIN);
        close(id);
        assertEq(sentSum(THERE, "b1c2/shell"), 3, "booked under the name it was sent in");
        assertEq(sentSum(THERE, COIN), 0, "and no other");
    }

    function test_a_gateway_is_given_its_role_and_loses_it() public {
        assertEq(door.gatewayCount(), 1, "one");
        vm.startPrank(owner);
        door.setGateway(gateway, true);
        assertEq(door.gatewayCount(), 1, "not twice");
        door.setGateway(alice, true);
        door.setGateway(bob, false);
        assertTrue(door.isGateway(alice) && !door.isGateway(bob), "roles");
        assertEq(door.gatewayCount(), 2, "two");
        door.setGateway(gateway, false);
        vm.stopPrank();
        assertEq(door.gatewayCount(), 1, "one again");
        vm.prank(gateway);
        vm.expectRevert(Roles.NotGateway.selector);
        door.deliver(new bytes[](0));
        deliverBy(alice, encode(payment(1, 1)));
    }

    function test_there_are_at_most_255_gateways_ever() public {
        vm.startPrank(owner);
        for (uint160 i = 1; i < 255; i++) door.setGateway(address(0x100000 + i), true);
        assertEq(door.gatewayCount(), 255, "all");
        door.setGateway(address(0x100001), false);
        vm.expectRevert(Roles.TooManyGateways.selector);
        door.setGateway(address(0x200000), true);
        door.setGateway(address(0x100001), true);
        door.setRequired(255);
    }

    function test_paused_nothing_leaves_and_nobody_is_paid_but_refunds_go_on() public {
        Token token = new Token();
        vm.prank(owner);
        door.setAccount(THERE, "e2e4/test", address(token), TERMS, 100, 0, 0);
        token.mint(address(this), 100);
        token.approve(address(door), 100);
        bytes32 id = door.send{value: 5}("b1c2xabc", "", 0, 0, 0);
        bytes32 other = door.send{value: 6}("b1c2xabc", "", 0, 0, 0);
        bytes32 third = door.sendToken(address(token), 7, "b1c2xabc", "", 0, 0, 0);
        assertDelivered(deliver(payment(1, 1)));
        vm.prank(owner);
        door.setPauser(pauser);
        vm.prank(pauser);
        door.pause();
        assertTrue(door.paused(), "paused");
        vm.expectRevert(Roles.IsPaused.selector);
        door.send("b1c2xabc", "", 0, 0, 0);
        vm.expectRevert(Roles.IsPaused.selector);
        door.sendToken(address(token), 1, "b1c2xabc", "", 0, 0, 0);
        vm.recordLogs();
        assertSkipped(deliver(payment(2, 1)), "4.2.1 contract is paused");
        assertEq(vm.getRecordedLogs().length, 0, "no event");
        assertOutcome(deliver(payment(1, 1)), Inbox.Outcome.PassedOver, "");
        assertVoided(voidBy(gateway, encode(payment(3, 1)), "5.7.1 no"), "5.7.1 no");
        close(id);
        uint256 before = address(this).balance;
        refund(other);
        assertEq(address(this).balance, before + 6, "refund");
        refund(third);
        assertEq(token.balanceOf(address(this)), 100, "token refund");
        door.fund{value: 1}();
        door.fundToken(address(token), 1);
        vm.prank(pauser);
        vm.expectRevert(Roles.NotOwner.selector);
        door.resume();
        vm.prank(owner);
        door.resume();
        assertDelivered(deliver(payment(2, 1)));
        door.send("b1c2xabc", "", 0, 0, 0);
        vm.prank(owner);
        door.pause();
        assertTrue(door.paused(), "the owner too");
    }

    function test_debts_are_claimed_when_paused() public {
        Puppet puppet = new Puppet();
        bytes memory input = abi.encodeCall(door.send, ("b1c2xabc", "", 0, 0, 0));
        bytes32 id = abi.decode(puppet.act{value: 9}(address(door), 9, input), (bytes32));
        vm.prank(owner);
        door.pause();
        for (uint256 i = 0; i < 6; i++) puppet.whenPaid(address(door), 0, input);
        refund(id);
        puppet.act(address(door), 0, abi.encodeCall(door.claim, (address(0), bob)));
        assertEq(bob.balance, 9, "bob");
    }
}

/// Two of three: the chain is where gateways meet.
contract ApprovalTest is Base {
    bytes32 private constant APPROVED = keccak256("Approved(bytes32,address,uint8,bytes)");
    string private constant AWAITS = "4.7.1 awaits other gateways";
    address private second = address(0xA11CE0005);
    address private third = address(0xA11CE0006);

    function setUp() public override {
        super.setUp();
        vm.startPrank(owner);
        door.setGateway(second, true);
        door.setGateway(third, true);
        door.setRequired(2);
        vm.stopPrank();
    }

    function test_required_is_between_one_and_all() public {
        vm.startPrank(owner);
        vm.expectRevert(Roles.Required.selector);
        door.setRequired(0);
        vm.expectRevert(Roles.Required.selector);
        door.setRequired(4);
        door.setRequired(3);
        assertEq(door.required(), 3, "three");
        door.setGateway(third, false);
        vm.stopPrank();
        // Below the number, nothing moves until the owner repairs it.
        bytes memory raw = encode(payment(1, 5));
        counted(raw, gateway);
        counted(raw, second);
        assertSkipped(deliverBy(second, raw), AWAITS);
        assertEq(bob.balance, 0, "bob");
        vm.prank(owner);
        door.setRequired(2);
        assertDelivered(deliverBy(second, raw));
    }

    function counted(bytes memory raw, address by) private {
        vm.recordLogs();
        assertOutcome(deliverBy(by, raw), Inbox.Outcome.Approved, "");
        (bool found, bytes32 id, bytes memory data) = logOf(APPROVED);
        (uint8 action, bytes memory message) = abi.decode(data, (uint8, bytes));
        assertTrue(found && id == idOf(raw) && action == 0, "event");
        assertTrue(keccak256(message) == keccak256(raw), "with the whole message");
        assertGuard(id, Inbox.Guard.None);
    }

    function test_the_second_gateway_delivers() public {
        bytes memory raw = encode(payment(1, 5));
        counted(raw, gateway);
        bytes32 id = idOf(raw);
        assertTrue(door.hasApproved(id, Roles.Action.Deliver, gateway), "has");
        assertTrue(!door.hasApproved(id, Roles.Action.Void, gateway), "not this");
        assertTrue(!door.hasApproved(id, Roles.Action.Deliver, second), "nor this one");
        assertTrue(!door.hasApproved(id, Roles.Action.Deliver, alice), "nor a stranger");
        vm.recordLogs();
        assertSkipped(deliver(raw), AWAITS);
        assertEq(vm.getRecordedLogs().length, 0, "repeating changes nothing and says nothing");
        assertEq(bob.balance, 0, "not yet");
        assertDelivered(deliverBy(third, raw));
        assertEq(bob.balance, 5, "once");
        assertOutcome(deliverBy(second, raw), Inbox.Outcome.PassedOver, "");
        assertEq(bob.balance, 5, "still once");
    }

    function test_one_batch_cannot_approve_twice() public {
        bytes[] memory batch = new bytes[](2);
        batch[0] = encode(payment(1, 5));
        batch[1] = batch[0];
        vm.prank(gateway);
        Inbox.Result[] memory results = door.deliver(batch);
        assertOutcome(results[0], Inbox.Outcome.Approved, "");
        assertSkipped(results[1], AWAITS);
    }

    function test_delivering_and_voiding_are_counted_apart() public {
        bytes memory raw = encode(payment(1, 5));
        counted(raw, gateway);
        assertOutcome(voidBy(second, raw, "5.7.1 no"), Inbox.Outcome.Approved, "");
        assertSkipped(voidBy(second, raw, "5.7.1 no"), AWAITS);
        assertGuard(idOf(raw), Inbox.Guard.None);
        assertVoided(voidBy(third, raw, "5.7.1 policy"), "5.7.1 policy");
        assertOutcome(deliverBy(third, raw), Inbox.Outcome.PassedOver, "");
        assertEq(bob.balance, 0, "void is void");
    }

    function test_who_lost_the_role_does_not_count() public {
        bytes memory raw = encode(payment(1, 5));
        counted(raw, third);
        vm.prank(owner);
        door.setGateway(third, false);
        counted(raw, gateway);
        assertSkipped(deliver(raw), AWAITS);
        assertEq(bob.balance, 0, "a removed one and another are not two");
        assertDelivered(deliverBy(second, raw));
    }

    function test_refusals_come_before_counting() public {
        Draft memory m = payment(1, 2000 ether);
        assertSkipped(deliver(m), "4.2.1 credit_limit of the source chain is reached");
        vm.recordLogs();
        vm.prank(owner);
        door.setAccount(THERE, COIN, address(0), TERMS, 3000 ether, 0, 0);
        vm.deal(address(door), 3000 ether);
        counted(encode(m), gateway);
    }

    function test_ends_need_two_as_well() public {
        bytes32 id = door.send{value: 5}("b1c2xabc", "", 0, 0, 0);
        vm.recordLogs();
        close(id);
        (bool found, bytes32 topic, bytes memory data) = logOf(APPROVED);
        (uint8 action, bytes memory message) = abi.decode(data, (uint8, bytes));
        assertTrue(found && topic == id && action == 2 && message.length == 0, "event");
        close(id);
        vm.recordLogs();
        refund(id);
        (, , data) = logOf(APPROVED);
        (action,) = abi.decode(data, (uint8, bytes));
        assertEq(action, 3, "refunds are counted apart");
        (, Outbox.State state,) = door.sent(id);
        assertTrue(state == Outbox.State.Open, "open");
        uint256 before = address(this).balance;
        vm.prank(second);
        door.end(new bytes32[](0), only(id));
        assertEq(address(this).balance, before + 5, "refunded by the second");
        vm.recordLogs();
        vm.prank(third);
        door.end(only(id), new bytes32[](0));
        assertEq(vm.getRecordedLogs().length, 0, "ended once");
        assertEq(sentSum(THERE, COIN), 0, "book");
    }

    function test_one_is_enough_again() public {
        bytes memory raw = encode(payment(1, 5));
        counted(raw, gateway);
        vm.prank(owner);
        door.setRequired(1);
        assertDelivered(deliverBy(second, raw));
    }

    /// One of three is lost for good, and two have approved before two are enough: whoever repeats
    /// its approval ends the message, and is told that it is worth its gas.
    function test_fewer_are_enough_for_what_is_approved_already() public {
        vm.prank(owner);
        door.setRequired(3);
        bytes32 id = door.send{value: 5}("b1c2xabc", "", 0, 0, 0);
        refund(id);
        vm.prank(second);
        door.end(new bytes32[](0), only(id));
        assertTrue(door.hasApproved(id, Roles.Action.Refund, gateway), "a repetition changes nothing");
        vm.prank(owner);
        door.setRequired(2);
        assertTrue(!door.hasApproved(id, Roles.Action.Refund, gateway), "a repetition is enough");
        // Who has no role any more does not count there either.
        vm.prank(owner);
        door.setGateway(second, false);
        assertTrue(door.hasApproved(id, Roles.Action.Refund, gateway), "alone again");
        vm.prank(owner);
        door.setGateway(second, true);
        uint256 before = address(this).balance;
        refund(id);
        assertEq(address(this).balance, before + 5, "refunded");
    }

    /// k distinct active gateways, in whatever order and however often they call.
    function testFuzz_k_of_n(uint8 k, uint8[10] memory calls, uint8 removed) public {
        k = k % 4 + 2;
        address[6] memory all = [gateway, second, third, address(0xA11CE0007), address(0xA11CE0008), address(0xA11CE000A)];
        vm.startPrank(owner);
        for (uint256 i = 3; i < 6; i++) door.setGateway(all[i], true);
        door.setRequired(k);
        vm.stopPrank();
        bytes memory raw = encode(payment(1, 5));
        uint256 gone = removed % 6;
        bool[6] memory seen;
        uint256 count;
        for (uint256 i = 0; i < 10; i++) {
            uint256 who = calls[i] % 6;
            if (i == 5) {
                vm.prank(owner);
                door.setGateway(all[gone], false);
                if (seen[gone] && count < k) count--;
            }
            if (i >= 5 && who == gone) continue;
            if (!seen[who] && count < k) count++;
            seen[who] = true;
            deliverBy(all[who], raw);
            assertEq(bob.balance, count >= k ? 5 : 0, "bob");
        }
    }
}
