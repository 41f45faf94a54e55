//! Whether the other chain's word is believed here: without its keys no receipt of it counts.

use distpos_proto::{
    chain::GenesisTag,
    trust::{Least, Published, observe, trusted},
};
use distpos_resolver::{Route, RouteSource};

use crate::{
    cli::{Failure, gateway::trust::dns},
    clock,
    config::Config,
    gateway::Anchor,
    trust::{Trust, view::TrustView},
};

/// What is believed of a chain.
pub(super) struct Belief {
    /// The genesis that is expected of it, if any is known.
    pub(super) genesis: Option<GenesisTag>,
    /// Its keys, or why none are believed and what to do.
    pub(super) keys: Result<String, String>,
}

impl Belief {
    /// By the operator's word, by what was kept of DNS, and else by what was just looked up.
    pub(super) async fn of(config: &Config, route: &Route) -> Result<Self, Failure> {
        let pins = Trust::load(&Trust::directory_in(&config.spool.directory))
            .map_err(Failure::configuration)?;
        let anchors = pins.anchors(config);
        let anchor = anchors.get(&route.chain);
        let kept = match dns::list(config, &anchors).await {
            Ok(kept) => kept.into_iter().find(|view| view.chain == route.chain.to_string()),
            Err(failure) => {
                let genesis = anchor.map(|anchor| anchor.trusted.tag);
                return Ok(Self { genesis, keys: Ok(format!("not known: {failure}")) });
            }
        };
        Ok(match (kept, anchor) {
            (Some(view), _) => Self::kept(&view, route),
            (None, Some(anchor)) => Self::anchored(anchor),
            (None, None) => Self::first(config, route),
        })
    }

    fn kept(view: &TrustView, route: &Route) -> Self {
        let genesis = view.genesis.as_ref().and_then(|tag| tag.parse().ok());
        let level = view.level.as_deref().unwrap_or("no level");
        let keys = match (&route.source, &view.not_believed) {
            (RouteSource::Dns { name }, _) if *name != view.found_at => Err(format!(
                "it is published at {name}, and was first accepted at {}: if it has moved, \
                 `trust forget` accepts the new place",
                view.found_at
            )),
            (_, Some(why)) => Err(format!("{why}: see `trust list`, and `trust pin` to decide")),
            (_, None) => Ok(format!("{} believed ({level})", count(view.keys.len()))),
        };
        Self { genesis, keys }
    }

    fn anchored(anchor: &Anchor) -> Self {
        let trusted = &anchor.trusted;
        let keys = Ok(format!("{} believed (static)", count(trusted.keys.keys().count())));
        Self { genesis: Some(trusted.tag), keys }
    }

    /// Nothing is known yet: as the gateway would take the answer in.
    fn first(config: &Config, route: &Route) -> Self {
        let genesis = route.policy.as_ref().map(|policy| policy.genesis);
        let nobody = |why: &str| format!("{why}: `trust pin`, or peer.{}.keys", route.chain);
        let RouteSource::Dns { name } = &route.source else {
            return Self { genesis, keys: Err(nobody("no trusted keys are known")) };
        };
        let records = route.key_records.iter();
        let published = Published {
            found_at: name.clone(),
            policy: route.policy.clone(),
            keys: records.map(|(at, record)| (at.clone(), Some(record.clone()))).collect(),
            level: route.level,
            lasts: route.expires.since(route.fetched),
        };
        let least = Least { route: config.trust.route, keys: config.trust.keys };
        let now = clock::system()().seconds();
        let state = observe(None, None, &published, least, now).state;
        let found = trusted(route.chain, state.as_ref(), None, least.keys, now);
        let keys = match found {
            Ok((trusted, level)) => {
                Ok(format!("{} would be believed ({level})", count(trusted.keys.keys().count())))
            }
            Err(why) => Err(nobody(&format!(
                "{why} ({} found in DNS at the level {}, [trust] keys wants {})",
                count(route.keys.len()),
                route.level,
                least.keys
            ))),
        };
        Self { genesis, keys }
    }
}

fn count(keys: usize) -> String {
    if keys == 1 { "1 key".to_owned() } else { format!("{keys} keys") }
}
