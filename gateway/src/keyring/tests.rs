//! Keys on disk, and the walk of one that turns over.

use std::{fs, os::unix::fs::PermissionsExt};

use tempfile::TempDir;

use super::*;
use crate::keyring::walk::{NotYet, OLD_FOR, REVOKED_FOR, Shown, Step, View};

const DAY: u64 = 86_400;

fn chain() -> ChainId {
    "e2e4".parse().unwrap()
}

fn tag() -> GenesisTag {
    GenesisTag([3; 8])
}

fn why() -> Reason {
    "yearly, \"as always\" \\ Übung".parse().unwrap()
}

fn fresh() -> (TempDir, Keyring) {
    let home = tempfile::tempdir().unwrap();
    distpos_certs::keygen(&home.path().join("keys")).unwrap();
    let ring = Keyring::load(&home.path().join("keys")).unwrap();
    (home, ring)
}

/// DNS as it is when all that the ring wants published is published.
fn published(ring: &Keyring) -> View {
    let shown = |(selector, record): (Selector, KeyRecord)| (selector, Shown::from(record));
    View {
        keys: ring.records(chain()).into_iter().map(shown).collect(),
        named: Ok(ring.named().map(|key| key.selector.clone()).collect()),
        held_for: Duration::from_hours(1),
    }
}

fn states(ring: &Keyring) -> Vec<&'static str> {
    ring.keys().iter().map(|key| key.state.word()).collect()
}

fn later(time: UnixSeconds, wait: Duration) -> UnixSeconds {
    UnixSeconds(time.0 + wait.as_secs())
}

#[test]
fn what_keygen_leaves_is_one_key_in_use() {
    let (home, ring) = fresh();
    assert_eq!(states(&ring), ["signing"]);
    assert!(!home.path().join("keys").join(FILE).exists(), "looking changes nothing");
    let selector = ring.current().selector.as_str().to_owned();
    assert!(selector.starts_with('k') && selector.len() == 9, "{selector}");
    assert_eq!(ring.policy_id(), format!("{}01", &selector[1..]));
    assert_eq!(ring.secrets().unwrap().len(), 1);
    assert_eq!(ring.next(None, UnixSeconds(0)), Ok(Step::Make));
}

/// Each step is refused until what it waits for has come; what is kept is the same after a restart.
#[test]
fn a_key_turns_over_step_by_step_and_none_too_early() {
    let (home, mut ring) = fresh();
    let (old, start) = (ring.current().selector.clone(), UnixSeconds(2_000_000_000));
    let before = ring.policy_id();
    let new = ring.make(chain(), tag(), start, &why()).unwrap().selector.clone();
    ring = Keyring::load(&home.path().join("keys")).unwrap();
    assert_eq!(
        (states(&ring), ring.current().selector.clone()),
        (vec!["signing", "made"], old.clone())
    );
    assert_eq!(ring.keys()[1].reason, Some(why()), "who looks later sees why");
    assert_ne!(ring.policy_id(), before, "the policy names another key");
    let record = ring.keys()[1].record(chain());
    assert_eq!(record.endorsers(tag(), &new, |_| true).collect::<Vec<_>>(), [ring.current().key]);

    // Not published; at one server only; another key there; not named by the policy.
    let whole = published(&ring);
    let unpublished = |change: &dyn Fn(&mut View)| {
        let mut view = whole.clone();
        change(&mut view);
        assert!(
            matches!(ring.next(Some(&view), start), Err(NotYet::Unpublished { .. })),
            "{view:?}"
        );
    };
    unpublished(&|view| drop(view.keys.remove(&new)));
    unpublished(&|view| {
        drop(view.keys.insert(new.clone(), Shown::Unsettled("servers differ".into())))
    });
    unpublished(&|view| drop(view.keys.insert(new.clone(), Shown::Revoked)));
    let other = ring.current().record(chain());
    unpublished(&|view| drop(view.keys.insert(new.clone(), other.clone().into())));
    unpublished(&|view| view.named = Ok(vec![old.clone()]));
    unpublished(&|view| view.named = Err("servers differ".into()));
    // Pasted without its endorsement: peers would wait 72 hours, with the messages.
    let bare = KeyRecord::new(chain(), Some(ring.keys()[1].key));
    unpublished(&|view| drop(view.keys.insert(new.clone(), bare.clone().into())));
    assert!(ring.next(None, start).is_err(), "without DNS nothing is known");

    let until = later(start, Duration::from_hours(2));
    let step = Step::Published { selector: new.clone(), until };
    assert_eq!(ring.next(Some(&whole), start), Ok(step));
    ring.shift(&[(new.clone(), State::Published)], start, &why()).unwrap();
    let early = UnixSeconds(until.0 - 1);
    let left = Duration::from_secs(1);
    let too_early = NotYet::TooEarly { selector: new.clone(), state: "published", left };
    assert_eq!(ring.next(Some(&whole), early), Err(too_early));
    // Taken away meanwhile, it may not sign either.
    let mut gone = whole.clone();
    gone.keys.remove(&new);
    assert!(matches!(ring.next(Some(&gone), until), Err(NotYet::Unpublished { .. })));
    let step = Step::Sign { new: new.clone(), old: old.clone() };
    assert_eq!(ring.next(Some(&whole), until), Ok(step));
    ring.shift(&[(new.clone(), State::Signing), (old.clone(), State::Old)], until, &why()).unwrap();
}

