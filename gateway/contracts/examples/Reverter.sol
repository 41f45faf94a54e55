// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IRecipient} from "../Executor.sol";

/// A recipient that takes payments unless told otherwise and refuses every call; with the data
/// "burn" it uses up all gas.
contract Reverter is IRecipient {
    bool public immutable takesPayment;

    constructor(bool takesPayment_) {
        takesPayment = takesPayment_;
    }

    receive() external payable {
        require(takesPayment, "no payment");
    }

    function onDistpos(
        bytes32,
        string calldata,
        string calldata,
        string calldata,
        uint256,
        bytes calldata data
    ) external pure {
        if (keccak256(data) == keccak256("burn")) {
            while (true) {}
        }
        revert("not today");
    }

    /// Lets a contract be a sender, whose refund may be refused.
    function call(address to, bytes calldata input) external payable {
        (bool ok,) = to.call{value: msg.value}(input);
        require(ok, "call failed");
    }
}
