use proptest::{prelude::*, sample::subsequence};

use super::*;

/// RFC 6962, 2.1, word for word.
fn naive_root(leaves: &[Vec<u8>]) -> Hash {
    match leaves.len() {
        0 => empty_root(),
        1 => leaf_hash(&leaves[0]),
        n => {
            let k = (0..64).map(|bit| 1 << bit).filter(|k| *k < n).max().unwrap();
            node_hash(&naive_root(&leaves[..k]), &naive_root(&leaves[k..]))
        }
    }
}

/// RFC 6962, 2.1.1: the audit path of leaf `m`, from the leaf up.
fn naive_path(m: usize, leaves: &[Vec<u8>]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return vec![];
    }
    let k = (0..64).map(|bit| 1 << bit).filter(|k| *k < leaves.len()).max().unwrap();
    let (left, right) = leaves.split_at(k);
    let (mut path, sibling) =
        if m < k { (naive_path(m, left), right) } else { (naive_path(m - k, right), left) };
    path.push(naive_root(sibling));
    path
}

/// RFC 6962, 2.1.2, and its form for subtrees in the draft *Merkle Tree Certificates*:
/// `SUBTREE_SUBPROOF(start, end, D[n], complete)`.
fn naive_consistency(start: usize, end: usize, leaves: &[Vec<u8>], complete: bool) -> Vec<Hash> {
    if (start, end) == (0, leaves.len()) {
        return if complete { vec![] } else { vec![naive_root(leaves)] };
    }
    let k = (0..64).map(|bit| 1 << bit).filter(|k| *k < leaves.len()).max().unwrap();
    let (left, right) = leaves.split_at(k);
    let (mut path, sibling) = if end <= k {
        (naive_consistency(start, end, left, complete), right)
    } else if k <= start {
        (naive_consistency(start - k, end - k, right, complete), left)
    } else {
        (naive_consistency(0, end - k, right, false), left)
    };
    path.push(naive_root(sibling));
    path
}

fn leaves(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|i| format!("message {i}").into_bytes()).collect()
}

fn tree(leaves: &[Vec<u8>]) -> Tree {
    Tree::new(leaves.iter().map(|leaf| leaf_hash(leaf)).collect())
}

fn proof(all: &[Vec<u8>], indices: &[u64]) -> TreeProof {
    TreeProof {
        indices: indices.to_vec(),
        leaves: indices.iter().map(|i| all[usize::try_from(*i).unwrap()].clone()).collect(),
        hashes: tree(all).prove(indices).unwrap(),
    }
}

#[test]
fn a_batch_of_256_messages_of_1024_needs_few_hashes() {
    let tree = tree(&leaves(1024));
    let hashes = |start: u64| tree.prove(&(start..start + 256).collect::<Vec<_>>()).unwrap().len();
    assert_eq!(hashes(256), 2);
    assert_eq!(hashes(102), 9, "288 bytes");
    // Nine on both sides of the range and one more a side at the top: arithmetic says 11 at worst.
    assert_eq!((0..=768).map(hashes).max(), Some(11));
}

#[test]
fn a_tree_without_leaves_has_a_root_and_proves_nothing() {
    let none = Tree::new(vec![]);
    assert_eq!(none.root(), Hash::from(Sha256::digest([])));
    assert_eq!(none.prove(&[]), Err(MerkleError::Empty));
    assert_eq!(none.prove(&[0]), Err(MerkleError::Index { found: 0, leaf_count: 0 }));
    let nothing = TreeProof { indices: vec![], leaves: vec![], hashes: vec![none.root()] };
    assert_eq!(nothing.verify(0, &none.root()), Err(MerkleError::Empty));
    assert_eq!(nothing.verify(5, &none.root()), Err(MerkleError::Empty));
}

