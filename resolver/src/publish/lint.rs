//! What is wrong with what a chain publishes, as its administrator wants to hear it.

use std::collections::{BTreeMap, BTreeSet};

use distpos_proto::{
    chain::{ChainId, Family},
    key::{PublicKey, SpkiPin},
    record::{
        self, Anchor, KeyRecord, Mode, PolicyRecord, PortRule, RECORD_BYTES_PUBLISHED, Selector,
        Target,
    },
};
use serde::Serialize;

use crate::lookup::{LookupError, LookupFailure, Security, TxtAnswer};

/// What is published, as each side sees it.
#[derive(Debug, Clone)]
pub struct View {
    /// The chain.
    pub chain: ChainId,
    /// Where its records are.
    pub anchor: Anchor,
    /// By name: what each authoritative server says, and the resolver.
    pub names: BTreeMap<String, Found>,
    /// What stands at a name that nobody publishes: a wildcard's records, if anything.
    pub wildcard: Option<TxtAnswer>,
}

/// What is said of one name.
#[derive(Debug, Clone)]
pub struct Found {
    /// Each authoritative server, as people know it, and its answer.
    pub servers: Vec<(String, Result<TxtAnswer, LookupError>)>,
    /// The resolver's answer; none where it was not asked.
    pub resolver: Option<Result<TxtAnswer, LookupError>>,
    /// Where a CNAME leads from there, if one does.
    pub alias: Option<String>,
}

/// What the chain's operator has: its records ought to agree with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own {
    /// The pin of the gateway's TLS key.
    pub pin: SpkiPin,
    /// Its chain keys that sign.
    pub keys: Vec<PublicKey>,
    /// How its messages are proven.
    pub family: Family,
}

/// One thing, about one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The name.
    pub name: String,
    /// What is found there, and what was expected.
    pub what: String,
}

/// All of them, the worst first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Findings {
    /// The chain is not reached, or not believed, while these stand.
    pub errors: Vec<Finding>,
    /// It works, and may not for long or not for everybody.
    pub warnings: Vec<Finding>,
    /// What to do next.
    pub instructions: Vec<Finding>,
    /// Whether something failed that may pass by itself.
    pub is_temporary: bool,
}

/// What a signed answer over UDP has room for (DNS flag day 2020), less its signature.
const ANSWER_BYTES_MAX: usize = 1_232 - 150;

/// Within these every resolver obeys a TTL, in seconds.
const TTL_MIN: u32 = 30;
const TTL_MAX: u32 = 86_400;

/// Shorter pins protect little, in seconds: a day.
const PIN_SECONDS_MIN: u64 = 86_400;

impl Findings {
    fn error(&mut self, name: &str, what: impl Into<String>) {
        self.errors.push(Finding { name: name.to_owned(), what: what.into() });
    }

    fn warning(&mut self, name: &str, what: impl Into<String>) {
        self.warnings.push(Finding { name: name.to_owned(), what: what.into() });
    }

    /// What to do about it.
    pub fn instruct(&mut self, name: &str, what: impl Into<String>) {
        self.instructions.push(Finding { name: name.to_owned(), what: what.into() });
    }
}

/// Looks a chain's records over.
#[must_use]
pub fn lint(view: &View, own: Option<&Own>) -> Findings {
    let mut findings = Findings::default();
    for (name, found) in &view.names {
        each(name, found, &mut findings);
    }
    if let Some(answer) = &view.wildcard {
        let what = format!(
            "a wildcard answers for names that nobody published, with {} records: chains that do \
             not exist look malformed and never unknown",
            answer.records.len()
        );
        findings.warning(&view.anchor.gateways(), what);
    }
    gateways(view, own, &mut findings);
    if let Some(policy) = policy(view, own, &mut findings) {
        keys(view, &policy, own, &mut findings);
    }
    findings
}

