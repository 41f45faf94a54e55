//! What enough nodes agree on: pure.

/// Of answers, the first that at least `quorum` nodes gave.
pub(super) fn agreed<T: PartialEq>(answers: &[(usize, T)], quorum: usize) -> Option<usize> {
    (0..answers.len()).find(|at| votes(answers, *at) >= quorum)
}

/// Most votes that one answer has.
pub(super) fn votes_max<T: PartialEq>(answers: &[(usize, T)]) -> usize {
    (0..answers.len()).map(|at| votes(answers, at)).max().unwrap_or(0)
}

/// The nodes that gave another answer than the one at `at`.
pub(super) fn others<T: PartialEq>(answers: &[(usize, T)], at: usize) -> Vec<usize> {
    let differs = answers.iter().filter(|(_, answer)| *answer != answers[at].1);
    differs.map(|(node, _)| *node).collect()
}

/// The nodes by what they answered, if there is more than one answer.
pub(super) fn camps<T: PartialEq>(answers: &[(usize, T)]) -> Option<Vec<Vec<usize>>> {
    let mut camps: Vec<(&T, Vec<usize>)> = Vec::new();
    for (node, answer) in answers {
        match camps.iter_mut().find(|(other, _)| *other == answer) {
            Some((_, nodes)) => nodes.push(*node),
            None => camps.push((answer, vec![*node])),
        }
    }
    (camps.len() > 1).then(|| camps.into_iter().map(|(_, nodes)| nodes).collect())
}

/// The newest height that at least `quorum` nodes have reached. Fewer liars than that can neither
/// push it past the truth nor, where enough others answer, hold it back.
pub(super) fn height(mut reached: Vec<u64>, quorum: usize) -> Option<u64> {
    reached.sort_unstable_by(|a, b| b.cmp(a));
    reached.get(quorum.checked_sub(1)?).copied()
}

fn votes<T: PartialEq>(answers: &[(usize, T)], at: usize) -> usize {
    answers.iter().filter(|(_, answer)| *answer == answers[at].1).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enough_equal_answers_agree_whoever_came_first() {
        assert_eq!(agreed::<u8>(&[], 1), None);
        assert_eq!(agreed(&[(0, "a")], 2), None);
        assert_eq!(agreed(&[(0, "lie"), (1, "a"), (2, "a")], 2), Some(1));
        assert_eq!(agreed(&[(0, "a"), (1, "b"), (2, "c")], 2), None);
        assert_eq!(agreed(&[(0, "a"), (1, "b"), (2, "a"), (3, "b")], 3), None, "a draw");
        assert_eq!(others(&[(0, "lie"), (1, "a"), (2, "a")], 1), [0]);
        assert_eq!(votes_max(&[(0, "lie"), (1, "a"), (2, "a")]), 2);
    }

    #[test]
    fn a_disagreement_names_who_says_what() {
        assert_eq!(camps(&[(0, "a"), (2, "a")]), None);
        assert_eq!(camps(&[(0, "a"), (1, "b"), (2, "a")]), Some(vec![vec![0, 2], vec![1]]));
    }

    #[test]
    fn the_head_is_what_enough_nodes_have_reached() {
        assert_eq!(height(vec![7, u64::MAX, 9], 2), Some(9), "one lies upwards");
        assert_eq!(height(vec![7, 0, 9], 2), Some(7), "one stands still");
        assert_eq!(height(vec![7], 2), None);
        assert_eq!(height(vec![7, 9], 1), Some(9));
        assert_eq!(height(vec![7], 0), None);
    }
}
