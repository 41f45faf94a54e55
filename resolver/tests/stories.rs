//! Stories of look-ups: over a zone in memory, an authoritative server in this process, and BIND.

#[cfg(test)]
mod bind;
#[cfg(test)]
mod cache;
#[cfg(test)]
mod checking;
#[cfg(test)]
mod dnssec;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod matrix;
#[cfg(test)]
mod order;
#[cfg(test)]
mod publishing;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod server;
#[cfg(test)]
mod servers;
#[cfg(test)]
mod support;
