// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Why} from "./Clerk.sol";
import {Deposit} from "./Deposit.sol";
import {Outgoing} from "./MessageCodec.sol";
import {Payer} from "./Payer.sol";
import {Text} from "./Text.sol";

/// Where messages leave: locks their value until they are closed or refunded.
abstract contract Outbox is Payer {
    enum State {
        None,
        Open,
        Closed,
        Refunded
    }

    struct Entry {
        address sender;
        State state;
        uint32 asset;
        uint128 amount;
        uint128 destination;
    }

    uint256 private constant DATA_BYTES_MAX = 64 * 1024;
    uint256 private constant EXPIRES_AFTER_MAX = 5 days;
    uint256 private constant EXPIRES_AFTER_DEFAULT = 24 hours;

    bytes32 private immutable depositCode = keccak256(type(Deposit).creationCode);

    /// Every message that ever left, by its id; never deleted.
    mapping(bytes32 => Entry) private entries;

    /// A message left. `message` is its one encoding.
    event Sent(bytes32 indexed id, bytes message);
    /// It was delivered; its refund is impossible from now on.
    event Closed(bytes32 indexed id, string destination, string asset, uint256 amount);
    /// Its recorded sender got the recorded sum back.
    event Refunded(bytes32 indexed id);

    error NotAnAddress();
    error DataTooLong();
    error NotOnFail();
    error Expires();

    /// Sends a message and the value that comes with the call to `to`, an address with the chain in
    /// it: `e2e4x63ea…`. `expires` 0 means in 24 hours.
    function send(string calldata to, bytes calldata data, uint64 gas, uint8 onFail, uint64 expires)
        external
        payable
        whenRunning
        returns (bytes32 id)
    {
        Outgoing memory m = outgoing(to, data.length, gas, onFail, expires);
        (m.sender, m.amount) = (msg.sender, msg.value);
        return depart(m, to, data);
    }

    /// The same with a token, of which the caller has allowed `amount`. The message carries what
    /// really arrives here.
    function sendToken(
        address token,
        uint256 amount,
        string calldata to,
        bytes calldata data,
        uint64 gas,
        uint8 onFail,
        uint64 expires
    ) external whenRunning returns (bytes32 id) {
        Outgoing memory m = outgoing(to, data.length, gas, onFail, expires);
        // The coin comes with a call of `send`.
        if (token == address(0) || assetIndexFor(m.destination, token) == 0) revert NoAccount();
        (m.sender, m.token) = (msg.sender, token);
        m.amount = takeToken(token, amount);
        return depart(m, to, data);
    }

    /// Sends what was paid to a deposit address; anybody may. `sender` is the message's sender, and
    /// gets the refund.
    function forwardDeposit(string calldata to, address sender, address token)
        external
        whenRunning
        returns (bytes32 id)
    {
        Outgoing memory m = outgoing(to, 0, 0, 0, 0);
        if (assetIndexFor(m.destination, token) == 0) revert NoAccount();
        (m.sender, m.token) = (sender, token);
        m.amount = takeDeposit(to, sender, token);
        return depart(m, to, nothing());
    }

    /// The address where payments, in the coin or a token, are for `to` alone, and on behalf of
    /// `sender` alone.
    function depositAddress(string calldata to, address sender) public view returns (address) {
        split(to);
        if (sender == address(0)) revert NotAnAddress();
        bytes memory place = abi.encodePacked(hex"ff", address(this), salt(to, sender), depositCode);
        return address(uint160(uint256(keccak256(place))));
    }

    /// Ends messages by their receipts: closes those that were delivered, refunds those that were
    /// refused. What is not open is passed over, because two gateways may race.
    function end(bytes32[] calldata closed, bytes32[] calldata refunded) external onlyGateway locked {
        for (uint256 i = 0; i < closed.length; i++) finish(closed[i], State.Closed, Action.Close);
        for (uint256 i = 0; i < refunded.length; i++) finish(refunded[i], State.Refunded, Action.Refund);
    }

    /// A message that left.
    function sent(bytes32 id) external view returns (address sender, State state, uint256 amount) {
        Entry storage e = entries[id];
        return (e.sender, e.state, e.amount);
    }

    /// Messages sent to a chain so far.
    function sequenceOf(string calldata chain) external view returns (uint64) {
        return peers[chainOf(chain)].sequence;
    }

    /// Checks what a user says.
    function outgoing(string calldata to, uint256 dataLength, uint64 gas, uint8 onFail, uint64 expires)
        private
        view
        returns (Outgoing memory m)
    {
        if (dataLength > DATA_BYTES_MAX) revert DataTooLong();
        if (onFail > 1) revert NotOnFail();
        if (expires == 0) expires = uint64(block.timestamp + EXPIRES_AFTER_DEFAULT);
        if (expires <= block.timestamp || expires > block.timestamp + EXPIRES_AFTER_MAX) revert Expires();
        (m.destination, m.split) = split(to);
        (m.gas, m.onFail, m.expires) = (gas, onFail, expires);
    }

    /// Numbers, encodes and records a message whose sender is known and whose amount is here.
    function depart(Outgoing memory m, string calldata to, bytes calldata data)
        private
        returns (bytes32 id)
    {
        Peer storage peer = peers[m.destination];
        (m.destinationTag, m.sequence) = (peer.tag, ++peer.sequence);
        (m.source, m.sourceTag, m.outbox) = (own, tag, address(this));
        uint32 asset = m.amount == 0 ? 0 : assetIndexFor(m.destination, m.token);
        string memory name = assets[asset];
        if (asset != 0) {
            Account storage account = accountFor(m.destination, name);
            m.terms = account.terms;
            lockUp(account, m.token, m.amount);
        }
        bytes memory message = clerk.encode(m, name, to, data);
        id = sha256(abi.encodePacked("distpos/message/1", message));
        entries[id] = Entry(m.sender, State.Open, asset, uint128(m.amount), m.destination);
        emit Sent(id, message);
    }

    function takeDeposit(string calldata to, address sender, address token) private returns (uint256) {
        address place = depositAddress(to, sender);
        enterIntake();
        uint256 before = holding(token, address(this));
        if (place.code.length == 0) new Deposit{salt: salt(to, sender)}();
        Deposit(payable(place)).give(token, holding(token, place));
        return arrived(token, before);
    }

    /// Ends one message, closed or refunded.
    function finish(bytes32 id, State state, Action action) private {
        Entry storage e = entries[id];
        if (e.state != State.Open || approve(id, action, nothing()) != Approval.Enough) return;
        e.state = state;
        uint128 amount = e.amount;
        string memory asset = assets[e.asset];
        Account storage account = accountFor(e.destination, asset);
        address token = account.token;
        Held storage h = held[token];
        h.escrow -= amount;
        account.pendingOut -= amount;
        if (state == State.Closed) {
            uint256 before = coverOf(account);
            account.sent = sum(account.sent, amount);
            recount(account, token, before);
            emit Closed(id, Text.chainText(e.destination), asset, amount);
            return;
        }
        Payment memory p;
        (p.token, p.to, p.amount) = (token, e.sender, amount);
        (, Why why,) = attempt(p, "");
        if (why != Why.Nothing) {
            h.owed += amount;
            claimable[e.sender][token] += amount;
        }
        emit Refunded(id);
    }

    /// A figure never passes 2^128: it stays there, and the account is open for what comes back.
    function sum(uint128 a, uint128 b) private pure returns (uint128) {
        return b > type(uint128).max - a ? type(uint128).max : a + b;
    }

    function salt(string calldata to, address sender) private pure returns (bytes32) {
        return keccak256(abi.encode(to, sender));
    }

    function nothing() private pure returns (bytes calldata) {
        return msg.data[:0];
    }

    /// Splits an address on another chain at the first "x": hex has none.
    function split(string calldata to) private view returns (uint128 chain, uint256 place) {
        bytes calldata text = bytes(to);
        while (place < text.length && place < 33 && text[place] != "x") place++;
        if (place >= text.length || text[place] != "x") revert NotAnAddress();
        chain = Text.chainOf(uint256(bytes32(text)), place);
        if (chain == 0 || !Text.isLocal(text[place + 1:])) revert NotAnAddress();
        if (chain == own) revert OwnChain();
    }
}