/// What a name's answers have in common with every other's: servers, TTL, CNAME, DNSSEC, length.
fn each(name: &str, found: &Found, findings: &mut Findings) {
    for (server, answer) in &found.servers {
        if let Err(LookupError::Temporary(failure)) = answer {
            findings.is_temporary = true;
            findings.error(name, format!("{server}: {failure}"));
        }
    }
    if let Some((server, other)) = disagrees(found) {
        findings.error(name, format!("{server} and {other} publish different records"));
        findings.instruct(name, "wait for the zone to reach every server, or see why it does not");
    }
    if let Some(target) = &found.alias {
        findings
            .warning(name, format!("is a CNAME to {target}: whoever has that name speaks here"));
    }
    let Some(answer) = published(found) else { return };
    if answer.ttl < TTL_MIN {
        findings.warning(
            name,
            format!("TTL is {} s; gateways keep it for 30 s all the same", answer.ttl),
        );
    }
    if answer.ttl > TTL_MAX {
        findings.warning(
            name,
            format!("TTL is {} s; a change takes that long, 3600 is usual", answer.ttl),
        );
    }
    for record in &answer.records {
        if record.len() > RECORD_BYTES_PUBLISHED && record.starts_with(b"v=DPOS") {
            let what = format!(
                "a record has {} bytes; more than one string of 255 is easily broken",
                record.len()
            );
            findings.warning(name, what);
        }
    }
    dnssec(name, found, answer, findings);
}

fn dnssec(name: &str, found: &Found, published: &TxtAnswer, findings: &mut Findings) {
    match &found.resolver {
        None => {}
        Some(Ok(seen)) if sorted(seen) != sorted(published) => {
            let what = format!("the resolver still has something else, for up to {} s", seen.ttl);
            findings.warning(name, what);
        }
        Some(Ok(seen)) => match seen.secure {
            Security::Secure | Security::Bogus => {}
            Security::Insecure => {
                findings.warning(name, "is not signed (no DS): keys are believed from signed zones only");
            }
            Security::Indeterminate => findings.warning(
                name,
                "is not validated: the zone is not signed, or resolver.trust_anchors does not cover it",
            ),
        },
        Some(Err(LookupError::Temporary(LookupFailure::Bogus))) => {
            findings.error(name, "the DNSSEC signature is wrong: no validating resolver gives it out");
            findings.instruct(name, "sign the zone anew, and compare the DS record with its keys");
        }
        Some(Err(LookupError::Temporary(failure))) => {
            findings.is_temporary = true;
            findings.warning(name, format!("the resolver: {failure}"));
        }
        Some(Err(LookupError::NotFound { negative_ttl, .. })) => {
            let what = format!("the resolver still says that there is nothing, for up to {negative_ttl} s");
            findings.warning(name, what);
        }
    }
}

fn gateways(view: &View, own: Option<&Own>, findings: &mut Findings) {
    let name = view.anchor.gateways();
    let Some(answer) = view.names.get(&name).and_then(published) else {
        findings.error(&name, "no gateway records are published");
        findings.instruct(&name, "publish what `distpos-dns records` prints");
        return;
    };
    let records = match record::gateways(&answer.records, view.chain, PortRule::Unprivileged) {
        Ok(records) => records,
        Err(wrong) => {
            findings.error(&name, wrong.to_string());
            findings.instruct(&name, "keep the quotes: outside them a semicolon begins a comment");
            return;
        }
    };
    let bytes: usize = answer.records.iter().map(|record| record.len() + 14).sum();
    if bytes > ANSWER_BYTES_MAX {
        findings.warning(
            &name,
            format!(
                "the set has {bytes} bytes; above {ANSWER_BYTES_MAX} a signed answer needs TCP"
            ),
        );
    }
    if records.iter().any(|record| record.target == Target::Null) {
        findings.warning(&name, "is a null record: the chain accepts nothing");
        return;
    }
    let lists = |pin: SpkiPin| {
        records.iter().any(|record| match &record.target {
            Target::Host { pins, .. } => pins.contains(&pin),
            Target::Null => false,
        })
    };
    if let Some(own) = own.filter(|own| !lists(own.pin)) {
        findings.error(&name, format!("no record has spki={}, this gateway's TLS key", own.pin));
        findings.instruct(&name, "publish that pin beside the others, or start the gateway with the key that is published");
    }
}

