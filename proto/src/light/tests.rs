//! Both families whose leaves are messages, in one story: nearly all evidence here is wrong.

use super::{
    ledger::{LedgerHeader, SignedLedgerHeader},
    *,
};
use crate::{
    cbor::{CborError, Reader, Writer},
    chain::BlockHash,
    header::Header,
    key::{Domain, SecretKey},
    message::{Fields, Message, OnFail},
    proof::merkle::{MerkleError, Tree, leaf_hash},
};

pub(super) const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

pub(super) fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

pub(super) fn keys(seeds: &[u8], threshold: usize) -> KeySet {
    KeySet::new(seeds.iter().map(|seed| key(*seed).public()), threshold).unwrap()
}

pub(super) fn trusted(family: Family) -> Trusted {
    let outbox = vec![0xab; 20];
    let (chain, tag) = ("e2e4".parse().unwrap(), GenesisTag([7; 8]));
    Trusted { chain, tag, family, outbox, keys: keys(&[1], 1) }
}

pub(super) fn message(sequence: u64, change: impl Fn(&mut Fields)) -> Message {
    let mut fields = Fields {
        source: "e2e4".parse().unwrap(),
        source_tag: GenesisTag([7; 8]),
        destination: "b1c2".parse().unwrap(),
        destination_tag: GenesisTag::UNSET,
        outbox: vec![0xab; 20],
        sequence,
        sender: "alice".parse().unwrap(),
        recipient: "bob".parse().unwrap(),
        value: None,
        data: vec![1, 2, 3],
        gas: 0,
        on_fail: OnFail::Return,
        expires: UnixSeconds(NOW.0 + 3600),
    };
    change(&mut fields);
    Message::new(fields).unwrap()
}

/// Evidence before it is signed, and who judges it. Each test spoils something.
struct Case {
    trusted: Trusted,
    known: Known,
    now: UnixSeconds,
    header: Header,
    signers: Vec<SecretKey>,
    tree: TreeProof,
}

impl Case {
    /// Five messages leave, the second and the third are shown.
    fn new(family: Family) -> Self {
        Self::of(family, (1..=5).map(|n| message(n, |_| ()).bytes().to_vec()).collect(), &[1, 2])
    }

    fn of(family: Family, leaves: Vec<Vec<u8>>, indices: &[u64]) -> Self {
        let tree = Tree::new(leaves.iter().map(|leaf| leaf_hash(leaf)).collect());
        let trusted = trusted(family);
        let header = Header {
            chain: trusted.chain,
            tag: trusted.tag,
            height: Height(42),
            block: BlockHash([3; 32]),
            time: UnixSeconds(NOW.0 - 10),
            previous: HeaderHash([8; 32]),
            key_set: trusted.keys.hash(),
            leaf_count: tree.leaf_count(),
            root: tree.root(),
        };
        let shown = indices.iter().map(|index| leaves[usize::try_from(*index).unwrap()].clone());
        let tree = TreeProof {
            indices: indices.to_vec(),
            leaves: shown.collect(),
            hashes: tree.prove(indices).unwrap(),
        };
        Self { trusted, known: Known::default(), now: NOW, header, signers: vec![key(1)], tree }
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn ledger_header(&self) -> LedgerHeader {
        LedgerHeader {
            chain: self.header.chain,
            tag: self.header.tag,
            height: self.header.height,
            previous: self.header.previous,
            time: self.header.time,
            transactions_root: self.header.block.0,
            leaf_count: self.header.leaf_count,
            root: self.header.root,
        }
    }

    fn evidence(&self) -> Evidence {
        let tree = self.tree.clone();
        match self.trusted.family {
            Family::Attested => {
                Evidence::Attested { header: self.header.sign(&self.signers), tree }
            }
            Family::Ledger => {
                Evidence::Ledger { header: self.ledger_header().sign(&self.signers), tree }
            }
            Family::Evm => unreachable!("has tests of its own"),
        }
    }

    fn hash(&self) -> HeaderHash {
        self.evidence().links().0
    }

    fn judge(&self) -> Verdict {
        verify(&self.trusted, self.known, &self.evidence(), self.now)
    }
}

/// Runs a story for both families.
fn both(story: impl Fn(Family)) {
    [Family::Attested, Family::Ledger].into_iter().for_each(story);
}

fn inclusion(error: &MerkleError) -> Verdict {
    Verdict::Invalid(Invalid::Inclusion(error.to_string()))
}

fn content(text: &str) -> Verdict {
    Verdict::Invalid(Invalid::Content(text.to_owned()))
}

fn is_proven(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Proven(_))
}

