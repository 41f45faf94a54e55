// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// What a contract implements to be called by messages. It trusts `msg.sender` to be the executor
/// of the inbox it knows; the sum was paid to it just before, by a plain payment or in the token
/// that the asset stands for here.
interface IRecipient {
    /// `sender` is the full address, with its chain: `b1c2x63ea…`. An answer goes to exactly it.
    function onDistpos(
        bytes32 id,
        string calldata source,
        string calldata sender,
        string calldata asset,
        uint256 amount,
        bytes calldata data
    ) external;
}

/// Calls recipients for the inbox. Holds no funds and no roles, so that a message can make it do
/// nothing but `onDistpos`.
contract Executor {
    /// Most bytes of a revert's reason that are looked at.
    uint256 private constant REASON_BYTES_MAX = 256;

    address private immutable inbox = msg.sender;

    error NotInbox();
    /// Less gas is left than the message asks for: the gateway's fault, never the recipient's.
    error Starved();

    function run(address recipient, uint256 gasLimit, bytes calldata input)
        external
        returns (bool ok, bytes memory output)
    {
        if (msg.sender != inbox) revert NotInbox();
        output = new bytes(REASON_BYTES_MAX);
        bytes memory copy = input;
        // EIP-150: a call gets at most 63/64 of what is left; the rest pays for what follows.
        uint256 left = gasleft();
        if (left < 10_000 || left - left / 64 < gasLimit + 10_000) revert Starved();
        assembly ("memory-safe") {
            ok := call(gasLimit, recipient, 0, add(copy, 32), mload(copy), 0, 0)
            let size := returndatasize()
            if gt(size, REASON_BYTES_MAX) { size := REASON_BYTES_MAX }
            returndatacopy(add(output, 32), 0, size)
            mstore(output, size)
        }
    }
}
