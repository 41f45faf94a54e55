//! What DNS may change of what is believed, and what it may not.

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    chain::Family,
    key::SecretKey,
    record::{Mode, PolicyRecord},
};

const START: UnixSeconds = UnixSeconds(1_000_000);
const DAY: u64 = 86_400;
const PIN_DAYS: u64 = 7;
const BOTH: [TrustLevel; 2] = [TrustLevel::Pinned, TrustLevel::Dnssec];

fn chain() -> ChainId {
    "e2e4".parse().unwrap()
}

fn selector(text: &str) -> Selector {
    text.parse().unwrap()
}

fn secret(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

fn key(seed: u8) -> PublicKey {
    secret(seed).public()
}

fn tag() -> GenesisTag {
    GenesisTag([1; 8])
}

/// A ledger's zone as a look-up finds it: key `n` is published at the selector `kn`.
fn published(level: TrustLevel, keys: &[u8], threshold: usize) -> Published {
    let at = |seed: &u8| selector(&format!("k{seed}"));
    let policy = PolicyRecord {
        chain: chain(),
        id: "1".into(),
        mode: Mode::Enforce,
        pin_for: Duration::from_secs(PIN_DAYS * DAY),
        family: Family::Ledger,
        genesis: tag(),
        outbox: None,
        confirmations: 0,
        selectors: keys.iter().map(at).collect(),
        threshold,
    };
    let record = |seed: &u8| (at(seed), Some(KeyRecord::new(chain(), Some(key(*seed)))));
    Published {
        found_at: "_distpos.e2e4.chains.test".into(),
        policy: Some(policy),
        keys: keys.iter().map(record).collect(),
        level,
        lasts: Duration::from_hours(1),
    }
}

fn policy_of(published: &mut Published) -> &mut PolicyRecord {
    published.policy.as_mut().unwrap()
}

fn endorse(published: &mut Published, seed: u8, by: &[u8]) {
    let at = selector(&format!("k{seed}"));
    let by: Vec<SecretKey> = by.iter().map(|seed| secret(*seed)).collect();
    let record = KeyRecord::new(chain(), Some(key(seed))).endorsed(tag(), &at, &by);
    published.keys.insert(at, Some(record));
}

fn revoke(published: &mut Published, seed: u8) {
    published.keys.insert(selector(&format!("k{seed}")), Some(KeyRecord::new(chain(), None)));
}

fn anchor(keys: &[u8], threshold: usize) -> Trusted {
    let keys = KeySet::new(keys.iter().map(|seed| key(*seed)), threshold).unwrap();
    let (chain, tag, family) = (chain(), tag(), Family::Ledger);
    Trusted { chain, tag, family, outbox: b"ledger".to_vec(), keys }
}

/// One gateway's view of one chain.
struct View {
    least: Least,
    operator: Option<(Trusted, Option<String>)>,
    state: Option<DnsTrust>,
    now: UnixSeconds,
}

impl View {
    fn new(keys: TrustLevel) -> Self {
        let least = Least { route: TrustLevel::Pinned, keys };
        Self { least, operator: None, state: None, now: START }
    }

    fn anchored(trusted: Trusted) -> Self {
        Self { operator: Some((trusted, None)), ..Self::new(TrustLevel::Dnssec) }
    }

    fn operator(&self) -> Option<OperatorAnchor<'_>> {
        let (trusted, found_at) = self.operator.as_ref()?;
        Some(OperatorAnchor { trusted, found_at: found_at.as_deref() })
    }

    fn see(&mut self, published: &Published) -> Vec<News> {
        let seen = self.look(published);
        assert_eq!(seen.route, Ok(()));
        seen.news
    }

    fn look(&mut self, published: &Published) -> Observed {
        let observed =
            observe(self.state.as_ref(), self.operator(), published, self.least, self.now);
        // What is kept survives a restart.
        self.state = observed.state.as_ref().map(|state| {
            let read = DnsTrust::from_bytes(&state.to_bytes()).unwrap();
            assert_eq!(&read, state);
            read
        });
        observed
    }

    fn believed(&self) -> Result<(Vec<PublicKey>, usize, TrustLevel), Untrusted> {
        let operator = self.operator();
        let (trusted, level) =
            trusted(chain(), self.state.as_ref(), operator, self.least.keys, self.now)?;
        assert_eq!((trusted.tag, trusted.family), (tag(), Family::Ledger));
        assert_eq!(trusted.outbox, b"ledger");
        Ok((trusted.keys.keys().copied().collect(), trusted.keys.threshold(), level))
    }

    fn believes(&self, keys: &[u8], threshold: usize, level: TrustLevel) {
        let mut keys: Vec<_> = keys.iter().map(|seed| key(*seed)).collect();
        keys.sort_unstable();
        assert_eq!(self.believed(), Ok((keys, threshold, level)));
    }

    fn days(&mut self, days: u64) {
        self.now.0 += days * DAY;
    }
}

