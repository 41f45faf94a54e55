//! The EVM chain's stories: a real node (anvil on the PATH), the committed contracts.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as the tests do")]

#[path = "evm/account_commands.rs"]
mod account_commands;

#[path = "evm/world.rs"]
mod world;

#[path = "evm/false_node.rs"]
mod false_node;

#[path = "evm/outbox.rs"]
mod outbox;

#[path = "evm/accounts.rs"]
mod accounts;

#[path = "evm/inbox.rs"]
mod inbox;

#[path = "evm/approvals.rs"]
mod approvals;

#[path = "evm/ends.rs"]
mod ends;

#[path = "evm/evidence.rs"]
mod evidence;

#[path = "evm/node_faults.rs"]
mod node_faults;

#[path = "evm/several_nodes.rs"]
mod several_nodes;

#[path = "evm/commands.rs"]
mod commands;

#[path = "evm/gas.rs"]
mod gas;

#[path = "evm/sending.rs"]
mod sending;

#[path = "evm/user.rs"]
mod user;

#[path = "evm/user_commands.rs"]
mod user_commands;

#[path = "evm/dry_run.rs"]
mod dry_run;
