//! Putting a set into a zone: RFC 2136, signed by TSIG (RFC 8945).

use std::{fmt, net::SocketAddr, str::FromStr};

use data_encoding::BASE64;
use hickory_resolver::proto::{
    op::{Message, OpCode, Query, ResponseCode},
    rr::{
        DNSClass, Name, RData, Record, RecordType, TSigner,
        rdata::{TXT, tsig::TsigAlgorithm},
    },
};
use thiserror::Error;

use super::{RecordSet, strings};
use crate::{
    authority::absolute,
    lookup::{LookupFailure, direct},
};

/// How far the clocks of the two sides may be apart, in seconds (RFC 8945, section 10 recommends 300).
const FUDGE: u16 = 300;

/// A shared key that allows changing a zone.
#[derive(Clone)]
pub struct TsigKey {
    name: String,
    algorithm: TsigAlgorithm,
    secret: Vec<u8>,
}

impl fmt::Debug for TsigKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TsigKey({})", self.name)
    }
}

/// Why a text is no key. It names nothing secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{what}, expected what `tsig-keygen` prints: \
     key \"name\" {{ algorithm hmac-sha256; secret \"base64\"; }};"
)]
pub struct TsigKeyError {
    what: String,
}

/// Why a zone was not changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UpdateError {
    /// A name that DNS cannot hold.
    #[error("{0} does not fit DNS")]
    Name(String),
    /// The key is of a kind that cannot be used.
    #[error("the TSIG key cannot be used: {0}")]
    Key(String),
    /// The server did not answer, or its answer is not signed by the key. It may have done it all the
    /// same.
    #[error("{server}: {what}; it may have been done all the same, look before you repeat it")]
    NoAnswer {
        /// The server.
        server: SocketAddr,
        /// What went wrong.
        what: String,
    },
    /// The server refuses.
    #[error("{server} answered {code}: {advice}")]
    Refused {
        /// The server.
        server: SocketAddr,
        /// What it said.
        code: String,
        /// What to look at.
        advice: &'static str,
        /// Whether the same may succeed later.
        is_temporary: bool,
    },
}

impl FromStr for TsigKey {
    type Err = TsigKeyError;

    /// Reads BIND's form, which Knot's and NSD's tools understand, too.
    fn from_str(text: &str) -> Result<Self, TsigKeyError> {
        let wrong = |what: &str| TsigKeyError { what: what.to_owned() };
        let without_comments: String = text
            .lines()
            .map(|line| line.split("//").next().unwrap_or_default().trim())
            .filter(|line| !line.starts_with('#'))
            .collect::<Vec<_>>()
            .join(" ");
        let rest =
            without_comments.trim().strip_prefix("key").ok_or_else(|| wrong("found no key"))?;
        let (name, body) = rest.split_once('{').ok_or_else(|| wrong("found no {"))?;
        let name = name.trim().trim_matches('"').trim_end_matches('.').to_owned();
        let field = |label: &str| {
            let mut fields = body.split(';').map(str::trim);
            let found = fields.find_map(|field| field.strip_prefix(label))?;
            Some(found.trim().trim_matches('"').to_owned())
        };
        let algorithm = field("algorithm ").ok_or_else(|| wrong("found no algorithm"))?;
        let algorithm = match algorithm.to_ascii_lowercase().as_str() {
            "hmac-sha256" => TsigAlgorithm::HmacSha256,
            "hmac-sha384" => TsigAlgorithm::HmacSha384,
            "hmac-sha512" => TsigAlgorithm::HmacSha512,
            other => {
                let other: String = other.chars().take(40).collect();
                let what = format!("algorithm is {other:?}, not hmac-sha256, -384 or -512");
                return Err(TsigKeyError { what });
            }
        };
        let secret = field("secret ").ok_or_else(|| wrong("found no secret"))?;
        let secret = BASE64.decode(secret.as_bytes()).map_err(|_| wrong("secret is no base64"))?;
        if name.is_empty() || absolute(&name).is_err() {
            return Err(wrong("the key has no name"));
        }
        if secret.len() < 16 {
            return Err(wrong("secret has less than 16 bytes"));
        }
        Ok(Self { name, algorithm, secret })
    }
}

impl TsigKey {
    fn signer(&self) -> Result<TSigner, UpdateError> {
        let name = name(&self.name)?;
        TSigner::new(self.secret.clone(), self.algorithm.clone(), name, FUDGE)
            .map_err(|error| UpdateError::Key(error.to_string()))
    }
}

/// Replaces the TXT records of the set's names at the primary server of `zone`, all or nothing.
///
/// # Errors
/// [`UpdateError`] says whose fault it is and what to look at.
pub async fn update(
    set: &RecordSet,
    zone: &str,
    server: SocketAddr,
    key: &TsigKey,
) -> Result<(), UpdateError> {
    let message = message(set, zone)?;
    let sent = direct::over_tcp(server, message, Some(key.signer()?)).await;
    let response = sent.map_err(|failure| {
        let what = match failure {
            LookupFailure::Other(what) => what,
            other => other.to_string(),
        };
        UpdateError::NoAnswer { server, what }
    })?;
    match response.metadata.response_code {
        ResponseCode::NoError => Ok(()),
        code => Err(refused(server, code)),
    }
}

/// RFC 2136, section 2: the zone, no prerequisites, and for each name "delete the TXT records" and
/// "add these".
fn message(set: &RecordSet, zone: &str) -> Result<Message, UpdateError> {
    let mut message = Message::query();
    message.metadata.op_code = OpCode::Update;
    message.metadata.recursion_desired = false;
    message.add_query(Query::query(name(zone)?, RecordType::SOA));
    for owner in set.owners() {
        let owner_name = name(&owner.name)?;
        let mut delete = Record::update0(owner_name.clone(), 0, RecordType::TXT);
        delete.dns_class = DNSClass::ANY;
        message.add_authority(delete);
        for text in &owner.texts {
            let strings = strings(text).into_iter().map(str::to_owned).collect();
            let data = RData::TXT(TXT::new(strings));
            message.add_authority(Record::from_rdata(owner_name.clone(), set.ttl, data));
        }
    }
    Ok(message)
}

fn name(text: &str) -> Result<Name, UpdateError> {
    absolute(text).map_err(|_| UpdateError::Name(text.to_owned()))
}

fn refused(server: SocketAddr, code: ResponseCode) -> UpdateError {
    let (advice, is_temporary) = match code {
        ResponseCode::Refused => (
            "the key may not change this zone (BIND: update-policy or allow-update; Knot: acl)",
            false,
        ),
        ResponseCode::NotAuth | ResponseCode::BADSIG | ResponseCode::BADKEY => (
            "it is not the primary of this zone, or knows the key by another name, algorithm or secret",
            false,
        ),
        ResponseCode::BADTIME => {
            ("the clocks of the two machines differ by more than 300 s", false)
        }
        ResponseCode::NotZone => ("a name is not in the zone", false),
        ResponseCode::ServFail => ("it could not write the zone: its log says why", true),
        _ => ("its log says why", false),
    };
    UpdateError::Refused { server, code: code.to_string(), advice, is_temporary }
}
