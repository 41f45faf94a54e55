//! Whether the running gateway signs with the keys that are noted.

use std::{fmt, time::Duration};

use distpos_proto::key::PublicKey;
use tokio::time::{Instant, sleep};

use crate::{
    admin::GatewayView, cli::gateway::admin_client::AdminClient, config::Config, keyring::Keyring,
};

/// How long it may take a gateway to see that keys have changed: it looks every two seconds.
const TAKEN_UP_WITHIN: Duration = Duration::from_secs(6);
/// How often it is asked meanwhile.
const ASKED_EVERY: Duration = Duration::from_millis(200);

/// The running gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Running {
    /// None runs; the next one reads them at its start.
    Nowhere,
    /// It signs with them.
    TakenUp,
    /// It signs with others.
    AsBefore,
}

impl Running {
    /// For scripts.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Nowhere => "not running",
            Self::TakenUp => "taken up",
            Self::AsBefore => "as before",
        }
    }
}

impl fmt::Display for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nowhere => "No gateway runs here.",
            Self::TakenUp => "The running gateway has taken it up.",
            Self::AsBefore => {
                "THE RUNNING GATEWAY SIGNS AS BEFORE: its log says why; stop it or heal that."
            }
        })
    }
}

/// At this moment. One that cannot say counts as one that does not: the keys are noted by then, and
/// what is to be published has to be told all the same.
pub(super) async fn now(config: &Config, ring: &Keyring) -> Running {
    let admin = AdminClient::new(config);
    if !admin.is_there().await {
        return Running::Nowhere;
    }
    let view: Option<GatewayView> = admin.get("/v1/gateway").await.unwrap_or_default();
    let signs = view.map(|view| view.keys).unwrap_or_default();
    let noted: Vec<String> = ring.in_use().map(|key| PublicKey::to_string(&key.key)).collect();
    if signs == noted { Running::TakenUp } else { Running::AsBefore }
}

/// After it had the time to see them.
pub(super) async fn soon(config: &Config, ring: &Keyring) -> Running {
    let start = Instant::now();
    loop {
        match now(config, ring).await {
            Running::AsBefore if start.elapsed() < TAKEN_UP_WITHIN => sleep(ASKED_EVERY).await,
            settled => return settled,
        }
    }
}
