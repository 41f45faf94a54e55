//! Requests: path and body.

use super::{
    BODY_BYTES_MAX, IDS_MAX, IncomingBatch, RECEIPTS_MAX, REQUEST_MESSAGES_MAX, Request, VERSION,
    WireError, batch,
    error::within,
    fields::{Keys, family, family_number, id, list_of_some, required},
    papers,
};
use crate::{
    cbor::{CborError, Reader, Writer},
    chain::{Family, Height},
    message::{Message, MessageId},
    receipt::SignedReceipt,
};

/// Which call: one path each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RequestKind {
    /// [`Request::Hello`].
    Hello,
    /// [`Request::Messages`].
    Messages,
    /// [`Request::Proofs`].
    Proofs,
    /// [`Request::Headers`].
    Headers,
    /// [`Request::Receipts`].
    Receipts,
    /// [`Request::Status`].
    Status,
    /// [`Request::Simulations`].
    Simulations,
    /// [`Request::Statements`].
    Statements,
}

impl RequestKind {
    /// Every call.
    pub const ALL: [Self; 8] = [
        Self::Hello,
        Self::Messages,
        Self::Proofs,
        Self::Headers,
        Self::Receipts,
        Self::Status,
        Self::Simulations,
        Self::Statements,
    ];

    /// The path of the HTTP request.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Hello => "/distpos/1/hello",
            Self::Messages => "/distpos/1/messages",
            Self::Proofs => "/distpos/1/proofs",
            Self::Headers => "/distpos/1/headers",
            Self::Receipts => "/distpos/1/receipts",
            Self::Status => "/distpos/1/status",
            Self::Simulations => "/distpos/1/simulations",
            Self::Statements => "/distpos/1/statements",
        }
    }

    /// Whether the method is GET (without a body); else it is POST.
    #[must_use]
    pub fn method_is_get(self) -> bool {
        self == Self::Hello
    }

    /// The call of a path. It can be known before the body is read.
    ///
    /// # Errors
    /// [`WireError::Version`] for another major version, [`WireError::Path`] for anything else.
    pub fn from_path(path: &str) -> Result<Self, WireError> {
        if let Some(kind) = Self::ALL.into_iter().find(|kind| kind.path() == path) {
            return Ok(kind);
        }
        let version = path.strip_prefix("/distpos/").and_then(|rest| rest.split('/').next());
        match version.and_then(|version| version.parse::<u64>().ok()) {
            Some(found) if found != VERSION => Err(WireError::Version { found }),
            _ => Err(WireError::Path { found: path.chars().take(80).collect() }),
        }
    }
}

impl<B> Request<B> {
    /// Which call this is.
    #[must_use]
    pub fn kind(&self) -> RequestKind {
        match self {
            Self::Hello => RequestKind::Hello,
            Self::Messages(_) => RequestKind::Messages,
            Self::Proofs { .. } => RequestKind::Proofs,
            Self::Headers { .. } => RequestKind::Headers,
            Self::Receipts(_) => RequestKind::Receipts,
            Self::Status(_) => RequestKind::Status,
            Self::Simulations(_) => RequestKind::Simulations,
            Self::Statements(_) => RequestKind::Statements,
        }
    }

    /// The path of the HTTP request.
    #[must_use]
    pub fn path(&self) -> &'static str {
        self.kind().path()
    }

    /// Whether the method is GET (without a body); else it is POST.
    #[must_use]
    pub fn method_is_get(&self) -> bool {
        self.kind().method_is_get()
    }
}

impl Request {
    /// The body; empty for [`Request::Hello`]. The caller keeps the limits of this module: what
    /// passes them is refused by [`Request::from_parts`] on the other side.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let mut out = Writer::default();
        match self {
            Self::Hello => {}
            Self::Messages(batches) => {
                out.map(1).uint(0).array(batches.len());
                for batch in batches {
                    batch::write(batch, &mut out);
                }
            }
            Self::Proofs { family, ids } => {
                out.map(2).uint(0).uint(family_number(*family)).uint(1);
                write_ids(ids, &mut out);
            }
            Self::Headers { from, to } => {
                out.map(2).uint(0).uint(from.0).uint(1).uint(to.0);
            }
            Self::Receipts(receipts) => {
                out.map(1).uint(0).array(receipts.len());
                for receipt in receipts {
                    receipt.write(&mut out);
                }
            }
            Self::Status(ids) => {
                out.map(1).uint(0);
                write_ids(ids, &mut out);
            }
            Self::Simulations(message) => {
                out.map(1).uint(0).bytes(message.bytes());
            }
            Self::Statements(sent) => papers::write(sent, &mut out),
        }
        out.finish()
    }
}

