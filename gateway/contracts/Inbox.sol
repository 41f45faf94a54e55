// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Why} from "./Clerk.sol";
import {IRecipient} from "./Executor.sol";
import {Incoming, MessageReader} from "./MessageReader.sol";
import {Payer} from "./Payer.sol";
import {Text} from "./Text.sol";
import {Tokens} from "./Tokens.sol";

/// Where messages arrive. It verifies no proof (the gateways do), but holds the guard: an id is
/// delivered or void at most once, whatever block, batch or gateway it comes from.
abstract contract Inbox is Payer {
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
        Skipped,
        Approved
    }

    struct Result {
        Outcome outcome;
        string reason; // "<code> <text>"
        bytes detail; // what the recipient's call reverted with
    }

    /// Most gas one message's call may ask for, so that it fits a block beside its overhead.
    uint256 private constant CALL_GAS_MAX = 5_000_000;
    /// Addresses below this are precompiles, or may become such.
    uint160 private constant PRECOMPILES_END = 0x10000;
    /// Longest reason of a void: a code, a space, and a reply's text.
    uint256 private constant REASON_BYTES_MAX = 212;
    /// Gas that an item costs beside payment and call: guard, book, event, frames.
    uint256 private constant ITEM_GAS = 100_000;

    mapping(bytes32 => Guard) public guard;

    event Delivered(bytes32 indexed id, string source, string asset, uint256 amount, uint8 call);
    event Voided(bytes32 indexed id, string source, string reason);
    event Skipped(bytes32 indexed id, string reason);

    error Reasons();

    /// Delivers what is not in the guard yet.
    function deliver(bytes[] calldata messages)
        external
        onlyGateway
        locked
        returns (Result[] memory results)
    {
        results = new Result[](messages.length);
        // Room that the items share.
        Incoming memory m;
        Payment memory p;
        bool halted = paused;
        for (uint256 i = 0; i < messages.length; i++) {
            one(messages[i], m, p, halted, results[i]);
        }
    }

    /// Marks messages void: they will never be delivered. Each needs a reason, "<code> <text>".
    function voidMessages(bytes[] calldata messages, string[] calldata reasons)
        external
        onlyGateway
        locked
        returns (Result[] memory results)
    {
        if (messages.length != reasons.length) revert Reasons();
        results = new Result[](messages.length);
        Incoming memory m;
        for (uint256 i = 0; i < messages.length; i++) {
            if (bytes(reasons[i]).length > REASON_BYTES_MAX) revert Reasons();
            Result memory result = results[i];
            (bytes32 id, bool pending) = read(messages[i], m, result);
            if (!pending) continue;
            if (!isWellFormed(m)) {
                skip(id, Why.Malformed, result);
            } else if (isApproved(id, Action.Void, messages[i], result)) {
                result.reason = reasons[i];
                void(id, m, result);
            }
        }
    }

    /// One item of `deliver`.
    function one(bytes calldata raw, Incoming memory m, Payment memory p, bool halted, Result memory result)
        private
    {
        (bytes32 id, bool pending) = read(raw, m, result);
        if (!pending) return;
        if (halted) return pass(Why.Paused, result);
        Account storage account = accountOf(m);
        Why why = check(m, account, p);
        if (why != Why.Nothing) return skip(id, isWellFormed(m) ? why : Why.Malformed, result);
        if (!isApproved(id, Action.Deliver, raw, result)) return;
        // "0 gas" is how a message says that its data is only a note.
        bool calls = m.dataLength != 0 && m.gas != 0;
        enoughGas(m, p, calls);
        guard[id] = Guard.Delivered;
        if (m.amount != 0) book(account, p);
        uint256 room;
        assembly ("memory-safe") {
            room := mload(0x40)
        }
        bytes memory input;
        if (calls) input = inputOf(id, m);
        (uint8 call, Why refusal, bytes memory detail) = attempt(p, input);
        if (refusal == Why.Nothing) {
            // Memory is paid for by the square: what this item used, the next one uses again.
            assembly ("memory-safe") {
                mstore(0x40, room)
            }
            result.outcome = Outcome.Delivered;
            return tell(id, m, call);
        }
        result.detail = detail;
        if (m.amount != 0) unbook(account, p);
        result.reason = clerk.text(refusal);
        void(id, m, result);
    }

    function tell(bytes32 id, Incoming memory m, uint8 call) private {
        emit Delivered(id, sourceOf(m), assetOf(m), m.amount, call);
    }

    function void(bytes32 id, Incoming memory m, Result memory result) private {
        guard[id] = Guard.Void;
        result.outcome = Outcome.Voided;
        emit Voided(id, sourceOf(m), result.reason);
    }

    /// The id of an item, and whether it is a message for here that has not ended yet.
    function read(bytes calldata raw, Incoming memory m, Result memory result)
        private
        returns (bytes32 id, bool pending)
    {
        id = MessageReader.id(raw);
        MessageReader.Verdict verdict = MessageReader.read(raw, m, own, ownText);
        if (verdict == MessageReader.Verdict.Ours) return (id, guard[id] == Guard.None);
        bool elsewhere = verdict == MessageReader.Verdict.Elsewhere && isWellFormed(m);
        skip(id, elsewhere ? Why.Elsewhere : Why.Malformed, result);
    }

    /// The rest of the grammar, for a message that is not accepted as it is.
    function isWellFormed(Incoming memory m) private view returns (bool) {
        return Text.isLocal(MessageReader.slice(m.recipientAt, m.recipientLength))
            && (m.assetLength == 0 || clerk.isAsset(assetOf(m)));
    }

    /// The call of the recipient.
    function inputOf(bytes32 id, Incoming memory m) private pure returns (bytes memory) {
        string memory sender =
            string(abi.encodePacked(sourceOf(m), "x", MessageReader.slice(m.senderAt, m.senderLength)));
        bytes calldata data = MessageReader.slice(m.dataAt, m.dataLength);
        return abi.encodeCall(IRecipient.onDistpos, (id, sourceOf(m), sender, assetOf(m), m.amount, data));
    }

    function isApproved(bytes32 id, Action action, bytes calldata raw, Result memory result)
        private
        returns (bool)
    {
        Approval approval = approve(id, action, raw);
        if (approval == Approval.Enough) return true;
        if (approval == Approval.Counted) {
            result.outcome = Outcome.Approved;
        } else {
            pass(Why.Awaits, result);
        }
        return false;
    }

    /// Not now, and nothing to tell: time or others will change it.
    function pass(Why why, Result memory result) private view {
        (result.outcome, result.reason) = (Outcome.Skipped, clerk.text(why));
    }

    function skip(bytes32 id, Why why, Result memory result) private {
        pass(why, result);
        emit Skipped(id, result.reason);
    }

    /// Why an item is not taken now; fills in the payment.
    function check(Incoming memory m, Account storage account, Payment memory p)
        private
        view
        returns (Why)
    {
        if (block.timestamp > m.expires) return Why.Expired;
        if (m.destinationTag != tag && (m.destinationTag != 0 || m.amount != 0)) return Why.OtherGenesis;
        if (m.gas > CALL_GAS_MAX) return Why.GasMax;
        (bool ok, address to) =
            Text.account(MessageReader.word(m.recipientAt), MessageReader.word(m.recipientAt + 8));
        if (!ok || m.recipientLength != 40) return Why.NotHex;
        if (
            uint160(to) < PRECOMPILES_END || to == address(this) || to == address(executor)
                || to == address(clerk) || to == office || (to.code.length != 0 && isBacking[to])
        ) return Why.NotARecipient;
        (p.to, p.amount, p.gas, p.exact, p.keep) = (to, m.amount, m.gas, true, m.onFail == 1);
        p.token = address(0);
        return m.amount == 0 ? Why.Nothing : checkValue(m, account, p);
    }

    function checkValue(Incoming memory m, Account storage account, Payment memory p)
        private
        view
        returns (Why)
    {
        bytes32 terms = account.terms;
        if (terms == 0) return Why.NoAccount;
        if (m.terms != terms) return Why.OtherTerms;
        uint256 amount = m.amount;
        uint256 received = account.received;
        // What can never pass is refused before anything waits.
        if (amount > type(uint128).max || received + amount > type(uint128).max) return Why.TooMuch;
        uint256 duration = account.windowSeconds;
        uint256 most = account.windowMax;
        if (duration != 0 && amount > most) return Why.WindowNever;
        unchecked {
            // Sums of numbers below 2^128.
            uint256 theirs = uint256(account.sent) + account.reserve;
            if (received + amount > theirs + account.creditLimit) return Why.CreditLimit;
            uint256 cover = theirs > received ? theirs - received : 0;
            p.drop = amount < cover ? amount : cover;
        }
        if (duration != 0 && usedNow(account) + amount * duration > most * duration) return Why.WindowReached;
        p.token = account.token;
        return affords(p.token, amount, p.drop) ? Why.Nothing : Why.Short;
    }

    /// EIP-150 leaves 1/64 at each of three calls; copies of the data cost too.
    function enoughGas(Incoming memory m, Payment memory p, bool calls) private view {
        unchecked {
            // Gas and data have passed their limits.
            uint256 wanted = ITEM_GAS + PAYMENT_GAS + PAYMENT_OVERHEAD;
            if (calls) wanted += m.gas + m.gas / 16 + 40 * m.dataLength;
            if (p.token != address(0)) wanted += Tokens.TRANSFER_GAS + 5 * Tokens.BALANCE_GAS;
            if (gasleft() < wanted) revert Tokens.InsufficientGas();
        }
    }

    /// Counts what is delivered, in the account's figures and window.
    function book(Account storage account, Payment memory p) private {
        account.received += uint128(p.amount);
        if (p.drop != 0) held[p.token].covered -= p.drop;
        uint256 duration = account.windowSeconds;
        if (duration == 0) return;
        account.used = uint192(usedNow(account) + p.amount * duration);
        account.usedAt = uint64(block.timestamp);
    }

    /// The opposite, in the same transaction: nothing else has changed the account, it is locked.
    function unbook(Account storage account, Payment memory p) private {
        account.received -= uint128(p.amount);
        if (p.drop != 0) held[p.token].covered += p.drop;
        account.used -= uint192(p.amount * account.windowSeconds);
    }

    /// The account of what a message carries; the same place as `accountFor`.
    function accountOf(Incoming memory m) private view returns (Account storage) {
        (uint256 peer, uint256 start, uint256 length) = (m.source, m.assetAt, m.assetLength);
        bytes32 key;
        assembly ("memory-safe") {
            let room := mload(0x40)
            mstore(room, peer)
            calldatacopy(add(room, 32), start, length)
            key := keccak256(room, add(length, 32))
        }
        return accounts[key];
    }

    function sourceOf(Incoming memory m) private pure returns (string calldata) {
        return string(MessageReader.slice(m.sourceAt, m.sourceLength));
    }

    function assetOf(Incoming memory m) private pure returns (string calldata) {
        return string(MessageReader.slice(m.assetAt, m.assetLength));
    }
}