#[test]
fn a_secure_answer_is_an_anchor_and_an_unsigned_one_only_if_the_operator_says_so() {
    for (least, level, is_believed) in [
        (TrustLevel::Static, TrustLevel::Dnssec, false),
        (TrustLevel::Dnssec, TrustLevel::Dnssec, true),
        (TrustLevel::Dnssec, TrustLevel::Pinned, false),
        (TrustLevel::Pinned, TrustLevel::Pinned, true),
    ] {
        let mut view = View::new(least);
        assert_eq!(view.believed(), Err(Untrusted::Unknown));
        let news = view.see(&published(level, &[1, 2], 2));
        if is_believed {
            let keys = [key(1), key(2)].into();
            assert_eq!(news, [News::FirstSeen { level, keys }]);
            view.believes(&[1, 2], 2, level);
        } else {
            assert_eq!((news, view.believed()), (vec![], Err(Untrusted::Unknown)), "{least}");
        }
    }
}

#[test]
fn a_policy_that_is_not_enforced_or_incomplete_anchors_nothing() {
    let breaks: [fn(&mut Published); 6] = [
        |it| it.policy = None,
        |it| policy_of(it).mode = Mode::Testing,
        |it| policy_of(it).mode = Mode::None,
        |it| policy_of(it).family = Family::Evm,
        |it| policy_of(it).family = Family::Attested,
        |it| revoke(it, 2),
    ];
    for (at, change) in breaks.into_iter().enumerate() {
        let mut answer = published(TrustLevel::Dnssec, &[1, 2], 2);
        change(&mut answer);
        let mut view = View::new(TrustLevel::Dnssec);
        view.see(&answer);
        assert_eq!(view.believed(), Err(Untrusted::Unknown), "case {at}");
    }
    let mut evm = published(TrustLevel::Dnssec, &[1], 1);
    policy_of(&mut evm).family = Family::Evm;
    policy_of(&mut evm).outbox = Some(vec![9; 20]);
    let mut view = View::new(TrustLevel::Dnssec);
    view.see(&evm);
    let found = trusted(chain(), view.state.as_ref(), None, TrustLevel::Dnssec, START).unwrap();
    assert_eq!((found.0.family, found.0.outbox), (Family::Evm, vec![9; 20]));
}

#[test]
fn an_endorsed_key_counts_at_once_and_the_old_one_while_it_is_published() {
    for (mut view, level) in [
        (View::new(TrustLevel::Dnssec), TrustLevel::Dnssec),
        (View::anchored(anchor(&[1], 1)), TrustLevel::Static),
    ] {
        view.see(&published(TrustLevel::Dnssec, &[1], 1));
        let mut both = published(TrustLevel::Dnssec, &[1, 2], 1);
        endorse(&mut both, 2, &[1]);
        let added = News::KeyAdded { selector: selector("k2"), key: key(2), by: [key(1)].into() };
        assert_eq!(view.see(&both), [added]);
        view.believes(&[1, 2], 1, level);

        // The policy names the new key alone, the old one is still published: asked by its place.
        assert_eq!(view.state.as_ref().unwrap().held_selectors(), [selector("k1"), selector("k2")]);
        policy_of(&mut both).selectors = vec![selector("k2")];
        assert_eq!(view.see(&both), []);
        view.believes(&[1, 2], 1, level);

        revoke(&mut both, 1);
        let ended = News::Revoked { selector: selector("k1"), key: key(1) };
        assert_eq!(view.see(&both), [ended]);
        view.believes(&[2], 1, level);
        // Removed at last, and even published anew, it stays ended.
        both.keys.remove(&selector("k1"));
        assert_eq!(view.see(&both), []);
        view.see(&published(TrustLevel::Dnssec, &[1, 2], 1));
        view.believes(&[2], 1, level);
    }
}