#[test]
fn every_rule_of_a_proof_has_its_own_error() {
    use MerkleError as E;
    let all = leaves(7);
    let root = tree(&all).root();
    let good = proof(&all, &[2, 5]);
    assert_eq!(good.verify(7, &root), Ok(()));
    let wrong = |change: &dyn Fn(&mut TreeProof)| {
        let mut bad = good.clone();
        change(&mut bad);
        bad.verify(7, &root).unwrap_err()
    };
    assert_eq!(wrong(&|p| p.indices[1] = 2), E::Order { before: 2, found: 2 });
    assert_eq!(wrong(&|p| p.indices.reverse()), E::Order { before: 5, found: 2 });
    assert_eq!(wrong(&|p| p.indices[1] = 7), E::Index { found: 7, leaf_count: 7 });
    assert_eq!(wrong(&|p| p.indices[1] = 4), E::Root);
    assert_eq!(wrong(&|p| p.leaves.reverse()), E::Root);
    assert_eq!(wrong(&|p| p.leaves[0].push(0)), E::Root);
    assert_eq!(wrong(&|p| p.leaves.truncate(1)), E::Counts { indices: 2, leaves: 1 });
    assert_eq!(wrong(&|p| p.indices.truncate(1)), E::Counts { indices: 1, leaves: 2 });
    assert_eq!(wrong(&|p| p.hashes.push([0; 32])), E::HashUnused { found: 5, expected: 4 });
    assert_eq!(wrong(&|p| p.hashes.truncate(3)), E::HashMissing { found: 3 });
    assert_eq!(wrong(&|p| p.hashes.swap(0, 1)), E::Root);
    let many = vec![vec![]; PROOF_LEAVES_MAX + 1];
    let indices = (0..=PROOF_LEAVES_MAX as u64).collect();
    let long = TreeProof { indices, leaves: many, hashes: vec![] };
    assert_eq!(long.verify(2000, &root), Err(E::LeavesMax { found: PROOF_LEAVES_MAX + 1 }));
    let found = LEAF_COUNT_MAX + 1;
    assert_eq!(good.verify(found, &root), Err(E::LeafCountMax { found }));
    assert_eq!(good.verify(u64::MAX, &root), Err(E::LeafCountMax { found: u64::MAX }));
}

#[test]
fn an_inner_node_does_not_pass_as_a_leaf() {
    let all = leaves(4);
    let tree = tree(&all);
    let node = [leaf_hash(&all[0]), leaf_hash(&all[1])].concat();
    let forged = TreeProof {
        indices: vec![0],
        leaves: vec![node],
        hashes: vec![node_hash(&leaf_hash(&all[2]), &leaf_hash(&all[3]))],
    };
    assert_eq!(forged.verify(2, &tree.root()), Err(MerkleError::Root));
}

#[test]
fn the_largest_tree_is_walked_without_delay() {
    let last = LEAF_COUNT_MAX - 1;
    let far = TreeProof {
        indices: vec![0, last],
        leaves: vec![vec![], vec![]],
        hashes: vec![[0; 32]; 62],
    };
    assert_eq!(far.verify(LEAF_COUNT_MAX, &[0; 32]), Err(MerkleError::Root));
}

#[test]
fn a_subtree_is_part_of_its_tree_and_an_old_tree_the_beginning_of_the_new_one() {
    use MerkleError as E;
    for size in 1..=20 {
        let all = leaves(size);
        let root = naive_root(&all);
        let ranges = (0..size).flat_map(|start| (start + 1..=size).map(move |end| (start, end)));
        for (start, end) in ranges {
            let (subtree_root, proof) =
                (naive_root(&all[start..end]), naive_consistency(start, end, &all, true));
            let range = (start as u64, end as u64);
            let check = |proof: &[Hash], subtree_root: &Hash| {
                path::subtree_consistency(range, size as u64, proof, subtree_root, &root)
            };
            if !start.is_multiple_of((end - start).next_power_of_two()) {
                let (start, end) = range;
                let none = Err(E::Subtree { start, end, size: size as u64 });
                assert_eq!(check(&proof, &subtree_root), none);
                continue;
            }
            assert_eq!(check(&proof, &subtree_root), Ok(()), "{range:?} of {size}");
            if start == 0 {
                let old = path::consistency(range.1, size as u64, &proof, &subtree_root, &root);
                assert_eq!(old, Ok(()));
            }
            let long = [proof.as_slice(), &[root]].concat();
            let (found, expected) = (long.len(), proof.len());
            assert_eq!(check(&long, &subtree_root), Err(E::HashUnused { found, expected }));
            assert_eq!(check(&proof, &[7; 32]), Err(E::Root));
            if !proof.is_empty() {
                let found = proof.len() - 1;
                assert_eq!(check(&proof[..found], &subtree_root), Err(E::HashMissing { found }));
            }
        }
    }
}

