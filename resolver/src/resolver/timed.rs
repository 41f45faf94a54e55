//! Keys that count until a certain moment, at most so many.

use std::collections::{BTreeMap, BTreeSet};

use distpos_proto::time::UnixMillis;

/// When it is full, the key that would end first makes room.
#[derive(Debug)]
pub(super) struct Timed<K> {
    until: BTreeMap<K, UnixMillis>,
    by_end: BTreeSet<(UnixMillis, K)>,
    keys_max: usize,
}

impl<K: Ord + Clone> Timed<K> {
    pub(super) fn new(keys_max: usize) -> Self {
        Self { until: BTreeMap::new(), by_end: BTreeSet::new(), keys_max }
    }

    /// Lets `key` count until `end`, whatever was said before. Returns the key that made room.
    pub(super) fn insert(&mut self, key: K, end: UnixMillis) -> Option<K> {
        self.remove(&key);
        self.until.insert(key.clone(), end);
        self.by_end.insert((end, key));
        if self.until.len() <= self.keys_max {
            return None;
        }
        let (_, first) = self.by_end.pop_first()?;
        self.until.remove(&first);
        Some(first)
    }

    pub(super) fn remove(&mut self, key: &K) {
        if let Some(end) = self.until.remove(key) {
            self.by_end.remove(&(end, key.clone()));
        }
    }

    /// Whether `key` still counts.
    pub(super) fn holds(&self, key: &K, now: UnixMillis) -> bool {
        self.until.get(key).is_some_and(|end| now < *end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_that_ends_first_makes_room() {
        let mut timed = Timed::new(2);
        assert_eq!(timed.insert("a", UnixMillis(20)), None);
        assert_eq!(timed.insert("b", UnixMillis(10)), None);
        assert_eq!(timed.insert("a", UnixMillis(5)), None, "a key that is there takes no room");
        assert_eq!(timed.insert("c", UnixMillis(30)), Some("a"));
        assert!(timed.holds(&"b", UnixMillis(9)) && !timed.holds(&"b", UnixMillis(10)));
        timed.remove(&"b");
        assert!(!timed.holds(&"b", UnixMillis(9)));
        assert_eq!(timed.insert("d", UnixMillis(1)), None);
        assert_eq!(timed.insert("e", UnixMillis(0)), Some("e"), "it would end first itself");
    }
}