#[test]
fn messages_of_a_signed_block_are_proven_where_they_are() {
    both(|family| {
        let case = Case::new(family);
        let Verdict::Proven(proven) = case.judge() else { panic!("{:?}", case.judge()) };
        let sequences: Vec<u64> = proven.iter().map(|p| p.message().fields().sequence).collect();
        assert_eq!(sequences, [2, 3]);
        let places: Vec<_> = proven.iter().map(|p| p.envelope().origin).collect();
        assert_eq!(places.iter().map(|p| p.index).collect::<Vec<_>>(), [1, 2]);
        assert!(places.iter().all(|place| place.height == Height(42)));
        assert!(proven.iter().all(|p| p.header() == case.hash()));
    });
}

#[test]
fn evidence_of_another_family_is_not_judged() {
    let case = Case::new(Family::Ledger);
    let evidence = case.evidence();
    let verdict = verify(&trusted(Family::Evm), Known::default(), &evidence, NOW);
    let (found, expected) = (Family::Ledger, Family::Evm);
    assert_eq!(verdict, Verdict::Invalid(Invalid::Family { found, expected }));
}

#[test]
fn a_header_of_another_chain_or_replayed_under_another_tag_is_refused() {
    both(|family| {
        let judged = |change: &dyn Fn(&mut Case)| Case::new(family).with(change).judge();
        let chain = |found: &str, expected: &str| {
            let (found, expected) = (found.to_owned(), expected.to_owned());
            Verdict::Invalid(Invalid::Chain { found, expected })
        };
        let own = "e2e4/0707070707070707";
        let other = judged(&|case| case.header.chain = "e2e5".parse().unwrap());
        assert_eq!(other, chain("e2e5/0707070707070707", own));
        let replayed = judged(&|case| case.trusted.tag = GenesisTag([8; 8]));
        assert_eq!(replayed, chain(own, "e2e4/0808080808080808"));
        let genesis = judged(&|case| case.header.tag = GenesisTag::UNSET);
        assert_eq!(genesis, chain("e2e4/0000000000000000", own));
    });
}

#[test]
fn enough_of_the_chains_own_keys_have_to_sign_this_very_header() {
    both(|family| {
        let judged = |change: &dyn Fn(&mut Case)| Case::new(family).with(change).judge();
        let signatures = |threshold| Verdict::Invalid(Invalid::Signatures { threshold });
        assert_eq!(judged(&|case| case.signers = vec![key(2)]), signatures(1));
        assert_eq!(judged(&|case| case.signers = vec![]), signatures(1));
        let two = |case: &mut Case, signers: &[u8]| {
            case.trusted.keys = keys(&[1, 2, 3], 2);
            case.header.key_set = case.trusted.keys.hash();
            case.signers = signers.iter().map(|seed| key(*seed)).collect();
        };
        assert_eq!(judged(&|case| two(case, &[1])), signatures(2));
        assert_eq!(judged(&|case| two(case, &[1, 1])), signatures(2), "one key twice");
        assert_eq!(judged(&|case| two(case, &[1, 4])), signatures(2), "and a stranger");
        assert!(is_proven(&judged(&|case| two(case, &[4, 3, 1]))));
    });
}

