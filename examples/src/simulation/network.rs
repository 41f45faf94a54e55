//! Calls between gateways through memory: encoded and decoded as on the wire, with faults on order.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use distpos_gateway::peer::{Caller, PeerError, PeerService, PeerTransport, Target};
use distpos_proto::{
    chain::ChainId,
    key::SpkiPin,
    wire::{Request, RequestKind, Response},
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Least time a call takes one way, and how much longer it may take, in milliseconds.
const LATENCY: u64 = 5;
const LATENCY_SPREAD: u64 = 5;

/// One call on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// The chain that the caller speaks for.
    pub from: ChainId,
    /// The chain that is meant.
    pub to: ChainId,
    /// The gateway that is called.
    pub at: SocketAddr,
    /// What is asked.
    pub kind: RequestKind,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is answered, and the answer arrives.
    Arrives,
    /// Nobody hears it.
    RequestLost,
    /// It is done, and nobody hears of it.
    AnswerLost,
}

type Fates = Box<dyn Fn(&Call) -> Fate + Send + Sync>;
/// Changes bytes on their way, or leaves them.
type Meddler = Box<dyn Fn(&Call, Vec<u8>) -> Vec<u8> + Send + Sync>;

/// Who answers at an address, with which TLS key.
type Listening = (Arc<dyn PeerService>, SpkiPin);

/// What stands for the Internet.
pub struct Network {
    services: Mutex<BTreeMap<SocketAddr, Listening>>,
    down: Mutex<BTreeSet<SocketAddr>>,
    random: Mutex<ChaCha8Rng>,
    fates: Mutex<Option<Fates>>,
    requests: Mutex<Option<Meddler>>,
    answers: Mutex<Option<Meddler>>,
    /// How many calls of a kind arrived at a chain.
    calls: Mutex<BTreeMap<(RequestKind, ChainId), usize>>,
}

impl Network {
    /// A network where nobody listens; `seed` decides how long calls take.
    pub fn new(seed: u64) -> Self {
        Self {
            services: Mutex::default(),
            down: Mutex::default(),
            random: Mutex::new(ChaCha8Rng::seed_from_u64(seed)),
            fates: Mutex::default(),
            requests: Mutex::default(),
            answers: Mutex::default(),
            calls: Mutex::default(),
        }
    }

    /// A service answers at an address from now on, with the TLS key of that pin.
    pub fn listen(&self, at: SocketAddr, service: Arc<dyn PeerService>, pin: SpkiPin) {
        self.services.lock().unwrap().insert(at, (service, pin));
    }

    /// Nobody listens there any more; what is being answered there is not heard.
    pub fn close(&self, at: SocketAddr) {
        self.services.lock().unwrap().remove(&at);
    }

    /// Makes an address unreachable, or reachable again.
    pub fn set_down(&self, at: SocketAddr, down: bool) {
        let mut held = self.down.lock().unwrap();
        if down {
            held.insert(at)
        } else {
            held.remove(&at)
        };
    }

    /// Decides every call's fate from now on.
    pub fn fates(&self, fates: impl Fn(&Call) -> Fate + Send + Sync + 'static) {
        *self.fates.lock().unwrap() = Some(Box::new(fates));
    }

    /// Changes the bodies of requests from now on.
    pub fn meddle_with_requests(
        &self,
        meddler: impl Fn(&Call, Vec<u8>) -> Vec<u8> + Send + Sync + 'static,
    ) {
        *self.requests.lock().unwrap() = Some(Box::new(meddler));
    }

    /// Changes the bodies of answers from now on.
    pub fn meddle_with_answers(
        &self,
        meddler: impl Fn(&Call, Vec<u8>) -> Vec<u8> + Send + Sync + 'static,
    ) {
        *self.answers.lock().unwrap() = Some(Box::new(meddler));
    }

    /// Ends every fault.
    pub fn heal(&self) {
        *self.fates.lock().unwrap() = None;
        *self.requests.lock().unwrap() = None;
        *self.answers.lock().unwrap() = None;
    }

    /// How many calls of a kind arrived at a chain.
    pub fn arrived(&self, kind: RequestKind, to: ChainId) -> usize {
        self.calls.lock().unwrap().get(&(kind, to)).copied().unwrap_or_default()
    }

    async fn latency(&self) {
        let spread = self.random.lock().unwrap().next_u64() % (LATENCY_SPREAD + 1);
        tokio::time::sleep(Duration::from_millis(LATENCY + spread)).await;
    }

    fn service(&self, at: SocketAddr) -> Option<Listening> {
        self.services.lock().unwrap().get(&at).cloned()
    }

    fn fate(&self, call: &Call) -> Fate {
        self.fates.lock().unwrap().as_ref().map_or(Fate::Arrives, |fates| fates(call))
    }

    fn meddled(by: &Mutex<Option<Meddler>>, call: &Call, body: Vec<u8>) -> Vec<u8> {
        match &*by.lock().unwrap() {
            Some(meddler) => meddler(call, body),
            None => body,
        }
    }

    /// Calls as the holder of a TLS key, with any body at all.
    pub async fn post(
        &self,
        pin: SpkiPin,
        call: Call,
        body: Vec<u8>,
    ) -> Result<Response, PeerError> {
        let address = call.at;
        let gone = |kind: io::ErrorKind| PeerError::Connect { address, source: kind.into() };
        self.latency().await;
        let (service, _) = self.service(address).ok_or(gone(io::ErrorKind::ConnectionRefused))?;
        let is_down = self.down.lock().unwrap().contains(&address);
        let fate = if is_down { Fate::RequestLost } else { self.fate(&call) };
        if fate == Fate::RequestLost {
            return Err(gone(io::ErrorKind::TimedOut));
        }
        *self.calls.lock().unwrap().entry((call.kind, call.to)).or_default() += 1;
        let caller = Caller { pin, source: call.from, destination: call.to };
        let response = match service.authorise(&caller).await {
            Err(reply) => Response::Refused(reply).body(),
            Ok(()) => {
                let body = Self::meddled(&self.requests, &call, body);
                service.answer(&caller, call.kind.path(), Bytes::from(body)).await
            }
        };
        self.latency().await;
        // Killed or stopped while it answered.
        let still = self.service(address).is_some_and(|(now, _)| Arc::ptr_eq(&now, &service));
        if fate == Fate::AnswerLost || !still {
            return Err(gone(io::ErrorKind::ConnectionReset));
        }
        let response = Self::meddled(&self.answers, &call, response);
        Response::from_body(call.kind, &response)
            .map_err(|source| PeerError::Body { address, source })
    }
}

/// One gateway's line to the network: it calls with that gateway's key.
pub struct Line {
    /// The network.
    pub network: Arc<Network>,
    /// The pin of the key that it calls with.
    pub pin: SpkiPin,
}

#[async_trait]
impl PeerTransport for Line {
    async fn call(
        &self,
        target: &Target,
        speaking_for: ChainId,
        to: ChainId,
        request: Request,
    ) -> Result<Response, PeerError> {
        let mut refused = PeerError::NoAddress { host: target.host.clone() };
        for address in &target.addresses {
            if let Some((_, pin)) = self.network.service(*address)
                && !target.pins.contains(&pin)
            {
                let source = io::Error::other("another key than the published one");
                return Err(PeerError::Connect { address: *address, source });
            }
            let call = Call { from: speaking_for, to, at: *address, kind: request.kind() };
            match self.network.post(self.pin, call, request.body()).await {
                Err(PeerError::Connect { address, source }) => {
                    refused = PeerError::Connect { address, source };
                }
                other => return other,
            }
        }
        Err(refused)
    }
}
