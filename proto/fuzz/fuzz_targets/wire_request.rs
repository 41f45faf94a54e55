//! A body is refused, or what it says survives being written again. The first byte is the call.
#![no_main]

use distpos_proto::wire::{Batch, Request, RequestKind};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, body)) = bytes.split_first() else { return };
    let kind = RequestKind::ALL[usize::from(*first) % RequestKind::ALL.len()];
    let Ok(request) = Request::from_parts(kind.path(), body) else { return };
    assert_eq!(request.kind(), kind);
    let sent = match request.clone() {
        Request::Hello => Request::Hello,
        Request::Proofs { family, ids } => Request::Proofs { family, ids },
        Request::Headers { from, to } => Request::Headers { from, to },
        Request::Receipts(receipts) => Request::Receipts(receipts),
        Request::Status(ids) => Request::Status(ids),
        Request::Simulations(message) => Request::Simulations(message),
        Request::Statements(papers) => Request::Statements(papers),
        Request::Messages(batches) => {
            let well_formed = batches.into_iter().map(|batch| {
                let envelopes: Result<Vec<_>, _> = batch.claims.into_iter().collect();
                Some(Batch { height: batch.height, envelopes: envelopes.ok()? })
            });
            // A malformed message cannot be written again: nothing to compare.
            let Some(batches) = well_formed.collect() else { return };
            Request::Messages(batches)
        }
    };
    assert_eq!(Request::from_parts(kind.path(), &sent.body()), Ok(request));
});
