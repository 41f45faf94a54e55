// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Inbox} from "../Inbox.sol";
import {Base, Draft} from "./Base.sol";

contract SmokeTest is Base {
    function test_smoke() public {
        Draft memory m = payment(1, 5 ether);
        bytes memory raw = encode(m);
        assertDelivered(deliver(m));
        assertEq(bob.balance, 5 ether, "bob");
        uint256 before = gasleft();
        m.sequence = 2;
        deliver(m);
        vm.prank(alice);
        before = gasleft();
        bytes32 id = door.send{value: 3 ether}("b1c2xcosmos1qypq", "hello", 100000, 1, 0);
        assertEq(before - gasleft(), 0, "gas");
    }
}
