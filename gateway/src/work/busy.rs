//! What is being worked on, and how much more may be.

use std::collections::{BTreeMap, BTreeSet};

use distpos_proto::{chain::ChainId, wire::BODY_BYTES_MAX};
use distpos_spool::{Batch, BatchId};

use crate::{gateway::Gateway, work::Lane};

/// Most bytes of messages in one job: a request's body less room for its frame.
const JOB_BYTES_MAX: u64 = BODY_BYTES_MAX as u64 - 256 * 1024;
/// Least bytes that a job may have, however many there are: a batch.
const JOB_BYTES_MIN: u64 = 256 * 1024;
/// Bytes of messages that are worked on at a time in one direction, half of what both may have;
/// beyond it jobs are as small as they may be.
const ACTIVE_BYTES: u64 = 32 * 1024 * 1024;
/// Most jobs at a time for chains that the operator never named.
const JOBS_MAX: usize = 64;

/// The jobs that run, by lane.
#[derive(Debug, Clone, Default)]
pub(super) struct Busy {
    lanes: BTreeMap<(Lane, ChainId), Jobs>,
    bytes: u64,
}

#[derive(Debug, Clone, Default)]
struct Jobs {
    number: usize,
    batches: BTreeSet<BatchId>,
}

/// A job that began, to be handed back when it has ended.
#[derive(Debug)]
pub(super) struct Ended {
    lane: (Lane, ChainId),
    batches: Vec<BatchId>,
    bytes: u64,
}

static NONE: BTreeSet<BatchId> = BTreeSet::new();

impl Busy {
    /// Whether a lane may have one more job. What only concerns the own chain, or a chain that the
    /// operator named, always finds a place: strangers that are slow must not hold it up, and how
    /// many are named is the operator's choice.
    pub(super) fn has_room(&self, gateway: &Gateway, (lane, peer): (Lane, ChainId)) -> bool {
        let running = self.lanes.get(&(lane, peer)).map_or(0, |jobs| jobs.number);
        let room = match lane {
            Lane::Send => gateway.destinations.concurrency(peer),
            Lane::Ask | Lane::Settle | Lane::Judge | Lane::Receipt | Lane::Held => 1,
        };
        let own = lane == Lane::Settle || gateway.correspondents.is_named(peer);
        running < room && (own || self.foreign() < JOBS_MAX)
    }

    /// Jobs that are not about the own chain alone.
    fn foreign(&self) -> usize {
        let foreign = self.lanes.iter().filter(|((lane, _), _)| *lane != Lane::Settle);
        foreign.map(|(_, jobs)| jobs.number).sum()
    }

    /// How many bytes each of so many further jobs may have.
    pub(super) fn share(&self, jobs: usize) -> u64 {
        let jobs = u64::try_from(jobs.max(1)).unwrap_or(u64::MAX);
        (ACTIVE_BYTES.saturating_sub(self.bytes) / jobs).clamp(JOB_BYTES_MIN, JOB_BYTES_MAX)
    }

    /// The batches that a lane's jobs work on.
    pub(super) fn under_way(&self, lane: (Lane, ChainId)) -> &BTreeSet<BatchId> {
        self.lanes.get(&lane).map_or(&NONE, |jobs| &jobs.batches)
    }

    pub(super) fn begin(&mut self, lane: (Lane, ChainId), batches: &[Batch]) -> Ended {
        let jobs = self.lanes.entry(lane).or_default();
        jobs.number += 1;
        jobs.batches.extend(batches.iter().map(|batch| batch.id));
        let bytes = batches.iter().map(Batch::bytes).sum();
        self.bytes = self.bytes.saturating_add(bytes);
        Ended { lane, batches: batches.iter().map(|batch| batch.id).collect(), bytes }
    }

    pub(super) fn end(&mut self, ended: &Ended) {
        self.bytes = self.bytes.saturating_sub(ended.bytes);
        let Some(jobs) = self.lanes.get_mut(&ended.lane) else { return };
        jobs.number = jobs.number.saturating_sub(1);
        for batch in &ended.batches {
            jobs.batches.remove(batch);
        }
        if jobs.number == 0 {
            self.lanes.remove(&ended.lane);
        }
    }
}
