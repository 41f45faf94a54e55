//! Pins survive, and nothing that is not one is taken for one.

use distpos_proto::{
    chain::{Family, GenesisTag},
    key::{KeySet, SecretKey},
};

use super::*;

fn pin(chain: &str) -> Pin {
    let keys = [1, 2].map(|seed| SecretKey::from_seed(&[seed; 32]).public());
    let trusted = Trusted {
        chain: chain.parse().unwrap(),
        tag: GenesisTag([9; 8]),
        family: Family::Ledger,
        outbox: b"escrow".to_vec(),
        keys: KeySet::new(keys, 2).unwrap(),
    };
    Pin {
        trusted,
        found_at: "_distpos.b1c2.chains.example".into(),
        reason: "told by phone, \"Bob\" himself\nsecond line".into(),
        pinned_at: UnixSeconds(1_700_000_000),
    }
}

fn config(peer: &str) -> Config {
    let text = format!(
        "[chain]\nid = \"e2e4\"\nfamily = \"ledger\"\n[chain.ledger]\ndirectory = \"l\"\n\
         [identity]\ndirectory = \"k\"\n[spool]\ndirectory = \"s\"\n{peer}"
    );
    Config::parse(&text, Path::new("gateway.toml")).unwrap()
}

#[test]
fn a_pin_is_there_after_a_restart_until_it_is_forgotten() {
    let home = tempfile::tempdir().unwrap();
    let directory = Trust::directory_in(home.path());
    let mut trust = Trust::load(&directory).unwrap();
    assert_eq!(trust.pins().count(), 0);
    trust.pin(pin("b1c2")).unwrap();
    let mut changed = pin("b1c2");
    changed.trusted.tag = GenesisTag([8; 8]);
    trust.pin(changed.clone()).unwrap();

    let mut again = Trust::load(&directory).unwrap();
    assert_eq!(again.pins().collect::<Vec<_>>(), [&changed]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    assert_eq!(mode(&directory.join("b1c2.toml")), 0o600);

    assert!(again.forget("b1c2".parse().unwrap()).unwrap());
    assert!(!again.forget("b1c2".parse().unwrap()).unwrap());
    assert_eq!(Trust::load(&directory).unwrap().pins().count(), 0);
}

#[test]
fn literal_keys_of_the_configuration_come_before_a_pin() {
    let home = tempfile::tempdir().unwrap();
    let mut trust = Trust::load(home.path()).unwrap();
    trust.pin(pin("b1c2")).unwrap();
    trust.pin(pin("e2e4")).unwrap();
    let chain = "b1c2".parse().unwrap();
    let anchors = trust.anchors(&config("[peer.b1c2]\n"));
    assert_eq!(anchors.keys().collect::<Vec<_>>(), [&chain], "never an anchor of the own chain");
    assert_eq!(anchors[&chain].trusted, pin("b1c2").trusted);

    let key = SecretKey::from_seed(&[3; 32]).public();
    let peer = format!(
        "[peer.b1c2]\nkeys = [\"{key}\"]\ngenesis = \"0000000000000001\"\nfamily = \"attested\"\n\
         outbox = \"ab\"\n"
    );
    let anchors = trust.anchors(&config(&peer));
    assert_eq!(anchors[&chain].trusted.family, Family::Attested);
    assert_eq!(anchors[&chain].trusted.keys, KeySet::new([key], 1).unwrap());
}

#[test]
fn a_file_that_is_no_pin_stops_the_gateway() {
    let home = tempfile::tempdir().unwrap();
    let mut trust = Trust::load(home.path()).unwrap();
    trust.pin(pin("b1c2")).unwrap();
    let file = home.path().join("b1c2.toml");
    let good = fs::read_to_string(&file).unwrap();

    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let found = Trust::load(home.path()).unwrap_err();
    assert!(matches!(found, TrustError::Mode { found: 0o644, .. }), "{found}");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();

    for (from, to) in [
        ("th = 2", "th = 3"),
        ("th = 2", "th = 0"),
        ("family = \"ledger\"", "family = \"evm\""),
        ("family = \"ledger\"", "family = \"ledger\"\nextra = 1"),
        ("chain = \"b1c2\"", "chain = \"b1c3\""),
        ("outbox = \"65", "outbox = \"6"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good);
        fs::write(&file, bad).unwrap();
        let found = Trust::load(home.path()).unwrap_err();
        assert!(matches!(found, TrustError::Format { .. }), "{to}: {found}");
    }
    fs::write(&file, &good).unwrap();
    fs::write(home.path().join("b1c3.new"), "half").unwrap();
    assert_eq!(Trust::load(home.path()).unwrap().pins().count(), 1);
}
