// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Distpos} from "../Distpos.sol";
import {Inbox} from "../Inbox.sol";
import {Office} from "../Office.sol";
import {Roles} from "../Roles.sol";
import {Vault} from "../Vault.sol";
import {Token} from "../examples/Token.sol";
import {Base, Draft} from "./Base.sol";
import {Puppet} from "./Mocks.sol";

/// Where everything is that both use, as each of them is compiled.
abstract contract Slots is Vault {
    uint256 internal constant COUNT = 18;

    /// Slot, and offset in it, of one after the other.
    function slots() external pure returns (uint256[COUNT] memory out) {
        assembly ("memory-safe") {
            function put(to, i, slot, offset) {
                mstore(add(to, mul(i, 32)), or(shl(8, slot), offset))
            }
            put(out, 0, owner.slot, owner.offset)
            put(out, 1, gateways.slot, gateways.offset)
            put(out, 2, activeBits.slot, activeBits.offset)
            put(out, 3, pauser.slot, pauser.offset)
            put(out, 4, required.slot, required.offset)
            put(out, 5, indexLast.slot, indexLast.offset)
            put(out, 6, paused.slot, paused.offset)
            put(out, 7, takingIn.slot, takingIn.offset)
            put(out, 8, approvals.slot, approvals.offset)
            put(out, 9, peers.slot, peers.offset)
            put(out, 10, accounts.slot, accounts.offset)
            put(out, 11, held.slot, held.offset)
            put(out, 12, claimable.slot, claimable.offset)
            put(out, 13, isBacking.slot, isBacking.offset)
            put(out, 14, assets.slot, assets.offset)
            put(out, 15, assetIndex.slot, assetIndex.offset)
            put(out, 16, assetLast.slot, assetLast.offset)
            put(out, 17, assetsFor.slot, assetsFor.offset)
        }
    }
}

contract OfficeSlots is Office, Slots {
    constructor() Office("e2e4", 0) {}
}

contract DistposSlots is Distpos, Slots {
    constructor(address first) Distpos("e2e4", 0, first) {}
}

