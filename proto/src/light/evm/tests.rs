//! Blocks made with alloy's types, judged by position; nearly all evidence here is wrong.

use std::collections::BTreeMap;

use alloy_consensus::{Eip658Value, ReceiptWithBloom};
use alloy_primitives::{Address, B256, Log, LogData, keccak256};
use alloy_trie::{HashBuilder, Nibbles, proof::ProofRetainer};
use proptest::prelude::*;

use super::*;
use crate::{
    chain::{Family, Height},
    header::HeaderHash,
    light::{
        Evidence,
        tests::{NOW, key, message, trusted},
        verify as judge_evidence,
    },
    message::{Fields, Message, MessageId},
    proof::{patricia::PatriciaError, rlp::RlpError},
};

const OUTBOX: [u8; 20] = [0xab; 20];

/// A log of the outbox: `Sent(id, message)`.
fn sent(message: &Message) -> Log {
    let mut data = vec![0; 64];
    data[31] = 32;
    let length = u32::try_from(message.bytes().len()).unwrap();
    data[60..64].copy_from_slice(&length.to_be_bytes());
    data.extend(message.bytes());
    data.resize(data.len().next_multiple_of(32), 0);
    log(&OUTBOX, vec![SENT_TOPIC, message.id().0], data)
}

fn log(address: &[u8; 20], topics: Vec<[u8; 32]>, data: Vec<u8>) -> Log {
    let topics = topics.into_iter().map(B256::from).collect();
    Log { address: Address::from(*address), data: LogData::new_unchecked(topics, data.into()) }
}

/// A receipt as it stands in the trie: type 0 is a bare list (EIP-2718).
fn receipt(kind: u8, status: Eip658Value, logs: Vec<Log>) -> Vec<u8> {
    let receipt = alloy_consensus::Receipt { status, cumulative_gas_used: 21_000, logs };
    let body = alloy_rlp::encode(ReceiptWithBloom::from(receipt));
    if kind == 0 { body } else { [vec![kind], body].concat() }
}

const DONE: Eip658Value = Eip658Value::Eip658(true);

fn place(transaction: u64, log: u32) -> LogPlace {
    LogPlace { transaction, log }
}

type Encode = Box<dyn Fn(&alloy_consensus::Header) -> Vec<u8>>;

/// A block before it is attested. Each test spoils something.
struct Case {
    trusted: Trusted,
    receipts: Vec<Vec<u8>>,
    header: alloy_consensus::Header,
    /// Makes the header's RLP, and may lie.
    encode: Encode,
    places: Vec<LogPlace>,
    /// Changes the evidence after the block's hash was attested.
    spoil: Box<dyn Fn(&mut ReceiptProof)>,
    attest: Box<dyn Fn(&mut Header)>,
}

impl Case {
    /// Three transactions of the types 2 and 0; two messages in one, one in another.
    fn new() -> Self {
        let noise = || log(&[1; 20], vec![[5; 32]], vec![1]);
        let receipts = vec![
            receipt(2, DONE, vec![noise()]),
            receipt(2, DONE, vec![sent(&message(1, |_| ())), noise(), sent(&message(2, |_| ()))]),
            receipt(0, DONE, vec![noise(), sent(&message(3, |_| ()))]),
        ];
        Self {
            trusted: trusted(Family::Evm),
            receipts,
            header: alloy_consensus::Header {
                number: 42,
                timestamp: NOW.0 - 10,
                base_fee_per_gas: Some(7),
                ..Default::default()
            },
            encode: Box::new(|header| alloy_rlp::encode(header)),
            places: vec![place(1, 0), place(1, 2), place(2, 1)],
            spoil: Box::new(|_| ()),
            attest: Box::new(|_| ()),
        }
    }

    /// One transaction with one log, which is shown.
    fn of(log: Log) -> Self {
        Self::of_receipt(receipt(2, DONE, vec![log]))
    }

