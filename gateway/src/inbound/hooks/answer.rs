//! What a hook is asked, and what it may answer.

use distpos_proto::{
    code::{Code, Reply},
    message::{Message, OnFail},
};
use serde::{Deserialize, Serialize};

use super::{Hook, HookAnswer};

/// A message as a hook is told of it. Amounts are decimal texts in the asset's smallest unit, bytes
/// are hex.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Question {
    /// `accept` or `before_deliver`.
    pub hook: &'static str,
    /// The message's id.
    pub id: String,
    /// The source chain.
    pub source: String,
    /// Its genesis tag.
    pub source_tag: String,
    /// The own chain.
    pub destination: String,
    /// Its genesis tag, as the source has it.
    pub destination_tag: String,
    /// The outbox it left.
    pub outbox: String,
    /// Its number there.
    pub sequence: u64,
    /// The sender's whole address.
    pub sender: String,
    /// The recipient's whole address.
    pub recipient: String,
    /// What the value counts in; null without value.
    pub asset: Option<String>,
    /// How much; `"0"` without value.
    pub amount: String,
    /// The hash of the terms it was sent under; null without.
    pub terms: Option<String>,
    /// Call data or a note.
    pub data: String,
    /// Gas for the recipient's call; 0: no call.
    pub gas: u64,
    /// `return` or `keep`: what happens to the value when the call fails.
    pub on_fail: &'static str,
    /// Not delivered after this, in Unix seconds.
    pub expires: u64,
}

impl Question {
    /// What a hook is told of a message.
    #[must_use]
    pub fn new(hook: Hook, message: &Message) -> Self {
        let fields = message.fields();
        let value = fields.value.as_ref();
        let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
        Self {
            hook: hook.word(),
            id: message.id().to_string(),
            source: fields.source.to_string(),
            source_tag: fields.source_tag.to_string(),
            destination: fields.destination.to_string(),
            destination_tag: fields.destination_tag.to_string(),
            outbox: hex(&fields.outbox),
            sequence: fields.sequence,
            sender: message.sender().to_string(),
            recipient: message.recipient().to_string(),
            asset: value.map(|value| value.asset.to_string()),
            amount: message.amount().to_string(),
            terms: value.and_then(|value| value.terms.as_ref()).map(ToString::to_string),
            data: hex(&fields.data),
            gas: fields.gas,
            on_fail: match fields.on_fail {
                OnFail::Return => "return",
                OnFail::Keep => "keep",
            },
            expires: fields.expires.0,
        }
    }
}

/// An answer that can be followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answered {
    /// It goes on.
    Accept,
    /// It waits, for a reason of class 4.
    Defer(Reply),
    /// It is refused, for a reason of class 5 that may void.
    Refuse(Reply),
}

/// As the hook writes it. Fields that are not known are its own business.
#[derive(Deserialize)]
struct Raw {
    action: String,
    code: Option<String>,
    text: Option<String>,
    retry_after: Option<u32>,
}

impl Answered {
    /// Most seconds that a hook may put a message off at a time: it is asked at least daily.
    pub const RETRY_AFTER_MAX: u32 = 24 * 60 * 60;

    /// Reads an answer.
    ///
    /// # Errors
    /// Says what was found and what was expected.
    pub fn read(body: &[u8]) -> Result<Self, String> {
        let raw: Raw = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let code = raw.code.as_deref().map(str::parse::<Code>).transpose();
        let code = code.map_err(|error| format!("code: {error}"))?;
        let text = |usual: &str| match raw.text.as_deref().map(str::trim) {
            None | Some("") => usual.to_owned(),
            // It is shown on terminals.
            Some(text) => text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(),
        };
        match raw.action.as_str() {
            "accept" => Ok(Self::Accept),
            "defer" => {
                let code = code.unwrap_or(Code::NOT_NOW);
                if !code.is_temporary() {
                    return Err(format!("code is {code}, expected class 4 beside defer"));
                }
                let mut reply =
                    Reply::new(code, text("the operator of the destination says: not now"));
                reply.retry_after =
                    raw.retry_after.map(|seconds| seconds.min(Self::RETRY_AFTER_MAX));
                Ok(Self::Defer(reply))
            }
            "refuse" => {
                let code = code.unwrap_or(Code::POLICY);
                if !code.may_void() {
                    return Err(format!(
                        "code is {code}, expected class 5, and none that blames a proof, beside \
                         refuse"
                    ));
                }
                let text = text("the operator of the destination does not allow this");
                Ok(Self::Refuse(Reply::new(code, text)))
            }
            other => {
                let found: String = other.chars().take(40).collect();
                Err(format!("action is {found:?}, expected accept, defer or refuse"))
            }
        }
    }

    /// What it means for the message.
    ///
    /// # Errors
    /// [`HookAnswer`] unless it is accepted.
    pub fn into_result(self) -> Result<(), HookAnswer> {
        match self {
            Self::Accept => Ok(()),
            Self::Defer(reply) => Err(HookAnswer::Defer(reply)),
            Self::Refuse(reply) => Err(HookAnswer::Refuse(reply)),
        }
    }
}
