//! What must survive a crash: queue, chain cursor, copies of guard and books, in one store.
