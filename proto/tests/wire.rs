//! What gateways may send each other and what is refused: limits, growth, one bad message among
//! good ones.

#![allow(clippy::unwrap_used, reason = "helpers of tests, in which a panic is a failure")]

use distpos_proto::{
    amount::Amount,
    cbor::{CborError, Writer},
    chain::{Family, GenesisTag, Height},
    code::{Code, Reply},
    envelope::{Envelope, Origin},
    message::{Fields, Message, MessageError, MessageId, OnFail, TermsHash},
    signed::Document,
    statement::{ReserveRequest, SignedStatement, Statement},
    time::UnixSeconds,
    wire::{
        BATCH_BYTES_MAX, BATCH_MESSAGES_MAX, BODY_BYTES_MAX, Batch, HEADERS_MAX, IDS_MAX,
        IncomingBatch, PAPERS_MAX, Papers, PapersTaken, Request, RequestKind, Response, Simulated,
        WireError, batches, requests,
    },
};

const MESSAGES: &str = "/distpos/1/messages";

fn envelope(index: u32, data_bytes: usize) -> Envelope {
    let message = Message::new(Fields {
        source: "e2e4".parse().unwrap(),
        source_tag: GenesisTag([1; 8]),
        destination: "b1c2".parse().unwrap(),
        destination_tag: GenesisTag([2; 8]),
        outbox: vec![1],
        sequence: u64::from(index) + 1,
        sender: "a".parse().unwrap(),
        recipient: "b".parse().unwrap(),
        value: None,
        data: vec![0; data_bytes],
        gas: 0,
        on_fail: OnFail::Return,
        expires: UnixSeconds(9),
    });
    Envelope { message: message.unwrap(), origin: Origin { height: Height(5), index } }
}

fn batch(count: u32, data_bytes: usize) -> Batch {
    Batch {
        height: Height(5),
        envelopes: (0..count).map(|index| envelope(index, data_bytes)).collect(),
    }
}

fn received(body: &[u8]) -> Result<Vec<IncomingBatch>, WireError> {
    match Request::from_parts(MESSAGES, body)? {
        Request::Messages(batches) => Ok(batches),
        other => panic!("{other:?}"),
    }
}

/// A `/messages` body of one batch with these raw (index, message) pairs.
fn raw_body(items: &[(u64, &[u8])]) -> Vec<u8> {
    let mut out = Writer::default();
    out.map(1).uint(0).array(1).map(2).uint(0).uint(5).uint(1).array(items.len());
    for (index, message) in items {
        out.array(2).uint(*index).bytes(message);
    }
    out.finish()
}

fn cbor(field: &'static str, expected: &'static str) -> WireError {
    WireError::Cbor(CborError { field, expected })
}

#[test]
fn one_malformed_message_does_not_spoil_the_others() {
    let (first, last) = (envelope(0, 10), envelope(2, 10));
    let long = vec![0; Message::BYTES_MAX + 1];
    let mut altered = first.message.bytes().to_vec();
    altered.push(0);
    let body = raw_body(&[
        (0, first.message.bytes()),
        (1, &altered),
        (2, last.message.bytes()),
        (3, &long),
    ]);
    let [batch] = received(&body).unwrap().try_into().unwrap();
    assert_eq!(batch.height, Height(5));
    let trailing = CborError { field: "message", expected: "nothing after it" };
    let too_long = WireError::TooBig {
        what: "message bytes",
        found: Message::BYTES_MAX + 1,
        max: Message::BYTES_MAX,
    };
    let codes: Vec<_> =
        batch.claims.iter().map(|c| c.as_ref().err().map(|e| e.reply().code)).collect();
    assert_eq!(codes, [None, Some(Code::MALFORMED), None, Some(Code::TOO_BIG)]);
    assert_eq!(
        batch.claims,
        [Ok(first), Err(WireError::Message(MessageError::Cbor(trailing))), Ok(last), Err(too_long),]
    );
}

#[test]
fn a_batch_out_of_order_or_empty_is_refused_whole() {
    let message = envelope(0, 0).message;
    let bytes = message.bytes();
    let order = cbor("batch index", "indices in ascending order, each once");
    assert_eq!(received(&raw_body(&[(3, bytes), (3, bytes)])), Err(order.clone()));
    assert_eq!(received(&raw_body(&[(3, bytes), (2, bytes)])), Err(order));
    assert_eq!(received(&raw_body(&[])), Err(cbor("batch messages", "at least one")));
    let index = cbor("batch index", "an unsigned number below 2^32");
    assert_eq!(received(&raw_body(&[(1 << 32, bytes)])), Err(index));
    assert!(received(&raw_body(&[(u64::from(u32::MAX), bytes)])).is_ok());
}