#[test]
fn an_endorsement_needs_as_many_keys_as_a_header_does() {
    let mut view = View::anchored(anchor(&[1, 2, 3], 2));
    let mut answer = published(TrustLevel::Pinned, &[1, 2, 3, 4], 2);
    for by in [&[][..], &[1], &[1, 1], &[1, 9], &[8, 9]] {
        endorse(&mut answer, 4, by);
        view.see(&answer);
        view.believes(&[1, 2, 3], 2, TrustLevel::Static);
    }
    endorse(&mut answer, 4, &[1, 9, 3]);
    view.see(&answer);
    view.believes(&[1, 2, 3, 4], 2, TrustLevel::Static);
    // One that has come so may endorse the next; one that is revoked endorses nobody.
    let mut answer = published(TrustLevel::Pinned, &[1, 2, 3, 4, 5, 6], 2);
    endorse(&mut answer, 4, &[1, 3]);
    endorse(&mut answer, 6, &[4, 5]);
    endorse(&mut answer, 5, &[4, 1]);
    view.see(&answer);
    view.believes(&[1, 2, 3, 4, 5, 6], 2, TrustLevel::Static);
    revoke(&mut answer, 1);
    endorse(&mut answer, 7, &[1, 2]);
    view.see(&answer);
    view.believes(&[2, 3, 4, 5, 6], 2, TrustLevel::Static);
}

#[test]
fn a_change_that_nobody_endorsed_waits_three_days_under_a_secure_zone() {
    let mut view = View::new(TrustLevel::Dnssec);
    view.see(&published(TrustLevel::Dnssec, &[1], 1));
    let (old, new) =
        (published(TrustLevel::Dnssec, &[1], 1), published(TrustLevel::Dnssec, &[2], 1));
    let until = UnixSeconds(START.0 + 3 * DAY);
    assert_eq!(view.see(&new), [News::Waiting { until }]);
    assert_eq!(view.believed(), Err(Untrusted::Waiting { until }), "neither old nor new");
    view.now.0 += 3 * DAY - 1;
    assert_eq!(view.see(&new), []);
    assert_eq!(view.believed(), Err(Untrusted::Waiting { until }));
    // An unsigned answer in between neither ends the wait nor begins it anew.
    view.see(&published(TrustLevel::Pinned, &[1], 1));
    view.see(&published(TrustLevel::Pinned, &[3], 1));
    assert_eq!(view.believed(), Err(Untrusted::Waiting { until }));
    view.now.0 += 1;
    assert_eq!(view.see(&new), [News::Accepted { keys: [key(2)].into() }]);
    view.believes(&[2], 1, TrustLevel::Dnssec);

    // Put back within the wait: as if nothing had been.
    assert!(matches!(view.see(&old)[..], [News::Waiting { .. }]));
    view.days(2);
    assert_eq!(view.see(&new), [News::PutBack]);
    view.believes(&[2], 1, TrustLevel::Dnssec);
    // Another change begins another wait.
    view.see(&old);
    view.days(2);
    view.see(&published(TrustLevel::Dnssec, &[3], 1));
    view.days(2);
    assert_eq!(view.see(&published(TrustLevel::Dnssec, &[3], 1)), []);
    assert!(matches!(view.believed(), Err(Untrusted::Waiting { .. })));
}

#[test]
fn fewer_signatures_than_before_are_a_change_and_more_are_not() {
    let mut view = View::new(TrustLevel::Dnssec);
    view.see(&published(TrustLevel::Dnssec, &[1, 2, 3], 2));
    let news = view.see(&published(TrustLevel::Dnssec, &[1, 2, 3], 3));
    assert_eq!(news, [News::ThresholdRaised { threshold: 3 }]);
    view.believes(&[1, 2, 3], 3, TrustLevel::Dnssec);
    assert!(matches!(
        view.see(&published(TrustLevel::Dnssec, &[1, 2, 3], 2))[..],
        [News::Waiting { .. }]
    ));
    assert!(matches!(view.believed(), Err(Untrusted::Waiting { .. })));

    // The operator's number stands against a smaller one, and DNS may ask for more.
    let mut view = View::anchored(anchor(&[1, 2], 2));
    assert_eq!(view.see(&published(TrustLevel::Dnssec, &[1, 2], 1)), []);
    view.believes(&[1, 2], 2, TrustLevel::Static);
    let mut view = View::anchored(anchor(&[1, 2], 1));
    assert_eq!(view.see(&published(TrustLevel::Pinned, &[1, 2], 2)), [], "not unsigned");
    view.believes(&[1, 2], 1, TrustLevel::Static);
    view.see(&published(TrustLevel::Dnssec, &[1, 2], 2));
    view.believes(&[1, 2], 2, TrustLevel::Static);
}

