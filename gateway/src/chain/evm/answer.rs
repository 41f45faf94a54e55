//! What the node answers, as types: hex and quantities are read strictly, the rest is ignored.

use alloy_consensus::Header;
use alloy_primitives::{Address, B64, B256, Bloom, BloomInput, Bytes, Log, U256};
use alloy_rlp::Encodable;
use distpos_proto::{
    chain::{BlockHash, Height},
    time::UnixSeconds,
    wire::Head,
};
use serde::{Deserialize, Deserializer, de::Error};

/// Bytes as `0x…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hex(pub(super) Vec<u8>);

/// A number as `0x…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quantity(pub(super) U256);

/// The bytes of a `0x…` text.
pub(super) fn bytes_of(text: &str) -> Option<Vec<u8>> {
    data_encoding::HEXLOWER_PERMISSIVE.decode(text.strip_prefix("0x")?.as_bytes()).ok()
}

/// `0x…` of bytes.
pub(super) fn hex(bytes: &[u8]) -> String {
    format!("0x{}", data_encoding::HEXLOWER.encode(bytes))
}

impl Hex {
    /// Exactly `N` bytes.
    fn fixed<const N: usize, E: Error>(self) -> Result<[u8; N], E> {
        let found = self.0.len();
        self.0.try_into().map_err(|_| E::custom(format!("{found} bytes, expected {N}")))
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        bytes_of(&text).map(Self).ok_or_else(|| D::Error::custom("expected bytes as 0x…"))
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        let digits = text.strip_prefix("0x").filter(|digits| (1..=64).contains(&digits.len()));
        let number = digits.and_then(|digits| U256::from_str_radix(digits, 16).ok());
        number.map(Self).ok_or_else(|| D::Error::custom("expected a number as 0x…"))
    }
}

fn fixed<'de, D: Deserializer<'de>, const N: usize>(input: D) -> Result<[u8; N], D::Error> {
    Hex::deserialize(input)?.fixed()
}

/// A hash, an address or another fixed number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fixed<const N: usize>(pub(super) [u8; N]);

impl<'de, const N: usize> Deserialize<'de> for Fixed<N> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        fixed(input).map(Self)
    }
}

/// A number below 2^64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Number(pub(super) u64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let number = Quantity::deserialize(input)?.0;
        let wrong = |_| D::Error::custom("expected a number below 2^64");
        u64::try_from(number).map(Self).map_err(wrong)
    }
}

fn or_zero<'de, D: Deserializer<'de>>(input: D) -> Result<u64, D::Error> {
    Ok(Option::<Number>::deserialize(input)?.map_or(0, |number| number.0))
}

/// A block without its transactions' bodies.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Block {
    pub(super) hash: Fixed<32>,
    pub(super) number: Number,
    pub(super) timestamp: Number,
    pub(super) receipts_root: Fixed<32>,
    pub(super) transactions: Vec<Fixed<32>>,
    parent_hash: Fixed<32>,
    sha3_uncles: Fixed<32>,
    miner: Fixed<20>,
    state_root: Fixed<32>,
    transactions_root: Fixed<32>,
    logs_bloom: Fixed<256>,
    difficulty: Quantity,
    pub(super) gas_limit: Number,
    gas_used: Number,
    extra_data: Hex,
    #[serde(default)]
    mix_hash: Option<Fixed<32>>,
    #[serde(default)]
    nonce: Option<Fixed<8>>,
    #[serde(default)]
    pub(super) base_fee_per_gas: Option<Number>,
    #[serde(default)]
    withdrawals_root: Option<Fixed<32>>,
    #[serde(default)]
    blob_gas_used: Option<Number>,
    #[serde(default)]
    excess_blob_gas: Option<Number>,
    #[serde(default)]
    parent_beacon_block_root: Option<Fixed<32>>,
    #[serde(default)]
    requests_hash: Option<Fixed<32>>,
    #[serde(default)]
    block_access_list_hash: Option<Fixed<32>>,
    #[serde(default)]
    slot_number: Option<Number>,
}