impl Request<IncomingBatch> {
    /// Reads a request that came in. A malformed message is an error of its own inside its batch;
    /// anything else that is wrong is an error of the whole request.
    ///
    /// # Errors
    /// [`WireError`] names the field or the limit; [`WireError::reply`] is the answer.
    pub fn from_parts(path: &str, body: &[u8]) -> Result<Self, WireError> {
        let kind = RequestKind::from_path(path)?;
        within("body bytes", body.len(), BODY_BYTES_MAX)?;
        let mut input = Reader::new(body);
        let request = match kind {
            RequestKind::Hello => Self::Hello,
            RequestKind::Messages => Self::Messages(read_batches(&mut input)?),
            RequestKind::Proofs => read_proofs(&mut input)?,
            RequestKind::Headers => read_headers(&mut input)?,
            RequestKind::Receipts => Self::Receipts(only(&mut input, "receipts", |input| {
                list_of_some(input, "receipts", RECEIPTS_MAX, |input| {
                    Ok(SignedReceipt::read(input)?)
                })
            })?),
            RequestKind::Status => Self::Status(only(&mut input, "status", read_ids)?),
            RequestKind::Simulations => {
                Self::Simulations(only(&mut input, "simulations", |input| {
                    let bytes = input.bytes("simulations message", usize::MAX)?;
                    within("message bytes", bytes.len(), Message::BYTES_MAX)?;
                    Ok(Message::from_bytes(bytes)?)
                })?)
            }
            RequestKind::Statements => Self::Statements(papers::read(&mut input)?),
        };
        input.end("request")?;
        Ok(request)
    }
}

fn read_batches(input: &mut Reader<'_>) -> Result<Vec<IncomingBatch>, WireError> {
    let mut messages = 0;
    only(input, "batches", |input| {
        list_of_some(input, "batches", REQUEST_MESSAGES_MAX, |input| {
            let batch = batch::read(input)?;
            messages += batch.claims.len();
            within("messages of the request", messages, REQUEST_MESSAGES_MAX)?;
            Ok(batch)
        })
    })
}

fn read_proofs(input: &mut Reader<'_>) -> Result<Request<IncomingBatch>, WireError> {
    let mut keys = Keys::of(input, "proofs")?;
    let (mut wanted, mut ids) = (None, None);
    while let Some(key) = keys.next(input)? {
        match key {
            0 => {
                let wrong = CborError { field: "proofs family", expected: "0, 1 or 2" };
                wanted = Some(family(input.uint("proofs family")?).ok_or(wrong)?);
            }
            1 => ids = Some(read_ids(input)?),
            _ => input.skip("proofs")?,
        }
    }
    let family: Family = required(wanted, "proofs family")?;
    Ok(Request::Proofs { family, ids: required(ids, "ids")? })
}

fn read_headers(input: &mut Reader<'_>) -> Result<Request<IncomingBatch>, WireError> {
    let mut keys = Keys::of(input, "headers")?;
    let (mut from, mut to) = (None, None);
    while let Some(key) = keys.next(input)? {
        match key {
            0 => from = Some(Height(input.uint("headers from")?)),
            1 => to = Some(Height(input.uint("headers to")?)),
            _ => input.skip("headers")?,
        }
    }
    let (from, to) = (required(from, "headers from")?, required(to, "headers to")?);
    if from > to {
        return Err(CborError { field: "headers to", expected: "no height below from" }.into());
    }
    Ok(Request::Headers { from, to })
}

/// Reads a map in which only key 0 means something.
pub(super) fn only<T>(
    input: &mut Reader<'_>,
    map: &'static str,
    mut read: impl FnMut(&mut Reader<'_>) -> Result<T, WireError>,
) -> Result<T, WireError> {
    let mut keys = Keys::of(input, map)?;
    let mut value = None;
    while let Some(key) = keys.next(input)? {
        match key {
            0 => value = Some(read(input)?),
            _ => input.skip(map)?,
        }
    }
    required(value, map)
}

fn write_ids(ids: &[MessageId], out: &mut Writer) {
    out.array(ids.len());
    for id in ids {
        out.bytes(&id.0);
    }
}

fn read_ids(input: &mut Reader<'_>) -> Result<Vec<MessageId>, WireError> {
    list_of_some(input, "ids", IDS_MAX, id)
}
