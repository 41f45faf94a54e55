//! Pairs of real EVM nodes with real gateway processes between them, on three engines. Each story
//! ends with an audit of both chains: every message ended once, and every wei is where it belongs.
#![allow(clippy::unwrap_used, reason = "helpers of tests stop where they fail")]

/// A story as a test on each engine; those that are not installed are ignored.
macro_rules! on_each_engine {
    ($story:ident) => {
        #[test]
        #[ignore = "needs anvil"]
        fn on_anvil() {
            $story($crate::engine::Engine::Anvil);
        }

        #[test]
        #[ignore = "needs ganache"]
        fn on_ganache() {
            $story($crate::engine::Engine::Ganache);
        }

        #[test]
        #[ignore = "needs geth"]
        fn on_geth() {
            $story($crate::engine::Engine::Geth);
        }
    };
}
pub(crate) use on_each_engine;

#[path = "process/daemon.rs"]
#[allow(dead_code, reason = "shared with the stories of embedded ledgers")]
mod daemon;

#[path = "process/http.rs"]
#[allow(dead_code, reason = "shared with the stories of embedded ledgers")]
mod http;

#[path = "process/proxy.rs"]
#[allow(dead_code, reason = "shared with the stories of embedded ledgers")]
mod proxy;

#[path = "pair/rpc.rs"]
mod rpc;

#[path = "pair/relay.rs"]
mod relay;

#[path = "pair/wallet.rs"]
mod wallet;

#[path = "pair/engine.rs"]
mod engine;

#[path = "pair/contract.rs"]
mod contract;

#[path = "pair/world.rs"]
mod world;

#[path = "pair/audit.rs"]
mod audit;

#[path = "pair/there_and_back.rs"]
mod there_and_back;

#[path = "pair/reorganised.rs"]
mod reorganised;

#[path = "pair/node_kills.rs"]
mod node_kills;

#[path = "pair/crowd.rs"]
mod crowd;

#[path = "pair/several_nodes.rs"]
mod several_nodes;

#[path = "pair/dry_run.rs"]
mod dry_run;

#[path = "pair/fees.rs"]
mod fees;

#[path = "pair/pause.rs"]
mod pause;

#[path = "pair/two_agree.rs"]
mod two_agree;

#[path = "pair/window.rs"]
mod window;

#[path = "pair/exhausted.rs"]
mod exhausted;

#[path = "pair/account.rs"]
mod account;

#[path = "pair/tokens.rs"]
mod tokens;

#[path = "pair/crash.rs"]
mod crash;