#[test]
fn a_leafs_path_has_exactly_the_hashes_it_needs() {
    use MerkleError as E;
    let all = leaves(6);
    let (root, leaf, good) = (naive_root(&all), leaf_hash(&all[4]), naive_path(4, &all));
    assert_eq!(path::inclusion(4, 6, &leaf, &good, &root), Ok(()));
    let long = [good.as_slice(), &[root]].concat();
    let unused = E::HashUnused { found: 3, expected: 2 };
    assert_eq!(path::inclusion(4, 6, &leaf, &long, &root), Err(unused));
    let missing = Err(E::HashMissing { found: 1 });
    assert_eq!(path::inclusion(4, 6, &leaf, &good[..1], &root), missing);
    let outside = Err(E::Index { found: 6, leaf_count: 6 });
    assert_eq!(path::inclusion(6, 6, &leaf, &good, &root), outside);
    assert_eq!(path::inclusion(5, 6, &leaf, &good, &root), Err(E::Root));
    // The last leaf of the largest tree there could be.
    let many = vec![[0; 32]; 64];
    assert_eq!(
        path::inclusion(u64::MAX - 1, u64::MAX, &leaf, &many, &root),
        Err(E::HashUnused { found: 64, expected: 63 })
    );
}

fn chosen() -> impl Strategy<Value = (usize, Vec<u64>)> {
    (1usize..80).prop_flat_map(|size| {
        let indices: Vec<u64> = (0..size as u64).collect();
        (Just(size), subsequence(indices, 1..=size))
    })
}

proptest! {
    #[test]
    fn the_tree_is_the_rfcs((size, indices) in chosen()) {
        let all = leaves(size);
        let tree = tree(&all);
        prop_assert_eq!(tree.root(), naive_root(&all));
        prop_assert_eq!(proof(&all, &indices).verify(size as u64, &tree.root()), Ok(()));
        for index in indices {
            let at = usize::try_from(index).unwrap();
            let path = naive_path(at, &all);
            let leaf = leaf_hash(&all[at]);
            let found = path::inclusion(index, size as u64, &leaf, &path, &tree.root());
            prop_assert_eq!(found, Ok(()));
        }
    }

    #[test]
    fn any_flipped_bit_is_refused(
        (size, indices) in chosen(),
        which in any::<prop::sample::Index>(),
        bit in 0usize..8,
    ) {
        let all = leaves(size);
        let root = tree(&all).root();
        let good = proof(&all, &indices);
        let mut bad = good.clone();
        let mut bytes: Vec<&mut u8> = bad.leaves.iter_mut().flatten().collect();
        bytes.extend(bad.hashes.iter_mut().flatten());
        let at = which.index(bytes.len());
        *bytes[at] ^= 1 << bit;
        prop_assert_eq!(bad.verify(size as u64, &root), Err(MerkleError::Root));
        let mut moved = good.clone();
        let at = which.index(moved.indices.len());
        moved.indices[at] ^= 1 << bit;
        prop_assert!(moved.verify(size as u64, &root).is_err());
        let mut other = root;
        other[which.index(32)] ^= 1 << bit;
        prop_assert_eq!(good.verify(size as u64, &other), Err(MerkleError::Root));
    }
}
