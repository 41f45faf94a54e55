// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// What stands at a deposit address from its first forward on. It gives what it has to the contract
/// that created it, and does nothing else; which destination that is for is in the address.
contract Deposit {
    address private immutable vault = msg.sender;

    error NotVault();

    /// Payments after the first forward; those before needed no code.
    receive() external payable {}

    /// Gives `amount` of a token; 0 is the chain's coin. Whether it arrived is for the vault to see.
    function give(address token, uint256 amount) external {
        if (msg.sender != vault) revert NotVault();
        address to = vault;
        assembly ("memory-safe") {
            switch token
            case 0 { pop(call(gas(), to, amount, 0, 0, 0, 0)) }
            default {
                // transfer(address,uint256)
                let start := mload(0x40)
                mstore(start, shl(224, 0xa9059cbb))
                mstore(add(start, 4), to)
                mstore(add(start, 36), amount)
                pop(call(gas(), token, 0, start, 68, 0, 0))
            }
        }
    }
}