impl Block {
    pub(super) fn head(&self) -> Head {
        Head {
            height: Height(self.number.0),
            block: BlockHash(self.hash.0),
            time: UnixSeconds(self.timestamp.0),
        }
    }

    /// Whether its header's bloom filter has room for a log with this address or topic.
    pub(super) fn may_log(&self, what: &[u8]) -> bool {
        Bloom::from(self.logs_bloom.0).contains_input(BloomInput::Raw(what))
    }

    /// Whether the chain has a fee market (EIP-1559).
    pub(super) fn has_base_fee(&self) -> bool {
        self.base_fee_per_gas.is_some()
    }

    /// The header's RLP, made anew from its fields.
    pub(super) fn header_rlp(&self) -> Vec<u8> {
        let word = |fixed: &Option<Fixed<32>>| fixed.map(|fixed| B256::from(fixed.0));
        let number = |number: &Option<Number>| number.map(|number| number.0);
        let header = Header {
            parent_hash: self.parent_hash.0.into(),
            ommers_hash: self.sha3_uncles.0.into(),
            beneficiary: self.miner.0.into(),
            state_root: self.state_root.0.into(),
            transactions_root: self.transactions_root.0.into(),
            receipts_root: self.receipts_root.0.into(),
            logs_bloom: Bloom::from(self.logs_bloom.0),
            difficulty: self.difficulty.0,
            number: self.number.0,
            gas_limit: self.gas_limit.0,
            gas_used: self.gas_used.0,
            timestamp: self.timestamp.0,
            extra_data: Bytes::from(self.extra_data.0.clone()),
            mix_hash: word(&self.mix_hash).unwrap_or_default(),
            nonce: B64::from(self.nonce.map_or([0; 8], |nonce| nonce.0)),
            base_fee_per_gas: number(&self.base_fee_per_gas),
            withdrawals_root: word(&self.withdrawals_root),
            blob_gas_used: number(&self.blob_gas_used),
            excess_blob_gas: number(&self.excess_blob_gas),
            parent_beacon_block_root: word(&self.parent_beacon_block_root),
            requests_hash: word(&self.requests_hash),
            block_access_list_hash: word(&self.block_access_list_hash),
            slot_number: number(&self.slot_number),
        };
        let mut rlp = Vec::new();
        header.encode(&mut rlp);
        rlp
    }
}

/// A log of the contract.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LogEntry {
    pub(super) address: Fixed<20>,
    pub(super) topics: Vec<Fixed<32>>,
    pub(super) data: Hex,
    pub(super) block_hash: Option<Fixed<32>>,
    pub(super) block_number: Option<Number>,
    pub(super) transaction_hash: Option<Fixed<32>>,
    pub(super) log_index: Option<Number>,
    #[serde(default)]
    pub(super) removed: bool,
}

impl LogEntry {
    pub(super) fn log(&self) -> Log {
        let topics = self.topics.iter().map(|topic| B256::from(topic.0)).collect();
        Log::new_unchecked(Address::from(self.address.0), topics, self.data.0.clone().into())
    }
}

/// A transaction's receipt.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Receipt {
    /// 0 where the node leaves it out: nodes that agree must not differ in that.
    #[serde(default, rename = "type", deserialize_with = "or_zero")]
    pub(super) kind: u64,
    pub(super) transaction_hash: Fixed<32>,
    pub(super) block_hash: Fixed<32>,
    pub(super) block_number: Number,
    #[serde(default)]
    pub(super) status: Option<Number>,
    #[serde(default)]
    pub(super) contract_address: Option<Fixed<20>>,
    pub(super) cumulative_gas_used: Number,
    pub(super) logs_bloom: Fixed<256>,
    pub(super) logs: Vec<LogEntry>,
}

/// What transactions pay.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FeeHistory {
    #[serde(default)]
    pub(super) base_fee_per_gas: Vec<Quantity>,
}
