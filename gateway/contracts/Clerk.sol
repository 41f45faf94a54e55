// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {MessageCodec, Outgoing} from "./MessageCodec.sol";
import {Text} from "./Text.sol";

/// Why an item of a batch is not delivered.
enum Why {
    Nothing,
    Malformed,
    Elsewhere,
    Paused,
    Awaits,
    Expired,
    OtherGenesis,
    GasMax,
    NotHex,
    NotARecipient,
    NoAccount,
    OtherTerms,
    TooMuch,
    WindowNever,
    CreditLimit,
    WindowReached,
    Short,
    PaymentRefused,
    NotExact,
    NotAContract,
    CallReverts
}

/// Writes for the contract what it has no room to write itself (EIP-170 ends a contract at 24,576
/// bytes): messages on their way out, and reasons as texts. Pure: no storage, no funds, no roles.
contract Clerk {
    /// The one encoding of a message.
    function encode(Outgoing calldata m, string calldata asset, string calldata to, bytes calldata data)
        external
        pure
        returns (bytes memory)
    {
        return MessageCodec.encode(m, asset, to, data);
    }

    /// Whether this names an asset, `<issuer chain-id>/<label>`.
    function isAsset(string calldata name) external pure returns (bool) {
        return Text.isAsset(bytes(name));
    }

    /// A reason's text, `<code> <text>`; the codes are RFC 3463's. Class 4 may pass later.
    function text(Why why) external pure returns (string memory) {
        if (why == Why.Malformed) return "5.6.0 message is malformed";
        if (why == Why.Elsewhere) return "5.7.1 not for this chain";
        if (why == Why.Paused) return "4.2.1 contract is paused";
        if (why == Why.Awaits) return "4.7.1 awaits other gateways";
        if (why == Why.Expired) return "5.4.7 expired";
        if (why == Why.OtherGenesis) return "5.7.1 destination tag is of another genesis";
        if (why == Why.GasMax) return "5.2.3 gas is more than a call may use here";
        if (why == Why.NotHex) return "5.1.3 recipient is not 40 hex digits";
        if (why == Why.NotARecipient) return "5.1.1 recipient is not for messages";
        if (why == Why.NoAccount) return "5.2.1 no account with the source chain";
        if (why == Why.OtherTerms) return "5.2.1 other terms than the account's";
        if (why == Why.TooMuch) return "5.2.2 amount is more than is counted here";
        if (why == Why.CreditLimit) return "4.2.1 credit_limit of the source chain is reached";
        if (why == Why.WindowNever) return "5.2.2 above window_max of the source chain";
        if (why == Why.WindowReached) return "4.2.1 window_max of the source chain is reached";
        if (why == Why.Short) return "4.2.1 vault is short";
        if (why == Why.PaymentRefused) return "5.1.1 recipient refuses payment";
        if (why == Why.NotExact) return "5.2.1 token does not pay the exact amount";
        if (why == Why.NotAContract) return "5.1.1 recipient is no contract and cannot be called";
        if (why == Why.CallReverts) return "5.3.0 call reverts";
        return "";
    }
}
