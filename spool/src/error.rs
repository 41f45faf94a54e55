//! What can go wrong with the spool, whose fault it is, and whether to try again.

use std::{io, path::PathBuf};

use distpos_proto::{chain::Height, header::HeaderHash, message::MessageId};
use thiserror::Error;

use crate::queue::{BatchId, Direction};

/// Why the spool did not do what it was asked to.
///
/// [`SpoolError::Full`] passes when space is freed; [`SpoolError::Flush`] lasts until the spool is
/// reopened, and both mean that intake refuses with `4.3.1` and delivery pauses. The others are no
/// matter of time: the operator has to act, or the caller's program is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SpoolError {
    /// The file system is short of space. Passes when space is freed.
    #[error("spool has {free} bytes free, expected at least {expected}")]
    Full {
        /// Bytes free for this user.
        free: u64,
        /// Bytes that must stay free.
        expected: u64,
    },
    /// A commit did not reach the disk. What was in it may or may not be there after reopening;
    /// nothing of it was acknowledged. Nothing is committed any more until then.
    #[error("spool could not be flushed, reopen it when the cause is mended: {0}")]
    Flush(String),
    /// The spool was written by a newer version of this program. Nothing was touched.
    #[error("spool has format {found}, this version reads up to {supported}")]
    Newer {
        /// The format found.
        found: u64,
        /// The newest format this version reads.
        supported: u64,
    },
    /// The spool was written by an older version, which kept other books. Nothing was touched.
    #[error(
        "spool has format {found}, this version reads {supported}: let the version that wrote it \
         empty its queue, then start with a new directory"
    )]
    Older {
        /// The format found.
        found: u64,
        /// The oldest format this version reads.
        supported: u64,
    },
    /// Another process (or another part of this one) has the directory open.
    #[error("spool {directory} is in use by another process")]
    Locked {
        /// The directory.
        directory: PathBuf,
    },
    /// A row is not what was written. The disk's fault, or somebody else wrote there.
    #[error("spool table {table} is corrupt: {what}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// What was found, and what was expected.
        what: String,
    },
    /// A second, different header for one place in a chain; the first stands.
    #[error("header {offered:?} at height {height} contradicts {held:?}, which is on record")]
    Equivocation {
        /// The height offered.
        height: Height,
        /// The header on record.
        held: HeaderHash,
        /// The header offered.
        offered: HeaderHash,
    },
    /// No such batch (any more). The caller's fault: it may have been split or removed meanwhile.
    #[error("no batch {batch} in the {direction} queue")]
    Absent {
        /// The queue.
        direction: Direction,
        /// The batch.
        batch: BatchId,
    },
    /// The message is in the queue already.
    #[error("message {id} is in the {direction} queue already")]
    Duplicate {
        /// The queue.
        direction: Direction,
        /// The message.
        id: MessageId,
    },
    /// A batch out of its bounds. The caller's fault.
    #[error("batch has {found}, expected {expected}")]
    Batch {
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// The operating system said no to something else than a flush.
    #[error("spool: {doing}: {cause}")]
    Io {
        /// What was being done, and to which path.
        doing: String,
        /// The kind of error.
        kind: io::ErrorKind,
        /// The system's words.
        cause: String,
    },
}

impl SpoolError {
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |error| Self::Io { doing, kind: error.kind(), cause: error.to_string() }
    }
}
