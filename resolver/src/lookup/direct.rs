//! One message to one server: over UDP, and over TCP what does not fit. For what hickory-resolver
//! cannot ask: the AD bit, authoritative servers, updates.

use std::net::SocketAddr;

use hickory_resolver::{
    net::{
        DnsError, NetError,
        runtime::TokioRuntimeProvider,
        tcp::TcpClientStream,
        udp::UdpClientStream,
        xfer::{DnsExchange, DnsHandle, DnsMultiplexer, FirstAnswer},
    },
    proto::{
        op::{DnsRequest, DnsRequestOptions, DnsResponse, Edns, Message, Query, ResponseCode},
        rr::{Name, RecordType, TSigner},
    },
};
use tokio::time::timeout;

use super::{
    LookupError, LookupFailure, Negative, Security,
    hickory::{Found, NO_SOA, PAYLOAD_MAX, SERVER_MAX, TRY_MAX, found, temporary},
};

/// How a server is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asking {
    /// A validating resolver that may be believed: it is to find out, and its AD bit says whether it
    /// could prove the answer (RFC 6840, sections 5.7 and 5.8).
    Validating,
    /// A server for what it knows itself.
    Authority,
}

/// Asks one server for the records of one type under a name.
///
/// # Errors
/// [`LookupError`], as any look-up.
pub(crate) async fn ask(
    server: SocketAddr,
    name: &Name,
    kind: RecordType,
    asking: Asking,
) -> Result<Found, LookupError> {
    let response = match timeout(SERVER_MAX, query(server, name, kind, asking)).await {
        Ok(response) => response.map_err(LookupError::Temporary)?,
        Err(_) => return Err(LookupError::Temporary(LookupFailure::Timeout)),
    };
    let secure = match asking {
        Asking::Validating if response.metadata.authentic_data => Security::Secure,
        Asking::Validating | Asking::Authority => Security::Indeterminate,
    };
    match response.metadata.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain => {}
        ResponseCode::ServFail => return Err(LookupError::Temporary(LookupFailure::ServFail)),
        ResponseCode::Refused => return Err(LookupError::Temporary(LookupFailure::Refused)),
        code => return Err(temporary(format!("the server answered {code}"))),
    }
    if let Ok(found) = found(&response.answers, name, kind) {
        return Ok(Found { secure, ..found });
    }
    nothing(&response, secure)
}

/// An answer without what was asked: there is nothing, or this server does not know.
fn nothing(response: &DnsResponse, secure: Security) -> Result<Found, LookupError> {
    let (kind, soa) = match (response.metadata.response_code, response.negative_ttl()) {
        (ResponseCode::NXDomain, soa) => (Negative::NxDomain, soa),
        // RFC 2308, section 2.2: without a SOA it is a referral, or nobody's word.
        (_, None) => return Err(temporary(NO_SOA.to_owned())),
        (_, soa) => (Negative::NoData, soa),
    };
    let negative_ttl = soa.unwrap_or(0);
    Err(LookupError::NotFound { negative_ttl, kind, secure })
}

async fn query(
    server: SocketAddr,
    name: &Name,
    kind: RecordType,
    asking: Asking,
) -> Result<DnsResponse, LookupFailure> {
    let mut message = Message::query();
    message.add_query(Query::query(name.clone(), kind));
    message.metadata.recursion_desired = asking == Asking::Validating;
    message.metadata.authentic_data = asking == Asking::Validating;
    let mut edns = Edns::new();
    edns.set_max_payload(PAYLOAD_MAX).set_version(0);
    message.set_edns(edns);
    let udp = UdpClientStream::builder(server, TokioRuntimeProvider::default());
    let udp = udp.with_timeout(Some(TRY_MAX)).exchange();
    let response = send(&udp, message.clone()).await;
    match response {
        Ok(response) if !response.metadata.truncation => checked(response, &message),
        // What came is cut off, or lost on the way: TCP has neither.
        Ok(_) | Err(LookupFailure::Timeout) => {
            checked(over_tcp(server, message.clone(), None).await?, &message)
        }
        Err(failure) => Err(failure),
    }
}

/// Sends a message over TCP, signed if there is a key; then the answer is signed by it, too.
///
/// # Errors
/// [`LookupFailure`] says what went wrong on the way; what the server says is in the answer.
pub(crate) async fn over_tcp(
    server: SocketAddr,
    message: Message,
    signer: Option<TSigner>,
) -> Result<DnsResponse, LookupFailure> {
    let (stream, handle) =
        TcpClientStream::new(server, None, Some(TRY_MAX), TokioRuntimeProvider::default());
    let stream = stream.await.map_err(failure)?;
    let mut multiplexer = DnsMultiplexer::new(stream, handle).with_timeout(SERVER_MAX);
    if let Some(signer) = signer {
        multiplexer = multiplexer.with_signer(signer);
    }
    let (exchange, background) = DnsExchange::<TokioRuntimeProvider>::from_stream(multiplexer);
    // It ends when the exchange is dropped.
    tokio::spawn(background);
    send(&exchange, message).await
}

async fn send(
    exchange: &DnsExchange<TokioRuntimeProvider>,
    message: Message,
) -> Result<DnsResponse, LookupFailure> {
    let request = DnsRequest::new(message, DnsRequestOptions::default());
    exchange.send(request).first_answer().await.map_err(failure)
}

/// An answer to another question is none.
fn checked(response: DnsResponse, asked: &Message) -> Result<DnsResponse, LookupFailure> {
    if response.queries == asked.queries {
        return Ok(response);
    }
    Err(LookupFailure::Other("the answer is to another question".to_owned()))
}

fn failure(error: NetError) -> LookupFailure {
    match error {
        NetError::Timeout => LookupFailure::Timeout,
        NetError::Dns(DnsError::ResponseCode(ResponseCode::ServFail)) => LookupFailure::ServFail,
        NetError::Dns(DnsError::ResponseCode(ResponseCode::Refused)) => LookupFailure::Refused,
        other => LookupFailure::Other(other.to_string()),
    }
}
