//! What is answered in place of what was asked for.

use std::fmt::Display;

use distpos_proto::code::Code;
use distpos_spool::SpoolError;
use hyper::{Response, StatusCode};

use crate::submit::{ErrorBody, ErrorView, answer};

/// A status, a reply code, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    status: StatusCode,
    code: Code,
    text: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: Code, text: impl Display) -> Self {
        Self { status, code, text: text.to_string() }
    }

    /// The call itself is wrong.
    pub(super) fn malformed(text: impl Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::MALFORMED, text)
    }

    /// What it names is not there.
    pub(super) fn absent(text: impl Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, Code::UNKNOWN_RECIPIENT, text)
    }

    /// Not now.
    pub(super) fn temporary(status: StatusCode, text: impl Display) -> Self {
        Self::new(status, Code::NOT_NOW, text)
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn response(&self) -> Response<answer::Body> {
        let error = ErrorBody { code: self.code.to_string(), text: self.text.clone() };
        answer::with_status(self.status, &ErrorView { error })
    }
}

impl From<SpoolError> for Refusal {
    fn from(error: SpoolError) -> Self {
        let text = format!("spool: {error}");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::SPOOL_FULL, text)
    }
}
