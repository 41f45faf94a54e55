//! The daemon.

use crate::config::Config;

/// Runs the gateway until it is told to stop.
///
/// # Errors
/// What stopped it.
pub async fn run(config: Config) -> anyhow::Result<()> {
    anyhow::bail!("this build has no daemon for chain {}", config.chain.id)
}