#[test]
fn what_the_operator_wrote_down_dns_cannot_replace() {
    let mut view = View::anchored(anchor(&[1], 1));
    view.see(&published(TrustLevel::Dnssec, &[1], 1));
    let doubt = view.see(&published(TrustLevel::Pinned, &[2], 1));
    assert!(matches!(doubt[..], [News::Doubt { .. }]), "{doubt:?}");
    assert_eq!(view.see(&published(TrustLevel::Pinned, &[2], 1)), [], "told once");
    view.believes(&[1], 1, TrustLevel::Static);
    let news = view.see(&published(TrustLevel::Dnssec, &[2], 1));
    assert!(matches!(news[..], [News::Contradiction { .. }]), "{news:?}");
    view.days(30);
    assert_eq!(view.see(&published(TrustLevel::Dnssec, &[2], 1)), [], "no wait makes it right");
    assert!(matches!(view.believed(), Err(Untrusted::Contradiction(_))));
    // The operator's own word does, and so does a zone that is put right.
    let mut by_hand = View { state: view.state.clone(), ..View::anchored(anchor(&[2], 1)) };
    by_hand.believes(&[2], 1, TrustLevel::Static);
    by_hand.see(&published(TrustLevel::Dnssec, &[2], 1));
    by_hand.believes(&[2], 1, TrustLevel::Static);
    assert_eq!(view.see(&published(TrustLevel::Dnssec, &[1], 1)), [News::PutBack]);
    view.believes(&[1], 1, TrustLevel::Static);
    // Taken away, it takes along what was learnt under it.
    view.operator = None;
    assert_eq!(view.believed(), Err(Untrusted::Unknown));
}

#[test]
fn a_revocation_ends_a_key_whoever_anchored_it_and_however_it_comes() {
    for level in BOTH {
        let mut view = View::anchored(anchor(&[1, 2], 1));
        view.see(&published(level, &[1, 2], 1));
        let mut answer = published(level, &[1, 2], 1);
        revoke(&mut answer, 1);
        assert_eq!(view.see(&answer), [News::Revoked { selector: selector("k1"), key: key(1) }]);
        view.believes(&[2], 1, TrustLevel::Static);
        revoke(&mut answer, 2);
        view.see(&answer);
        assert_eq!(view.believed(), Err(Untrusted::Revoked { left: 0, threshold: 1 }));
        // Whoever holds the place now cannot put a key of its own there.
        assert!(view.see(&published(level, &[3], 1)).iter().all(News::is_alert));
        assert!(view.believed().is_err());
    }
    // Also where the route itself is not good enough any more.
    let mut view = View::anchored(anchor(&[1, 2], 1));
    view.see(&published(TrustLevel::Dnssec, &[1, 2], 1));
    view.least.route = TrustLevel::Dnssec;
    let mut answer = published(TrustLevel::Pinned, &[1, 2], 1);
    revoke(&mut answer, 1);
    let (found, least) = (TrustLevel::Pinned, TrustLevel::Dnssec);
    assert_eq!(view.look(&answer).route, Err(RouteRefused::Level { found, least }));
    view.believes(&[2], 1, TrustLevel::Static);
}

#[test]
fn a_key_that_is_proven_to_be_published_no_more_is_dropped_but_not_the_last_ones() {
    let mut view = View::new(TrustLevel::Dnssec);
    view.see(&published(TrustLevel::Dnssec, &[1, 2], 1));
    let mut without = published(TrustLevel::Dnssec, &[2], 1);
    assert_eq!(view.see(&without), [], "not asked is not gone");
    without.keys.insert(selector("k1"), None);
    let unsigned = Published { level: TrustLevel::Pinned, ..without.clone() };
    assert_eq!(view.see(&unsigned), []);
    view.believes(&[1, 2], 1, TrustLevel::Dnssec);
    assert_eq!(view.see(&without), [News::KeyGone { key: key(1) }]);
    view.believes(&[2], 1, TrustLevel::Dnssec);
    // Back again it is as strange as any.
    let both = published(TrustLevel::Dnssec, &[1, 2], 1);
    assert!(matches!(view.see(&both)[..], [News::Waiting { .. }]));

    let mut view = View::new(TrustLevel::Dnssec);
    view.see(&published(TrustLevel::Dnssec, &[1, 2], 2));
    let mut without = published(TrustLevel::Dnssec, &[2], 2);
    without.keys.insert(selector("k1"), None);
    policy_of(&mut without).selectors = vec![selector("k1"), selector("k2")];
    assert_eq!(view.see(&without), []);
    view.believes(&[1, 2], 2, TrustLevel::Dnssec);
}

