//! What a transaction does.

use distpos_proto::{
    account::{Change, Limits},
    address::{Address, Local},
    amount::Amount,
    cbor::{CborError, Reader, Writer},
    chain::{ChainId, GenesisTag},
    code::{Code, Reply},
    key::PublicKey,
    message::{Asset, Message, MessageId, OnFail, TermsHash},
    receipt::EndingKind,
    time::UnixSeconds,
};

use super::{SendOrder, malformed};
use crate::chain::ledger::{
    address,
    block::NOTE_BYTES_MAX,
    state::{
        exactly, read_amount, read_asset, read_chain, read_code, read_limits, read_terms,
        terms_bytes, write_limits,
    },
};

/// Most messages that one transaction delivers, voids or ends.
pub(in crate::chain::ledger) const ITEMS_MAX: usize = 1024;

/// Anyone's actions first, then those of an authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::chain::ledger) enum Action {
    Open,
    Transfer {
        to: PublicKey,
        amount: Amount,
    },
    Send(SendOrder),
    /// Pays from the signer's balance into a peer's reserve.
    Deposit {
        chain: ChainId,
        asset: Asset,
        amount: Amount,
    },
    Register(ChainId, GenesisTag),
    Deliver(Vec<Message>),
    Void(Vec<(Message, Reply)>),
    End(Vec<(MessageId, EndingKind)>),
    Account(AccountOrder),
    Settle(SettleOrder),
}

/// An account as it is to be from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::chain::ledger) struct AccountOrder {
    pub(in crate::chain::ledger) chain: ChainId,
    pub(in crate::chain::ledger) asset: Asset,
    /// None closes it.
    pub(in crate::chain::ledger) terms: Option<TermsHash>,
    pub(in crate::chain::ledger) limits: Limits,
}

/// A settlement that happened elsewhere, or a deposit given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::chain::ledger) struct SettleOrder {
    pub(in crate::chain::ledger) chain: ChainId,
    pub(in crate::chain::ledger) asset: Asset,
    pub(in crate::chain::ledger) change: Change,
    /// Who is paid what is taken.
    pub(in crate::chain::ledger) to: Option<PublicKey>,
    pub(in crate::chain::ledger) note: String,
}

impl Action {
    /// Whether only an authority may do this.
    pub(in crate::chain::ledger) fn is_authoritys(&self) -> bool {
        match self {
            Self::Open | Self::Transfer { .. } | Self::Send(_) | Self::Deposit { .. } => false,
            Self::Register(..)
            | Self::Deliver(_)
            | Self::Void(_)
            | Self::End(_)
            | Self::Account(_)
            | Self::Settle(_) => true,
        }
    }

    pub(super) fn write(&self, out: &mut Writer) {
        match self {
            Self::Open => {
                out.array(1).uint(0);
            }
            Self::Transfer { to, amount } => {
                out.array(3).uint(1).text(address::local(to).as_str());
                out.bytes(&amount.to_minimal_bytes());
            }
            Self::Send(order) => write_order(order, out),
            Self::Deposit { chain, asset, amount } => {
                out.array(4).uint(3).text(&chain.to_string()).text(asset.as_str());
                out.bytes(&amount.to_minimal_bytes());
            }
            Self::Register(chain, tag) => {
                out.array(3).uint(16).text(&chain.to_string()).bytes(&tag.0);
            }
            Self::Deliver(messages) => {
                out.array(2).uint(17).array(messages.len());
                for message in messages {
                    out.bytes(message.bytes());
                }
            }
            Self::Void(items) => {
                out.array(2).uint(18).array(items.len());
                for (message, reply) in items {
                    out.array(3).bytes(message.bytes());
                    out.text(&reply.code.to_string()).text(reply.text());
                }
            }
            Self::End(items) => {
                out.array(2).uint(19).array(items.len());
                for (id, kind) in items {
                    out.array(2).bytes(&id.0).uint(match kind {
                        EndingKind::Close => 0,
                        EndingKind::Refund => 1,
                    });
                }
            }
            Self::Account(AccountOrder { chain, asset, terms, limits }) => {
                out.array(7).uint(20).text(&chain.to_string()).text(asset.as_str());
                out.bytes(terms_bytes(terms.as_ref()));
                write_limits(limits, out);
            }
            Self::Settle(order) => write_settle(order, out),
        }
    }

    pub(super) fn read(input: &mut Reader<'_>) -> Result<Self, Reply> {
        let field = "transaction action";
        let length = input.array(field, 7).map_err(malformed)?;
        let kind = input.uint(field).map_err(malformed)?;
        match (kind, length) {
            (0, 1) => Ok(Self::Open),
            (1, 3) => {
                let to = input.text("transfer to", Local::TEXT_MAX).map_err(malformed)?;
                let to = to.parse().map_err(bad_address)?;
                let amount = read_amount(input, "transfer amount").map_err(malformed)?;
                Ok(Self::Transfer { to: address::public_key(&to)?, amount })
            }
            (2, 7) => read_order(input).map(Self::Send),
            (3, 4) => read_deposit(input).map_err(malformed),
            (16, 3) => read_register(input).map_err(malformed),
            (17, 2) => read_items(input, read_message).map(Self::Deliver),
            (18, 2) => read_items(input, read_void).map(Self::Void),
            (19, 2) => read_items(input, |input| read_end(input).map_err(malformed)).map(Self::End),
            (20, 7) => read_account(input).map_err(malformed).map(Self::Account),
            (21, 7) => read_settle(input).map(Self::Settle),
            _ => Err(malformed(CborError { field, expected: "an action of this version" })),
        }
    }
}