#[test]
fn a_signature_for_another_purpose_does_not_sign_a_header() {
    let attested = Case::new(Family::Attested);
    let bytes = attested.header.bytes();
    let signed = |domain| SignedHeader {
        header: attested.header.clone(),
        signatures: vec![key(1).sign(domain, &bytes)],
    };
    for domain in Domain::ALL {
        let evidence = Evidence::Attested { header: signed(domain), tree: attested.tree.clone() };
        let verdict = verify(&attested.trusted, Known::default(), &evidence, NOW);
        assert_eq!(is_proven(&verdict), domain == Domain::Header, "{domain:?}");
    }
    let ledger = Case::new(Family::Ledger);
    let header = ledger.ledger_header();
    for domain in Domain::ALL {
        let signatures = vec![key(1).sign(domain, &header.bytes())];
        let signed = SignedLedgerHeader { header: header.clone(), signatures };
        let evidence = Evidence::Ledger { header: signed, tree: ledger.tree.clone() };
        let verdict = verify(&ledger.trusted, Known::default(), &evidence, NOW);
        assert_eq!(is_proven(&verdict), domain == Domain::LedgerHeader, "{domain:?}");
    }
}

#[test]
fn a_header_is_judged_by_the_keys_trusted_now_not_by_those_it_was_made_under() {
    let case = Case::new(Family::Attested).with(|case| case.header.key_set = [0; 32]);
    assert!(is_proven(&case.judge()));
    let case = Case::new(Family::Attested).with(|case| case.trusted.keys = keys(&[9], 1));
    assert_eq!(case.judge(), Verdict::Invalid(Invalid::Signatures { threshold: 1 }));
}

#[test]
fn a_block_from_the_future_waits() {
    both(|family| {
        let at = |time| Case::new(family).with(|case| case.header.time = UnixSeconds(time)).judge();
        assert!(is_proven(&at(NOW.0 + CLOCK_SKEW_MAX)));
        let later = at(NOW.0 + CLOCK_SKEW_MAX + 1);
        assert_eq!(later, Verdict::NotYet("the block's time is in this gateway's future"));
        assert!(matches!(at(u64::MAX), Verdict::NotYet(_)));
    });
}

#[test]
fn an_authenticated_header_beside_another_one_is_a_conflict() {
    both(|family| {
        let held = HeaderHash([9; 32]);
        let offered = Case::new(family).hash();
        let knowing = |known| Case::new(family).with(|case| case.known = known);
        let height = Known { at_height: Some(held), after_previous: None };
        let previous = Known { at_height: None, after_previous: Some(held) };
        for known in [height, previous] {
            assert_eq!(knowing(known).judge(), Verdict::Conflict { held, offered });
            // Whoever cannot sign cannot make a chain freeze.
            let stranger = knowing(known).with(|case| case.signers = vec![key(2)]);
            let refused = Verdict::Invalid(Invalid::Signatures { threshold: 1 });
            assert_eq!(stranger.judge(), refused);
        }
        let same = Known { at_height: Some(offered), after_previous: Some(offered) };
        assert!(is_proven(&knowing(same).judge()));
        // Gateways begin to attest at different blocks: two first headers contradict nothing.
        let first = knowing(previous).with(|case| case.header.previous = HeaderHash::NONE);
        assert!(is_proven(&first.judge()));
    });
}

#[test]
fn a_gateway_that_joined_later_says_the_same_of_a_block_under_other_hashes() {
    let held = Case::new(Family::Attested).hash();
    let known = Known { at_height: Some(held), after_previous: None };
    let joined = Case::new(Family::Attested).with(|case| {
        case.known = known;
        case.header.previous = HeaderHash([7; 32]);
        case.header.key_set = [6; 32];
    });
    assert!(is_proven(&joined.judge()));
    let other = joined.with(|case| case.header.block = BlockHash([4; 32]));
    assert!(matches!(other.judge(), Verdict::Conflict { .. }));
}

#[test]
fn a_proof_that_misses_the_root_is_refused() {
    both(|family| {
        let judged = |change: &dyn Fn(&mut Case)| Case::new(family).with(change).judge();
        let root = inclusion(&MerkleError::Root);
        assert_eq!(judged(&|case| case.tree.hashes[0][0] ^= 1), root);
        assert_eq!(judged(&|case| case.header.root[31] ^= 1), root);
        assert_eq!(judged(&|case| case.tree.leaves.reverse()), root);
        let altered = message(2, |fields| fields.data = vec![9]).bytes().to_vec();
        assert_eq!(judged(&|case| case.tree.leaves[0] = altered.clone()), root);
        let fewer = judged(&|case| case.header.leaf_count = 2);
        assert_eq!(fewer, inclusion(&MerkleError::Index { found: 2, leaf_count: 2 }));
        let more = judged(&|case| case.header.leaf_count = 9);
        assert_eq!(more, inclusion(&MerkleError::HashMissing { found: 3 }));
        let twice = judged(&|case| case.tree.indices = vec![1, 1]);
        assert_eq!(twice, inclusion(&MerkleError::Order { before: 1, found: 1 }));
        let none = TreeProof { indices: vec![], leaves: vec![], hashes: vec![] };
        assert_eq!(judged(&|case| case.tree = none.clone()), inclusion(&MerkleError::Empty));
    });
}

