//! A listening gateway, and clients that behave well or badly.

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use distpos_certs::{TlsIdentity, tls};
use distpos_proto::{
    chain::ChainId,
    code::Reply,
    wire::{DESTINATION_FIELD, MEDIA_TYPE, RequestKind, Response, SOURCE_FIELD},
};
use http::StatusCode;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{
    body::{Body, Frame},
    client::conn::http2,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::peer::{
    Caller, PeerError, PeerService, Target,
    client::{ClientLimits, PeerClient},
    server::{ServerLimits, serve},
};

/// A time that no test should ever come near; only there so that a failure is not a hang.
const NEVER: Duration = Duration::from_secs(60);

pub(super) async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(NEVER, future).await.expect("happens long before this")
}

pub(super) fn chain(text: &str) -> ChainId {
    text.parse().unwrap()
}

pub(super) fn identity(seed: u8) -> TlsIdentity {
    TlsIdentity::from_seed(&[seed; 32])
}

/// Gives back the body it got, unless told otherwise.
pub(super) struct Echo {
    pub(super) refuse: Option<Reply>,
    pub(super) answer: Option<Vec<u8>>,
    pub(super) panic_at: Option<usize>,
    /// An answer needs a permit; there are plenty unless a test takes them away.
    pub(super) permits: Semaphore,
    pub(super) callers: Mutex<Vec<Caller>>,
    pub(super) answering: AtomicUsize,
}

impl Default for Echo {
    fn default() -> Self {
        Self {
            refuse: None,
            answer: None,
            panic_at: None,
            permits: Semaphore::new(Semaphore::MAX_PERMITS),
            callers: Mutex::default(),
            answering: AtomicUsize::new(0),
        }
    }
}

#[async_trait]
impl PeerService for Echo {
    async fn authorise(&self, caller: &Caller) -> Result<(), Reply> {
        self.callers.lock().unwrap().push(*caller);
        self.refuse.clone().map_or(Ok(()), Err)
    }

    async fn answer(&self, _caller: &Caller, _path: &str, body: Bytes) -> Vec<u8> {
        let number = self.answering.fetch_add(1, Ordering::SeqCst);
        assert_ne!(Some(number), self.panic_at, "told to panic");
        let _permit = self.permits.acquire().await.unwrap();
        self.answer.clone().unwrap_or_else(|| body.to_vec())
    }
}

/// A gateway that listens.
pub(super) struct Listening {
    pub(super) address: SocketAddr,
    pub(super) service: Arc<Echo>,
    pub(super) stop: watch::Sender<bool>,
    pub(super) served: JoinHandle<Result<(), rustls::Error>>,
}

pub(super) const SERVER_SEED: u8 = 2;
pub(super) const CLIENT_SEED: u8 = 1;

pub(super) async fn listen(service: Echo, limits: ServerLimits) -> Listening {
    listen_at("127.0.0.1:0".parse().unwrap(), service, limits).await
}

pub(super) async fn listen_at(at: SocketAddr, service: Echo, limits: ServerLimits) -> Listening {
    let listener = TcpListener::bind(at).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let service = Arc::new(service);
    let serving: Arc<dyn PeerService> = service.clone();
    let served = tokio::spawn(async move {
        serve(listener, &identity(SERVER_SEED), serving, limits, stopped).await
    });
    Listening { address, service, stop, served }
}

impl Listening {
    pub(super) fn target(&self) -> Target {
        target(self.address)
    }

    pub(super) fn answers_begun(&self) -> usize {
        self.service.answering.load(Ordering::SeqCst)
    }