#[test]
fn a_simulation_holds_one_message_that_is_well_formed_and_no_more() {
    let path = "/distpos/1/simulations";
    let read = |body: &[u8]| Request::from_parts(path, body);
    let message = envelope(0, 10).message;
    let body = Request::Simulations(message.clone()).body();
    assert_eq!(read(&body), Ok(Request::Simulations(message.clone())));
    let of = |bytes: &[u8]| {
        let mut out = Writer::default();
        out.map(1).uint(0).bytes(bytes);
        out.finish()
    };
    let cut = &message.bytes()[..message.bytes().len() - 1];
    assert_eq!(read(&of(cut)).unwrap_err().reply().code, Code::MALFORMED);
    let (found, max) = (Message::BYTES_MAX + 1, Message::BYTES_MAX);
    let long = Err(WireError::TooBig { what: "message bytes", found, max });
    assert_eq!(read(&of(&vec![0; found])), long);
    let mut two = Writer::default();
    two.map(1).uint(0).array(2).bytes(message.bytes()).bytes(message.bytes());
    assert_eq!(read(&two.finish()).unwrap_err().reply().code, Code::MALFORMED);
    let mut none = Writer::default();
    none.map(0);
    assert_eq!(read(&none.finish()), Err(cbor("simulations", "its key")));
    // What later versions add to the answer is passed over.
    let mut grown = Writer::default();
    grown.map(3).uint(0).map(2).uint(0).text("2.0.0").uint(1).text("ok");
    grown.uint(1).uint(5).uint(9).text("new");
    let reply = Reply::new(Code::DELIVERED, "ok");
    let expected = Response::Simulations(Simulated { reply, gas: Some(5) });
    assert_eq!(Response::from_body(RequestKind::Simulations, &grown.finish()), Ok(expected));
}

/// A statement by these two chains, unsigned.
fn statement(count: u64) -> SignedStatement {
    let statement = Statement {
        maker: "b1c2".parse().unwrap(),
        peer: "e2e4".parse().unwrap(),
        asset: "e2e4/coin".parse().unwrap(),
        terms: None,
        height: Height(5),
        count,
        received: Amount::from(count),
        reserve: Amount::ZERO,
        time: UnixSeconds(9),
    };
    statement.sign([])
}

#[test]
fn papers_are_few_and_at_least_one_and_what_later_versions_add_is_passed_over() {
    let path = "/distpos/1/statements";
    let sent = |statements: Vec<SignedStatement>| {
        let papers = Papers { statements, ..Papers::default() };
        Request::from_parts(path, &Request::Statements(papers).body())
    };
    let most = u64::try_from(PAPERS_MAX).unwrap();
    let all: Vec<_> = (0..most).map(statement).collect();
    let papers = Papers { statements: all.clone(), ..Papers::default() };
    assert_eq!(sent(all), Ok(Request::Statements(papers)));
    let too_many = WireError::TooBig { what: "statement", found: 257, max: 256 };
    assert_eq!(sent((0..=most).map(statement).collect()), Err(too_many));
    assert_eq!(sent(vec![]), Err(cbor("papers", "at least one")));
    // Together, not each kind for itself.
    let requests = |count: usize| {
        let request = ReserveRequest {
            maker: "b1c2".parse().unwrap(),
            peer: "e2e4".parse().unwrap(),
            asset: "e2e4/coin".parse().unwrap(),
            terms: TermsHash([1; 32]),
            wanted: Amount::from(1_u64),
            by: UnixSeconds(9),
            time: UnixSeconds(8),
            reason: String::new(),
        };
        vec![request.sign([]); count]
    };
    let both = Papers {
        statements: (0..most / 2).map(statement).collect(),
        requests: requests(PAPERS_MAX / 2 + 1),
        ..Papers::default()
    };
    let found = Request::from_parts(path, &Request::Statements(both).body());
    let what = "papers of the request";
    assert_eq!(found, Err(WireError::TooBig { what, found: 257, max: 256 }));
    // A fourth kind, which this version does not know.
    let mut grown = Writer::default();
    grown.map(2).uint(1).array(1);
    statement(1).write(&mut grown);
    grown.uint(3).array(1).text("new");
    let papers = Papers { statements: vec![statement(1)], ..Papers::default() };
    assert_eq!(Request::from_parts(path, &grown.finish()), Ok(Request::Statements(papers.clone())));
    // One reply for each paper, whatever statements come along.
    let taken = |count, statements| {
        let replies = vec![Reply::new(Code::DELIVERED, ""); count];
        Response::Statements(PapersTaken { replies, statements })
    };
    let request = Request::Statements(papers);
    assert!(taken(1, vec![]).answers(&request) && taken(1, vec![statement(1)]).answers(&request));
    assert!(!taken(0, vec![]).answers(&request) && !taken(2, vec![]).answers(&request));
    assert!(!taken(1, vec![]).answers(&Request::Hello));
    let mut grown = Writer::default();
    grown.map(2).uint(0).array(0).uint(2).text("new");
    let found = Response::from_body(RequestKind::Statements, &grown.finish());
    assert_eq!(found, Ok(taken(0, vec![])));
}

