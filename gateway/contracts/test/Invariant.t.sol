// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Inbox} from "../Inbox.sol";
import {Outbox} from "../Outbox.sol";
import {FalseToken} from "../examples/FalseToken.sol";
import {NoReturnToken} from "../examples/NoReturnToken.sol";
import {Reverter} from "../examples/Reverter.sol";
import {Token} from "../examples/Token.sol";
import {Base, Draft} from "./Base.sol";

/// Does what users, gateways, operators and recipients may do, in any order, and keeps its own
/// accounts of it. Three gateways, of which `required` must agree.
contract World is Base {
    string private constant TO = "b1c2xcosmos1qypq";
    /// The coin, a token that can be frozen, and one that returns nothing.
    address[3] public tokens;
    string[3] public assets = [COIN, "e2e4/false", "b1c2/none"];
    address[3] private gateways;
    address[4] private recipients;

    // What came in and went out of the vault, by token.
    mapping(uint256 => uint256) public came;
    mapping(uint256 => uint256) public went;
    // What should be in the books.
    mapping(uint256 => uint256) public open;
    mapping(uint256 => uint256) public debts;
    mapping(uint256 => uint256) public received_;
    mapping(uint256 => uint256) public sent_;

    bytes32[] private outgoing;
    mapping(bytes32 => uint256) private kind;
    bytes[] private incoming;
    mapping(bytes32 => uint256) private incomingKind;
    mapping(bytes32 => uint256) private incomingAmount;
    mapping(bytes32 => uint256) public ends;
    bytes32[] public ended;
    uint64 private sequence;
    Reverter private wallet = new Reverter(false);

    function setUp() public override {
        super.setUp();
        tokens = [address(0), address(new FalseToken()), address(new NoReturnToken())];
        gateways = [gateway, address(0xA11CE0005), address(0xA11CE0006)];
        recipients = [bob, alice, address(wallet), address(new Reverter(true))];
        came[0] = 100 ether;
        vm.startPrank(owner);
        for (uint256 i = 1; i < 3; i++) door.setGateway(gateways[i], true);
        for (uint256 i = 0; i < 3; i++) door.setAccount(THERE, assets[i], tokens[i], TERMS, 60 ether, 30 ether, 3600);
        vm.stopPrank();
        vm.deal(address(wallet), 1000 ether);
        for (uint256 i = 1; i < 3; i++) {
            Token(tokens[i]).mint(alice, 1000 ether);
            vm.prank(alice);
            (bool ok,) = tokens[i].call(abi.encodeCall(Token.approve, (address(door), 1000 ether)));
            assertTrue(ok, "approved");
        }
    }

    function frozen(uint256 t) private view returns (bool) {
        return t == 1 && FalseToken(tokens[1]).frozen();
    }

    function send(uint256 t, uint256 amount, bool refusesRefund) external {
        t %= 3;
        amount = amount % 3 ether + 1;
        if (door.paused() || frozen(t)) return;
        bytes32 id;
        if (t == 0 && refusesRefund) {
            uint256 before = wallet_().balance;
            wallet.call{value: amount}(address(door), abi.encodeCall(door.send, (TO, "", 0, 0, 0)));
            assertEq(wallet_().balance, before, "the wallet passes on what it gets");
            id = lastSent();
        } else if (t == 0) {
            vm.prank(alice);
            id = door.send{value: amount}(TO, "", 0, 0, 0);
        } else {
            if (Token(tokens[t]).balanceOf(alice) < amount) return;
            vm.prank(alice);
            id = door.sendToken(tokens[t], amount, TO, "", 0, 0, 0);
        }
        left(id, t, amount);
    }

    function forward(uint256 t, uint256 amount, bool byBob) external {
        t %= 3;
        amount = amount % 1 ether + 1;
        if (door.paused() || frozen(t)) return;
        address sender = byBob ? bob : alice;
        address place = door.depositAddress(TO, sender);
        if (t == 0) vm.deal(place, amount);
        else Token(tokens[t]).mint(place, amount);
        left(door.forwardDeposit(TO, sender, tokens[t]), t, amount);
    }

    function fund(uint256 t, uint256 amount) external {
        t %= 3;
        amount = amount % 1 ether + 1;
        if (frozen(t)) return;
        if (t == 0) {
            door.fund{value: amount}();
        } else {
            if (Token(tokens[t]).balanceOf(alice) < amount) return;
            vm.prank(alice);
            door.fundToken(tokens[t], amount);
        }
        came[t] += amount;
    }

    function arrive(uint256 t, uint256 amount, uint8 to, uint8 call, uint8 by) external {
        t %= 3;
        Draft memory m = amount % 5 == 0 ? note(++sequence) : payment(++sequence, amount % 4 ether + 1);
        if (m.amount != 0) m.asset = assets[t];
        m.recipient = hexText(recipients[to % 4]);
        if (call % 3 != 0) (m.data, m.gas, m.onFail) = ("call", 100_000, call % 3 - 1);
        m.expires = uint64(block.timestamp + 1 days);
        bytes memory raw = encode(m);
        incoming.push(raw);
        (incomingKind[idOf(raw)], incomingAmount[idOf(raw)]) = (t, m.amount);
        delivering(raw, by);
    }

    function again(uint256 which, uint8 by) external {
        if (incoming.length == 0) return;
        delivering(incoming[which % incoming.length], by);
    }

    function voiding(uint256 which, uint8 by) external {
        if (incoming.length == 0) return;
        bytes memory raw = incoming[which % incoming.length];
        count(idOf(raw), voidBy(active(by), raw, "5.7.1 policy").outcome);
    }

    function end(uint256 which, bool refunds, uint8 by) external {
        if (outgoing.length == 0) return;
        bytes32 id = outgoing[which % outgoing.length];
        (address sender, Outbox.State before, uint256 amount) = door.sent(id);
        uint256 t = kind[id];
        uint256 debt = door.claimable(sender, tokens[t]);
        vm.prank(active(by));
        if (refunds) door.end(new bytes32[](0), only(id));
        else door.end(only(id), new bytes32[](0));
        (, Outbox.State later,) = door.sent(id);
        if (before == later) return;
        assertTrue(before == Outbox.State.Open, "what has ended stays so");
        ended.push(id);
        ends[id]++;
        open[t] -= amount;
        if (later == Outbox.State.Closed) {
            sent_[t] += amount;
            return;
        }
        uint256 owed = door.claimable(sender, tokens[t]) - debt;
        assertTrue(owed == 0 || owed == amount, "paid, or owed as a whole");
        debts[t] += owed;
        went[t] += amount - owed;
    }

    function claim(uint256 t) external {
        t %= 3;
        if (frozen(t)) return;
        address[2] memory who = [alice, address(wallet)];
        for (uint256 i = 0; i < 2; i++) {
            uint256 debt = door.claimable(who[i], tokens[t]);
            if (debt == 0) continue;
            vm.prank(who[i]);
            door.claim(tokens[t], alice);
            debts[t] -= debt;
            went[t] += debt;
        }
    }

    function operate(uint8 what, uint8 number) external {
        vm.startPrank(owner);
        if (what % 8 == 0) door.pause();
        else if (what % 8 < 3) door.resume();
        else if (what % 8 == 3) door.setRequired(number % uint8(door.gatewayCount()) + 1);
        else if (what % 8 == 4) door.setGateway(gateways[number % 2 + 1], number % 3 != 0);
        else if (what % 8 == 5) FalseToken(tokens[1]).freeze(number % 2 == 0);
        else if (what % 8 == 6) door.setAccount(THERE, assets[number % 3], tokens[number % 3], TERMS, uint256(number) * 1 ether, 30 ether, uint64(number) * 60);
        vm.stopPrank();
        if (what % 8 == 4 && door.required() > door.gatewayCount()) {
            vm.prank(owner);
            door.setRequired(1);
        }
        vm.warp(block.timestamp + uint256(number) * 10);
    }

    function delivering(bytes memory raw, uint8 by) private {
        count(idOf(raw), deliverBy(active(by), raw).outcome);
    }

    function active(uint8 by) private view returns (address) {
        return door.isGateway(gateways[by % 3]) ? gateways[by % 3] : gateway;
    }

    function count(bytes32 id, Inbox.Outcome outcome) private {
        if (outcome != Inbox.Outcome.Delivered && outcome != Inbox.Outcome.Voided) return;
        ended.push(id);
        ends[id]++;
        if (outcome == Inbox.Outcome.Voided) return;
        went[incomingKind[id]] += incomingAmount[id];
        received_[incomingKind[id]] += incomingAmount[id];
    }

    function left(bytes32 id, uint256 t, uint256 amount) private {
        outgoing.push(id);
        kind[id] = t;
        came[t] += amount;
        open[t] += amount;
    }

    function wallet_() private view returns (address) {
        return address(wallet);
    }

    /// The id of the message that the wallet has just sent: made anew, for the wallet keeps none.
    function lastSent() private view returns (bytes32 id) {
        Draft memory m;
        (m.source, m.sourceTag, m.destination, m.destinationTag) = (HERE, TAG, THERE, TAG_THERE);
        (m.outbox, m.sequence) = (abi.encodePacked(address(door)), door.sequenceOf(THERE));
        (m.sender, m.recipient) = (hexText(address(wallet)), "cosmos1qypq");
        (m.asset, m.terms) = (COIN, abi.encodePacked(TERMS));
        m.expires = uint64(block.timestamp + 1 days);
        m.amount = door.openEscrow(address(0)) - open[0];
        return idOf(m);
    }

    // Read by the invariants.

    function endings() external view returns (uint256) {
        return ended.length;
    }

    function check() external view {
        for (uint256 t = 0; t < 3; t++) {
            address token = tokens[t];
            uint256 balance = t == 0 ? address(door).balance : Token(token).balanceOf(address(door));
            assertEq(balance, came[t] - went[t], "value in is value out and held");
            assertEq(door.openEscrow(token), open[t], "escrow is what is open");
            assertEq(door.owed(token), debts[t], "owed is what is claimable");
            assertTrue(open[t] + debts[t] <= balance, "escrow and debts are covered");
            assertEq(door.free(token), balance - open[t] - debts[t], "the rest is free");
            assertEq(received(THERE, assets[t]), received_[t], "book: received");
            assertEq(sentSum(THERE, assets[t]), sent_[t], "book: sent");
        }
        for (uint256 i = 0; i < ended.length; i++) assertEq(ends[ended[i]], 1, "each id ends once");
        Token coin = Token(address(door.executor()));
        assertEq(address(coin).balance, 0, "the executor holds nothing");
    }
}

contract InvariantTest {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    bool public constant IS_TEST = true;
    World private world;

    function setUp() public {
        world = new World();
        world.setUp();
    }

    /// What forge may call.
    function targetSelectors() external view returns (FuzzSelector[] memory all) {
        bytes4[] memory selectors = new bytes4[](12);
        selectors[0] = World.send.selector;
        selectors[1] = World.forward.selector;
        selectors[2] = World.fund.selector;
        selectors[3] = World.arrive.selector;
        selectors[4] = World.again.selector;
        selectors[5] = World.voiding.selector;
        selectors[6] = World.end.selector;
        selectors[7] = World.claim.selector;
        selectors[8] = World.operate.selector;
        // More of what moves money.
        (selectors[9], selectors[10], selectors[11]) = (World.send.selector, World.arrive.selector, World.end.selector);
        all = new FuzzSelector[](1);
        all[0] = FuzzSelector(address(world), selectors);
    }

    function targetContracts() external view returns (address[] memory all) {
        all = new address[](1);
        all[0] = address(world);
    }

    function invariant_money_and_ends() external view {
        world.check();
    }
}
