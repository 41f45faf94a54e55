//! A disk without space, or that cannot be written: the gateway takes nothing more, delivers nothing,
//! loses nothing, and goes on when it can.

use std::{
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
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

/// A real file system in a file, that turns read-only when the kernel has found an error in it.
struct Ext4 {
    image: PathBuf,
    place: PathBuf,
}

fn run(program: &str, arguments: &[&OsStr]) -> ExitStatus {
    Command::new(program).args(arguments).stdout(Stdio::null()).status().unwrap()
}

impl Ext4 {
    fn make(image: PathBuf, place: PathBuf) -> Self {
        File::create(&image).unwrap().set_len(64 << 20).unwrap();
        assert!(run("mkfs.ext4", &["-q".as_ref(), image.as_ref()]).success());
        fs::create_dir(&place).unwrap();
        let made = Self { image, place };
        made.mount();
        made
    }

    fn mount(&self) {
        let arguments =
            ["-o".as_ref(), "loop".as_ref(), self.image.as_os_str(), self.place.as_ref()];
        assert!(run("mount", &arguments).success());
    }

    /// As after an error on the disk: what is open for writing cannot be written any more either.
    fn turn_read_only(&self) {
        let arguments = ["-o".as_ref(), "remount,abort".as_ref(), self.place.as_os_str()];
        assert!(run("mount", &arguments).success());
    }

    /// What an operator does then.
    fn repair(&self) {
        assert!(run("umount", &[self.place.as_ref()]).success());
        // 1: errors were corrected.
        let checked = run("fsck.ext4", &["-y".as_ref(), self.image.as_ref()]);
        assert!(matches!(checked.code(), Some(0 | 1)), "{checked}");
        self.mount();
    }
}

impl Drop for Ext4 {
    fn drop(&mut self) {
        // Lazily: a failed test may still have a file open.
        let _ = Command::new("umount").arg("-l").arg(&self.place).status();
    }
}

#[test]
#[ignore = "needs root for a loop device"]
fn on_a_file_system_that_turned_read_only_it_stops_and_goes_on_when_it_is_repaired() {
    let mut world = World::prepared();
    let ext4 = Ext4::make(world.b.directory.join("disk"), world.b.directory.join("small"));
    world.b.edit("directory = \"spool\"", "directory = \"small/spool\"");
    let proxy = Proxy::before(world.a.peers, Mode::Closed);
    world.a.published = proxy.address;
    world.publish();
    world.a.start();
    world.b.start();
    let soon = Duration::from_secs(60);
    let to = world.b.village.address();
    let kept = world.a.send(0, &to, 5);
    world.a.message_when(kept, soon, |view| view.state == "accepted");

    ext4.turn_read_only();
    let late = world.a.send(1, &to, 7);
    // Whether the spool can be trusted is only known when it is opened anew.
    assert_eq!(world.b.ended_by_itself(soon), Some(75), "{}", world.b.log());
    assert!(world.b.log().contains("Read-only file system"), "{}", world.b.log());
    let mut command = world.b.command();
    let refused = command.status().unwrap();
    assert_eq!(refused.code(), Some(75), "{}", world.b.log());
    let told = world.b.log();
    let told = told.lines().last().unwrap();
    assert!(told.contains("spool.redb: Read-only file system (os error 30)"), "{told}");
    world.a.message_when(late, soon, |view| view.state == "queued" && view.code.is_some());

    ext4.repair();
    proxy.set(Mode::Open);
    world.b.start();
    for id in [kept, late] {
        let view =
            world.a.message_when(id, Duration::from_secs(180), |view| view.outcome.is_some());
        assert_eq!(view.outcome, Some(Outcome::Delivered), "{view:?}");
    }
    assert_eq!((world.a.balance(), world.b.balance()), (BALANCE - 12, BALANCE + 12));
    world.b.terminate();
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