/// Longest text of a recipient that is looked at.
const ADDRESS_TEXT_MAX: usize = ChainId::TEXT_MAX + 1 + Local::TEXT_MAX;

fn write_order(order: &SendOrder, out: &mut Writer) {
    out.array(7).uint(2).text(&order.to.to_string());
    out.bytes(&order.amount.to_minimal_bytes()).bytes(&order.data).uint(order.gas);
    out.uint(match order.on_fail {
        OnFail::Return => 0,
        OnFail::Keep => 1,
    });
    out.uint(order.expires.0);
}

fn read_order(input: &mut Reader<'_>) -> Result<SendOrder, Reply> {
    let to = input.text("send to", ADDRESS_TEXT_MAX).map_err(malformed)?;
    let to: Address = to.parse().map_err(bad_address)?;
    let amount = read_amount(input, "send amount").map_err(malformed)?;
    let data = input.bytes("send data", super::BYTES_MAX).map_err(malformed)?;
    if data.len() > Message::DATA_BYTES_MAX {
        let max = Message::DATA_BYTES_MAX;
        let text = format!("data has {} bytes, expected at most {max}", data.len());
        return Err(Reply::new(Code::TOO_BIG, text));
    }
    let gas = input.uint("send gas").map_err(malformed)?;
    let on_fail = match input.uint("send on_fail").map_err(malformed)? {
        0 => OnFail::Return,
        1 => OnFail::Keep,
        _ => return Err(malformed(CborError { field: "send on_fail", expected: "0 or 1" })),
    };
    let expires = UnixSeconds(input.uint("send expires").map_err(malformed)?);
    Ok(SendOrder { to, amount, data: data.to_vec(), gas, on_fail, expires })
}

fn read_deposit(input: &mut Reader<'_>) -> Result<Action, CborError> {
    let (chain, asset) = (read_chain(input, "deposit chain")?, read_asset(input, "deposit asset")?);
    Ok(Action::Deposit { chain, asset, amount: read_amount(input, "deposit amount")? })
}

fn read_register(input: &mut Reader<'_>) -> Result<Action, CborError> {
    let chain = read_chain(input, "register chain")?;
    Ok(Action::Register(chain, GenesisTag(input.fixed("register tag")?)))
}

fn read_account(input: &mut Reader<'_>) -> Result<AccountOrder, CborError> {
    let (chain, asset) = (read_chain(input, "account chain")?, read_asset(input, "account asset")?);
    let terms = read_terms(input, "account terms")?;
    Ok(AccountOrder { chain, asset, terms, limits: read_limits(input, "account limits")? })
}

fn write_settle(order: &SettleOrder, out: &mut Writer) {
    let SettleOrder { chain, asset, change, to, note } = order;
    let (kind, amount) = match change {
        Change::Added(amount) => (0, amount),
        Change::Taken(amount) => (1, amount),
    };
    out.array(7).uint(21).text(&chain.to_string()).text(asset.as_str()).uint(kind);
    out.bytes(&amount.to_minimal_bytes());
    out.text(to.as_ref().map(address::local).as_ref().map_or("", Local::as_str)).text(note);
}

fn read_settle(input: &mut Reader<'_>) -> Result<SettleOrder, Reply> {
    let chain = read_chain(input, "settle chain").map_err(malformed)?;
    let asset = read_asset(input, "settle asset").map_err(malformed)?;
    let kind = input.uint("settle change").map_err(malformed)?;
    let amount = read_amount(input, "settle amount").map_err(malformed)?;
    let change = match kind {
        0 => Change::Added(amount),
        1 => Change::Taken(amount),
        _ => return Err(malformed(CborError { field: "settle change", expected: "0 or 1" })),
    };
    let to = match input.text("settle to", Local::TEXT_MAX).map_err(malformed)? {
        "" => None,
        text => Some(address::public_key(&text.parse().map_err(bad_address)?)?),
    };
    let note = input.text("settle note", NOTE_BYTES_MAX).map_err(malformed)?.to_owned();
    Ok(SettleOrder { chain, asset, change, to, note })
}

fn read_items<T>(
    input: &mut Reader<'_>,
    mut read: impl FnMut(&mut Reader<'_>) -> Result<T, Reply>,
) -> Result<Vec<T>, Reply> {
    let count = input.array("transaction items", ITEMS_MAX).map_err(malformed)?;
    (0..count).map(|_| read(input)).collect()
}

fn read_message(input: &mut Reader<'_>) -> Result<Message, Reply> {
    let bytes = input.bytes("transaction message", Message::BYTES_MAX).map_err(malformed)?;
    Message::from_bytes(bytes).map_err(|error| Reply::new(Code::MALFORMED, error.to_string()))
}

fn read_void(input: &mut Reader<'_>) -> Result<(Message, Reply), Reply> {
    exactly(input, "void item", 3).map_err(malformed)?;
    let message = read_message(input)?;
    let code = read_code(input, "void code").map_err(malformed)?;
    let text = input.text("void text", Reply::TEXT_MAX).map_err(malformed)?;
    Ok((message, Reply::new(code, text)))
}

fn read_end(input: &mut Reader<'_>) -> Result<(MessageId, EndingKind), CborError> {
    exactly(input, "end item", 2)?;
    let id = MessageId(input.fixed("end id")?);
    match input.uint("end kind")? {
        0 => Ok((id, EndingKind::Close)),
        1 => Ok((id, EndingKind::Refund)),
        _ => Err(CborError { field: "end kind", expected: "0 or 1" }),
    }
}

fn bad_address(error: impl ToString) -> Reply {
    Reply::new(Code::BAD_ADDRESS, error.to_string())
}