/// The new key has taken over at that moment.
fn taken_over() -> (TempDir, Keyring, UnixSeconds) {
    let (home, mut ring) = fresh();
    let (old, until) = (ring.current().selector.clone(), UnixSeconds(2_000_000_000));
    let new = ring.make(chain(), tag(), until, &why()).unwrap().selector.clone();
    ring.shift(&[(new, State::Signing), (old, State::Old)], until, &why()).unwrap();
    (home, ring, until)
}

/// Both sign for a week; then the old one is revoked, which every server has to show for a day.
#[test]
fn an_old_key_goes_step_by_step_and_none_too_early() {
    let (home, mut ring, until) = taken_over();
    let [old, new] = [0, 1].map(|at| ring.keys()[at].selector.clone());
    ring = Keyring::load(&home.path().join("keys")).unwrap();
    assert_eq!(states(&ring), ["old", "signing"]);
    let signing: Vec<_> = ring.secrets().unwrap().iter().map(SecretKey::public).collect();
    assert_eq!(signing, [ring.keys()[1].key, ring.keys()[0].key], "both sign, the new one first");
    assert_eq!(ring.genesis_key().selector, old);
    let week = later(until, OLD_FOR);
    assert!(!ring.needs_view(UnixSeconds(week.0 - 1)) && ring.needs_view(week));
    let early = ring.next(None, UnixSeconds(week.0 - 1));
    assert!(matches!(early, Err(NotYet::TooEarly { state: "old", .. })), "{early:?}");
    // Somebody has taken the new key out of the zone: without the old one nothing would be left.
    let mut without = published(&ring);
    without.keys.remove(&new);
    let lost = ring.next(Some(&without), week);
    assert!(matches!(&lost, Err(NotYet::Unpublished { selector, .. }) if *selector == new));
    assert_eq!(
        ring.next(Some(&published(&ring)), week),
        Ok(Step::Revoke { selector: old.clone() })
    );
    ring.shift(&[(old.clone(), State::Revoked)], week, &why()).unwrap();
    assert_eq!(ring.secrets().unwrap().len(), 1);

    // Its record still shows the key, or is merely gone: whoever wrote the key down believes it on.
    let seen = later(week, Duration::from_hours(40));
    let live = KeyRecord::new(chain(), Some(ring.keys()[0].key));
    for wrong in [Some(Shown::from(live)), None, Some(Shown::Unsettled("ns1 fails".into()))] {
        let mut still = published(&ring);
        still.keys.remove(&old);
        still.keys.extend(wrong.map(|wrong| (old.clone(), wrong)));
        assert!(matches!(ring.next(Some(&still), seen), Err(NotYet::Unpublished { .. })));
    }
    // However long ago it was revoked, the day begins when it is everywhere.
    let day = later(seen, REVOKED_FOR);
    let step = Step::Ended { selector: old.clone(), until: day };
    assert_eq!(ring.next(Some(&published(&ring)), seen), Ok(step));
    ring.shift(&[(old.clone(), State::Ended)], seen, &why()).unwrap();
    let early = ring.next(Some(&published(&ring)), UnixSeconds(day.0 - 1));
    assert!(matches!(early, Err(NotYet::TooEarly { state: "ended", .. })), "{early:?}");
    let slow = View { held_for: Duration::from_hours(24), ..published(&ring) };
    assert!(matches!(ring.next(Some(&slow), day), Err(NotYet::TooEarly { .. })));
    assert_eq!(ring.next(Some(&published(&ring)), day), Ok(Step::Remove { selector: old.clone() }));
    ring.shift(&[(old, State::Removed)], day, &why()).unwrap();
    // The first key's file stays: an embedded ledger begins with it.
    assert!(home.path().join("keys/chain.key").exists());
    assert_eq!(ring.next(None, day), Ok(Step::Make));

    // The second time round it is the second key that goes, with its file.
    let file = home.path().join("keys").join(format!("chain.{new}.key"));
    let third = ring.make(chain(), tag(), day, &why()).unwrap().selector.clone();
    ring.shift(&[(third.clone(), State::Signing), (new, State::Removed)], day, &why()).unwrap();
    assert!(!file.exists());
    // A crash between the note and the file: the next command deletes it.
    fs::write(&file, "left behind").unwrap();
    ring.shift(&[(third, State::Signing)], day, &why()).unwrap();
    assert!(!file.exists());
}