#[test]
fn limits_are_kept_to_the_byte_and_named_when_passed() {
    let most = u32::try_from(BATCH_MESSAGES_MAX).unwrap();
    let send = |batches: Vec<Batch>| received(&Request::Messages(batches).body());
    assert!(send(vec![batch(most, 0)]).is_ok());
    let too_many = |what, found, max| Err(WireError::TooBig { what, found, max });
    assert_eq!(send(vec![batch(most + 1, 0)]), too_many("batch messages", 129, 128));
    assert!(send(vec![batch(most, 0); 8]).is_ok());
    let nine = send(vec![batch(most, 0); 9]);
    assert_eq!(nine, too_many("messages of the request", 1152, 1024));
    let filler = vec![0; BATCH_BYTES_MAX / 4];
    let full = [(0, &filler[..]), (1, &filler), (2, &filler), (3, &filler)];
    assert!(received(&raw_body(&full)).is_ok());
    let over = received(&raw_body(&[&full[..], &[(4, &[0][..])]].concat()));
    assert_eq!(over, too_many("batch bytes", BATCH_BYTES_MAX + 1, BATCH_BYTES_MAX));
    assert_eq!(over.unwrap_err().reply().code, Code::TOO_BIG);
    let body = vec![0; BODY_BYTES_MAX + 1];
    let found = Err(WireError::TooBig { what: "body bytes", found: 4194305, max: 4194304 });
    assert_eq!(Request::from_parts(MESSAGES, &body), found);
}

#[test]
fn a_count_that_promises_more_than_there_is_costs_nothing() {
    for (kind, head) in [
        (RequestKind::Messages, &[0xa1, 0x00, 0x9b][..]),
        (RequestKind::Status, &[0xa1, 0x00, 0x9b]),
        (RequestKind::Receipts, &[0xa1, 0x00, 0x9b]),
    ] {
        let huge = [head, &[0xff; 8]].concat();
        let found = Request::from_parts(kind.path(), &huge).unwrap_err();
        assert!(matches!(found, WireError::TooBig { max: 1024, .. }), "{found:?}");
        assert!(Response::from_body(kind, &huge).is_err());
    }
    let nested = [vec![0xa2, 0x00, 0x80, 0x01], vec![0x81; 100_000]].concat();
    assert!(Response::from_body(RequestKind::Messages, &nested).is_err(), "and no deep stack");
}

#[test]
fn ids_and_heights_are_checked() {
    let ids = |count: usize| vec![MessageId([7; 32]); count];
    let status =
        |count| Request::from_parts("/distpos/1/status", &Request::Status(ids(count)).body());
    assert_eq!(status(IDS_MAX), Ok(Request::Status(ids(IDS_MAX))));
    let (found, max) = (IDS_MAX + 1, IDS_MAX);
    assert_eq!(status(IDS_MAX + 1), Err(WireError::TooBig { what: "ids", found, max }));
    assert_eq!(status(0), Err(cbor("ids", "at least one")));
    let request = Request::Headers { from: Height(6), to: Height(5) };
    let found = Request::from_parts(request.path(), &request.body());
    assert_eq!(found, Err(cbor("headers to", "no height below from")));
    let mut out = Writer::default();
    out.map(2).uint(0).uint(9).uint(1).array(1).bytes(&[7; 32]);
    let found = Request::from_parts("/distpos/1/proofs", &out.finish());
    assert_eq!(found, Err(cbor("proofs family", "0, 1 or 2")));
    let mut out = Writer::default();
    out.map(1).uint(0).array(HEADERS_MAX + 1);
    let found = Response::from_body(RequestKind::Headers, &out.finish());
    assert!(matches!(found, Err(WireError::TooBig { what: "headers", .. })), "{found:?}");
}

