// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Inbox} from "./Inbox.sol";
import {Outbox} from "./Outbox.sol";
import {Roles} from "./Roles.sol";
import {Vault} from "./Vault.sol";

/// One chain's door to all others: outbox and inbox over one vault, because what was delivered
/// there pays what arrives from there.
contract Distpos is Outbox, Inbox {
    /// `chain`: this chain's id, lower-case hex. `genesisTag`: the first 8 bytes of the hash of the
    /// node's genesis block, which a contract cannot read itself.
    constructor(string memory chain, bytes8 genesisTag, address firstOwner)
        Roles(firstOwner)
        Vault(chain, genesisTag)
    {}
}