#[test]
fn a_leaf_is_a_message_of_this_chains_outbox_in_its_one_encoding() {
    both(|family| {
        let leaf = |leaf: &[u8]| Case::of(family, vec![leaf.to_vec()], &[0]).judge();
        let of = |change: &dyn Fn(&mut Fields)| leaf(message(1, change).bytes());
        assert!(is_proven(&of(&|_| ())));
        assert_eq!(
            leaf(b"x"),
            content("message message: expected a map of definite length within its limit")
        );
        let good = message(1, |_| ());
        // The version, 1, as a two-byte number: the same message in another encoding.
        let mut long = good.bytes().to_vec();
        long.splice(2..3, [0x18, 0x01]);
        assert_eq!(leaf(&long), content("message is not in its one deterministic encoding"));
        let own = "e2e4/0707070707070707";
        let other = of(&|fields| fields.source = "e2e5".parse().unwrap());
        assert_eq!(other, content(&format!("source is e2e5/0707070707070707, expected {own}")));
        let replayed = of(&|fields| fields.source_tag = GenesisTag([8; 8]));
        assert_eq!(replayed, content(&format!("source is e2e4/0808080808080808, expected {own}")));
        let outbox = of(&|fields| fields.outbox = vec![0xcd]);
        assert_eq!(outbox, content(&format!("outbox is cd, expected {}", "ab".repeat(20))));
        let max = Message::EXPIRES_AFTER_MAX;
        let block = NOW.0 - 10;
        assert!(is_proven(&of(&|fields| fields.expires = UnixSeconds(block + max))));
        let late = of(&|fields| fields.expires = UnixSeconds(block + max + 1));
        assert_eq!(late, Verdict::Invalid(Invalid::Expires { after: max + 1, max }));
        let past = of(&|fields| fields.expires = UnixSeconds(0));
        assert!(
            is_proven(&past),
            "proven and expired: policy refuses it, and the sender is refunded"
        );
    });
}

#[test]
fn a_header_is_authenticated_once_and_judged_each_time() {
    both(|family| {
        let mut cache = Authenticated::new(8);
        let case = Case::new(family);
        let stranger = Case::new(family).with(|case| case.signers = vec![key(2)]);
        let judge = |cache: &mut Authenticated, case: &Case| {
            verify_with(cache, &case.trusted, case.known, &case.evidence(), case.now)
        };
        let refused = Verdict::Invalid(Invalid::Signatures { threshold: 1 });
        assert_eq!(judge(&mut cache, &stranger), refused);
        assert!(cache.is_empty(), "what is refused is not kept");
        assert!(is_proven(&judge(&mut cache, &case)));
        assert_eq!(cache.len(), 1);
        // The same header again: its signatures are not looked at, whoever sends it.
        assert!(is_proven(&judge(&mut cache, &stranger)));
        // Everything else is: time, conflict, the other chain's keys, another header.
        let early = Case::new(family).with(|case| case.now = UnixSeconds(0));
        assert!(matches!(judge(&mut cache, &early), Verdict::NotYet(_)));
        let known = Known { at_height: Some(HeaderHash([9; 32])), after_previous: None };
        let conflict = Case::new(family).with(|case| case.known = known);
        assert!(matches!(judge(&mut cache, &conflict), Verdict::Conflict { .. }));
        let rotated = Case::new(family).with(|case| case.trusted.keys = keys(&[3], 1));
        assert!(matches!(judge(&mut cache, &rotated), Verdict::Invalid(_)));
        let next = Case::new(family).with(|case| {
            case.header.height = Height(43);
            case.signers = vec![key(2)];
        });
        assert_eq!(judge(&mut cache, &next), refused);
    });
}