    fn of_receipt(receipt: Vec<u8>) -> Self {
        Self::new().with(|case| {
            case.receipts = vec![receipt];
            case.places = vec![place(0, 0)];
        })
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The receipt trie's root, and the nodes that prove the places' receipts.
    fn trie(&self) -> (B256, Vec<Vec<u8>>) {
        let key = |index: u64| Nibbles::unpack(number_key(index));
        let wanted = self.places.iter().map(|place| key(place.transaction)).collect();
        let retainer = ProofRetainer::new(wanted);
        let mut builder = HashBuilder::default().with_proof_retainer(retainer);
        let entries: BTreeMap<Nibbles, &Vec<u8>> = (0..).map(key).zip(&self.receipts).collect();
        for (key, receipt) in entries {
            builder.add_leaf(key, receipt);
        }
        let root = builder.root();
        let nodes = builder.take_proof_nodes().into_nodes_sorted();
        (root, nodes.into_iter().map(|(_, node)| node.to_vec()).collect())
    }

    fn evidence(&self) -> Evidence {
        let (receipts_root, nodes) = self.trie();
        let block =
            (self.encode)(&alloy_consensus::Header { receipts_root, ..self.header.clone() });
        let mut header = Header {
            chain: self.trusted.chain,
            tag: self.trusted.tag,
            height: Height(42),
            block: crate::chain::BlockHash(keccak256(&block).0),
            time: UnixSeconds(NOW.0 - 10),
            previous: HeaderHash::NONE,
            key_set: self.trusted.keys.hash(),
            leaf_count: 3,
            root: [0; 32],
        };
        (self.attest)(&mut header);
        let mut receipts = ReceiptProof { block, nodes, logs: self.places.clone() };
        (self.spoil)(&mut receipts);
        Evidence::Evm { header: header.sign(&[key(1)]), receipts }
    }

    fn judge(&self) -> Verdict {
        judge_evidence(&self.trusted, Known::default(), &self.evidence(), NOW)
    }
}

fn inclusion(error: impl ToString) -> Verdict {
    Verdict::Invalid(Invalid::Inclusion(error.to_string()))
}

fn content(error: impl ToString) -> Verdict {
    Verdict::Invalid(Invalid::Content(error.to_string()))
}

fn is_proven(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Proven(_))
}

#[test]
fn messages_in_logs_of_a_block_are_proven() {
    let verdict = Case::new().judge();
    let Verdict::Proven(proven) = verdict else { panic!("{verdict:?}") };
    let found: Vec<_> =
        proven.iter().map(|p| (p.message().fields().sequence, p.envelope().origin.index)).collect();
    assert_eq!(found, [(1, 0), (2, 1), (3, 2)]);
    assert!(proven.iter().all(|p| p.envelope().origin.height == Height(42)));
    // Any choice of them has a proof of its own.
    for places in [vec![place(1, 2)], vec![place(2, 1)], vec![place(1, 0), place(2, 1)]] {
        let verdict = Case::new().with(|case| case.places = places).judge();
        assert!(is_proven(&verdict), "{verdict:?}");
    }
}

#[test]
fn a_block_of_200_transactions_is_proven_at_every_place() {
    let one = |n: u64| {
        receipt(if n.is_multiple_of(3) { 0 } else { 2 }, DONE, vec![sent(&message(n + 1, |_| ()))])
    };
    let receipts: Vec<_> = (0..200).map(one).collect();
    for transaction in [0, 1, 127, 128, 129, 199] {
        let case = Case::new().with(|case| {
            case.receipts = receipts.clone();
            case.places = vec![place(transaction, 0)];
        });
        let Verdict::Proven(proven) = case.judge() else { panic!("{:?}", case.judge()) };
        assert_eq!(proven[0].message().fields().sequence, transaction + 1);
    }
}

#[test]
fn a_header_with_fields_of_other_chains_is_read_by_position() {
    let fields = |count: usize| {
        let case = Case::new().with(|case| {
            case.encode = Box::new(move |header| {
                let header = alloy_rlp::encode(header);
                let items = crate::proof::rlp::Item::only(&header).unwrap().items(16, 16).unwrap();
                let mut payload: Vec<u8> =
                    items.iter().take(count).flat_map(|i| i.raw).copied().collect();
                payload.extend(vec![0x80; count.saturating_sub(16)]);
                let mut out = vec![];
                alloy_rlp::Header { list: true, payload_length: payload.len() }.encode(&mut out);
                [out, payload].concat()
            });
        });
        case.judge()
    };
    assert!([15, 16, 21, 40].into_iter().all(|count| is_proven(&fields(count))));
    let items = |found| {
        let error = RlpError::Items { found, min: 15, max: 40 };
        inclusion(BlockError::Rlp { field: "list", error })
    };
    assert_eq!(fields(14), items(14));
    assert_eq!(fields(41), items(41));
}

