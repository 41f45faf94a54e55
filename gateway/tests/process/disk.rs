//! A disk without space: the gateway takes nothing more, delivers nothing, loses nothing, and goes
//! on when there is space again.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use distpos_examples::village::BALANCE;
use distpos_gateway::submit::Outcome;

use crate::{
    daemon::until,
    proxy::{Mode, Proxy},
    world::World,
};

/// A small file system of its own.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn mount(directory: &Path, size: &str) -> Self {
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "none"])
            .arg(directory)
            .status()
            .unwrap();
        assert!(status.success(), "mount: {status}");
        Self(directory.into())
    }

    /// Leaves this many bytes free.
    fn fill(&self, left: u64) {
        let found = rustix::fs::statvfs(&self.0).unwrap();
        let free = found.f_bavail * found.f_frsize;
        let bytes = usize::try_from(free.saturating_sub(left)).unwrap();
        fs::write(self.0.join("filler"), vec![1; bytes]).unwrap();
    }

    fn empty(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: a failed test may still have a file open.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
#[ignore = "needs root for a tmpfs"]
fn on_a_full_disk_it_takes_nothing_delivers_nothing_and_loses_nothing() {
    let mut world = World::prepared();
    let place = world.b.directory.join("small");
    fs::create_dir(&place).unwrap();
    let tmpfs = Tmpfs::mount(&place, "16m");
    world.b.edit("directory = \"spool\"", "directory = \"small/spool\"");
    // What comes to B is claimed, but its proof cannot be fetched for now.
    let proxy = Proxy::before(world.a.peers, Mode::Closed);
    world.a.published = proxy.address;
    world.publish();
    world.a.start();
    world.b.start();
    let soon = Duration::from_secs(60);
    let to = world.b.village.address();
    let held = world.a.send(0, &to, 5);
    world.a.message_when(held, soon, |view| view.state == "accepted");
    world.b.message_when(held, soon, |view| view.state == "claimed" && view.code.is_some());

    tmpfs.fill(512 * 1024);
    let late = world.a.send(1, &to, 7);
    let view = world.a.message_when(late, soon, |view| view.code.is_some());
    assert_eq!((view.code.as_deref(), view.state.as_str()), (Some("4.3.1"), "queued"), "{view:?}");
    assert!(world.b.message(late).is_none(), "it is not taken");

    // Now the first could be delivered, but for the disk.
    let before = world.b.log().len();
    proxy.set(Mode::Open);
    until("delivery is tried", soon, || {
        world.b.log()[before..].contains("bytes free").then_some(())
    });
    assert_eq!(world.b.balance(), BALANCE);
    assert_eq!(world.b.message(held).unwrap().outcome, None);

    tmpfs.empty();
    for id in [held, late] {
        let view =
            world.a.message_when(id, Duration::from_secs(180), |view| view.outcome.is_some());
        assert_eq!(view.outcome, Some(Outcome::Delivered), "{view:?}");
    }
    assert_eq!((world.a.balance(), world.b.balance()), (BALANCE - 12, BALANCE + 12));
}

#[test]
#[ignore = "needs root for a tmpfs"]
fn after_a_flush_that_failed_it_asks_to_be_started_again_when_there_is_space() {
    let mut world = World::prepared();
    let place = world.b.directory.join("small");
    fs::create_dir(&place).unwrap();
    let tmpfs = Tmpfs::mount(&place, "16m");
    world.b.edit("directory = \"spool\"", "directory = \"small/spool\"");
    world.publish();
    world.a.start();
    world.b.start();

    tmpfs.fill(0);
    // The ledger has a disk of its own, and takes what users send; the spool cannot follow.
    let to = world.a.village.address();
    let mut ids = Vec::new();
    while !world.b.log().contains("could not be flushed") {
        assert!(ids.len() < 500, "the spool still finds space");
        ids.push(world.b.send(u64::try_from(ids.len()).unwrap(), &to, 1));
    }
    let other = world.a.send(0, &world.b.village.address(), 1);
    let soon = Duration::from_secs(60);
    let view = world.a.message_when(other, soon, |view| view.code.is_some());
    assert_eq!(view.code.as_deref(), Some("4.3.1"), "{view:?}");

    tmpfs.empty();
    assert_eq!(world.b.ended_by_itself(soon), Some(75), "{}", world.b.log());
    world.b.start();
    for (gateway, id) in ids.iter().map(|id| (&world.b, *id)).chain([(&world.a, other)]) {
        let view =
            gateway.message_when(id, Duration::from_secs(180), |view| view.outcome.is_some());
        assert_eq!(view.outcome, Some(Outcome::Delivered), "{view:?}");
    }
    let sent = u64::try_from(ids.len()).unwrap();
    assert_eq!((world.a.balance(), world.b.balance()), (BALANCE + sent - 1, BALANCE - sent + 1));
}
