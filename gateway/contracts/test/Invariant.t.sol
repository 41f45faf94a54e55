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
    /// Two peers, each with an account in each token.
    string[2] private chains = [THERE, "feed"];
    string[2] private to = ["b1c2xcosmos1qypq", "feedxcosmos1qypq"];
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
    // Of each peer and token: figures, and the terms, which change.
    mapping(uint256 => mapping(uint256 => uint256)) public pending;
    mapping(uint256 => mapping(uint256 => uint256)) public received_;
    mapping(uint256 => mapping(uint256 => uint256)) public sent_;
    mapping(uint256 => mapping(uint256 => uint256)) public reserve_;
    mapping(uint256 => mapping(uint256 => bytes32)) private terms;

    bytes32[] private outgoing;
    mapping(bytes32 => uint256) private kind;
    mapping(bytes32 => uint256) private peerOf;
    bytes[] private incoming;
    mapping(bytes32 => uint256) private incomingKind;
    mapping(bytes32 => uint256) private incomingPeer;
    mapping(bytes32 => bytes32) private incomingTerms;
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
        door.setPeer(chains[1], TAG_THERE);
        for (uint256 i = 0; i < 6; i++) {
            terms[i / 3][i % 3] = TERMS;
            door.setAccount(chains[i / 3], assets[i % 3], tokens[i % 3], TERMS, 60 ether, 30 ether, 3600);
        }
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

    function send(uint256 peer, uint256 t, uint256 amount, bool refusesRefund) external {
        (peer, t) = (peer % 2, t % 3);
        amount = amount % 3 ether + 1;
        if (door.paused() || frozen(t)) return;
        bytes32 id;
        if (t == 0 && refusesRefund) {
            uint256 before = wallet_().balance;
            wallet.call{value: amount}(address(door), abi.encodeCall(door.send, (to[peer], "", 0, 0, 0)));
            assertEq(wallet_().balance, before, "the wallet passes on what it gets");
            id = lastSent(peer);
        } else if (t == 0) {
            vm.prank(alice);
            id = door.send{value: amount}(to[peer], "", 0, 0, 0);
        } else {
            if (Token(tokens[t]).balanceOf(alice) < amount) return;
            vm.prank(alice);
            id = door.sendToken(tokens[t], amount, to[peer], "", 0, 0, 0);
        }
        left(id, peer, t, amount);
    }

    function forward(uint256 peer, uint256 t, uint256 amount, bool byBob) external {
        (peer, t) = (peer % 2, t % 3);
        amount = amount % 1 ether + 1;
        if (door.paused() || frozen(t)) return;
        address sender = byBob ? bob : alice;
        address place = door.depositAddress(to[peer], sender);
        if (t == 0) vm.deal(place, amount);
        else Token(tokens[t]).mint(place, amount);
        left(door.forwardDeposit(to[peer], sender, tokens[t]), peer, t, amount);
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

    /// A deposit by alice, to the reserve of a peer.
    function deposit(uint256 peer, uint256 t, uint256 amount) external {
        (peer, t) = (peer % 2, t % 3);
        amount = amount % 8 ether + 1;
        if (frozen(t) || terms[peer][t] == 0) return;
        if (t != 0 && Token(tokens[t]).balanceOf(alice) < amount) return;
        vm.prank(alice);
        door.deposit{value: t == 0 ? amount : 0}(chains[peer], assets[t], amount);
        reserve_[peer][t] += amount;
        came[t] += amount;
    }

    /// A settlement, which may be refused; then nothing has changed.
    function settle(uint256 peer, uint256 t, int256 change, bool pays) external {
        (peer, t) = (peer % 2, t % 3);
        change %= 20 ether;
        address payee = pays && change < 0 ? bob : address(0);
        bytes memory input = abi.encodeCall(door.settle, (chains[peer], assets[t], change, payee, "settled"));
        uint256 cover = coverOf(chains[peer], assets[t]);
        vm.prank(owner);
        (bool ok,) = address(door).call(input);
        uint256 amount = uint256(change < 0 ? -change : change);
        if (change < 0) assertTrue(!ok || amount <= reserve_[peer][t], "no more than the reserve");
        // What is always possible.
        bool may = change < 0 && amount <= reserve_[peer][t] && !pays;
        assertTrue(ok || !may, "a reserve becomes float");
        if (!ok) return;
        if (change > 0) reserve_[peer][t] += amount;
        else reserve_[peer][t] -= amount;
        assertTrue(payee == address(0) || amount <= cover, "no more than is left of it");
        if (payee != address(0)) went[t] += amount;
    }

    /// New terms, or none; the messages on their way have the old ones.
    function agree(uint256 peer, uint256 t, uint8 how) external {
        (peer, t) = (peer % 2, t % 3);
        terms[peer][t] = how % 4 == 0 ? bytes32(0) : keccak256(abi.encode(how % 2));
        vm.prank(owner);
        door.setAccount(chains[peer], assets[t], tokens[t], terms[peer][t], uint256(how) * 1 ether, 0, 0);
    }

    function arrive(uint256 peer, uint256 t, uint256 amount, uint8 whom, uint8 call, uint8 by) external {
        (peer, t) = (peer % 2, t % 3);
        Draft memory m = amount % 5 == 0 ? note(++sequence) : payment(++sequence, amount % 4 ether + 1);
        m.source = chains[peer];
        if (m.amount != 0) {
            m.asset = assets[t];
            m.terms = terms[peer][t] == 0 ? bytes("") : abi.encodePacked(terms[peer][t]);
        }
        m.recipient = hexText(recipients[whom % 4]);
        if (call % 3 != 0) (m.data, m.gas, m.onFail) = ("call", 100_000, call % 3 - 1);
        m.expires = uint64(block.timestamp + 1 days);
        bytes memory raw = encode(m);
        incoming.push(raw);
        (incomingKind[idOf(raw)], incomingAmount[idOf(raw)]) = (t, m.amount);
        (incomingPeer[idOf(raw)], incomingTerms[idOf(raw)]) = (peer, terms[peer][t]);
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
        pending[peerOf[id]][t] -= amount;
        if (later == Outbox.State.Closed) {
            sent_[peerOf[id]][t] += amount;
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
        else if (what % 8 == 6) limit(number % 2, number % 3, number);
        vm.stopPrank();
        if (what % 8 == 4 && door.required() > door.gatewayCount()) {
            vm.prank(owner);
            door.setRequired(1);
        }
        vm.warp(block.timestamp + uint256(number) * 10);
    }

    function limit(uint256 peer, uint256 t, uint8 number) private {
        bytes32 same_ = terms[peer][t];
        door.setAccount(chains[peer], assets[t], tokens[t], same_, uint256(number) * 1 ether, 30 ether, uint64(number) * 60);
    }

    function delivering(bytes memory raw, uint8 by) private {
        bytes32 id = idOf(raw);
        (uint256 peer, uint256 t) = (incomingPeer[id], incomingKind[id]);
        (, address token,, uint256 creditLimit,,,) = door.accountOf(chains[peer], assets[t]);
        uint256 otherCover = coverOf(chains[1 - peer], assets[t]);
        Inbox.Outcome outcome = deliverBy(active(by), raw).outcome;
        count(id, outcome);
        if (outcome != Inbox.Outcome.Delivered || incomingAmount[id] == 0) return;
        assertTrue(incomingTerms[id] != 0 && incomingTerms[id] == terms[peer][t], "under the account's terms");
        (uint256 reserve, uint256 arrived, uint256 left_,) = door.bookOf(chains[peer], assets[t]);
        assertTrue(arrived <= creditLimit + left_ + reserve, "within credit");
        assertEq(coverOf(chains[1 - peer], assets[t]), otherCover, "the other's cover");
        assertTrue(door.free(token) >= otherCover, "is there");
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
        received_[incomingPeer[id]][incomingKind[id]] += incomingAmount[id];
    }

    function left(bytes32 id, uint256 peer, uint256 t, uint256 amount) private {
        outgoing.push(id);
        (kind[id], peerOf[id]) = (t, peer);
        pending[peer][t] += amount;
        came[t] += amount;
        open[t] += amount;
    }

    function wallet_() private view returns (address) {
        return address(wallet);
    }

    /// The id of the message that the wallet has just sent: made anew, for the wallet keeps none.
    function lastSent(uint256 peer) private view returns (bytes32 id) {
        Draft memory m;
        (m.source, m.sourceTag, m.destination, m.destinationTag) = (HERE, TAG, chains[peer], TAG_THERE);
        (m.outbox, m.sequence) = (abi.encodePacked(address(door)), door.sequenceOf(chains[peer]));
        (m.sender, m.recipient) = (hexText(address(wallet)), "cosmos1qypq");
        m.asset = COIN;
        m.terms = terms[peer][0] == 0 ? bytes("") : abi.encodePacked(terms[peer][0]);
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
            uint256 covers;
            for (uint256 peer = 0; peer < 2; peer++) {
                (uint256 reserve, uint256 arrived, uint256 left_, uint256 pending_) =
                    door.bookOf(chains[peer], assets[t]);
                assertEq(reserve, reserve_[peer][t], "book: reserve");
                assertEq(arrived, received_[peer][t], "book: received");
                assertEq(left_, sent_[peer][t], "book: sent");
                assertEq(pending_, pending[peer][t], "book: pending");
                covers += coverOf(chains[peer], assets[t]);
            }
            assertEq(door.coveredOf(token), covers, "covered is the sum of covers");
            assertTrue(door.free(token) >= covers, "and is there");
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
        bytes4[] memory selectors = new bytes4[](16);
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
        (selectors[12], selectors[13]) = (World.deposit.selector, World.settle.selector);
        (selectors[14], selectors[15]) = (World.agree.selector, World.arrive.selector);
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
