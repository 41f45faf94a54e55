// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Inbox} from "./Inbox.sol";
import {Office} from "./Office.sol";
import {Outbox} from "./Outbox.sol";
import {Payer} from "./Payer.sol";
import {Vault} from "./Vault.sol";

/// One chain's door to all others: outbox and inbox over one vault, because what was delivered
/// there pays what arrives from there. What messages do not pass is in `Office`.
contract Distpos is Outbox, Inbox {
    error PlainPayment();

    /// `chain`: this chain's id, lower-case hex. `genesisTag`: the first 8 bytes of the hash of the
    /// node's genesis block, which a contract cannot read itself.
    constructor(string memory chain, bytes8 genesisTag, address firstOwner)
        Vault(chain, genesisTag)
        Payer(address(new Office(chain, genesisTag)))
    {
        if (firstOwner == address(0)) revert NoOwner();
        owner = firstOwner;
        required = 1;
        string memory coin = string.concat(chain, "/coin");
        assets[COIN] = coin;
        assetIndex[keccak256(bytes(coin))] = COIN;
        assetLast = COIN;
        emit OwnerSet(firstOwner);
    }

    /// A plain payment names no recipient: it would be lost. Only a deposit that is being forwarded
    /// pays so.
    receive() external payable {
        if (!takingIn) revert PlainPayment();
    }

    /// The rest of this contract's code, at an address that was fixed when it was created.
    fallback() external payable {
        address code = office;
        // "memory-safe", though nothing follows: without it the compiler does worse everywhere.
        assembly ("memory-safe") {
            let start := mload(0x40)
            calldatacopy(start, 0, calldatasize())
            let ok := delegatecall(gas(), code, start, calldatasize(), 0, 0)
            returndatacopy(start, 0, returndatasize())
            if iszero(ok) { revert(start, returndatasize()) }
            return(start, returndatasize())
        }
    }
}