/// Evidence as bytes, as a wire may carry it.
fn write(evidence: &Evidence) -> Vec<u8> {
    let mut out = Writer::default();
    out.array(4);
    let tree = match evidence {
        Evidence::Attested { header, tree } => {
            header.write(&mut out);
            tree
        }
        Evidence::Ledger { header, tree } => {
            header.write(&mut out);
            tree
        }
        Evidence::Evm { .. } => unreachable!("has tests of its own"),
    };
    out.array(tree.indices.len());
    for index in &tree.indices {
        out.uint(*index);
    }
    for list in [&tree.leaves, &tree.hashes.iter().map(|hash| hash.to_vec()).collect()] {
        out.array(list.len());
        for bytes in list {
            out.bytes(bytes);
        }
    }
    out.finish()
}

fn read(family: Family, bytes: &[u8]) -> Result<Evidence, CborError> {
    let mut input = Reader::new(bytes);
    if input.array("evidence", 4)? != 4 {
        return Err(CborError { field: "evidence", expected: "four parts" });
    }
    let (mut attested, mut ledger) = (None, None);
    match family {
        Family::Attested => attested = Some(SignedHeader::read(&mut input)?),
        _ => ledger = Some(SignedLedgerHeader::read(&mut input)?),
    }
    let indices = (0..input.array("indices", 9)?).map(|_| input.uint("index"));
    let indices = indices.collect::<Result<_, _>>()?;
    let leaves = (0..input.array("leaves", 9)?).map(|_| Ok(input.bytes("leaf", 999)?.to_vec()));
    let leaves = leaves.collect::<Result<_, _>>()?;
    let hashes = (0..input.array("hashes", 9)?).map(|_| input.fixed("hash"));
    let hashes = hashes.collect::<Result<_, _>>()?;
    input.end("evidence")?;
    let tree = TreeProof { indices, leaves, hashes };
    Ok(match (attested, ledger) {
        (Some(header), _) => Evidence::Attested { header, tree },
        (_, Some(header)) => Evidence::Ledger { header, tree },
        (None, None) => unreachable!("one was read"),
    })
}

#[test]
fn evidence_with_any_flipped_bit_is_refused() {
    both(|family| {
        let case = Case::new(family);
        let good = write(&case.evidence());
        assert_eq!(read(family, &good), Ok(case.evidence()));
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            if let Ok(evidence) = read(family, &bad) {
                let verdict = verify(&case.trusted, case.known, &evidence, NOW);
                assert!(matches!(verdict, Verdict::Invalid(_)), "bit {bit}: {verdict:?}");
            }
        }
    });
}

#[test]
fn a_ledger_header_has_one_encoding_and_a_hash_of_its_own_domain() {
    let header = Case::new(Family::Ledger).ledger_header();
    let bytes = header.bytes();
    assert_eq!(LedgerHeader::from_bytes(&bytes), Ok(header.clone()));
    assert_eq!(header.hash().0, Domain::LedgerHeader.hash(&bytes));
    let signed = header.sign(&[key(1), key(2)]);
    let mut out = Writer::default();
    signed.write(&mut out);
    assert_eq!(SignedLedgerHeader::read(&mut Reader::new(&out.finish())), Ok(signed));
    let wrong = |field, expected| Err(CborError { field, expected });
    let mut long = bytes.clone();
    long.push(0);
    assert_eq!(LedgerHeader::from_bytes(&long), wrong("ledger header", "nothing after it"));
    let mut other = bytes.clone();
    other.splice(1..2, [0x18, 0x00]);
    let expected = "its one deterministic encoding";
    assert_eq!(LedgerHeader::from_bytes(&other), wrong("ledger header", expected));
    let mut fewer = bytes.clone();
    fewer[0] = 0xa7;
    assert_eq!(LedgerHeader::from_bytes(&fewer), wrong("ledger header", "its 8 keys"));
    assert!(Header::from_bytes(&bytes).is_err(), "one header does not read as the other");
}
