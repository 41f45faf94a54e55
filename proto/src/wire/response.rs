//! Responses: the body for each call, and the one form in which every call may be refused.

use super::{
    BODY_BYTES_MAX, HEADERS_MAX, HELLO_LIST_MAX, Hello, IDS_MAX, Proofs, RECEIPTS_MAX,
    REQUEST_MESSAGES_MAX, Request, RequestKind, Response, Simulated, StatusAnswer, WireError,
    error::within,
    evidence,
    fields::{
        Keys, chain, family, family_number, id, list, read_head, read_reply, required, tuple,
        write_head, write_reply,
    },
    papers,
    request::only,
};
use crate::{
    cbor::{CborError, Reader, Writer},
    chain::GenesisTag,
    code::Reply,
    header::SignedHeader,
    key::KeySignature,
    receipt::{SignedReceipt, Standing, Status},
};

/// The first key of a refusal, in place of all others. No response has it for anything else.
const REFUSED_KEY: u64 = 23;

impl Response {
    /// The body.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let mut out = Writer::default();
        match self {
            Self::Hello(hello) => write_hello(hello, &mut out),
            Self::Messages(replies) | Self::Receipts(replies) => {
                out.map(1).uint(0).array(replies.len());
                for reply in replies {
                    write_reply(reply, &mut out);
                }
            }
            Self::Proofs(proofs) => write_proofs(proofs, &mut out),
            Self::Headers(headers) => {
                out.map(1).uint(0).array(headers.len());
                for header in headers {
                    header.write(&mut out);
                }
            }
            Self::Status(answers) => {
                out.map(1).uint(0).array(answers.len());
                for answer in answers {
                    write_status(answer, &mut out);
                }
            }
            Self::Simulations(simulated) => write_simulated(simulated, &mut out),
            Self::Statements(taken) => papers::write_taken(taken, &mut out),
            Self::Refused(reply) => {
                out.map(1).uint(REFUSED_KEY);
                write_reply(reply, &mut out);
            }
        }
        out.finish()
    }

    /// Reads the answer to a call of this kind.
    ///
    /// # Errors
    /// [`WireError`] names the field or the limit: the answering side's fault.
    pub fn from_body(kind: RequestKind, body: &[u8]) -> Result<Self, WireError> {
        within("body bytes", body.len(), BODY_BYTES_MAX)?;
        let mut input = Reader::new(body);
        let refused = refusal(body)?;
        if let Some(reply) = refused {
            return Ok(Self::Refused(reply));
        }
        let response = match kind {
            RequestKind::Hello => Self::Hello(read_hello(&mut input)?),
            RequestKind::Messages => {
                Self::Messages(read_replies(&mut input, REQUEST_MESSAGES_MAX)?)
            }
            RequestKind::Proofs => Self::Proofs(read_proofs(&mut input)?),
            RequestKind::Headers => Self::Headers(only(&mut input, "headers", |input| {
                list(input, "headers", HEADERS_MAX, |input| Ok(SignedHeader::read(input)?))
            })?),
            RequestKind::Receipts => Self::Receipts(read_replies(&mut input, RECEIPTS_MAX)?),
            RequestKind::Status => Self::Status(only(&mut input, "status", |input| {
                list(input, "status answers", IDS_MAX, read_status)
            })?),
            RequestKind::Simulations => Self::Simulations(read_simulated(&mut input)?),
            RequestKind::Statements => Self::Statements(papers::read_taken(&mut input)?),
        };
        input.end("response")?;
        Ok(response)
    }

    /// Whether this answers that request: the same call with one answer for each thing asked, or a
    /// refusal.
    #[must_use]
    pub fn answers(&self, request: &Request) -> bool {
        match (self, request) {
            (Self::Refused(_), _)
            | (Self::Hello(_), Request::Hello)
            | (Self::Proofs(_), Request::Proofs { .. })
            | (Self::Headers(_), Request::Headers { .. })
            | (Self::Simulations(_), Request::Simulations(_)) => true,
            (Self::Messages(replies), Request::Messages(batches)) => {
                replies.len() == batches.iter().map(|batch| batch.envelopes.len()).sum::<usize>()
            }
            (Self::Receipts(replies), Request::Receipts(receipts)) => {
                replies.len() == receipts.len()
            }
            (Self::Status(answers), Request::Status(ids)) => answers.len() == ids.len(),
            (Self::Statements(taken), Request::Statements(papers)) => {
                taken.replies.len() == papers.count()
            }
            _ => false,
        }
    }
}

/// The reply of a refusal; none if the body's first key is another one.
fn refusal(body: &[u8]) -> Result<Option<Reply>, WireError> {
    let mut input = Reader::new(body);
    let mut keys = Keys::of(&mut input, "response")?;
    if keys.next(&mut input)? != Some(REFUSED_KEY) {
        return Ok(None);
    }
    let reply = read_reply(&mut input)?;
    while keys.next(&mut input)?.is_some() {
        input.skip("response")?;
    }
    input.end("response")?;
    Ok(Some(reply))
}

fn read_replies(input: &mut Reader<'_>, max: usize) -> Result<Vec<Reply>, WireError> {
    only(input, "replies", |input| list(input, "replies", max, read_reply))
}