/// The code beside: it works on the door's storage and at no other place.
contract OfficeTest is Base {
    Office private office;

    function setUp() public override {
        super.setUp();
        office = Office(door.office());
    }

    /// `build.js` compares all of the layout, structs too, of what is deployed.
    function test_both_find_the_same_things_at_the_same_places() public {
        uint256[18] memory there = new OfficeSlots().slots();
        uint256[18] memory here = new DistposSlots(owner).slots();
        for (uint256 i = 0; i < 18; i++) assertEq(there[i], here[i], vm.toString(i));
        // Of the deployed one, by what is in the places.
        assertTrue(address(uint160(uint256(vm.load(address(door), bytes32(here[0] >> 8))))) == owner, "owner");
        assertEq(uint256(vm.load(address(door), bytes32(here[16] >> 8))) >> (8 * (here[16] & 255)) & type(uint32).max, 1, "assetLast");
    }

    function test_its_own_storage_is_empty_and_stays_so() public view {
        for (uint256 i = 0; i < 32; i++) {
            assertEq(uint256(vm.load(address(office), bytes32(i))), 0, vm.toString(i));
        }
        assertTrue(office.owner() == address(0) && office.required() == 0, "nobody's");
    }

    /// Called directly, it does nothing for anybody: not for the door's owner, not with money.
    function test_a_direct_call_changes_nothing() public {
        Token token = new Token();
        token.mint(owner, 10);
        vm.deal(owner, 10);
        vm.startPrank(owner);
        token.approve(address(office), 10);
        bytes[] memory calls = new bytes[](14);
        calls[0] = abi.encodeCall(office.setOwner, (alice));
        calls[1] = abi.encodeCall(office.setGateway, (alice, true));
        calls[2] = abi.encodeCall(office.setRequired, (1));
        calls[3] = abi.encodeCall(office.setPauser, (alice));
        calls[4] = abi.encodeCall(office.pause, ());
        calls[5] = abi.encodeCall(office.resume, ());
        calls[6] = abi.encodeCall(office.setPeer, ("feed", 0));
        calls[7] = abi.encodeCall(office.setAccount, (THERE, COIN, address(0), TERMS, 1, 0, 0));
        calls[8] = abi.encodeCall(office.deposit, (THERE, COIN, 1));
        calls[9] = abi.encodeCall(office.settle, (THERE, COIN, 1, address(0), "mine"));
        calls[10] = abi.encodeCall(office.fund, ());
        calls[11] = abi.encodeCall(office.fundToken, (address(token), 5));
        calls[12] = abi.encodeCall(office.claim, (address(0), owner));
        calls[13] = abi.encodeCall(office.claimFor, (owner, address(0)));
        for (uint256 i = 0; i < calls.length; i++) {
            (bool ok,) = address(office).call(calls[i]);
            assertTrue(!ok, vm.toString(i));
            (ok,) = address(office).call{value: 1}(calls[i]);
            assertTrue(!ok, vm.toString(i));
        }
        vm.expectRevert(Office.NotDistpos.selector);
        office.fund{value: 1}();
        vm.expectRevert(Office.NotDistpos.selector);
        office.deposit{value: 1}(THERE, COIN, 1);
        (bool paid,) = address(office).call{value: 1}("");
        assertTrue(!paid, "no plain payment either");
        vm.stopPrank();
        assertEq(address(office).balance + token.balanceOf(address(office)), 0, "it holds nothing");
        assertTrue(door.owner() == owner && !door.paused() && !door.isGateway(alice), "roles");
        assertTrue(!office.paused() && office.owner() == address(0), "nor its own");
    }

    function test_what_neither_knows_reverts() public {
        bytes[4] memory wrong = [bytes(hex"12345678"), hex"1234567890", hex"12", hex"123456"];
        for (uint256 i = 0; i < 4; i++) {
            (bool ok, bytes memory answer) = address(door).call(wrong[i]);
            assertTrue(!ok && answer.length == 0, "unknown");
            (ok,) = address(door).call{value: 1}(wrong[i]);
            assertTrue(!ok, "with money");
        }
        assertEq(address(door).balance, 100 ether, "nothing came");
    }

    function test_a_plain_payment_is_refused_as_ever() public {
        (bool ok, bytes memory answer) = address(door).call{value: 1}("");
        assertTrue(!ok && bytes4(answer) == Distpos.PlainPayment.selector, "names no recipient");
        // A forwarded deposit pays so, and arrives.
        vm.deal(door.depositAddress("b1c2xabc", alice), 5);
        door.forwardDeposit("b1c2xabc", alice, address(0));
        assertEq(door.openEscrow(address(0)), 5, "arrived");
    }

    /// Money with a call that takes none is refused where that call is.
    function test_only_what_takes_money_takes_it() public {
        vm.deal(owner, 10);
        vm.startPrank(owner);
        bytes[4] memory calls = [
            abi.encodeCall(door.setRequired, (1)),
            abi.encodeCall(door.setPauser, (alice)),
            abi.encodeCall(door.settle, (THERE, COIN, 1, address(0), "mine")),
            abi.encodeCall(door.free, (address(0)))
        ];
        for (uint256 i = 0; i < 4; i++) {
            (bool ok,) = address(door).call{value: 1}(calls[i]);
            assertTrue(!ok, vm.toString(i));
        }
        vm.stopPrank();
        assertEq(owner.balance, 10, "kept");
    }

    /// Errors and answers come through as they are, and the caller is who called the door.
    function test_errors_answers_and_callers_come_through() public {
        vm.prank(alice);
        vm.expectRevert(Roles.NotOwner.selector);
        door.setOwner(alice);
        vm.prank(owner);
        door.setOwner(alice);
        vm.prank(alice);
        door.setPauser(bob);
        assertTrue(door.owner() == alice && door.pauser() == bob, "done");
        assertEq(door.chainId(), HERE);
    }

    /// The locks are one: what runs in the office keeps out what runs in the door, and back.
    function test_both_share_their_locks() public {
        Puppet puppet = new Puppet();
        vm.prank(owner);
        door.setGateway(address(puppet), true);
        door.deposit{value: 5}(THERE, COIN, 5);
        puppet.whenPaid(address(door), 0, abi.encodeCall(door.deliver, (only(encode(payment(1, 1))))));
        vm.startPrank(owner);
        door.settle(THERE, COIN, -5, address(puppet), "given back");
        door.setOwner(address(puppet));
        vm.stopPrank();
        puppet.whenCalled(address(door), 0, abi.encodeCall(door.settle, (THERE, COIN, 1, address(0), "mine")));
        Draft memory m = note(2);
        (m.recipient, m.data, m.gas) = (hexText(address(puppet)), "x", 2_000_000);
        assertDelivered(deliver(m));
        for (uint256 i = 0; i < 2; i++) {
            assertTrue(!puppet.worked(i), "refused");
            assertTrue(bytes4(puppet.answers(i)) == Roles.Reentered.selector, "by the lock");
        }
        assertGuard(idOf(payment(1, 1)), Inbox.Guard.None);
    }
}
