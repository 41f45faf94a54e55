// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Delivery, MessageCodec} from "./MessageCodec.sol";
import {Vault} from "./Vault.sol";

/// Where messages leave: locks their value until they are closed or refunded.
abstract contract Outbox is Vault {
    enum State {
        None,
        Open,
        Closed,
        Refunded
    }

    struct Sent_ {
        address sender;
        State state;
        uint32 asset;
        uint256 amount;
        bytes32 destination;
    }

    uint256 public constant DATA_BYTES_MAX = 64 * 1024;
    uint256 public constant EXPIRES_AFTER_MAX = 5 days;
    uint256 public constant EXPIRES_AFTER_DEFAULT = 24 hours;

    /// Every message that ever left, by its id; never deleted.
    mapping(bytes32 => Sent_) public sent;
    /// The last number given, for each destination.
    mapping(bytes32 => uint64) private sequences;

    /// A message left. `message` is its one encoding.
    event Sent(bytes32 indexed id, bytes message);
    /// It was delivered; its refund is impossible from now on.
    event Closed(bytes32 indexed id, string destination, string asset, uint256 amount);
    /// Its recorded sender got the recorded sum back.
    event Refunded(bytes32 indexed id);

    error NotAnAddress();
    error OwnChain();
    error DataTooLong();
    error NotOnFail();
    error Expires();

    /// Sends a message and the value that comes with the call to `to`, an address with the chain in
    /// it: `e2e4x63ea…`. `expires` 0 means in 24 hours.
    function send(string calldata to, bytes calldata data, uint64 gas, uint8 onFail, uint64 expires)
        external
        payable
        returns (bytes32 id)
    {
        if (data.length > DATA_BYTES_MAX) revert DataTooLong();
        if (onFail > 1) revert NotOnFail();
        if (expires == 0) expires = uint64(block.timestamp + EXPIRES_AFTER_DEFAULT);
        if (expires <= block.timestamp || expires > block.timestamp + EXPIRES_AFTER_MAX) revert Expires();
        Delivery memory m;
        string memory destination;
        (destination, m.recipient) = split(to);
        bytes32 key = packed(destination);
        if (key == packed(chainId)) revert OwnChain();
        Peer storage peer = peers[key];
        m.source = chainId;
        m.sourceTag = tag;
        m.destinationTag = peer.tag;
        m.outbox = abi.encodePacked(address(this));
        m.sequence = ++sequences[key];
        m.sender = MessageCodec.hexOf(msg.sender);
        if (msg.value != 0) {
            m.asset = assets[peer.asset];
            m.amount = msg.value;
        }
        m.data = data;
        m.gas = gas;
        m.onFail = onFail;
        m.expires = expires;
        bytes memory message = MessageCodec.encode(m, destination);
        id = MessageCodec.id(message);
        sent[id] = Sent_(msg.sender, State.Open, peer.asset, msg.value, key);
        openEscrow += msg.value;
        emit Sent(id, message);
    }

    /// Ends messages by their receipts: closes those that were delivered, refunds those that were
    /// refused. What is not open is passed over, because two gateways may race.
    function end(bytes32[] calldata closed, bytes32[] calldata refunded) external onlyGateway locked {
        for (uint256 i = 0; i < closed.length; i++) close(closed[i]);
        for (uint256 i = 0; i < refunded.length; i++) refund(refunded[i]);
    }

    /// Messages sent to a chain so far.
    function sequenceOf(string calldata chain) external view returns (uint64) {
        return sequences[packed(chain)];
    }

    function close(bytes32 id) private {
        Sent_ storage entry = sent[id];
        if (entry.state != State.Open) return;
        entry.state = State.Closed;
        string memory asset = "";
        if (entry.amount != 0) {
            asset = assets[entry.asset];
            openEscrow -= entry.amount;
            books[bookKey(entry.destination, asset)].sent += entry.amount;
        }
        emit Closed(id, unpacked(entry.destination), asset, entry.amount);
    }

    function refund(bytes32 id) private {
        Sent_ storage entry = sent[id];
        if (entry.state != State.Open) return;
        entry.state = State.Refunded;
        (address sender, uint256 amount) = (entry.sender, entry.amount);
        openEscrow -= amount;
        // EIP-150: with less gas left, the payment could fail for want of it.
        require(gasleft() > 2 * PAYMENT_GAS);
        if (amount != 0 && !pay(sender, amount)) {
            claimable[sender] += amount;
            owed += amount;
        }
        emit Refunded(id);
    }

    /// Splits at the first "x": hex has none.
    function split(string calldata to) private pure returns (string memory chain, string memory local) {
        bytes calldata text = bytes(to);
        uint256 place;
        while (place < text.length && text[place] != "x") place++;
        if (place == text.length) revert NotAnAddress();
        bytes memory digits = text[:place];
        bytes memory rest = text[place + 1:];
        if (!MessageCodec.isChainId(digits) || !MessageCodec.isLocal(rest)) revert NotAnAddress();
        return (string(digits), string(rest));
    }
}