    /// Waits, without sleeping, until so many calls are being answered.
    pub(super) async fn answering(&self, count: usize) {
        soon(async {
            while self.answers_begun() < count {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

pub(super) fn target(address: SocketAddr) -> Target {
    Target {
        addresses: vec![address],
        host: "gw1.village.example".to_owned(),
        pins: vec![identity(SERVER_SEED).pin()],
    }
}

pub(super) fn client(limits: ClientLimits) -> PeerClient {
    PeerClient::new(identity(CLIENT_SEED), limits)
}

/// A call to `/messages` with any body, from e2e4 to b1c2.
pub(super) async fn post(
    client: &PeerClient,
    target: &Target,
    body: impl Into<Bytes>,
) -> Result<(StatusCode, Bytes), PeerError> {
    let (source, destination) = (chain("e2e4"), chain("b1c2"));
    let call = client.exchange(target, source, destination, RequestKind::Messages, body.into());
    soon(call).await.map(|answer| (answer.status, answer.body))
}

/// A connection whose requests the test writes itself.
pub(super) struct Raw {
    pub(super) sender: http2::SendRequest<RawBody>,
    /// Ends when the connection does.
    pub(super) ended: JoinHandle<()>,
}

pub(super) type RawBody = BoxBody<Bytes, Infallible>;

pub(super) async fn raw(address: SocketAddr, builder: &http2::Builder<TokioExecutor>) -> Raw {
    let config = tls::client_config(&identity(CLIENT_SEED), &[identity(SERVER_SEED).pin()]);
    let stream = TcpStream::connect(address).await.unwrap();
    let name = "gw1.village.example".try_into().unwrap();
    let stream = TlsConnector::from(Arc::new(config.unwrap())).connect(name, stream).await.unwrap();
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
    let ended = tokio::spawn(async move {
        let _ = connection.await;
    });
    Raw { sender, ended }
}

pub(super) fn plain() -> http2::Builder<TokioExecutor> {
    http2::Builder::new(TokioExecutor::new())
}

impl Raw {
    pub(super) async fn send(
        &mut self,
        request: http::Request<RawBody>,
    ) -> Result<(StatusCode, Bytes), hyper::Error> {
        let response = soon(self.sender.send_request(request)).await?;
        let status = response.status();
        Ok((status, soon(response.into_body().collect()).await?.to_bytes()))
    }

    /// The refusal that this request gets.
    pub(super) async fn refusal(&mut self, request: http::Request<RawBody>) -> (u16, Reply) {
        let (status, body) = self.send(request).await.unwrap();
        (status.as_u16(), refused(&body))
    }
}

/// The reply in a refusal's body.
pub(super) fn refused(body: &[u8]) -> Reply {
    match Response::from_body(RequestKind::Messages, body) {
        Ok(Response::Refused(reply)) => reply,
        other => panic!("expected a refusal, found {other:?}"),
    }
}

/// A request to `/messages` as it should be, for a test to spoil.
pub(super) fn request() -> http::request::Builder {
    http::Request::post("https://gw1.village.example/distpos/1/messages")
        .header("content-type", MEDIA_TYPE)
        .header(SOURCE_FIELD, "e2e4")
        .header(DESTINATION_FIELD, "b1c2")
}

pub(super) fn full(body: impl Into<Bytes>) -> RawBody {
    Full::new(body.into()).boxed()
}

/// A body of which only the beginning ever comes.
pub(super) fn stalled(beginning: &'static [u8]) -> RawBody {
    struct Stalled(Option<Bytes>);
    impl Body for Stalled {
        type Data = Bytes;
        type Error = Infallible;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            match self.0.take() {
                Some(data) if !data.is_empty() => Poll::Ready(Some(Ok(Frame::data(data)))),
                Some(_) | None => Poll::Pending,
            }
        }
    }
    Stalled(Some(Bytes::from_static(beginning))).boxed()
}

/// A body that does not say how long it is: so many pieces of 1,000 bytes.
pub(super) fn undeclared(pieces: usize) -> RawBody {
    struct Pieces(usize);
    impl Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            if self.0 == 0 {
                return Poll::Ready(None);
            }
            self.0 -= 1;
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[7; 1000])))))
        }
    }
    Pieces(pieces).boxed()
}
