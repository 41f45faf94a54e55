// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IRecipient} from "../Executor.sol";

interface IOutbox {
    function send(string calldata to, bytes calldata data, uint64 gas, uint8 onFail, uint64 expires)
        external
        payable
        returns (bytes32 id);
}

/// A recipient that remembers the last message, and answers it where the data is "answer".
contract Echo is IRecipient {
    address public immutable executor;
    IOutbox public immutable outbox;

    uint256 public count;
    bytes32 public id;
    string public source;
    string public sender;
    string public asset;
    uint256 public amount;
    bytes public data;

    constructor(address executor_, address outbox_) {
        executor = executor_;
        outbox = IOutbox(outbox_);
    }

    receive() external payable {}

    function onDistpos(
        bytes32 id_,
        string calldata source_,
        string calldata sender_,
        string calldata asset_,
        uint256 amount_,
        bytes calldata data_
    ) external {
        require(msg.sender == executor, "not by the executor");
        count++;
        (id, source, sender, asset, amount, data) = (id_, source_, sender_, asset_, amount_, data_);
        if (keccak256(data_) == keccak256("answer")) outbox.send(sender_, "answered", 0, 0, 0);
    }
}