#[test]
fn unknown_keys_are_passed_over_and_known_ones_must_come_once_in_order() {
    let ids = [7; 32];
    let body = |write: &dyn Fn(&mut Writer)| {
        let mut out = Writer::default();
        write(&mut out);
        Request::from_parts("/distpos/1/proofs", &out.finish())
    };
    let grown = body(&|out| {
        out.map(4).uint(0).uint(2).uint(1).array(1).bytes(&ids);
        out.uint(2).map(1).text("new").array(2).uint(1).bytes(&[1]).uint(99).text("x");
    });
    let expected = Request::Proofs { family: Family::Evm, ids: vec![MessageId(ids)] };
    assert_eq!(grown, Ok(expected));
    let order = Err(cbor("proofs", "keys in ascending order, each once"));
    let twice = body(&|out| {
        out.map(2).uint(0).uint(2).uint(0).uint(1);
    });
    assert_eq!(twice, order);
    let swapped = body(&|out| {
        out.map(2).uint(1).array(1).bytes(&ids).uint(0).uint(2);
    });
    assert_eq!(swapped, order);
    let missing = body(&|out| {
        out.map(1).uint(0).uint(2);
    });
    assert_eq!(missing, Err(cbor("ids", "its key")));
    let after = Request::from_parts("/distpos/1/hello", &[0]);
    assert_eq!(after, Err(cbor("request", "nothing after it")));
}

#[test]
fn another_version_is_told_which_one_is_spoken() {
    let other = Request::from_parts("/distpos/2/messages", &[]).unwrap_err();
    assert_eq!(other, WireError::Version { found: 2 });
    let reply = other.reply();
    assert_eq!(reply.to_string(), "5.6.0 path is of version 2, spoken here: 1");
    for path in ["/", "", "/distpos/1/", "/distpos/1/messages/", "/distpos/x/messages", "/metrics"]
    {
        let found = RequestKind::from_path(path).unwrap_err();
        assert_eq!(found, WireError::Path { found: path.to_owned() });
        assert_eq!(found.reply().code, Code::MALFORMED);
    }
}

#[test]
fn every_call_can_be_refused_as_a_whole() {
    let refused = Response::Refused(Reply::new(Code::RATE_LIMIT, "later").retry_after(30));
    for kind in RequestKind::ALL {
        assert_eq!(Response::from_body(kind, &refused.body()), Ok(refused.clone()));
    }
    assert!(refused.answers(&Request::Hello));
}

#[test]
fn an_answer_has_one_reply_for_each_message() {
    let request = Request::Messages(vec![batch(2, 0), batch(1, 0)]);
    let replies = |count| Response::Messages(vec![Reply::new(Code::ACCEPTED, ""); count]);
    assert!(replies(3).answers(&request));
    assert!(!replies(2).answers(&request));
    assert!(!replies(4).answers(&request));
    assert!(!Response::Receipts(vec![]).answers(&request));
}

#[test]
fn a_block_is_cut_into_batches_by_count_and_by_bytes() {
    let cut = |envelopes: Vec<Envelope>| batches(Height(5), envelopes);
    let sizes = |batches: &[Batch]| batches.iter().map(|b| b.envelopes.len()).collect::<Vec<_>>();
    assert_eq!(cut(vec![]), []);
    let many = cut((0..300).map(|index| envelope(index, 0)).collect());
    assert_eq!(sizes(&many), [128, 128, 44]);
    let big: Vec<_> = (0..9).map(|index| envelope(index, Message::DATA_BYTES_MAX)).collect();
    let cut_big = cut(big.clone());
    assert_eq!(sizes(&cut_big), [3, 3, 3], "four of 64 KiB and their frames pass 256 KiB");
    let together: Vec<_> = cut_big.iter().flat_map(|b| b.envelopes.clone()).collect();
    assert_eq!(together, big, "nothing lost, nothing moved");
    for batch in cut_big.into_iter().chain(many) {
        let body = Request::Messages(vec![batch.clone()]).body();
        assert_eq!(received(&body), Ok(vec![batch.into()]));
    }
}

#[test]
fn batches_are_packed_into_requests_that_the_other_side_takes() {
    let taken = |batches: Vec<Batch>| {
        let packed = requests(batches.clone());
        let mut together = Vec::new();
        for request in &packed {
            assert!(request.body().len() <= BODY_BYTES_MAX);
            together.extend(received(&request.body()).unwrap());
        }
        assert_eq!(together, batches.into_iter().map(IncomingBatch::from).collect::<Vec<_>>());
        packed.len()
    };
    assert_eq!(taken(vec![]), 0);
    assert_eq!(taken(vec![batch(128, 0); 8]), 1);
    assert_eq!(taken(vec![batch(128, 0); 17]), 3);
    assert_eq!(taken(vec![batch(1, 0); 1025]), 2, "by count");
    let full = batch(128, 1900);
    assert_eq!(taken(vec![full; 8]), 1);
    let few_and_long = batch(3, Message::DATA_BYTES_MAX);
    assert_eq!(taken(vec![few_and_long; 22]), 2, "by bytes");
}
