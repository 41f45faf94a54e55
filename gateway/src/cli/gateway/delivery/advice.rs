//! Whose turn it is when a stage fails, and what they do.

use distpos_proto::{
    chain::ChainId,
    code::{Code, Reply},
};
use distpos_resolver::ResolveError;

use crate::peer::PeerError;

/// Of a look-up that failed.
pub(super) fn of_route(error: &ResolveError) -> &'static str {
    match error {
        ResolveError::UnknownChain { .. } => "is the chain-id right, and is resolver.roots?",
        ResolveError::NullRecord { .. } => "their operator has closed it",
        ResolveError::Temporary { .. } => {
            "do the name servers of this machine work (resolver.servers)? `distpos-dns check` asks \
             theirs"
        }
        ResolveError::Malformed { .. } | ResolveError::BudgetExceeded { .. } => {
            "for their DNS administrator; `distpos-dns check` says more"
        }
        ResolveError::SpecialAddress { .. } => "for their DNS administrator",
    }
}

/// Of a connection or a call that failed.
pub(super) fn of_call(error: &PeerError) -> &'static str {
    match error {
        PeerError::NoAddress { .. } | PeerError::Host { .. } => "for their DNS administrator",
        PeerError::Busy { .. } => "try again",
        PeerError::Connect { .. } => "is the gateway running, and the port open on the way?",
        PeerError::KeyMismatch { .. } => {
            "their record is old, for their operator to compare spki= with the gateway's key, or \
             somebody else answers there"
        }
        PeerError::Timeout { .. } => "it is busy, or something on the way holds packets back",
        PeerError::Tls { .. } => {
            "no gateway speaks there, or it refuses this one: for their operator"
        }
        PeerError::Protocol { .. }
        | PeerError::Http { .. }
        | PeerError::Status { .. }
        | PeerError::BodyTooBig { .. }
        | PeerError::Body { .. }
        | PeerError::WrongAnswer { .. } => {
            "something else than a gateway of this version answers there: for their operator"
        }
    }
}

/// Of a gateway that answers, and will not talk to this one.
pub(super) fn of_refusal(reply: &Reply, own: ChainId) -> String {
    match reply.code {
        Code::KEY_NOT_FOUND | Code::DNS => {
            format!("it does not find this gateway in DNS; `distpos-dns check {own}` says why")
        }
        code if code.is_temporary() => "try again later, or ask their operator".to_owned(),
        _ => "for their operator".to_owned(),
    }
}
