//! What DNS has told: asked of the running gateway, or read from its spool.

use std::collections::BTreeMap;

use distpos_proto::{chain::ChainId, time::UnixSeconds, trust::TrustLevel};
use distpos_spool::{Spool, SpoolError};

use crate::{
    admin::{ForgottenView, Reason, Reasoned},
    cli::{Exit, Failure, gateway::admin_client::AdminClient, say},
    clock,
    config::Config,
    gateway::Anchor,
    trust::view::TrustView,
};

/// Every chain of which something is kept.
pub(in crate::cli::gateway) async fn list(
    config: &Config,
    anchors: &BTreeMap<ChainId, Anchor>,
) -> Result<Vec<TrustView>, Failure> {
    let admin = AdminClient::new(config);
    if admin.is_there().await {
        return Ok(admin.get("/v1/trust").await?.unwrap_or_default());
    }
    let Some(spool) = open(config)? else { return Ok(Vec::new()) };
    let kept = spool.read(|tx| tx.dns_trusts()).map_err(failed)?;
    let now = clock::system()().seconds();
    let view = |(chain, state): (ChainId, _)| {
        let operator = anchors.get(&chain).map(Anchor::as_operators);
        TrustView::of(chain, &state, operator, config.trust.keys, now)
    };
    Ok(kept.into_iter().map(view).collect())
}

/// Forgets what DNS has told of a chain; says whether there was anything.
pub(super) async fn forget(
    config: &Config,
    chain: ChainId,
    reason: &Reason,
) -> Result<bool, Failure> {
    let admin = AdminClient::new(config);
    if admin.is_there().await {
        let body = Reasoned { reason: reason.to_string() };
        let done: ForgottenView = admin.post(&format!("/v1/trust/{chain}/forget"), &body).await?;
        return Ok(done.was_there);
    }
    let Some(spool) = open(config)? else { return Ok(false) };
    let forgetting = spool.transact(move |tx| {
        let was_there = tx.dns_trust(chain)?.is_some();
        tx.forget_dns_trust(chain);
        Ok::<_, SpoolError>(was_there)
    });
    forgetting.await.map_err(failed)
}

/// The spool of a gateway that does not run; none if there never was one.
fn open(config: &Config) -> Result<Option<Spool>, Failure> {
    let directory = &config.spool.directory;
    if !Spool::is_in(directory) {
        return Ok(None);
    }
    match Spool::open(directory) {
        Ok(spool) => Ok(Some(spool)),
        Err(SpoolError::Locked { .. }) => Err(Failure::of(
            Exit::Unavailable,
            format_args!(
                "{} is in use, and nobody listens at {}",
                directory.display(),
                config.admin_socket().display()
            ),
        )),
        Err(other) => Err(failed(other)),
    }
}

fn failed(error: SpoolError) -> Failure {
    Failure::new(Exit::Configuration, error)
}

pub(super) fn print(view: &TrustView) -> Result<(), Failure> {
    let level = view.level.as_deref().unwrap_or("no keys");
    say(format_args!("{} at {} ({level})", view.chain, view.found_at))?;
    if let Some(genesis) = &view.genesis {
        say(format_args!("  genesis {genesis}"))?;
    }
    let th = view.th.unwrap_or_default();
    for key in &view.keys {
        say(format_args!("  key {} at {} (th {th})", key.key, key.selectors.join(", ")))?;
    }
    for key in &view.revoked {
        say(format_args!("  revoked {key}"))?;
    }
    let date = |seconds: u64| {
        let (year, month, day) = clock::date(UnixSeconds(seconds));
        format!("{year:04}-{month:02}-{day:02}")
    };
    if let Some(until) = view.good_until {
        say(format_args!("  good until {} unless confirmed before", date(until)))?;
    }
    match &view.not_believed {
        Some(why) => say(format_args!("  NOT BELIEVED: {why}")),
        None => Ok(()),
    }
}

/// What is said of an operator who wants no keys from DNS.
pub(super) fn is_used(config: &Config) -> bool {
    config.trust.keys < TrustLevel::Static
}
