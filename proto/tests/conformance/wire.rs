//! `wire.json`: each request and each response, as path and body.

use distpos_proto::{
    chain::{BlockHash, Family, Height},
    code::{Code, Reply},
    envelope::{Envelope, Origin},
    header::HeaderHash,
    light::{
        Evidence,
        evm::{LogPlace, ReceiptProof},
        ledger::{LedgerHeader, SignedLedgerHeader},
    },
    message::{Fields, Message, MessageId},
    proof::merkle::TreeProof,
    receipt::{SignedReceipt, Standing, Status},
    signed::Document,
    time::UnixSeconds,
    wire::{
        BODY_BYTES_MAX, Batch, Head, Hello, Papers, PapersTaken, Proofs, REQUEST_MESSAGES_MAX,
        Request, RequestKind, Response, Simulated, StatusAnswer,
    },
};
use serde_json::{Value as Json, json};

use crate::{
    message::plain,
    papers::{request, statement, terms},
    raw::{diagnostic, hex, unhex},
    signed::{header, key, receipts},
};

fn message(sequence: u64) -> Message {
    Message::new(Fields { sequence, ..plain() }).unwrap()
}

pub(crate) fn batch() -> Batch {
    let envelope = |index: u32| Envelope {
        message: message(u64::from(index) + 7),
        origin: Origin { height: Height(1000), index },
    };
    Batch { height: Height(1000), envelopes: vec![envelope(0), envelope(1)] }
}

fn signed_receipt() -> SignedReceipt {
    let (_, receipt) = receipts().remove(0);
    receipt.sign([&key(2)])
}

pub(crate) fn requests() -> Vec<Request> {
    vec![
        Request::Hello,
        Request::Messages(vec![batch()]),
        Request::Proofs { family: Family::Ledger, ids: vec![message(7).id(), message(8).id()] },
        Request::Headers { from: Height(1000), to: Height(2000) },
        Request::Receipts(vec![signed_receipt()]),
        Request::Status(vec![message(7).id()]),
        Request::Simulations(message(7)),
        Request::Statements(Papers {
            terms: vec![terms().sign([&key(1), &key(2)])],
            statements: vec![statement().sign([&key(2)])],
            requests: vec![request().sign([&key(2)])],
        }),
        Request::Statements(Papers {
            statements: vec![statement().sign([&key(2)])],
            ..Papers::default()
        }),
    ]
}

fn evidence() -> Vec<Evidence> {
    let tree = TreeProof {
        indices: vec![0, 2],
        leaves: vec![message(7).bytes().to_vec(), message(9).bytes().to_vec()],
        hashes: vec![[0x44; 32]],
    };
    let ledger = LedgerHeader {
        chain: header().chain,
        tag: header().tag,
        height: Height(5),
        previous: HeaderHash([0x55; 32]),
        time: UnixSeconds(1_795_651_200),
        transactions_root: [0x66; 32],
        leaf_count: 3,
        root: [0x77; 32],
    };
    let signature = key(1).sign(distpos_proto::key::Domain::LedgerHeader, b"not checked here");
    vec![
        Evidence::Attested { header: header().sign([&key(1)]), tree: tree.clone() },
        Evidence::Ledger {
            header: SignedLedgerHeader { header: ledger, signatures: vec![signature] },
            tree,
        },
        Evidence::Evm {
            header: header().sign([&key(1)]),
            receipts: ReceiptProof {
                block: vec![0xf9, 0x02, 0x18],
                nodes: vec![vec![0xf8, 0x51], vec![0xe2]],
                logs: vec![LogPlace { transaction: 3, log: 1 }],
            },
        },
    ]
}