#[test]
fn two_keys_of_one_day_have_two_labels() {
    let (_home, mut ring) = fresh();
    let now = UnixSeconds(1_795_651_200);
    let labels: Vec<_> = (0..3)
        .map(|_| ring.make(chain(), tag(), now, &why()).unwrap().selector.to_string())
        .collect();
    assert!(labels.windows(2).all(|pair| pair[0] != pair[1]), "{labels:?}");
    assert!(labels.iter().all(|label| label.starts_with("k20261126")), "{labels:?}");
}

/// A crash between the key's file and the note of it: the file is taken up, nothing is overwritten.
#[test]
fn a_key_whose_note_was_lost_is_taken_up() {
    let (home, mut ring) = fresh();
    let now = UnixSeconds(1_795_651_200 + 40 * DAY);
    let keys = home.path().join("keys");
    let made = ring.make(chain(), tag(), now, &why()).unwrap().clone();
    fs::remove_file(keys.join(FILE)).unwrap();
    let mut again = Keyring::load(&keys).unwrap();
    assert_eq!(states(&again), ["signing"]);
    let key = again.make(chain(), tag(), now, &why()).unwrap();
    assert_eq!((key.key, &key.selector), (made.key, &made.selector));
    // An interrupted write of the note leaves the one before.
    fs::write(keys.join("keys.toml.new"), "half of").unwrap();
    assert_eq!(Keyring::load(&keys).unwrap(), again);
    again.shift(&[(made.selector, State::Published)], now, &why()).unwrap();
    assert_eq!(states(&Keyring::load(&keys).unwrap()), ["signing", "published"]);
}

/// Stolen: what whoever has the key now signs must not make another one believed.
#[test]
fn a_key_in_the_place_of_a_stolen_one_is_endorsed_by_nobody() {
    let (home, mut ring) = fresh();
    let (stolen, now) = (ring.current().selector.clone(), UnixSeconds(2_000_000_000));
    let policy = ring.policy_id();
    let new = ring.replace(now, &why()).unwrap().clone();
    ring = Keyring::load(&home.path().join("keys")).unwrap();
    assert_eq!((states(&ring), ring.current()), (vec!["revoked", "signing"], &new));
    assert!(new.endorsements.is_empty());
    assert_ne!(ring.policy_id(), policy);
    let records: std::collections::BTreeMap<_, _> = ring.records(chain()).into_iter().collect();
    assert_eq!(records[&stolen].to_string(), "v=DPOSKEY1; c=e2e4; k=ed25519; p=");
    let signing: Vec<_> = ring.secrets().unwrap().iter().map(SecretKey::public).collect();
    assert_eq!(signing, [new.key]);
}

