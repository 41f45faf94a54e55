// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Token} from "./Token.sol";

/// A token that keeps 1 % of every transfer: less arrives than was sent.
contract ChargingToken is Token {
    function move(address from, address to, uint256 amount) internal override {
        uint256 charge = amount / 100;
        super.move(from, to, amount);
        balanceOf[to] -= charge;
        totalSupply -= charge;
        emit Transfer(to, address(0), charge);
    }
}
