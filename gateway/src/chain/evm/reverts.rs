//! What a revert says, in words: Solidity's own errors and the contract's.

use alloy_primitives::keccak256;

use super::abi::Words;

/// Longest reason of somebody else's contract that is shown, in characters.
const TEXT_CHARS_MAX: usize = 120;

/// The contract's errors, and what they tell whoever called. None has arguments.
const OWN: [(&str, &str); 37] = [
    ("NotGateway()", "this account has no gateway role"),
    ("NotOwner()", "only the contract's owner may do this"),
    ("NotPauser()", "only the contract's owner or its pauser may do this"),
    ("NoOwner()", "the contract must have an owner"),
    ("Required()", "at least one and at most as many as have the gateway role must agree"),
    ("TooManyGateways()", "the contract has had as many gateways as it can number"),
    ("IsPaused()", "the contract is paused"),
    ("Reentered()", "the contract was called while it is at work"),
    ("InsufficientGas()", "the transaction has too little gas"),
    ("Reasons()", "each void needs a reason that is not too long"),
    ("NotAnAddress()", "this is no address of a recipient or sender"),
    ("OwnChain()", "this is the contract's own chain"),
    ("DataTooLong()", "the data is too long"),
    ("NotOnFail()", "on_fail is neither 0 nor 1"),
    ("Expires()", "it expires too early or too late"),
    ("NotAChainId()", "this is no chain-id"),
    ("NotAnAsset()", "this is no asset: expected such as e2e4/coin"),
    ("NoPeer()", "the chain is not registered: `evm peer` does that"),
    ("NoAccount()", "there is no open account: `evm account` opens one"),
    ("OtherToken()", "the account is backed by another token, and that never changes"),
    ("OtherAmount()", "the coins that came with the call are not what it names"),
    ("NothingArrived()", "nothing arrived"),
    ("BalanceUnknown()", "the token does not say what an account holds, within the gas for it"),
    ("NothingOwed()", "nothing is owed to this account"),
    ("TooMuch()", "the sum is more than is counted here (2^128 - 1)"),
    ("NoChange()", "a settlement of nothing"),
    ("NoNote()", "a settlement needs a note"),
    ("NotAPayout()", "what is added to a reserve is paid to nobody"),
    ("ReserveShort()", "less is left of the reserve than is to be taken"),
    ("FloatShort()", "the community's float is too short: `evm fund` adds to it"),
    ("PaymentRefused()", "the payment was refused by its recipient or its token"),
    ("PlainPayment()", "a plain payment names no recipient: call the contract"),
    ("NotDistpos()", "this is a part of the contract, not the contract itself"),
    ("NotInbox()", "only the contract may call its executor"),
    ("NotVault()", "only the contract may empty a deposit address"),
    ("Starved()", "the call was left too little gas"),
    ("OnlySelf()", "only the contract may call this of itself"),
];

/// One of the contract's own errors as its caller reads it: `NotOwner: only the …`; none if it is not
/// one. Not for what a recipient or a token says: their errors may have the same names.
pub(super) fn own(data: &[u8]) -> Option<String> {
    let (name, sentence) = named(data)?;
    Some(format!("{}: {sentence}", name.trim_end_matches("()")))
}

/// What a revert says, whoever it is of.
pub(super) fn text(data: &[u8]) -> String {
    let Some((selector, rest)) = data.split_at_checked(4) else {
        return "no reason".into();
    };
    let words = Words::new(rest);
    if selector == &keccak256("Error(string)")[..4]
        && let Some(text) = words.text(0)
    {
        return text.chars().filter(|c| !c.is_control()).take(TEXT_CHARS_MAX).collect();
    }
    if selector == &keccak256("Panic(uint256)")[..4]
        && let Some(code) = words.number(0)
    {
        return format!("panic {code:#x}");
    }
    named(data).map_or_else(
        || format!("custom error 0x{}", data_encoding::HEXLOWER.encode(selector)),
        |(name, _)| name.to_owned(),
    )
}

fn named(data: &[u8]) -> Option<(&'static str, &'static str)> {
    let selector = data.get(..4)?;
    OWN.into_iter().find(|(name, _)| selector == &keccak256(name)[..4])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contracts_own_errors_are_sentences_for_whoever_called_it() {
        let data = keccak256("FloatShort()")[..4].to_vec();
        let told = "FloatShort: the community's float is too short: `evm fund` adds to it";
        assert_eq!(own(&data).as_deref(), Some(told));
        assert_eq!(text(&data), "FloatShort()");
        assert_eq!((own(&[1, 2, 3, 4]), own(&[])), (None, None));
        assert_eq!(text(&[1, 2, 3, 4]), "custom error 0x01020304");
        assert_eq!(text(&[]), "no reason");
    }
}
