//! Keystores of others, and files that are none.

use super::*;

/// The two vectors of the Web3 Secret Storage definition; both hold the same secret.
const PBKDF2: &str = r#"{"crypto":{"cipher":"aes-128-ctr",
    "cipherparams":{"iv":"6087dab2f9fdbbfaddc31a909735c1e6"},
    "ciphertext":"5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
    "kdf":"pbkdf2","kdfparams":{"c":262144,"dklen":32,"prf":"hmac-sha256",
    "salt":"ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd"},
    "mac":"517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2"},
    "id":"3198bc9c-6672-5ab3-d995-4942343ae5b6","version":3}"#;
const SCRYPT: &str = r#"{"crypto":{"cipher":"aes-128-ctr",
    "cipherparams":{"iv":"83dbcc02d8ccb40e466191a123791e0e"},
    "ciphertext":"d172bf743a674da9cdad04534d56926ef8358534d458fffccd4e6ad2fbde479c",
    "kdf":"scrypt","kdfparams":{"dklen":32,"n":262144,"r":1,"p":8,
    "salt":"ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19"},
    "mac":"2103ac29920d71da29f15d75b4a16dbe95cfd7ff8faea1056c33131d846e3097"},
    "id":"3198bc9c-6672-5ab3-d995-4942343ae5b6","version":3}"#;
/// The same secret, as eth-keyfile 0.10 encrypts it (`create_keyfile_json`, kdf scrypt).
const ETH_KEYFILE: &str = r#"{"address": "008AeEda4D805471dF9b2A5B0f38A0C3bCBA786b",
    "crypto": {"cipher": "aes-128-ctr",
    "cipherparams": {"iv": "01e8b3a743eae9f529ecbd18dd0ba09a"},
    "ciphertext": "30a9951200741b0775d28199eadf5abdfd74b067c54676529fa7d344cc2aa39d",
    "kdf": "scrypt", "kdfparams": {"dklen": 32, "n": 262144, "r": 8, "p": 1,
    "salt": "d618f25675325f87399de2c7a2b429b7"},
    "mac": "00cd47f0b95727de25e4080b7c9b73b627aafa94ce3c44423003d9a596d7315e"},
    "id": "eeeecd4b-9a12-4d5b-a055-61f5baa43026", "version": 3}"#;
const SECRET: &str = "0x7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d";

#[test]
fn the_definitions_own_keystores_open_with_their_password_only() {
    let expected = plain(SECRET).unwrap().address();
    for text in [PBKDF2, SCRYPT] {
        assert_eq!(open(text, "testpassword").unwrap().address(), expected);
        assert!(matches!(open(text, "testpasswore"), Err(KeystoreError::Password)));
    }
}

#[test]
fn a_keystore_of_another_implementation_opens() {
    let found = open(ETH_KEYFILE, "käse & wine").unwrap();
    assert_eq!(found.address(), plain(SECRET).unwrap().address());
}

#[test]
fn a_keystore_cannot_ask_for_unbounded_work() {
    let hard = SCRYPT.replace("262144", "1073741824");
    assert!(matches!(open(&hard, "x"), Err(KeystoreError::TooHard)));
    let odd = SCRYPT.replace("262144", "262145");
    assert!(matches!(open(&odd, "x"), Err(KeystoreError::Field { field: "n", .. })));
    let long = PBKDF2.replace("262144", "4000000000");
    assert!(matches!(open(&long, "x"), Err(KeystoreError::TooHard)));
    let short = PBKDF2.replace("\"dklen\":32", "\"dklen\":16");
    assert!(matches!(open(&short, "x"), Err(KeystoreError::Field { field: "dklen", .. })));
    let other = PBKDF2.replace("aes-128-ctr", "aes-128-cbc");
    assert!(matches!(open(&other, "x"), Err(KeystoreError::Field { field: "cipher", .. })));
    let old = PBKDF2.replace("\"version\":3", "\"version\":1");
    assert!(matches!(open(&old, "x"), Err(KeystoreError::Field { field: "version", .. })));
}

#[test]
fn a_key_file_is_read_only_if_nobody_else_can() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    fs::write(&file, format!("{SECRET}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(read(&file, None), Err(KeystoreError::Mode { mode: 0o640, .. })));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(read(&file, None).unwrap().address(), plain(SECRET).unwrap().address());
    fs::write(&file, PBKDF2).unwrap();
    assert!(matches!(read(&file, None), Err(KeystoreError::NoPassword)));
    let password = folder.path().join("password");
    fs::write(&password, "testpassword\n").unwrap();
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(read(&file, Some(&password)).is_ok());
    fs::write(&file, "0x12").unwrap();
    assert!(matches!(read(&file, None), Err(KeystoreError::Form)));
    fs::write(&file, format!("0x{}", "0".repeat(64))).unwrap();
    assert!(matches!(read(&file, None), Err(KeystoreError::Key)));
}