#[test]
fn the_attested_header_and_the_blocks_header_agree() {
    let attested =
        |attest: fn(&mut Header)| Case::new().with(|case| case.attest = Box::new(attest));
    let hash = attested(|header| header.block.0[0] = 0);
    let Verdict::Invalid(Invalid::Inclusion(text)) = hash.judge() else { panic!() };
    assert!(text.starts_with("block's hash is ") && text.contains(", expected 00"), "{text}");
    let number = attested(|header| header.height = Height(43));
    assert_eq!(number.judge(), inclusion("block's number is 42, expected 43"));
    let (found, expected) = (NOW.0 - 10, NOW.0 - 9);
    let time = attested(|header| header.time = UnixSeconds(NOW.0 - 9));
    let text = format!("block's timestamp is {found}, expected {expected}");
    assert_eq!(time.judge(), inclusion(text));
    let chain = attested(|header| header.chain = "e2e5".parse().unwrap());
    assert!(matches!(chain.judge(), Verdict::Invalid(Invalid::Chain { .. })));
    let spoiled =
        |spoil: fn(&mut ReceiptProof)| Case::new().with(|case| case.spoil = Box::new(spoil));
    let long = spoiled(|proof| proof.block.resize(BlockHeader::BYTES_MAX + 1, 0));
    assert_eq!(long.judge(), inclusion(BlockError::BytesMax { found: BlockHeader::BYTES_MAX + 1 }));
    let error = RlpError::Trailing { found: 1 };
    let trailing = spoiled(|proof| proof.block.push(0));
    assert_eq!(trailing.judge(), inclusion(BlockError::Rlp { field: "list", error }));
}

#[test]
fn the_nodes_are_those_that_prove_the_receipts_and_no_others() {
    let spoiled = |spoil: fn(&mut ReceiptProof)| {
        Case::new().with(|case| case.spoil = Box::new(spoil)).judge()
    };
    let (root, nodes) = Case::new().trie();
    let root = data_encoding::HEXLOWER.encode(root.as_slice());
    let missing = spoiled(|proof| drop(proof.nodes.remove(0)));
    assert_eq!(missing, inclusion(PatriciaError::Missing { hash: root, depth: 0 }));
    let unused = spoiled(|proof| proof.nodes.push(vec![0xc0]));
    assert_eq!(unused, inclusion(PatriciaError::Unused { found: 1 }));
    let hash = data_encoding::HEXLOWER.encode(keccak256(&nodes[0]).as_slice());
    let twice = spoiled(|proof| proof.nodes.push(proof.nodes[0].clone()));
    assert_eq!(twice, inclusion(PatriciaError::Twice { hash }));
    let fewer = spoiled(|proof| proof.logs.truncate(2));
    assert_eq!(fewer, inclusion(PatriciaError::Unused { found: 1 }));
    let other = spoiled(|proof| proof.logs[2].transaction = 9);
    assert!(matches!(other, Verdict::Invalid(Invalid::Inclusion(_))), "{other:?}");
}

#[test]
fn logs_are_shown_once_in_ascending_order() {
    let places = |places: Vec<LogPlace>| Case::new().with(|case| case.places = places).judge();
    let refused = |verdict: Verdict, start: &str| match verdict {
        Verdict::Invalid(Invalid::Inclusion(text)) => assert!(text.starts_with(start), "{text}"),
        other => panic!("{other:?}"),
    };
    refused(places(vec![]), "proof has 0 logs");
    refused(places(vec![place(1, 0); LOG_PLACES_MAX + 1]), "proof has 1025 logs");
    refused(places(vec![place(1, 0), place(1, 0)]), "log LogPlace { transaction: 1, log: 0 }");
    refused(places(vec![place(1, 2), place(1, 0)]), "log LogPlace { transaction: 1, log: 0 }");
    refused(places(vec![place(2, 1), place(1, 0)]), "log LogPlace { transaction: 1, log: 0 }");
}

#[test]
fn only_a_successful_transaction_of_a_known_type_sends() {
    let judged = |bytes| Case::of_receipt(bytes).judge();
    let logs = || vec![sent(&message(1, |_| ()))];
    for kind in 0..=4 {
        assert!(is_proven(&judged(receipt(kind, DONE, logs()))), "type {kind}");
    }
    for kind in [5, 0x7e, 0x7f, 0x80, 0xbf] {
        assert_eq!(judged(receipt(kind, DONE, logs())), content(LogError::Type { found: kind }));
    }
    let zero = [vec![0], receipt(0, DONE, logs())].concat();
    assert_eq!(judged(zero), content(LogError::Type { found: 0 }));
    let reverted = receipt(2, Eip658Value::Eip658(false), logs());
    assert_eq!(judged(reverted), content(LogError::Status { found: String::new() }));
    let old = receipt(0, Eip658Value::PostState(B256::repeat_byte(1)), logs());
    assert_eq!(judged(old), content(LogError::Status { found: "01".repeat(32) }));
    let error = RlpError::Trailing { found: 1 };
    let trailing = [receipt(2, DONE, logs()), vec![0]].concat();
    assert_eq!(judged(trailing), content(LogError::Rlp { field: "list", error }));
    let twice = [vec![2], receipt(2, DONE, logs())].concat();
    assert!(matches!(judged(twice), Verdict::Invalid(Invalid::Content(_))));
}

