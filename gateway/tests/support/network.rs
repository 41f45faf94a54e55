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
    wire::{Request, Response},
};

/// How long a call takes one way.
const LATENCY: Duration = Duration::from_millis(5);

/// Changes a response on its way: whom it is for, what was asked, what was answered.
pub type Tamper = Box<dyn Fn(ChainId, &Request, Response) -> Response + Send + Sync>;

#[derive(Default)]
pub struct Network {
    services: Mutex<BTreeMap<SocketAddr, (Arc<dyn PeerService>, SpkiPin)>>,
    down: Mutex<BTreeSet<SocketAddr>>,
    tamper: Mutex<Option<Tamper>>,
    /// Every call that arrived, as `source->destination path`.
    pub calls: Mutex<Vec<String>>,
}

impl Network {
    pub fn listen(&self, at: SocketAddr, service: Arc<dyn PeerService>, pin: SpkiPin) {
        self.services.lock().unwrap().insert(at, (service, pin));
    }

    pub fn set_down(&self, at: SocketAddr, down: bool) {
        let mut held = self.down.lock().unwrap();
        if down {
            held.insert(at)
        } else {
            held.remove(&at)
        };
    }

    pub fn tamper(&self, tamper: Option<Tamper>) {
        *self.tamper.lock().unwrap() = tamper;
    }
}

/// One gateway's line to the network: it calls with that gateway's key.
pub struct Line {
    pub network: Arc<Network>,
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
        tokio::time::sleep(LATENCY).await;
        let mut refused = PeerError::NoAddress { host: target.host.clone() };
        for address in &target.addresses {
            let service = self.network.services.lock().unwrap().get(address).cloned();
            let down = self.network.down.lock().unwrap().contains(address);
            let Some((service, pin)) = service.filter(|_| !down) else {
                let source = io::Error::from(io::ErrorKind::ConnectionRefused);
                refused = PeerError::Connect { address: *address, source };
                continue;
            };
            if !target.pins.contains(&pin) {
                let source = io::Error::other("another key than the published one");
                return Err(PeerError::Connect { address: *address, source });
            }
            let caller = Caller { pin: self.pin, source: speaking_for, destination: to };
            let path = request.path();
            self.network.calls.lock().unwrap().push(format!("{speaking_for}->{to} {path}"));
            if let Err(reply) = service.authorise(&caller).await {
                return Ok(Response::Refused(reply));
            }
            let body = service.answer(&caller, path, Bytes::from(request.body())).await;
            tokio::time::sleep(LATENCY).await;
            let response = Response::from_body(request.kind(), &body)
                .map_err(|source| PeerError::Body { address: *address, source })?;
            let tamper = self.network.tamper.lock().unwrap();
            return Ok(match &*tamper {
                Some(tamper) => tamper(speaking_for, &request, response),
                None => response,
            });
        }
        Err(refused)
    }
}
