// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Token} from "./Token.sol";

/// A token that returns false where others revert; when frozen it refuses every transfer so.
contract FalseToken is Token {
    bool public frozen;

    function freeze(bool on) external {
        frozen = on;
    }

    function transfer(address to, uint256 amount) external override returns (bool) {
        if (frozen || balanceOf[msg.sender] < amount) return false;
        move(msg.sender, to, amount);
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external override returns (bool) {
        if (frozen || balanceOf[from] < amount || allowance[from][msg.sender] < amount) return false;
        spend(from, amount);
        move(from, to, amount);
        return true;
    }
}
