// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Executor, IRecipient} from "./Executor.sol";
import {Delivery, MessageCodec} from "./MessageCodec.sol";
import {Vault} from "./Vault.sol";

/// Where messages arrive. It verifies no proof (the gateways do), but holds the guard: an id is
/// delivered or void at most once, whatever block, batch or gateway it comes from.
abstract contract Inbox is Vault {
    enum Guard {
        None,
        Delivered,
        Void
    }

    /// What became of one item of `deliver`; read by an `eth_call` before anything is sent.
    enum Outcome {
        PassedOver,
        Delivered,
        Voided,
        Skipped
    }

    struct Result {
        Outcome outcome;
        string reason; // "<code> <text>"
        bytes detail; // what the recipient's call reverted with
    }

    uint8 private constant CALL_NONE = 0;
    uint8 private constant CALL_OK = 1;
    uint8 private constant CALL_FAILED = 2;

    /// Most gas one message's call may ask for, so that it fits a block beside its overhead.
    uint256 public constant CALL_GAS_MAX = 5_000_000;
    /// Addresses below this are precompiles, or may become such.
    uint160 private constant PRECOMPILES_END = 0x10000;
    /// Longest reason of a void: a code, a space, and a reply's text.
    uint256 private constant REASON_BYTES_MAX = 212;

    Executor public immutable executor = new Executor();
    mapping(bytes32 => Guard) public guard;

    event Delivered(bytes32 indexed id, string source, string asset, uint256 amount, uint8 call);
    event Voided(bytes32 indexed id, string source, string reason);
    event Skipped(bytes32 indexed id, string reason);

    error InsufficientGas();
    error OnlySelf();
    error Reasons();
    /// Undoes all of one item.
    error Refusal(string reason, bytes detail);

    /// Delivers what is not in the guard yet.
    function deliver(Delivery[] calldata items)
        external
        onlyGateway
        locked
        returns (Result[] memory results)
    {
        results = new Result[](items.length);
        for (uint256 i = 0; i < items.length; i++) results[i] = one(items[i]);
    }

    /// Marks messages void: they will never be delivered. Each needs a reason, "<code> <text>".
    function voidMessages(Delivery[] calldata items, string[] calldata reasons) external onlyGateway locked {
        if (items.length != reasons.length) revert Reasons();
        for (uint256 i = 0; i < items.length; i++) {
            if (bytes(reasons[i]).length > REASON_BYTES_MAX) revert Reasons();
            Delivery memory m = items[i];
            bytes32 id = MessageCodec.id(MessageCodec.encode(m, chainId));
            if (guard[id] != Guard.None) continue;
            guard[id] = Guard.Void;
            emit Voided(id, m.source, reasons[i]);
        }
    }

    /// Payment and call of one item, in a frame of its own, so that both revert together.
    function perform(bytes32 id, Delivery calldata m, address recipient) external returns (uint8) {
        if (msg.sender != address(this)) revert OnlySelf();
        if (m.amount != 0 && !pay(recipient, m.amount)) revert Refusal("5.1.1 recipient refuses payment", "");
        // "0 gas" is how a message says that its data is only a note.
        if (m.data.length == 0 || m.gas == 0) return CALL_NONE;
        (bool ok, bytes memory detail) = (false, bytes(""));
        if (recipient.code.length != 0) {
            string memory sender = string.concat(m.source, "x", m.sender);
            bytes memory input =
                abi.encodeCall(IRecipient.onDistpos, (id, m.source, sender, m.asset, m.amount, m.data));
            (ok, detail) = executor.run(recipient, m.gas, input);
        }
        if (ok) return CALL_OK;
        if (m.onFail == 1) return CALL_FAILED;
        if (recipient.code.length == 0) revert Refusal("5.1.1 recipient is no contract and cannot be called", "");
        revert Refusal("5.3.0 call reverts", detail);
    }

    function one(Delivery memory m) private returns (Result memory) {
        bytes32 id = MessageCodec.id(MessageCodec.encode(m, chainId));
        if (guard[id] != Guard.None) return Result(Outcome.PassedOver, "", "");
        (address recipient, string memory reason) = check(m);
        if (bytes(reason).length != 0) {
            emit Skipped(id, reason);
            return Result(Outcome.Skipped, reason, "");
        }
        // EIP-150 leaves 1/64 at each of three calls; copies of the data cost too.
        if (gasleft() < m.gas + m.gas / 16 + 2 * PAYMENT_GAS + 100_000 + 40 * m.data.length) {
            revert InsufficientGas();
        }
        guard[id] = Guard.Delivered;
        bytes32 book = bookKey(packed(m.source), m.asset);
        if (m.amount != 0) books[book].received += m.amount;
        bytes memory detail;
        try this.perform(id, m, recipient) returns (uint8 call) {
            emit Delivered(id, m.source, m.asset, m.amount, call);
            return Result(Outcome.Delivered, "", "");
        } catch (bytes memory failure) {
            (reason, detail) = refusal(failure);
        }
        guard[id] = Guard.Void;
        if (m.amount != 0) books[book].received -= m.amount;
        emit Voided(id, m.source, reason);
        return Result(Outcome.Voided, reason, detail);
    }

    /// Why an item is not taken now: code and text, empty if it is. Class 4 may pass later.
    function check(Delivery memory m) private view returns (address recipient, string memory reason) {
        if (block.timestamp > m.expires) return (recipient, "5.4.7 expired");
        if (m.destinationTag != tag && (m.destinationTag != 0 || m.amount != 0)) {
            return (recipient, "5.7.1 destination tag is of another genesis");
        }
        if (m.gas > CALL_GAS_MAX) return (recipient, "5.2.3 gas is more than a call may use here");
        bool ok;
        (ok, recipient) = MessageCodec.parseHex(m.recipient);
        if (!ok) return (recipient, "5.1.3 recipient is not 40 hex digits");
        if (
            uint160(recipient) < PRECOMPILES_END || recipient == address(this)
                || recipient == address(executor)
        ) return (recipient, "5.1.1 recipient is not for messages");
        if (m.amount != 0) reason = checkValue(m);
    }

    function checkValue(Delivery memory m) private view returns (string memory) {
        if (bytes(m.source).length > 32) return "5.6.0 source is no chain-id";
        bytes32 source = packed(m.source);
        Peer storage peer = peers[source];
        if (!peer.registered || m.terms.length != 0) return "5.2.1 no account with the source chain";
        if (keccak256(bytes(assets[peer.asset])) != keccak256(bytes(m.asset))) {
            return "5.2.1 another asset than is agreed with the source chain";
        }
        Book storage book = books[bookKey(source, m.asset)];
        if (saturating(book.received, m.amount) > saturating(book.sent, peer.valueMax)) {
            return "5.2.2 value_max of the source chain is passed";
        }
        return m.amount > free() ? "4.2.1 vault is short" : "";
    }

    /// A limit past 2^256 is no limit.
    function saturating(uint256 a, uint256 b) private pure returns (uint256) {
        return b > type(uint256).max - a ? type(uint256).max : a + b;
    }

    /// Reads a `Refusal`; anything else is no verdict on the message but a fault of the call.
    function refusal(bytes memory failure) private pure returns (string memory, bytes memory) {
        if (failure.length < 4 || bytes4(failure) != Refusal.selector) revert InsufficientGas();
        assembly ("memory-safe") {
            let length := sub(mload(failure), 4)
            failure := add(failure, 4)
            mstore(failure, length)
        }
        return abi.decode(failure, (string, bytes));
    }
}
