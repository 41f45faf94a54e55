// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Clerk, Why} from "./Clerk.sol";
import {Executor} from "./Executor.sol";
import {Tokens} from "./Tokens.sol";
import {Vault} from "./Vault.sol";

/// Payment and call of one message, both or neither.
abstract contract Payer is Vault {
    /// One payment, and the call that comes with it.
    struct Payment {
        address token;
        address to;
        uint256 amount;
        uint256 drop; // what the cover of its account falls by
        bool exact; // the recipient must have all of it
        bool keep; // the payment stands where only the call fails
        uint256 gas;
    }

    uint8 internal constant CALL_NONE = 0;
    uint8 internal constant CALL_OK = 1;
    uint8 internal constant CALL_FAILED = 2;

    Clerk internal immutable clerk = new Clerk();
    Executor public immutable executor = new Executor();
    /// Where the rest of this contract's code is: its `Office`.
    address public immutable office;

    error OnlySelf();
    /// Undoes all of one payment.
    error Refusal(Why why, bytes detail);

    constructor(address office_) {
        office = office_;
    }

    /// Pays, and calls with `input` if there is any; only called by itself, to have a frame that
    /// reverts as a whole.
    function perform(Payment calldata p, bytes calldata input) external returns (uint8) {
        if (msg.sender != address(this)) revert OnlySelf();
        if (p.token != address(0)) {
            if (!payToken(p.token, p.to, p.amount, p.exact, true)) revert Refusal(Why.NotExact, "");
        } else if (p.amount != 0 && !pay(p.to, p.amount)) {
            revert Refusal(Why.PaymentRefused, "");
        }
        if (input.length == 0) return CALL_NONE;
        bool callable = p.to.code.length != 0;
        (bool ok, bytes memory detail) = (false, bytes(""));
        if (callable) (ok, detail) = executor.run(p.to, p.gas, input);
        if (ok) return CALL_OK;
        if (p.keep) return CALL_FAILED;
        revert Refusal(callable ? Why.CallReverts : Why.NotAContract, detail);
    }

    /// Pays and calls; where there is a why, neither has happened.
    function attempt(Payment memory p, bytes memory input)
        internal
        returns (uint8 call, Why why, bytes memory detail)
    {
        if (p.token == address(0) && input.length == 0) {
            // Nothing to undo together: a payment that is refused has not happened.
            if (p.amount != 0 && !pay(p.to, p.amount)) why = Why.PaymentRefused;
            return (CALL_NONE, why, "");
        }
        try this.perform(p, input) returns (uint8 done) {
            call = done;
        } catch (bytes memory failure) {
            // Anything else is no verdict on the message but want of gas.
            if (bytes4(failure) != Refusal.selector) revert Tokens.InsufficientGas();
            assembly ("memory-safe") {
                let length := sub(mload(failure), 4)
                failure := add(failure, 4)
                mstore(failure, length)
            }
            (why, detail) = abi.decode(failure, (Why, bytes));
        }
    }
}
