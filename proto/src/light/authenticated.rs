//! Which headers' signatures were verified already.

use std::collections::{BTreeSet, VecDeque};

use crate::header::HeaderHash;

/// Headers whose signatures sufficed, each under the key set that signed it. Bounded: the one
/// longest in it makes room, and is verified again should it come back.
///
/// It says nothing but that: chain, time, conflict and content are judged for each evidence.
#[derive(Debug, Clone)]
pub struct Authenticated {
    capacity: usize,
    held: BTreeSet<Entry>,
    /// In the order in which they came.
    order: VecDeque<Entry>,
}

/// A key set's hash and a header's. Headers of different kinds are hashed in different domains.
type Entry = ([u8; 32], HeaderHash);

impl Authenticated {
    /// Most headers held where nothing else is said: 64 bytes each, twice.
    pub const CAPACITY_DEFAULT: usize = 4096;

    /// An empty set for this many headers.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { capacity, held: BTreeSet::new(), order: VecDeque::new() }
    }

    /// How many it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    pub(super) fn holds(&self, key_set: [u8; 32], header: HeaderHash) -> bool {
        self.held.contains(&(key_set, header))
    }

    pub(super) fn insert(&mut self, key_set: [u8; 32], header: HeaderHash) {
        if self.capacity == 0 || !self.held.insert((key_set, header)) {
            return;
        }
        self.order.push_back((key_set, header));
        while self.order.len() > self.capacity {
            if let Some(oldest) = self.order.pop_front() {
                self.held.remove(&oldest);
            }
        }
    }
}

impl Default for Authenticated {
    fn default() -> Self {
        Self::new(Self::CAPACITY_DEFAULT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_makes_room_and_nothing_is_held_twice() {
        let mut set = Authenticated::new(2);
        let [a, b, c] = [1, 2, 3].map(|byte| HeaderHash([byte; 32]));
        let keys = [9; 32];
        for header in [a, a, b, a, c] {
            set.insert(keys, header);
        }
        assert_eq!(set.len(), 2);
        assert!(!set.holds(keys, a) && set.holds(keys, b) && set.holds(keys, c));
        assert!(!set.holds([8; 32], b), "another key set has not signed it");
        let mut none = Authenticated::new(0);
        none.insert(keys, a);
        assert!(none.is_empty());
    }
}
