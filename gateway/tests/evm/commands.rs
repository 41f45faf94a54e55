//! `check --online` and `evm status`: what the operator is told of nodes and contract.

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use serde_json::{Value as Json, json};

use distpos_gateway::chain::evm::{AccountChange, TermsChange};

use super::{
    false_node::{Answer, FalseNode, bent, pass_on, refusal},
    world::{GATEWAY, TERMS, USER, World, call_to, chain, coin, ether, key},
};

/// A directory with a gateway's configuration and keys.
pub(crate) struct Home(tempfile::TempDir);

impl Home {
    /// For these nodes; `more` goes into `[chain.evm]`.
    pub(crate) fn new(world: &World, account: usize, rpc: &[&str], more: &str) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        let file = home.0.path().join("evm.key");
        fs::write(&file, super::world::secret(account)).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let (contract, start) = (world.deployed.contract, world.deployed.start);
        let config = format!(
            "[chain]\nid = \"e2e4\"\nfamily = \"evm\"\n[chain.evm]\nrpc = {rpc:?}\n\
             chain_id = 58084\ncontract = \"{contract}\"\nfrom_block = {start}\nkey = \"evm.key\"\n\
             {more}\n[identity]\ndirectory = \"keys\"\n[spool]\ndirectory = \"spool\"\n"
        );
        fs::write(home.0.path().join("gateway.toml"), config).unwrap();
        assert_eq!(home.run(&["keygen", "--directory", "keys"]).0, 0);
        home
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        self.0.path()
    }

    /// Exit code, standard output and standard error.
    pub(crate) fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_distpos-gateway"))
            .args(arguments)
            .current_dir(&self.0)
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    fn check(&self) -> (i32, Json) {
        let check = ["check", "--online", "--json", "--config", "gateway.toml"];
        let (code, out, err) = self.run(&check);
        assert_eq!(err, "");
        (code, serde_json::from_str(&out).unwrap())
    }
}

fn texts(found: &Json) -> Vec<&str> {
    found.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn check_online_finds_nothing_wrong_with_a_good_node() {
    let world = World::start().await;
    world.node.finalize();
    let home = Home::new(&world, GATEWAY, &[&world.node.url], "");
    let (code, found) = home.check();
    assert_eq!(code, 0, "{found}");
    let node = &found["nodes"][0];
    assert_eq!(node["chain_id"], "58084", "{found}");
    assert_eq!(node["block_receipts"], "yes");
    assert_eq!(node["required"], "1 of 1 gateways");
    assert_eq!(node["fees"], "market");
    assert_eq!(texts(&found["problems"]), Vec::<&str>::new());
    let (code, out, _) = home.run(&["check", "--online", "--config", "gateway.toml"]);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("node       127.0.0.1:"), "{out}");

    // Without --online nothing is asked: a node that is not there is no matter.
    let away = Home::new(&world, GATEWAY, &["http://127.0.0.1:1/"], "");
    let (code, out, _) = away.run(&["check", "--json", "--config", "gateway.toml"]);
    assert_eq!(code, 0, "{out}");
    assert!(!out.contains("\"nodes\""), "{out}");
    let (code, found) = away.check();
    assert_eq!(code, 78);
    assert!(texts(&found["problems"])[0].contains("does not answer"), "{found}");
}

/// Passes everything on but what `refuses`, given body and method.
fn refusing(
    world: &World,
    code: i64,
    refuses: impl Fn(&str, &str) -> bool + Send + Sync + 'static,
) -> FalseNode {
    let pass = pass_on(world);
    FalseNode::start_raw(move |body, method| match refuses(body, method) {
        true => refusal(body, code),
        false => pass(body).to_string().into_bytes(),
    })
}

/// Whether more than ten blocks of logs are asked for at once.
fn is_long(body: &str, method: &str) -> bool {
    let call: Json = serde_json::from_str(body).unwrap();
    let number = |field: &str| {
        let text = call["params"][0][field].as_str().unwrap();
        u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap()
    };
    method == "eth_getLogs" && number("toBlock") - number("fromBlock") >= 10
}

/// A node whose answers to one call are another result.
fn answering(world: &World, call: &'static str, result: &'static str) -> FalseNode {
    bent(world, move |method, answer| {
        if method == call {
            answer["result"] = json!(result);
        }
    })
}