#[test]
fn one_command_at_a_time_changes_the_keys() {
    let (home, _) = fresh();
    let keys = home.path().join("keys");
    let lock = Keyring::lock(&keys).unwrap();
    assert!(matches!(Keyring::lock(&keys), Err(KeyringError::Busy { path }) if path == keys));
    // A gateway that starts meanwhile only reads.
    Keyring::load(&keys).unwrap();
    drop(lock);
    Keyring::lock(&keys).unwrap();
}

/// Keys that are remembered are bounded, and none that is still published is forgotten for it.
#[test]
fn years_of_keys_are_remembered_and_no_more() {
    let (home, mut ring) = fresh();
    let first = ring.genesis_key().clone();
    let mut published = Vec::new();
    for number in 0..100 {
        let now = UnixSeconds(2_000_000_000 + number * 30 * DAY);
        let new = ring.make(chain(), tag(), now, &why()).unwrap().selector.clone();
        let old = ring.current().selector.clone();
        let gone = if number == 5 { State::Revoked } else { State::Removed };
        published.extend((number == 5).then(|| old.clone()));
        ring.shift(&[(new, State::Signing), (old, gone)], now, &why()).unwrap();
    }
    ring = Keyring::load(&home.path().join("keys")).unwrap();
    assert_eq!(ring.keys().len(), KEYS_MAX);
    assert_eq!(ring.genesis_key().key, first.key);
    assert!(published.iter().all(|it| ring.keys().iter().any(|key| key.selector == *it)));
}

#[test]
fn a_state_in_which_nobody_signs_is_never_written() {
    let (home, mut ring) = fresh();
    let selector = ring.current().selector.clone();
    let error = ring.shift(&[(selector, State::Revoked)], UnixSeconds(5), &why()).unwrap_err();
    assert!(error.to_string().contains("not exactly one key would sign"), "{error}");
    assert_eq!(Keyring::load(&home.path().join("keys")).unwrap(), ring);
    ring.rename_first(&"k1".parse().unwrap(), &why()).unwrap();
    assert_eq!(Keyring::load(&home.path().join("keys")).unwrap().current().selector.as_str(), "k1");
}

#[test]
fn a_file_that_says_what_cannot_be_is_refused() {
    let (home, mut ring) = fresh();
    let keys = home.path().join("keys");
    ring.make(chain(), tag(), UnixSeconds(1_795_651_200), &why()).unwrap();
    let file = keys.join(FILE);
    let good = fs::read_to_string(&file).unwrap();
    let second = &ring.keys()[1].selector.to_string();
    let reason = good.lines().find(|line| line.starts_with("reason")).unwrap().to_owned();
    for (wrong, what) in [
        (good.replace("\"made\"", "\"ready\""), "state is \"ready\", expected one of made"),
        (good.replace("\"made\"", "\"signing\""), "found 2 keys with state = \"signing\""),
        (good.replace("\"signing\"", "\"old\""), "found 0 keys with state = \"signing\""),
        (good.replace("file = \"chain.key\"", "file = \"../chain.key\""), "a name without a path"),
        (good.replace(&format!("file = \"chain.{second}.key\""), "file = \"chain.key\""), "twice"),
        (good.replace("changes", "chances"), "unknown field `chances`"),
        (good.replace("sig = [\"", "sig = [\"A"), "expected 86 characters of base64url"),
        (good.replace("by = [\"", "by = [\"A"), "by"),
        (format!("{good}reason = \"\\u001B[2J\"\n").replacen(&reason, "", 2), "reason has the"),
        ("changes = 1\nkey = []\n".to_owned(), "found 0 keys, expected 1 to 64"),
    ] {
        fs::write(&file, &wrong).unwrap();
        let error = Keyring::load(&keys).unwrap_err().to_string();
        assert!(error.contains(what) && error.contains(FILE), "{what}: {error}");
    }
    fs::write(&file, &good).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(Keyring::load(&keys).unwrap_err().to_string().contains("mode 644, expected 600"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    // The note and the file are of different keys.
    let path = keys.join(&ring.keys()[1].file);
    fs::copy(keys.join("chain.key"), &path).unwrap();
    let error = ring.secret(&ring.keys()[1]).unwrap_err().to_string();
    assert!(error.contains("holds the key"), "{error}");
}
