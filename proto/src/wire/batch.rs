//! Batches: cutting a block's messages into them, and reading them so that each message is judged
//! by itself.

use super::{
    BATCH_BYTES_MAX, BATCH_MESSAGES_MAX, BODY_BYTES_MAX, Batch, REQUEST_MESSAGES_MAX, Request,
    WireError,
    error::within,
    fields::{Keys, list_of_some, required, tuple},
};
use crate::{
    cbor::{CborError, Reader, Writer},
    chain::Height,
    envelope::{Envelope, Origin},
    message::Message,
};

/// A batch as it came in: its frame holds, each message in it is well formed or not by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncomingBatch {
    /// The source block, as claimed.
    pub height: Height,
    /// In the order sent, which is the order of the replies; 1 to [`BATCH_MESSAGES_MAX`]. The
    /// error is that message's own: [`WireError::reply`] is its reply.
    pub claims: Vec<Result<Envelope, WireError>>,
}

impl From<Batch> for IncomingBatch {
    fn from(batch: Batch) -> Self {
        Self { height: batch.height, claims: batch.envelopes.into_iter().map(Ok).collect() }
    }
}

/// Cuts the messages of one block for one destination, ordered by their index, into batches that
/// keep both limits. No message is ever too long for a batch of its own.
#[must_use]
pub fn batches(height: Height, envelopes: Vec<Envelope>) -> Vec<Batch> {
    const { assert!(Message::BYTES_MAX <= BATCH_BYTES_MAX) };
    let mut batches: Vec<Batch> = Vec::new();
    let mut bytes = 0;
    for envelope in envelopes {
        let length = envelope.message.bytes().len();
        match batches.last_mut() {
            Some(batch)
                if batch.envelopes.len() < BATCH_MESSAGES_MAX
                    && bytes + length <= BATCH_BYTES_MAX =>
            {
                bytes += length;
                batch.envelopes.push(envelope);
            }
            _ => {
                bytes = length;
                batches.push(Batch { height, envelopes: vec![envelope] });
            }
        }
    }
    batches
}

/// Packs batches, in their order, into requests that keep both limits of a request.
#[must_use]
pub fn requests(batches: Vec<Batch>) -> Vec<Request> {
    const { assert!(FRAME_BYTES_MAX * 2 + BATCH_BYTES_MAX <= BODY_BYTES_MAX) };
    let mut requests: Vec<Vec<Batch>> = Vec::new();
    let (mut messages, mut bytes) = (0, 0);
    for batch in batches {
        let count = batch.envelopes.len();
        let length = FRAME_BYTES_MAX
            + batch.envelopes.iter().map(|envelope| envelope.message.bytes().len()).sum::<usize>();
        match requests.last_mut() {
            Some(request)
                if messages + count <= REQUEST_MESSAGES_MAX && bytes + length <= BODY_BYTES_MAX =>
            {
                (messages, bytes) = (messages + count, bytes + length);
                request.push(batch);
            }
            _ => {
                (messages, bytes) = (count, FRAME_BYTES_MAX + length);
                requests.push(vec![batch]);
            }
        }
    }
    requests.into_iter().map(Request::Messages).collect()
}

/// More than a batch's CBOR beside its messages: a dozen bytes for each message and the map's own.
/// The request's own few bytes are fewer still.
const FRAME_BYTES_MAX: usize = 16 * (BATCH_MESSAGES_MAX + 1);

/// Writes `{0: height, 1: [[index, message], …]}`.
pub(super) fn write(batch: &Batch, out: &mut Writer) {
    out.map(2);
    out.uint(0).uint(batch.height.0);
    out.uint(1).array(batch.envelopes.len());
    for envelope in &batch.envelopes {
        out.array(2).uint(u64::from(envelope.origin.index)).bytes(envelope.message.bytes());
    }
}

/// Reads a batch: its limits and the order of its indices here, its messages one by one.
pub(super) fn read(input: &mut Reader<'_>) -> Result<IncomingBatch, WireError> {
    let mut keys = Keys::of(input, "batch")?;
    let (mut height, mut raw) = (None, None);
    while let Some(key) = keys.next(input)? {
        match key {
            0 => height = Some(Height(input.uint("batch height")?)),
            1 => raw = Some(read_raw(input)?),
            _ => input.skip("batch")?,
        }
    }
    let height = required(height, "batch height")?;
    let raw = required(raw, "batch messages")?;
    let claims = raw.into_iter().map(|(index, bytes)| {
        within("message bytes", bytes.len(), Message::BYTES_MAX)?;
        let message = Message::from_bytes(&bytes)?;
        Ok(Envelope { message, origin: Origin { height, index } })
    });
    Ok(IncomingBatch { height, claims: claims.collect() })
}

fn read_raw(input: &mut Reader<'_>) -> Result<Vec<(u32, Vec<u8>)>, WireError> {
    let (mut last, mut bytes) = (None, 0);
    list_of_some(input, "batch messages", BATCH_MESSAGES_MAX, |input| {
        tuple(input, "batch message", 2, "index and message")?;
        let index = input.uint32("batch index")?;
        if last.is_some_and(|last| index <= last) {
            let expected = "indices in ascending order, each once";
            return Err(CborError { field: "batch index", expected }.into());
        }
        last = Some(index);
        let message = input.bytes("batch message", usize::MAX)?;
        bytes = within("batch bytes", bytes + message.len(), BATCH_BYTES_MAX)?;
        Ok((index, message.to_vec()))
    })
}