/// A node whose first block is another.
fn of_another_chain(world: &World) -> FalseNode {
    bent(world, |method, answer| {
        if method == "eth_getBlockByNumber" && answer["result"]["number"] == "0x0" {
            answer["result"]["hash"] = json!(format!("0x{}", "77".repeat(32)));
        }
    })
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn check_online_names_what_each_node_lacks() {
    let world = World::start().await;
    world.node.rpc("anvil_mine", &json!(["0x200"]));
    let start = format!("\"{:#x}\"", world.deployed.start.0);
    let is_block = |body: &str, method: &str, tag: &str| {
        method == "eth_getBlockByNumber" && body.contains(tag)
    };
    let no_receipts = refusing(&world, -32_601, |_, method| method == "eth_getBlockReceipts");
    let no_tag =
        refusing(&world, -32_000, move |body, method| is_block(body, method, "\"finalized\""));
    let pruned = refusing(&world, 4_444, move |body, method| is_block(body, method, &start));
    let cases = [
        (no_receipts, "warnings", "no eth_getBlockReceipts"),
        (no_tag, "problems", "tag finalized"),
        (pruned, "problems", "no history back to from_block"),
        (refusing(&world, -32_005, is_long), "warnings", "gives 8 blocks at once"),
        (answering(&world, "eth_getCode", "0x"), "problems", "no contract at"),
        (
            answering(&world, "eth_getCode", "0x6080604052"),
            "problems",
            "has no deliver, voidMessages, end",
        ),
        (answering(&world, "eth_chainId", "0x1"), "problems", "eth_chainId is 1, expected 58084"),
        (of_another_chain(&world), "problems", "contract's genesis tag is"),
        (FalseNode::start_raw(|_, _| Answer::Status(503, None)), "problems", "HTTP status 503"),
    ];
    for (node, kind, words) in &cases {
        let (code, found) = Home::new(&world, GATEWAY, &[&node.url], "").check();
        assert_eq!(code, if *kind == "problems" { 78 } else { 0 }, "{words}: {found}");
        let said = texts(&found[*kind]);
        let named: Vec<_> = said.iter().filter(|text| text.contains("node 127.0.0.1:")).collect();
        assert!(named.len() == 1 && named[0].contains(words), "{words}: {said:?}");
    }
    // Of two nodes one is fit: enough to stand in, too few to agree.
    let both = [world.node.url.as_str(), &cases[4].0.url];
    let (code, found) = Home::new(&world, GATEWAY, &both, "quorum = 2").check();
    assert_eq!(code, 78);
    let said = texts(&found["problems"]);
    assert!(said.iter().any(|text| text.contains("1 nodes are fit")), "{said:?}");
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn check_online_tells_a_fee_market_from_legacy_fees() {
    let world = World::start().await;
    world.node.finalize();
    let node = bent(&world, |method, answer| {
        if method == "eth_getBlockByNumber" {
            answer["result"].as_object_mut().unwrap().remove("baseFeePerGas");
        }
    });
    let (_, found) = Home::new(&world, GATEWAY, &[&node.url], "").check();
    assert_eq!(found["nodes"][0]["fees"], "legacy", "{found}");
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn check_online_names_what_the_accounts_lack() {
    let world = World::start().await;
    world.node.finalize();
    // The user's account is no gateway, and the gateway's has less than is wanted.
    let home = Home::new(&world, USER, &[&world.node.url], "");
    let (code, found) = home.check();
    assert_eq!(code, 78);
    assert!(texts(&found["problems"])[0].contains("has no gateway role"), "{found}");
    let home = Home::new(&world, GATEWAY, &[&world.node.url], "balance_min = \"20000eth\"");
    let (code, found) = home.check();
    assert_eq!(code, 0);
    assert!(texts(&found["warnings"]).iter().any(|text| text.contains("balance_min")), "{found}");
    let account = key(GATEWAY).address().to_string();
    world.node.rpc("anvil_setBalance", &json!([account, "0x0"]));
    let (code, found) = home.check();
    assert_eq!(code, 78);
    assert!(texts(&found["problems"])[0].contains("nothing to pay gas with"), "{found}");
    // A role taken away leaves fewer gateways than must agree.
    world.owner.set_gateway(world.deployed.contract, key(GATEWAY).address(), false).await.unwrap();
    let (_, found) = home.check();
    let said = texts(&found["problems"]);
    assert!(said.iter().any(|text| text.contains("1 gateways must agree")), "{said:?}");
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn check_online_names_where_contract_and_configuration_disagree() {
    let world = World::start().await;
    world.node.finalize();
    let warnings = |peers: &str| {
        let home = Home::new(&world, GATEWAY, &[&world.node.url], "");
        let file = home.0.path().join("gateway.toml");
        let config = fs::read_to_string(&file).unwrap();
        fs::write(&file, format!("{config}{peers}")).unwrap();
        let (code, found) = home.check();
        assert_eq!(code, 0, "{found}");
        let said: Vec<String> = texts(&found["warnings"]).into_iter().map(str::to_owned).collect();
        said
    };
    let has = |said: &[String], words: &str| said.iter().any(|text| text.contains(words));
    let agreed = warnings("[peer.b1c2]\n");
    assert!(!has(&agreed, "at the contract") && !has(&agreed, "no open account"), "{agreed:?}");
    assert!(has(&agreed, "e2e4/coin has no window"), "{agreed:?}");
    let stranger = warnings("[peer.d3]\n");
    assert!(has(&stranger, "peer.d3 is not registered"), "{stranger:?}");
    assert!(has(&stranger, "peer.d3 has no open account"), "{stranger:?}");
    let (peer, asset, contract) = (chain("b1c2"), coin(), world.deployed.contract);
    let close = AccountChange { terms: Some(TermsChange::Closed), ..AccountChange::default() };
    world.owner.change_account(contract, peer, &asset, &close).await.unwrap();
    let closed = warnings("[peer.b1c2]\n");
    assert!(has(&closed, "peer.b1c2 has no open account"), "{closed:?}");
    assert!(!has(&closed, "no window"), "{closed:?}");
}

#[tokio::test]
#[ignore = "needs anvil"]
async fn status_shows_the_chain_the_contract_and_what_was_set_up() {
    let world = World::start().await;
    let mut call = call_to("b1c2", "alice");
    call.amount = ether(2);
    world.send(&call).await;
    world.node.finalize();
    let home = Home::new(&world, GATEWAY, &[&world.node.url], "");
    let contract = world.deployed.contract.to_string();
    let status = ["evm", "status", "--rpc", &world.node.url, "--contract", &contract];
    let user = key(USER).address().to_string();
    let (code, out, err) = home.run(&[&status[..], &["--json", "--account", &user]].concat());
    assert_eq!(code, 0, "{err}");
    let found: Json = serde_json::from_str(&out).unwrap();
    assert_eq!(found["chain"], "e2e4");
    assert_eq!(found["chain_id"], 58084);
    assert_eq!(found["genesis"], world.deployed.tag.to_string());
    assert_eq!(found["owner"], world.owner.address().to_string());
    assert_eq!((&found["required"], &found["paused"]), (&json!(1), &json!(false)));
    let gateways = found["gateways"].as_array().unwrap();
    let active = |account: &str| {
        gateways.iter().find(|one| one["account"] == account).unwrap()["active"].clone()
    };
    assert_eq!(gateways.len(), 2);
    assert_eq!(active(&key(GATEWAY).address().to_string()), true);
    assert_eq!(active(&user), false);
    assert_eq!(found["peers"][0]["chain"], "b1c2");
    let account = &found["accounts"][0];
    assert_eq!((&account["chain"], &account["asset"]), (&json!("b1c2"), &json!("e2e4/coin")));
    assert_eq!((&account["open"], &account["terms"]), (&json!(true), &json!(TERMS.to_string())));
    assert_eq!(account["credit_limit"], ether(5).to_string());
    assert_eq!(account["pending_out"], ether(2).to_string());
    assert_eq!((&account["window_max"], &account["cover"]), (&Json::Null, &json!("0")));
    assert_eq!(found["tokens"][0]["float"], ether(10).to_string());
    assert_eq!(found["tokens"][0]["escrow"], ether(2).to_string());

    let (code, out, _) = home.run(&["evm", "status", "--config", "gateway.toml"]);
    assert_eq!(code, 0);
    for words in [
        "chain      e2e4 (chain id 58084, genesis tag ",
        "required   1 of 1 gateways",
        &format!(
            "account    b1c2 e2e4/coin (coin): terms {TERMS}, credit_limit 5000000000000000000"
        ),
        "reserve 0, received 0, sent 0, pending_out 2000000000000000000, cover 0\n",
        "holds      coin: float 10000000000000000000, covered 0, in escrow 2000000000000000000, owed 0",
    ] {
        assert!(out.contains(words), "{words}: {out}");
    }
    // An account without a contract is no contract, and no node is for later.
    let (code, _, err) =
        home.run(&["evm", "status", "--rpc", &world.node.url, "--contract", &user]);
    assert_eq!(code, 78, "{err}");
    let (code, _, err) =
        home.run(&["evm", "status", "--rpc", "http://127.0.0.1:1", "--contract", &user]);
    assert_eq!(code, 75, "{err}");
}
