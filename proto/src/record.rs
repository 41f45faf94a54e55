//! The DNS TXT records: parse and print (`docs/dns.md`).
