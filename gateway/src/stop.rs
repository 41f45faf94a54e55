//! Asking tasks to stop, and waiting for it.

use tokio::sync::watch;

/// The asking side; dropping it asks too.
#[derive(Debug)]
pub struct Stopper(watch::Sender<bool>);

/// The side that is asked.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

/// A pair of both.
#[must_use]
pub fn channel() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(false);
    (Stopper(sender), Stop(receiver))
}

impl Stopper {
    /// Asks everyone to stop.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// Waits until asked to stop.
    pub async fn asked(&self) {
        // An error means the asking side is gone, which asks as well.
        let _ = self.0.clone().wait_for(|asked| *asked).await;
    }

    /// Whether stopping was asked for.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }

    /// The plain receiver, for servers that take one.
    #[must_use]
    pub fn receiver(&self) -> watch::Receiver<bool> {
        self.0.clone()
    }
}
