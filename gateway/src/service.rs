//! What a gateway answers its peers: one function a call (`docs/protocol.md`, *Wire*).

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use distpos_proto::{
    chain::{ChainId, Family, Height},
    code::{Code, Reply},
    message::MessageId,
    receipt::{Standing, Status},
    wire::{
        BODY_BYTES_MAX, Hello, IncomingBatch, REQUEST_MESSAGES_MAX, Request, Response,
        StatusAnswer, VERSION,
    },
};
use distpos_spool::{Direction, SpoolError};
use tokio::sync::Semaphore;

use crate::{
    correspondence, destinations,
    event::Event,
    gateway::Gateway,
    inbound::{
        accept, receipt,
        simulate::{self, Simulations},
    },
    outbound::{prove, settle, silence},
    peer::{Caller, PeerService},
    trust::dns,
};

/// Most headers given in one answer; each is read with its block's leaves.
const HEADERS_GIVEN_MAX: usize = 64;

/// Most look-ups at a time on behalf of peers that name a chain the operator never named: whoever has
/// any key at all can ask, and must not make this gateway flood the name servers.
const STRANGERS_MAX: usize = 16;

/// The peers' side of a gateway.
pub struct Service {
    gateway: Arc<Gateway>,
    strangers: Semaphore,
    simulations: Simulations,
}

impl Service {
    /// Answers for this gateway.
    #[must_use]
    pub fn new(gateway: Arc<Gateway>) -> Self {
        let strangers = Semaphore::new(STRANGERS_MAX);
        Self { gateway, strangers, simulations: Simulations::default() }
    }
}

#[async_trait]
impl PeerService for Service {
    async fn authorise(&self, caller: &Caller) -> Result<(), Reply> {
        let own = self.gateway.facts().chain;
        if caller.destination != own {
            let text = format!("request is for {}, this is {own}", caller.destination);
            return Err(Reply::new(Code::POLICY, text));
        }
        if caller.source == own {
            return Err(Reply::new(Code::POLICY, "request speaks for this gateway's own chain"));
        }
        let _permit = if self.gateway.correspondents.is_named(caller.source) {
            None
        } else {
            let busy = || Reply::new(Code::RATE_LIMIT, "too many unknown chains ask at once");
            Some(self.strangers.try_acquire().map_err(|_| busy().retry_after(10))?)
        };
        let route = self.gateway.resolver.route(caller.source).await.map_err(|error| {
            let text = format!("{}: {error}", caller.source);
            Reply::new(Code::DNS, text).retry_after(30)
        })?;
        if route.admits(&caller.pin) {
            return dns::observe(&self.gateway, &route).await;
        }
        // It may have been published a moment ago: our view of DNS is as old as its TTL allows.
        let text = format!("key {} is not in the records of chain {}", caller.pin, caller.source);
        let old = route.expires.since(self.gateway.now()).as_secs().clamp(5, 300);
        let seconds = u32::try_from(old).unwrap_or(300);
        Err(Reply::new(Code::KEY_NOT_FOUND, text).retry_after(seconds))
    }

    async fn answer(&self, caller: &Caller, path: &str, body: Bytes) -> Vec<u8> {
        let response = match Request::from_parts(path, &body) {
            Ok(request) => self.respond(caller, request).await,
            Err(error) => Response::Refused(error.reply()),
        };
        response.body()
    }
}

impl Service {
    async fn respond(&self, caller: &Caller, request: Request<IncomingBatch>) -> Response {
        let gateway = &self.gateway;
        silence::heard(gateway, caller.source).await;
        destinations::called(gateway, caller.source).await;
        match request {
            Request::Hello => self.hello().await,
            Request::Messages(batches) => accept::messages(gateway, caller.source, batches).await,
            Request::Proofs { family, ids } => {
                Response::Proofs(prove::prove(gateway, caller.source, family, ids).await)
            }
            Request::Headers { from, to } => self.headers(from, to),
            Request::Receipts(receipts) => {
                let foreign = receipts.iter().any(|r| r.receipt.destination != caller.source);
                if foreign {
                    let text = "a receipt of another chain than the request speaks for";
                    return Response::Refused(Reply::new(Code::POLICY, text));
                }
                Response::Receipts(settle::receipts(gateway, receipts).await)
            }
            Request::Status(ids) => self.status(caller.source, &ids),
            Request::Simulations(message) => {
                simulate::simulate(gateway, &self.simulations, caller.source, &message).await
            }
            Request::Statements(papers) => {
                correspondence::take(gateway, caller.source, papers).await
            }
        }
    }

    async fn hello(&self) -> Response {
        let facts = self.gateway.facts();
        match self.gateway.chain.head().await {
            Ok(head) => Response::Hello(Hello {
                chain: facts.chain,
                tag: facts.tag,
                versions: vec![VERSION],
                families: families(facts.family),
                request_messages_max: REQUEST_MESSAGES_MAX as u64,
                body_bytes_max: BODY_BYTES_MAX as u64,
                head,
            }),
            Err(error) => {
                self.gateway.emit(Event::Alert { what: format!("chain: {error}") });
                Response::Refused(Reply::new(Code::NOT_NOW, "the node does not answer"))
            }
        }
    }

    fn headers(&self, from: Height, to: Height) -> Response {
        match self.gateway.spool.read(|tx| tx.own_headers(from, to, HEADERS_GIVEN_MAX)) {
            Ok(headers) => {
                let keys = self.gateway.identity.keys();
                Response::Headers(headers.iter().map(|header| header.sign(&keys.secrets)).collect())
            }
            Err(error) => self.failed(&error),
        }
    }

    fn status(&self, asker: ChainId, ids: &[MessageId]) -> Response {
        let gateway = &self.gateway;
        // It carries one signature: that of the key which peers have had longest, since not all of
        // them know of the one that has just taken over.
        let keys = gateway.identity.keys();
        let Some(key) = keys.secrets.last() else {
            return Response::Refused(Reply::new(Code::NOT_NOW, "no chain key here"));
        };
        let own = gateway.facts().chain;
        let answers = gateway.spool.read(|tx| {
            ids.iter()
                .map(|id| {
                    let end = tx.ended(Direction::Inbound, id)?.filter(|end| end.peer == asker);
                    if let Some(outcome) = end.and_then(|end| end.outcome) {
                        let signed = receipt::sign(gateway, asker, *id, outcome);
                        return Ok(StatusAnswer::Ended(signed));
                    }
                    let queued = match tx.find(Direction::Inbound, id)? {
                        Some((batch, _)) => tx.batch(Direction::Inbound, batch)?,
                        None => None,
                    };
                    let standing = match queued {
                        Some(batch) if batch.peer == asker => Standing::Pending,
                        _ => Standing::Unknown,
                    };
                    Ok(StatusAnswer::Open(Status::sign(*id, own, standing, key)))
                })
                .collect::<Result<Vec<_>, SpoolError>>()
        });
        answers.map_or_else(|error| self.failed(&error), Response::Status)
    }

    /// The peer is told little; the log has the rest.
    fn failed(&self, error: &SpoolError) -> Response {
        self.gateway.emit(Event::Alert { what: format!("spool: {error}") });
        Response::Refused(Reply::new(Code::SPOOL_FULL, "not now").retry_after(60))
    }
}

/// Evidence a gateway of this family can give.
fn families(native: Family) -> Vec<Family> {
    if native == Family::Attested { vec![native] } else { vec![native, Family::Attested] }
}