fn policy(view: &View, own: Option<&Own>, findings: &mut Findings) -> Option<PolicyRecord> {
    let name = view.anchor.policy();
    let Some(answer) = view.names.get(&name).and_then(published) else {
        findings
            .warning(&name, "no policy is published: nobody believes this chain's keys from DNS");
        return None;
    };
    let policy = match record::policy(&answer.records, view.chain) {
        Ok(Some(policy)) => policy,
        Ok(None) => {
            findings.warning(&name, "has records, but no policy (v=DPOSPOL1) among them");
            return None;
        }
        Err(wrong) => {
            findings.error(&name, wrong.to_string());
            return None;
        }
    };
    if policy.mode != Mode::Enforce {
        findings.warning(&name, format!("mode={}: keys count only with mode=enforce", policy.mode));
    }
    if policy.pin_for.as_secs() < PIN_SECONDS_MIN {
        findings.warning(
            &name,
            format!(
                "ma={}: keys are forgotten when name servers fail for longer; 604800 is usual",
                policy.pin_for.as_secs()
            ),
        );
    }
    match (policy.family, &policy.outbox) {
        (Family::Evm, Some(outbox)) if outbox.len() != 20 => {
            findings
                .error(&name, format!("out= has {} bytes, expected a contract's 20", outbox.len()));
        }
        (Family::Evm | Family::Attested, None) => findings.warning(
            &name,
            format!(
                "proof={} without out=: operators have to name the outbox when they pin",
                policy.family
            ),
        ),
        _ => {}
    }
    if let Some(own) = own.filter(|own| own.family != policy.family) {
        findings
            .error(&name, format!("proof={}, this gateway shows {}", policy.family, own.family));
    }
    Some(policy)
}

fn keys(view: &View, policy: &PolicyRecord, own: Option<&Own>, findings: &mut Findings) {
    let mut live = BTreeSet::new();
    for selector in &policy.selectors {
        let name = view.anchor.key(selector);
        let Some(answer) = view.names.get(&name).and_then(published) else {
            findings.error(&name, "the policy names this selector, and nothing is published there");
            findings.instruct(&name, "publish the key before the policy that names it");
            continue;
        };
        match record::key(&answer.records, view.chain) {
            Ok(record) => key(&name, (selector, &record), policy, &mut live, findings),
            Err(wrong) => findings.error(&name, wrong.to_string()),
        }
    }
    if live.len() < policy.threshold {
        let what =
            format!("th={}, and {} different keys are published", policy.threshold, live.len());
        findings.error(&view.anchor.policy(), what);
    }
    let Some(own) = own else { return };
    if !own.keys.iter().any(|key| live.contains(key)) {
        let named: Vec<_> = own.keys.iter().map(ToString::to_string).collect();
        let what = format!(
            "none of the keys that this gateway signs with is published: {}",
            named.join(", ")
        );
        findings.error(&view.anchor.policy(), what);
        findings.instruct(&view.anchor.policy(), "publish what `distpos-dns records` prints");
    }
}

fn key(
    name: &str,
    (selector, record): (&Selector, &KeyRecord),
    policy: &PolicyRecord,
    live: &mut BTreeSet<PublicKey>,
    findings: &mut Findings,
) {
    let Some(key) = record.key else {
        findings.warning(name, "is revoked (empty p=), and the policy names it all the same");
        findings.instruct(name, "take the selector out of sel=");
        return;
    };
    live.insert(key);
    let valid = record.endorsers(policy.genesis, selector, |_| true).count();
    let claimed = record.endorsements.len();
    if valid < claimed {
        let what = format!(
            "{} of {claimed} signatures in sig= are wrong for this selector, genesis and key",
            claimed - valid
        );
        findings.error(name, what);
    }
}

/// Two servers that publish different things.
fn disagrees(found: &Found) -> Option<(&str, &str)> {
    let settled = found.servers.iter().filter_map(|(server, answer)| match answer {
        Ok(answer) => Some((server, sorted(answer))),
        Err(LookupError::NotFound { .. }) => Some((server, Vec::new())),
        Err(LookupError::Temporary(_)) => None,
    });
    let mut settled = settled.peekable();
    let (first, said) = settled.next()?;
    settled.find(|(_, other)| *other != said).map(|(server, _)| (first.as_str(), server.as_str()))
}

fn published(found: &Found) -> Option<&TxtAnswer> {
    found.servers.iter().find_map(|(_, answer)| answer.as_ref().ok())
}

fn sorted(answer: &TxtAnswer) -> Vec<&[u8]> {
    let mut records: Vec<_> = answer.records.iter().map(Vec::as_slice).collect();
    records.sort_unstable();
    records
}