fn write_hello(hello: &Hello, out: &mut Writer) {
    out.map(7);
    out.uint(0).text(&hello.chain.to_string());
    out.uint(1).bytes(&hello.tag.0);
    out.uint(2).array(hello.versions.len());
    for version in &hello.versions {
        out.uint(*version);
    }
    out.uint(3).array(hello.families.len());
    for family in &hello.families {
        out.uint(family_number(*family));
    }
    out.uint(4).uint(hello.request_messages_max);
    out.uint(5).uint(hello.body_bytes_max);
    out.uint(6);
    write_head(&hello.head, out);
}

fn read_hello(input: &mut Reader<'_>) -> Result<Hello, WireError> {
    let mut keys = Keys::of(input, "hello")?;
    let (mut own, mut tag, mut versions, mut families) = (None, None, None, None);
    let (mut request_messages_max, mut body_bytes_max, mut head) = (None, None, None);
    while let Some(key) = keys.next(input)? {
        match key {
            0 => own = Some(chain(input, "hello chain")?),
            1 => tag = Some(GenesisTag(input.fixed("hello tag")?)),
            2 => versions = Some(read_numbers(input, "hello versions")?),
            3 => families = Some(read_numbers(input, "hello families")?),
            4 => request_messages_max = Some(input.uint("hello request_messages_max")?),
            5 => body_bytes_max = Some(input.uint("hello body_bytes_max")?),
            6 => head = Some(read_head(input)?),
            _ => input.skip("hello")?,
        }
    }
    Ok(Hello {
        chain: required(own, "hello chain")?,
        tag: required(tag, "hello tag")?,
        versions: required(versions, "hello versions")?,
        // A family that this version does not know is of no use here, and no error.
        families: required(families, "hello families")?.into_iter().filter_map(family).collect(),
        request_messages_max: required(request_messages_max, "hello request_messages_max")?,
        body_bytes_max: required(body_bytes_max, "hello body_bytes_max")?,
        head: required(head, "hello head")?,
    })
}

fn read_numbers(input: &mut Reader<'_>, field: &'static str) -> Result<Vec<u64>, WireError> {
    list(input, field, HELLO_LIST_MAX, |input| Ok(input.uint(field)?))
}

fn write_proofs(proofs: &Proofs, out: &mut Writer) {
    out.map(2).uint(0).array(proofs.blocks.len());
    for block in &proofs.blocks {
        evidence::write(block, out);
    }
    out.uint(1).array(proofs.absent.len());
    for (id, reply) in &proofs.absent {
        out.array(2).bytes(&id.0);
        write_reply(reply, out);
    }
}

fn read_proofs(input: &mut Reader<'_>) -> Result<Proofs, WireError> {
    let mut keys = Keys::of(input, "proofs")?;
    let (mut blocks, mut absent) = (None, None);
    while let Some(key) = keys.next(input)? {
        match key {
            0 => blocks = Some(list(input, "proofs blocks", IDS_MAX, evidence::read)?),
            1 => {
                absent = Some(list(input, "proofs absent", IDS_MAX, |input| {
                    tuple(input, "proofs absent", 2, "an id and a reply")?;
                    Ok((id(input)?, read_reply(input)?))
                })?);
            }
            _ => input.skip("proofs")?,
        }
    }
    Ok(Proofs {
        blocks: required(blocks, "proofs blocks")?,
        absent: required(absent, "proofs absent")?,
    })
}

/// Writes `[0, signed receipt]` or `[1, [id, destination, standing, signature]]`.
fn write_status(answer: &StatusAnswer, out: &mut Writer) {
    out.array(2);
    match answer {
        StatusAnswer::Ended(receipt) => {
            out.uint(0);
            receipt.write(out);
        }
        StatusAnswer::Open(status) => {
            out.uint(1).array(4).bytes(&status.id.0).text(&status.destination.to_string());
            out.uint(match status.standing {
                Standing::Pending => 0,
                Standing::Unknown => 1,
            });
            status.signature.write(out);
        }
    }
}

fn read_status(input: &mut Reader<'_>) -> Result<StatusAnswer, WireError> {
    tuple(input, "status", 2, "a kind and its content")?;
    match input.uint("status kind")? {
        0 => Ok(StatusAnswer::Ended(SignedReceipt::read(input)?)),
        1 => {
            tuple(input, "status", 4, "id, destination, standing and signature")?;
            let (id, destination) = (id(input)?, chain(input, "status destination")?);
            let standing = match input.uint("status standing")? {
                0 => Standing::Pending,
                1 => Standing::Unknown,
                _ => {
                    return Err(CborError { field: "status standing", expected: "0 or 1" }.into());
                }
            };
            let signature = KeySignature::read(input)?;
            Ok(StatusAnswer::Open(Status { id, destination, standing, signature }))
        }
        _ => Err(CborError { field: "status kind", expected: "0 or 1" }.into()),
    }
}

/// Writes `{0: reply, ? 1: gas}`.
fn write_simulated(simulated: &Simulated, out: &mut Writer) {
    out.map(1 + usize::from(simulated.gas.is_some())).uint(0);
    write_reply(&simulated.reply, out);
    if let Some(gas) = simulated.gas {
        out.uint(1).uint(gas);
    }
}

fn read_simulated(input: &mut Reader<'_>) -> Result<Simulated, WireError> {
    let mut keys = Keys::of(input, "simulation")?;
    let (mut reply, mut gas) = (None, None);
    while let Some(key) = keys.next(input)? {
        match key {
            0 => reply = Some(read_reply(input)?),
            1 => gas = Some(input.uint("simulation gas")?),
            _ => input.skip("simulation")?,
        }
    }
    Ok(Simulated { reply: required(reply, "simulation reply")?, gas })
}