#[test]
fn a_chain_stays_where_it_was_found_first() {
    for level in BOTH {
        let mut view = View::new(TrustLevel::Pinned);
        view.see(&published(level, &[1], 1));
        let before = view.state.clone();
        let mut captured = published(TrustLevel::Dnssec, &[2], 1);
        revoke(&mut captured, 1);
        captured.found_at = "_distpos.e2e4.other.test".into();
        let refused = view.look(&captured);
        let (found, expected) = (captured.found_at, before.as_ref().unwrap().found_at.clone());
        assert_eq!(refused.route, Err(RouteRefused::Elsewhere { found, expected }));
        assert_eq!((refused.news, &view.state), (vec![], &before), "nothing of it counts");

        let mut restarted = published(TrustLevel::Dnssec, &[1], 1);
        policy_of(&mut restarted).genesis = GenesisTag([2; 8]);
        let (found, expected) = (GenesisTag([2; 8]), tag());
        assert_eq!(view.look(&restarted).route, Err(RouteRefused::Genesis { found, expected }));
        assert_eq!(view.state, before);
    }
    // The operator's pin says where, too.
    let mut view = View::anchored(anchor(&[1], 1));
    view.operator = Some((anchor(&[1], 1), Some("_distpos.village.test".into())));
    let refused = view.look(&published(TrustLevel::Dnssec, &[1], 1));
    assert!(matches!(refused.route, Err(RouteRefused::Elsewhere { .. })));
    view.believes(&[1], 1, TrustLevel::Static);
    let mut other = anchor(&[1], 1);
    other.tag = GenesisTag([3; 8]);
    let mut view = View::anchored(other);
    let refused = view.look(&published(TrustLevel::Dnssec, &[1], 1));
    assert!(matches!(refused.route, Err(RouteRefused::Genesis { .. })));
}

#[test]
fn family_and_outbox_never_change_by_dns() {
    let changes: [fn(&mut PolicyRecord); 2] =
        [|policy| policy.family = Family::Attested, |policy| policy.outbox = Some(vec![1])];
    for change in changes {
        for (mut view, level) in [
            (View::new(TrustLevel::Dnssec), TrustLevel::Dnssec),
            (View::anchored(anchor(&[1], 1)), TrustLevel::Static),
        ] {
            view.see(&published(TrustLevel::Dnssec, &[1], 1));
            for (answer, stops) in [(TrustLevel::Pinned, false), (TrustLevel::Dnssec, true)] {
                let mut other = published(answer, &[1], 1);
                change(policy_of(&mut other));
                let news = view.see(&other);
                if stops {
                    assert!(matches!(news[..], [News::Contradiction { .. }]), "{news:?}");
                    assert!(matches!(view.believed(), Err(Untrusted::Contradiction(_))));
                } else {
                    assert!(matches!(news[..], [News::Doubt { .. }]), "{news:?}");
                    view.believes(&[1], 1, level);
                }
            }
            assert_eq!(view.see(&published(TrustLevel::Dnssec, &[1], 1)), [News::PutBack]);
            view.believes(&[1], 1, level);
        }
    }
}

