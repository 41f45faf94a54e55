//! How far a message has come, as types: trust cannot be forged by forgetting a step.
//!
//! ```text
//! Claimed --light::verify--> Proven --policy::admit--> Admitted --chain--> delivered
//!                               |                          |
//!                               +------ refuse ------------+--> Refused --chain--> void, receipt
//! ```
//!
//! An unproven message cannot be delivered or voided, because nothing outside this crate makes a
//! [`Proven`]:
//!
//! ```compile_fail
//! use distpos_proto::{envelope::Envelope, stage::Proven};
//! fn deliver(envelope: Envelope) -> Proven {
//!     Proven { envelope } // error: private fields
//! }
//! ```

use crate::{
    code::{Code, Reply},
    envelope::Envelope,
    header::HeaderHash,
    message::Message,
};

/// What a peer says; nothing is checked but its form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed(pub Envelope);

/// A message that this gateway itself found in a block of its source chain, under a header that
/// chain's keys vouch for. Only [`crate::light::verify`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    envelope: Envelope,
    header: HeaderHash,
}

impl Proven {
    /// The one constructor; its callers are the verifiers in [`crate::light`].
    pub(crate) fn by_light(envelope: Envelope, header: HeaderHash) -> Self {
        Self { envelope, header }
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.envelope.message
    }

    /// The message and where it was found.
    #[must_use]
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// The header it was proven under, as [`crate::light::Evidence::links`] names it.
    #[must_use]
    pub fn header(&self) -> HeaderHash {
        self.header
    }

    /// Refuses it for good, so that it can be voided.
    ///
    /// # Errors
    /// Gives it back if the reply's code is none that may void ([`Code::may_void`]).
    pub fn refuse(self, reply: Reply) -> Result<Refused, Self> {
        if reply.code.may_void() { Ok(Refused { proven: self, reply }) } else { Err(self) }
    }
}

/// A proven message that passed every check of policy. Only [`crate::policy::admit`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted(Proven);

impl Admitted {
    /// The one constructor; its caller is [`crate::policy::admit`].
    pub(crate) fn by_policy(proven: Proven) -> Self {
        Self(proven)
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &Message {
        self.0.message()
    }

    /// Takes the admission back: the local chain would not have it.
    #[must_use]
    pub fn into_proven(self) -> Proven {
        self.0
    }
}

/// A proven message that is to be voided, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    proven: Proven,
    reply: Reply,
}

impl Refused {
    /// The message.
    #[must_use]
    pub fn message(&self) -> &Message {
        self.proven.message()
    }

    /// Which check failed.
    #[must_use]
    pub fn code(&self) -> Code {
        self.reply.code
    }

    /// Which check failed, in words.
    #[must_use]
    pub fn reply(&self) -> &Reply {
        &self.reply
    }
}
