//! Where metrics are told.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::{Deserialize, Deserializer};

/// Where metrics are told.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    /// Scrapes and questions after health (HTTP); none: they are not told.
    #[serde(deserialize_with = "place")]
    pub listen: Option<SocketAddr>,
}

impl Metrics {
    /// Port of the listener, unless said otherwise.
    pub const PORT: u16 = 7335;
    /// The word for none.
    pub const OFF: &'static str = "off";
}

impl Default for Metrics {
    fn default() -> Self {
        let listen = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), Self::PORT);
        Self { listen: Some(listen) }
    }
}

fn place<'de, D: Deserializer<'de>>(input: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(input)?;
    if text == Metrics::OFF {
        return Ok(None);
    }
    let expected = |_| {
        serde::de::Error::custom(format!(
            "found {text:?}, expected an address such as 127.0.0.1:7335, or \"off\""
        ))
    };
    text.parse().map(Some).map_err(expected)
}
