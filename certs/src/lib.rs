//! Who a DistPOS peer is: identity keys on disk, and TLS 1.3 with raw public keys (RFC 7250).