#[test]
fn what_was_first_seen_unsigned_holds_for_as_long_as_the_chain_says() {
    let mut view = View::new(TrustLevel::Pinned);
    view.see(&published(TrustLevel::Pinned, &[1], 1));
    view.days(PIN_DAYS - 1);
    let news = view.see(&published(TrustLevel::Pinned, &[2], 1));
    assert!(matches!(news[..], [News::Contradiction { .. }]), "{news:?}");
    assert!(matches!(view.believed(), Err(Untrusted::Contradiction(_))));
    assert_eq!(view.see(&published(TrustLevel::Pinned, &[1], 1)), [News::PutBack]);
    view.believes(&[1], 1, TrustLevel::Pinned);
    // Confirmed, it holds anew; not confirmed for so long, it is no more than any first answer.
    view.days(PIN_DAYS);
    view.believes(&[1], 1, TrustLevel::Pinned);
    view.now.0 += 1;
    assert!(matches!(view.believed(), Err(Untrusted::Expired { .. })));
    let news = view.see(&published(TrustLevel::Pinned, &[2], 1));
    assert!(matches!(news[..], [News::FirstSeen { .. }]), "{news:?}");
    view.believes(&[2], 1, TrustLevel::Pinned);
    // A secure answer makes it better, and from then on unsigned ones undo nothing.
    assert_eq!(view.see(&published(TrustLevel::Dnssec, &[2], 1)), [News::Secured]);
    view.days(PIN_DAYS + 1);
    assert!(matches!(view.believed(), Err(Untrusted::Expired { .. })));
    view.see(&published(TrustLevel::Pinned, &[3], 1));
    view.see(&published(TrustLevel::Pinned, &[2], 1));
    assert!(matches!(view.believed(), Err(Untrusted::Expired { .. })));
    view.see(&published(TrustLevel::Dnssec, &[2], 1));
    view.believes(&[2], 1, TrustLevel::Dnssec);
    // Kept from an unsigned answer, it is not enough for an operator who wants more.
    let mut view = View::new(TrustLevel::Pinned);
    view.see(&published(TrustLevel::Pinned, &[1], 1));
    view.least.keys = TrustLevel::Dnssec;
    let (found, least) = (TrustLevel::Pinned, TrustLevel::Dnssec);
    assert_eq!(view.believed(), Err(Untrusted::Level { found, least }));
}

#[test]
fn bytes_that_nobody_wrote_are_refused() {
    let mut view = View::anchored(anchor(&[1, 2], 1));
    let mut answer = published(TrustLevel::Dnssec, &[1, 2, 3], 1);
    revoke(&mut answer, 2);
    view.see(&published(TrustLevel::Dnssec, &[1, 2], 1));
    view.see(&answer);
    let bytes = view.state.unwrap().to_bytes();
    for length in 0..bytes.len() {
        assert!(DnsTrust::from_bytes(&bytes[..length]).is_err(), "{length}");
    }
    let mut more = bytes;
    more.push(0);
    assert!(DnsTrust::from_bytes(&more).is_err());
}

/// What a stranger without the chain's keys may publish.
#[derive(Debug, Clone)]
struct Forged {
    keys: Vec<u8>,
    threshold: usize,
    by: Vec<u8>,
    revoked: Vec<u8>,
    hours: u64,
}

fn any_forged() -> impl Strategy<Value = Forged> {
    (vec(1..=9_u8, 1..=4), vec(4..=9_u8, 0..=3), vec(3..=9_u8, 0..=2), 0..=100_u64).prop_flat_map(
        |(mut keys, by, revoked, hours)| {
            keys.sort_unstable();
            keys.dedup();
            let count = keys.len();
            (1..=count).prop_map(move |threshold| Forged {
                keys: keys.clone(),
                threshold,
                by: by.clone(),
                revoked: revoked.clone(),
                hours,
            })
        },
    )
}

proptest! {
    /// Whoever speaks unsigned for a chain that is known securely, or by the operator, and has none
    /// of its keys, brings no key in, lowers no threshold, and moves the chain nowhere.
    #[test]
    fn strangers_bring_nothing_in(
        forged in vec(any_forged(), 1..12),
        is_static in any::<bool>(),
    ) {
        let mut view = match is_static {
            true => View::anchored(anchor(&[1, 2, 3], 2)),
            false => View::new(TrustLevel::Dnssec),
        };
        view.see(&published(TrustLevel::Dnssec, &[1, 2, 3], 2));
        for one in forged {
            view.now.0 += one.hours * 3600;
            let mut answer = published(TrustLevel::Pinned, &one.keys, one.threshold);
            for seed in &one.keys {
                endorse(&mut answer, *seed, &one.by);
            }
            one.revoked.iter().for_each(|seed| revoke(&mut answer, *seed));
            view.look(&answer);
            if let Ok((keys, threshold, _)) = view.believed() {
                prop_assert!(threshold >= 2);
                prop_assert!(keys.iter().all(|it| [key(1), key(2), key(3)].contains(it)));
            }
        }
    }
}
