//! A plain TCP relay in front of a gateway, which the test opens, closes, or lets hang.

use std::{
    io::copy,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use crate::daemon::until;

/// What it does with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Carries it to the gateway.
    Open,
    /// Closes it.
    Closed,
    /// Accepts it, and says nothing.
    Silent,
}

/// Where peers believe the gateway to be.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    mode: Arc<Mutex<Mode>>,
    taken: Arc<AtomicBool>,
}

impl Proxy {
    pub(crate) fn before(gateway: SocketAddr, mode: Mode) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let proxy = Self { address, mode: Arc::new(Mutex::new(mode)), taken: Arc::default() };
        let (mode, taken) = (Arc::clone(&proxy.mode), Arc::clone(&proxy.taken));
        // Ends with the process, as its connections do.
        thread::spawn(move || {
            let mut silent = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                let mode = *mode.lock().unwrap();
                match mode {
                    Mode::Open => carry(stream, gateway),
                    Mode::Closed => drop(stream),
                    Mode::Silent => silent.push(stream),
                }
                taken.store(true, Ordering::SeqCst);
            }
        });
        proxy
    }

    /// For connections from now on.
    pub(crate) fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    /// Waits for the first connection.
    pub(crate) fn wait_until_tried(&self) {
        let tried = || self.taken.load(Ordering::SeqCst).then_some(());
        until("somebody connects", Duration::from_secs(60), tried);
    }
}

fn carry(from: TcpStream, gateway: SocketAddr) {
    let Ok(to) = TcpStream::connect(gateway) else { return };
    for (mut from, mut to) in [(from.try_clone().unwrap(), to.try_clone().unwrap()), (to, from)] {
        thread::spawn(move || {
            // Whatever ends one way ends the other.
            let _ = copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Both);
            let _ = from.shutdown(Shutdown::Both);
        });
    }
}
