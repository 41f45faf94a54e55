//! How many connections there are, in all and from one address.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

use thiserror::Error;

/// Why a connection was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum Full {
    /// All places are taken.
    #[error("{0} connections are open, expected fewer")]
    All(usize),
    /// This address has taken its share.
    #[error("{0} connections from this address are open, expected fewer")]
    Address(usize),
}

#[derive(Debug)]
pub(super) struct Gate {
    all_max: usize,
    address_max: usize,
    open: Arc<Mutex<Open>>,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    /// Only addresses with a connection, so never more than `all`.
    by_address: BTreeMap<IpAddr, usize>,
}

impl Gate {
    pub(super) fn new(all_max: usize, address_max: usize) -> Self {
        Self { all_max, address_max, open: Arc::default() }
    }

    /// A place for one connection, free again when it is dropped.
    pub(super) fn admit(&self, address: IpAddr) -> Result<Place, Full> {
        let address = neighbourhood(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.all >= self.all_max {
            return Err(Full::All(open.all));
        }
        let here = open.by_address.get(&address).copied().unwrap_or(0);
        if here >= self.address_max {
            return Err(Full::Address(here));
        }
        open.all += 1;
        open.by_address.insert(address, here + 1);
        Ok(Place { address, open: Arc::clone(&self.open) })
    }
}

#[derive(Debug)]
pub(super) struct Place {
    address: IpAddr,
    open: Arc<Mutex<Open>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.all = open.all.saturating_sub(1);
        match open.by_address.get_mut(&self.address) {
            Some(here) if *here > 1 => *here -= 1,
            Some(_) | None => {
                open.by_address.remove(&self.address);
            }
        }
    }
}

/// What counts as one host: an IPv4 address, or an IPv6 /64, which is what one subscriber gets.
fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_cannot_take_every_place_and_places_come_back() {
        let gate = Gate::new(3, 2);
        let first = gate.admit(ip("192.0.2.1")).unwrap();
        let _second = gate.admit(ip("::ffff:192.0.2.1")).unwrap();
        assert_eq!(gate.admit(ip("192.0.2.1")).unwrap_err(), Full::Address(2));
        let _third = gate.admit(ip("192.0.2.2")).unwrap();
        assert_eq!(gate.admit(ip("192.0.2.3")).unwrap_err(), Full::All(3));
        drop(first);
        let _again = gate.admit(ip("192.0.2.1")).unwrap();
    }

    #[test]
    fn a_subscriber_with_a_64_is_one_address() {
        let gate = Gate::new(10, 1);
        let place = gate.admit(ip("2001:db8::1")).unwrap();
        assert_eq!(gate.admit(ip("2001:db8::2:1")).unwrap_err(), Full::Address(1));
        let _other = gate.admit(ip("2001:db8:0:1::1")).unwrap();
        drop(place);
        assert!(gate.admit(ip("2001:db8::2:1")).is_ok());
        let open = gate.open.lock().unwrap();
        assert_eq!((open.all, open.by_address.len()), (1, 1), "nothing is kept of who left");
    }
}
