//! In which order gateways are tried.

use rand::Rng;

use crate::route::{Gateway, Host};

/// By priority, shuffled by weight within one (RFC 2782), those that failed lately after all
/// others. The same gateways, failures and random numbers give the same order, whatever order the
/// gateways came in: servers rotate their answers.
pub(super) fn order(
    gateways: &[Gateway],
    has_failed: impl Fn(&Gateway) -> bool,
    random: &mut dyn Rng,
) -> Vec<Gateway> {
    let mut waiting = gateways.to_vec();
    waiting.sort_by(|a, b| place(a).cmp(&place(b)));
    let mut ordered = Vec::with_capacity(waiting.len());
    while let Some(first) = waiting.first() {
        let pri = first.pri;
        let rivals = waiting.iter().take_while(|gateway| gateway.pri == pri);
        let at = pick(rivals, random);
        ordered.push(waiting.remove(at));
    }
    // Stable: among those that failed, and among those that did not, the order above stays.
    ordered.sort_by_key(has_failed);
    ordered
}

fn place(gateway: &Gateway) -> (u16, &Host, u16) {
    (gateway.pri, &gateway.host, gateway.port)
}

/// Picks one by its weight; when no weight is left, all are alike.
fn pick<'a>(rivals: impl Iterator<Item = &'a Gateway>, random: &mut dyn Rng) -> usize {
    let weights: Vec<u64> = rivals.map(|gateway| gateway.weight.into()).collect();
    let total: u64 = weights.iter().sum();
    let (weights, total) =
        if total == 0 { (vec![1; weights.len()], weights.len() as u64) } else { (weights, total) };
    // The bias of the remainder is below 2^-45: there are few gateways, of 16-bit weights.
    let mut left = random.next_u64() % total.max(1);
    for (at, weight) in weights.iter().enumerate() {
        if left < *weight {
            return at;
        }
        left -= weight;
    }
    0
}
