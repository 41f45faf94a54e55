//! What the chain would do with a message now: the delivery itself, as an `eth_call`.

use distpos_proto::{
    code::{Code, Reply},
    message::Message,
};
use serde_json::json;

use super::{
    Evm, abi,
    abi::Words,
    answer::{Hex, hex},
    approvals::required,
    reverts,
    rpc::garbage,
    wallet::account_of,
    watch::reason,
};
use crate::chain::{ChainError, Simulation};

const CALL: &str = "eth_call";

impl Evm {
    pub(super) async fn simulate_delivery(
        &self,
        message: &Message,
    ) -> Result<Simulation, ChainError> {
        if let Err(error) = account_of(&message.fields().recipient) {
            return Ok(Simulation::Refused(Reply::new(Code::BAD_ADDRESS, error.to_string())));
        }
        let input = abi::deliver(std::slice::from_ref(message));
        let call = json!({
            "from": hex(self.address().as_slice()),
            "to": hex(self.config.contract.as_slice()),
            "data": hex(&input),
        });
        // The contract judges a message by what it returns. A revert is this gateway's fault, and
        // like any other failure of the call no verdict.
        let asked = json!([call, "latest"]);
        let read =
            |answer: Hex| read(&answer.0).ok_or_else(|| garbage(CALL, "no result of deliver"));
        let mut found = read(self.rpc.call(CALL, asked.clone()).await?)?;
        // To let it in, one node's word is enough: the chain itself judges then. Not to void it.
        if found.is_refusal() && self.rpc.quorum() > 1 {
            found = read(self.rpc.agreed(CALL, asked).await?)?;
        }
        match found {
            Found::Is(simulation) => Ok(simulation),
            // The others have approved its delivery, because only the last approval tries it. With
            // this one it is tried and voided; a void of one's own would wait for theirs for ever.
            Found::WouldVoid(_) if required(&self.rpc, self.config.contract).await? > 1 => {
                Ok(Simulation::Passes)
            }
            Found::WouldVoid(reply) => Ok(Simulation::Refused(reply)),
        }
    }
}

/// What `deliver` would do.
#[derive(Debug)]
enum Found {
    /// As it stands for this gateway.
    Is(Simulation),
    /// Try it, and void it.
    WouldVoid(Reply),
}

impl Found {
    fn is_refusal(&self) -> bool {
        matches!(self, Self::Is(Simulation::Refused(_)) | Self::WouldVoid(_))
    }
}

/// The one `Result(outcome, reason, detail)` of `deliver`.
fn read(answer: &[u8]) -> Option<Found> {
    let (1, items) = Words::new(answer).array(0)? else { return None };
    let result = items.tail(0)?;
    let (code, mut text) = reason(&result.text(1)?);
    let simulation = match result.number(0)? {
        0 => Simulation::Ended,
        // An approval that is one of several counts: that is what delivering means then.
        1 | 4 => Simulation::Passes,
        2 => {
            let detail = result.bytes(2)?;
            if !detail.is_empty() {
                text = format!("{text}: {}", reverts::text(detail));
            }
            return Some(Found::WouldVoid(Reply::new(code, text)));
        }
        3 if code.may_void() => Simulation::Refused(Reply::new(code, text)),
        3 => Simulation::Deferred(Reply::new(code, text)),
        _ => return None,
    };
    Some(Found::Is(simulation))
}