#[test]
fn only_the_outboxs_own_event_sends() {
    let good = message(1, |_| ());
    let sent = sent(&good);
    let (topics, data) = (vec![SENT_TOPIC, good.id().0], sent.data.data.to_vec());
    let of = |topics: Vec<[u8; 32]>, data: Vec<u8>| Case::of(log(&OUTBOX, topics, data)).judge();
    assert!(is_proven(&of(topics.clone(), data.clone())));
    let stranger = Case::of(log(&[0xcd; 20], topics.clone(), data.clone())).judge();
    let (found, expected) = ("cd".repeat(20), "ab".repeat(20));
    assert_eq!(stranger, content(LogError::Address { found, expected }));
    let past = Case::of(sent).with(|case| case.places = vec![place(0, 1)]).judge();
    assert_eq!(past, content(LogError::Index { found: 1, count: 1 }));
    let event = content(LogError::Event);
    assert_eq!(of(vec![], data.clone()), event);
    assert_eq!(of(vec![SENT_TOPIC], data.clone()), event);
    assert_eq!(of(vec![[0; 32], good.id().0], data.clone()), event);
    assert_eq!(of(vec![SENT_TOPIC, good.id().0, [0; 32]], data.clone()), event);
    let id = LogError::Id { found: MessageId([0; 32]), expected: good.id() };
    assert_eq!(of(vec![SENT_TOPIC, [0; 32]], data.clone()), content(id));
    let words = LogError::Data { expected: "as many words as the length says" };
    assert_eq!(of(topics.clone(), [data.clone(), vec![0; 32]].concat()), content(words));
    let zeros = LogError::Data { expected: "zeros after the bytes" };
    let mut dirty = data.clone();
    *dirty.last_mut().unwrap() = 1;
    assert_ne!(good.bytes().len() % 32, 0, "there is padding to soil");
    assert_eq!(of(topics, dirty), content(zeros));
}

#[test]
fn the_message_is_this_chains_and_of_this_outbox() {
    let of = |change: &dyn Fn(&mut Fields)| Case::of(sent(&message(1, change))).judge();
    assert!(is_proven(&of(&|_| ())));
    let other = of(&|fields| fields.source = "e2e5".parse().unwrap());
    let text = "source is e2e5/0707070707070707, expected e2e4/0707070707070707";
    assert_eq!(other, content(text));
    let outbox = of(&|fields| fields.outbox = vec![0xcd]);
    assert_eq!(outbox, content(format!("outbox is cd, expected {}", "ab".repeat(20))));
    let max = Message::EXPIRES_AFTER_MAX;
    let late = of(&|fields| fields.expires = UnixSeconds(NOW.0 - 9 + max));
    assert_eq!(late, Verdict::Invalid(Invalid::Expires { after: max + 1, max }));
}

#[test]
fn a_block_or_node_with_any_flipped_bit_is_refused() {
    let case = Case::new();
    let evidence = case.evidence();
    let Evidence::Evm { header, receipts } = &evidence else { panic!() };
    let lengths: Vec<usize> =
        [&receipts.block].into_iter().chain(&receipts.nodes).map(Vec::len).collect();
    let mut cache = Authenticated::new(1);
    for (part, length) in lengths.into_iter().enumerate() {
        for bit in 0..length * 8 {
            let mut bad = receipts.clone();
            let bytes = if part == 0 { &mut bad.block } else { &mut bad.nodes[part - 1] };
            bytes[bit / 8] ^= 1 << (bit % 8);
            let verdict = verify(&mut cache, &case.trusted, Known::default(), header, &bad, NOW);
            let refused = matches!(&verdict, Err(Verdict::Invalid(Invalid::Inclusion(_))));
            assert!(refused, "part {part}, bit {bit}: {verdict:?}");
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_parsers_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        index in any::<u32>(),
    ) {
        let _ = BlockHeader::read(&bytes);
        let _ = message_in_log(&OUTBOX, &OUTBOX, &[SENT_TOPIC, [0; 32]], &bytes);
        let mut list = vec![];
        alloy_rlp::Header { list: true, payload_length: bytes.len() }.encode(&mut list);
        let _ = BlockHeader::read(&[list, bytes.clone()].concat());
        if let Ok(receipt) = Receipt::read(&bytes) {
            let _ = receipt.message(index, &OUTBOX);
        }
    }

    #[test]
    fn a_receipt_with_any_byte_changed_never_panics(
        which in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = receipt(2, DONE, vec![sent(&message(1, |_| ()))]);
        let at = which.index(bytes.len());
        bytes[at] = byte;
        if let Ok(receipt) = Receipt::read(&bytes) {
            let _ = receipt.message(0, &OUTBOX);
        }
    }
}