pub(crate) fn responses() -> Vec<(RequestKind, Response)> {
    let not_final = || Reply::new(Code::NOT_FINAL, "block 1000 is not final").retry_after(2);
    let head = Head {
        height: Height(1010),
        block: BlockHash([0xb2; 32]),
        time: UnixSeconds(1_795_651_320),
    };
    let hello = Hello {
        chain: header().chain,
        tag: header().tag,
        versions: vec![1],
        families: vec![Family::Attested, Family::Ledger],
        request_messages_max: REQUEST_MESSAGES_MAX as u64,
        body_bytes_max: BODY_BYTES_MAX as u64,
        head,
    };
    let open = Status::sign(message(8).id(), plain().destination, Standing::Pending, &key(2));
    vec![
        (RequestKind::Hello, Response::Hello(hello)),
        (
            RequestKind::Messages,
            Response::Messages(vec![
                Reply::new(Code::ACCEPTED, "accepted"),
                Reply::new(Code::RATE_LIMIT, "too many unproven messages").retry_after(30),
            ]),
        ),
        (
            RequestKind::Proofs,
            Response::Proofs(Proofs {
                blocks: evidence(),
                absent: vec![(MessageId([1; 32]), not_final())],
            }),
        ),
        (RequestKind::Headers, Response::Headers(vec![header().sign([&key(1), &key(2)])])),
        (RequestKind::Receipts, Response::Receipts(vec![Reply::new(Code::ACCEPTED, "accepted")])),
        (
            RequestKind::Status,
            Response::Status(vec![StatusAnswer::Ended(signed_receipt()), StatusAnswer::Open(open)]),
        ),
        (
            RequestKind::Simulations,
            Response::Simulations(Simulated {
                reply: Reply::new(Code::DELIVERED, "would be delivered"),
                gas: Some(48_000),
            }),
        ),
        (
            RequestKind::Simulations,
            Response::Simulations(Simulated {
                reply: Reply::new(Code::CALL_REVERTS, "call reverts: paused"),
                gas: None,
            }),
        ),
        (RequestKind::Statements, taken(false)),
        (RequestKind::Statements, taken(true)),
        (
            RequestKind::Messages,
            Response::Refused(Reply::new(Code::SPOOL_FULL, "spool is full").retry_after(60)),
        ),
    ]
}

/// The answer to papers, with or without the answering side's statement.
fn taken(with_statement: bool) -> Response {
    let later = Reply::new(Code::NOT_NOW, "not signed here yet").retry_after(3600);
    let matches = Reply::new(Code::DELIVERED, "statement matches");
    Response::Statements(if with_statement {
        PapersTaken { replies: vec![matches], statements: vec![statement().sign([&key(2)])] }
    } else {
        PapersTaken { replies: vec![later, matches], statements: vec![] }
    })
}

pub(crate) fn build() -> Json {
    let requests: Vec<_> = requests()
        .iter()
        .map(|request| {
            json!({
                "method": if request.method_is_get() { "GET" } else { "POST" },
                "path": request.path(),
                "body": hex(&request.body()),
                "diagnostic": diagnostic(&request.body()),
            })
        })
        .collect();
    let responses: Vec<_> = responses()
        .iter()
        .map(|(kind, response)| {
            json!({
                "path": kind.path(),
                "body": hex(&response.body()),
                "diagnostic": diagnostic(&response.body()),
            })
        })
        .collect();
    json!({
        "comment": "Bodies, and what they say in the diagnostic notation of RFC 8949. Headers, \
            receipts and proofs have the right form; their contents prove nothing.",
        "requests": requests,
        "responses": responses,
    })
}

#[test]
fn the_files_requests_and_responses_read_back() {
    let file: Json = serde_json::from_str(include_str!("../../vectors/wire.json")).unwrap();
    let vectors = file["requests"].as_array().unwrap();
    assert_eq!(vectors.len(), requests().len());
    for (vector, expected) in vectors.iter().zip(requests()) {
        let path = vector["path"].as_str().unwrap();
        let found = Request::from_parts(path, &unhex(&vector["body"])).unwrap();
        let expected = match expected {
            Request::Messages(batches) => {
                Request::Messages(batches.into_iter().map(Into::into).collect())
            }
            Request::Hello => Request::Hello,
            Request::Proofs { family, ids } => Request::Proofs { family, ids },
            Request::Headers { from, to } => Request::Headers { from, to },
            Request::Receipts(receipts) => Request::Receipts(receipts),
            Request::Status(ids) => Request::Status(ids),
            Request::Simulations(message) => Request::Simulations(message),
            Request::Statements(papers) => Request::Statements(papers),
        };
        assert_eq!(found, expected);
    }
    let vectors = file["responses"].as_array().unwrap();
    assert_eq!(vectors.len(), responses().len());
    for (vector, (_, expected)) in vectors.iter().zip(responses()) {
        let kind = RequestKind::from_path(vector["path"].as_str().unwrap()).unwrap();
        assert_eq!(Response::from_body(kind, &unhex(&vector["body"])), Ok(expected));
    }
}
