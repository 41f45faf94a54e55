// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Inbox} from "../Inbox.sol";
import {Office} from "../Office.sol";
import {Reverter} from "../examples/Reverter.sol";
import {Base, Draft} from "./Base.sol";

/// Two peers keep accounts in one coin: what belongs to one never pays for the other.
contract CoversTest is Base {
    string private constant OTHER = "feed";
    string private constant SHORT = "4.2.1 vault is short";
    uint256 private constant FLOAT = 100 ether;

    function setUp() public override {
        super.setUp();
        vm.startPrank(owner);
        door.setPeer(OTHER, TAG_THERE);
        door.setAccount(THERE, COIN, address(0), TERMS, type(uint256).max, 0, 0);
        door.setAccount(OTHER, COIN, address(0), TERMS, type(uint256).max, 0, 0);
        vm.stopPrank();
    }

    function paymentOf(string memory chain, uint64 sequence, uint256 amount) private view returns (Draft memory m) {
        m = payment(sequence, amount);
        m.source = chain;
    }

    function test_one_peers_credit_never_spends_anothers_deposit() public {
        door.deposit{value: 50 ether}(OTHER, COIN, 50 ether);
        assertEq(door.free(address(0)), FLOAT + 50 ether, "free");
        assertSkipped(deliver(payment(1, FLOAT + 1)), SHORT);
        assertDelivered(deliver(payment(1, FLOAT)));
        assertSkipped(deliver(payment(2, 1)), SHORT);
        assertEq(door.coveredOf(address(0)), 50 ether, "all of the other's");
        assertDelivered(deliver(paymentOf(OTHER, 1, 50 ether)));
        assertSkipped(deliver(paymentOf(OTHER, 2, 1)), SHORT);
        assertEq(address(door).balance, 0, "all is paid");
        assertEq(door.coveredOf(address(0)), 0, "covered");
    }

    /// What was delivered there is the peer's here, as a deposit is.
    function test_nor_what_left_for_another() public {
        vm.startPrank(alice);
        bytes32 id = door.send{value: 30 ether}("feedxabc", "", 0, 0, 0);
        vm.stopPrank();
        assertSkipped(deliver(payment(1, FLOAT + 1)), SHORT);
        close(id);
        assertEq(door.coveredOf(address(0)), 30 ether, "covered");
        assertSkipped(deliver(payment(1, FLOAT + 1)), SHORT);
        assertDelivered(deliver(payment(1, FLOAT)));
        assertDelivered(deliver(paymentOf(OTHER, 1, 30 ether)));
    }

    function test_a_payment_beyond_the_own_cover_takes_float_for_the_rest() public {
        door.deposit{value: 10 ether}(THERE, COIN, 10 ether);
        door.deposit{value: 20 ether}(OTHER, COIN, 20 ether);
        assertSkipped(deliver(payment(1, FLOAT + 10 ether + 1)), SHORT);
        assertDelivered(deliver(payment(1, FLOAT + 10 ether)));
        assertEq(door.coveredOf(address(0)), 20 ether, "the other's");
        assertEq(door.free(address(0)), 20 ether, "nothing else is left");
        // What comes back fills the hole first: it was the community's money.
        vm.prank(alice);
        close(door.send{value: 70 ether}("b1c2xabc", "", 0, 0, 0));
        assertEq(door.coveredOf(address(0)), 20 ether, "still the other's only");
        assertEq(door.free(address(0)), 90 ether, "float again");
    }

    function test_a_second_account_of_one_peer_is_another_cover() public {
        vm.prank(owner);
        door.setAccount(THERE, "b1c2/shell", address(0), TERMS, type(uint256).max, 0, 0);
        door.deposit{value: 5 ether}(THERE, "b1c2/shell", 5 ether);
        assertSkipped(deliver(payment(1, FLOAT + 1)), SHORT);
        Draft memory m = payment(2, FLOAT + 5 ether);
        m.asset = "b1c2/shell";
        assertDelivered(deliver(m));
    }

    /// A settlement cannot promise one peer what belongs to another, nor pay it out.
    function test_settlements_leave_other_covers_alone() public {
        door.deposit{value: 10 ether}(THERE, COIN, 10 ether);
        door.deposit{value: 50 ether}(OTHER, COIN, 50 ether);
        assertDelivered(deliver(payment(1, FLOAT + 10 ether)));
        assertEq(reserveOf(THERE, COIN), 10 ether, "a reserve that is spent");
        vm.startPrank(owner);
        vm.expectRevert(Office.ReserveShort.selector);
        door.settle(THERE, COIN, -1, bob, "given back");
        vm.expectRevert(Office.FloatShort.selector);
        door.settle(OTHER, COIN, 1, address(0), "paid elsewhere");
        vm.stopPrank();
        door.fund{value: 6 ether}();
        vm.deal(bob, 0);
        vm.startPrank(owner);
        vm.expectRevert(Office.ReserveShort.selector);
        door.settle(THERE, COIN, -1, bob, "a gift out of the float");
        vm.expectRevert(Office.FloatShort.selector);
        door.settle(OTHER, COIN, 6 ether + 1, address(0), "paid elsewhere");
        door.settle(OTHER, COIN, -20 ether, bob, "given back");
        vm.stopPrank();
        assertEq(bob.balance, 20 ether, "bob");
        assertEq(door.coveredOf(address(0)), 30 ether, "the other's");
        assertEq(door.free(address(0)), 36 ether, "is there, and the float");
    }

    function test_a_void_gives_the_cover_back() public {
        door.deposit{value: 5}(THERE, COIN, 5);
        Draft memory m = payment(1, 7);
        m.recipient = hexText(address(new Reverter(false)));
        assertVoided(deliver(m), "5.1.1 recipient refuses payment");
        assertEq(door.coveredOf(address(0)), 5, "plain payment");
        m = payment(2, 3);
        (m.recipient, m.data, m.gas) = (hexText(address(new Reverter(true))), "x", 100_000);
        assertVoided(deliver(m), "5.3.0 call reverts");
        assertEq(door.coveredOf(address(0)), 5, "call");
        assertEq(received(THERE, COIN), 0, "book");
    }

    /// In one batch, each item sees what those before it have left.
    function test_a_batch_shares_the_float() public {
        door.deposit{value: 50 ether}(OTHER, COIN, 50 ether);
        bytes[] memory batch = new bytes[](4);
        batch[0] = encode(payment(1, 60 ether));
        batch[1] = encode(payment(2, 40 ether + 1));
        batch[2] = encode(paymentOf(OTHER, 1, 50 ether));
        batch[3] = encode(payment(3, 40 ether));
        vm.prank(gateway);
        Inbox.Result[] memory results = door.deliver(batch);
        assertDelivered(results[0]);
        assertSkipped(results[1], SHORT);
        assertDelivered(results[2]);
        assertDelivered(results[3]);
    }

    /// A vault that has lost money pays nobody at another's cost; funds repair it.
    function test_a_loss_makes_all_wait_until_it_is_funded() public {
        door.deposit{value: 10 ether}(THERE, COIN, 10 ether);
        door.deposit{value: 10 ether}(OTHER, COIN, 10 ether);
        vm.deal(address(door), 19 ether);
        assertSkipped(deliver(payment(1, 10 ether)), SHORT);
        assertSkipped(deliver(paymentOf(OTHER, 1, 1)), SHORT);
        door.fund{value: 1 ether}();
        assertDelivered(deliver(payment(1, 10 ether)));
        assertDelivered(deliver(paymentOf(OTHER, 1, 10 ether)));
    }

    /// Whatever one peer does, the other's deposit is there to the unit.
    function testFuzz_a_deposit_is_safe_from_the_other_peer(uint96 mine, uint64[12] memory sums, uint256 kinds) public {
        vm.deal(address(this), type(uint128).max);
        vm.deal(alice, type(uint128).max);
        if (mine != 0) door.deposit{value: mine}(OTHER, COIN, mine);
        for (uint64 i = 0; i < 12; i++) {
            uint256 sum = uint256(sums[i]) * 8 + 1;
            uint256 kind = (kinds >> (8 * i)) % 5;
            if (kind == 0) door.deposit{value: sum}(THERE, COIN, sum);
            if (kind == 1) {
                vm.prank(alice);
                bytes32 id = door.send{value: sum}("b1c2xabc", "", 0, 0, 0);
                if (sum % 3 == 0) refund(id);
                else close(id);
            }
            if (kind > 2) deliver(payment(i + 1, sum));
            if (kind == 2) {
                int256 change = sum % 2 == 0 ? -int256(sum) : int256(sum);
                bytes memory input =
                    abi.encodeCall(door.settle, (THERE, COIN, change, sum % 4 == 0 ? bob : address(0), "settled"));
                vm.prank(owner);
                // Either way is right here: what it may not do is below.
                (bool ok,) = address(door).call(input);
                ok;
            }
            assertEq(door.coveredOf(address(0)), coverOf(THERE, COIN) + coverOf(OTHER, COIN), "the sum of covers");
            assertTrue(door.free(address(0)) >= door.coveredOf(address(0)), "all covers are there");
        }
        if (mine == 0) return;
        vm.deal(bob, 0);
        assertDelivered(deliver(paymentOf(OTHER, 1, mine)));
        assertEq(bob.balance, mine, "all of it");
    }
}
