//! Where a gateway keeps the transactions that it signed, until blocks hold their numbers.

use alloy_primitives::Address;
use async_trait::async_trait;
use distpos_spool::{SignedTransaction, Spool, SpoolError};

/// Keeps signed transactions by account and number. [`Spool`] is one: on disk for a gateway, in
/// memory for a command that ends with its transaction.
#[async_trait]
pub trait TransactionStore: Send + Sync {
    /// Everything that is kept.
    ///
    /// # Errors
    /// [`SpoolError`] if it cannot be read.
    fn kept(&self) -> Result<Vec<(Address, u64, SignedTransaction)>, SpoolError>;

    /// Writes rows of an account, or removes them, all in one; what was written is durable when
    /// this returns.
    ///
    /// # Errors
    /// [`SpoolError`] if it is not.
    async fn write(
        &self,
        account: Address,
        rows: Vec<(u64, Option<SignedTransaction>)>,
    ) -> Result<(), SpoolError>;
}

#[async_trait]
impl TransactionStore for Spool {
    fn kept(&self) -> Result<Vec<(Address, u64, SignedTransaction)>, SpoolError> {
        let rows = self.read(|tx| tx.all_signed())?;
        Ok(rows.into_iter().map(|(account, nonce, row)| (account.into(), nonce, row)).collect())
    }

    async fn write(
        &self,
        account: Address,
        rows: Vec<(u64, Option<SignedTransaction>)>,
    ) -> Result<(), SpoolError> {
        let write = self.transact(move |tx| {
            for (nonce, row) in &rows {
                match row {
                    Some(row) => tx.put_signed(account.0.0, *nonce, row),
                    None => tx.remove_signed(account.0.0, *nonce),
                }
            }
            Ok(())
        });
        write.await
    }
}
