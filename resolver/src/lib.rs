//! Chain-id to route: DNS look-ups, cache, order and failed-gateway memory.
