//! The unix socket: nobody but its owner can ever connect, and no second gateway takes it over.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use thiserror::Error;
use tokio::net::{UnixListener, UnixSocket, UnixStream};

/// Connections that the system keeps until they are accepted.
const BACKLOG: u32 = 16;
/// Read and write, which is what connecting needs, for the owner alone.
const MODE: u32 = 0o600;

/// The socket that commands come in by. Its file goes with it.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and number of the file: what else stands there later is not removed.
    file: (u64, u64),
}

/// Why there is no socket.
#[derive(Debug, Error)]
pub enum SocketError {
    /// Another process listens there: another gateway, or this one's predecessor still stopping.
    #[error("another process listens at {}", .0.display())]
    Taken(PathBuf),
    /// A file of somebody else's. The operator's to move.
    #[error("{} is there and is no socket: move it away, or set admin.socket", .0.display())]
    NotASocket(PathBuf),
    /// The system does not allow it.
    #[error("{}: {error}", path.display())]
    System {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

impl Socket {
    /// Makes the socket. A file that a crash left behind is replaced.
    ///
    /// # Errors
    /// [`SocketError`]; a file that is not a stale socket is left as it is.
    pub async fn bind(path: &Path) -> Result<Self, SocketError> {
        let failed = |error| SocketError::System { path: path.into(), error };
        clear(path).await?;
        let socket = UnixSocket::new_stream().map_err(failed)?;
        socket.bind(path).map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => SocketError::Taken(path.into()),
            _ => failed(error),
        })?;
        // Nobody can connect before `listen`, so the permissions hold from the first moment on.
        fs::set_permissions(path, Permissions::from_mode(MODE)).map_err(failed)?;
        let file = fs::symlink_metadata(path).map(|it| (it.dev(), it.ino())).map_err(failed)?;
        let listener = socket.listen(BACKLOG).map_err(failed)?;
        Ok(Self { listener, path: path.into(), file })
    }

    /// What connections are accepted from.
    #[must_use]
    pub fn listener(&self) -> &UnixListener {
        &self.listener
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let found = fs::symlink_metadata(&self.path).map(|it| (it.dev(), it.ino()));
        if found.is_ok_and(|found| found == self.file) {
            // It may be gone by now; nothing is lost.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes a socket that nobody listens at.
async fn clear(path: &Path) -> Result<(), SocketError> {
    let failed = |error| SocketError::System { path: path.into(), error };
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    if !found.file_type().is_socket() {
        return Err(SocketError::NotASocket(path.into()));
    }
    match UnixStream::connect(path).await {
        // A full queue is somebody's, too.
        Ok(_) => Err(SocketError::Taken(path.into())),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(SocketError::Taken(path.into()))
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> (tempfile::TempDir, PathBuf) {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("admin.sock");
        (home, path)
    }

    #[tokio::test]
    async fn a_socket_is_its_owners_alone_and_goes_with_the_gateway() {
        let (_home, path) = home();
        let socket = Socket::bind(&path).await.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(UnixStream::connect(&path).await.is_ok());
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_socket_in_use_is_left_alone_and_a_stale_one_replaced() {
        let (_home, path) = home();
        let first = Socket::bind(&path).await.unwrap();
        let second = Socket::bind(&path).await;
        assert!(matches!(second, Err(SocketError::Taken(_))), "{second:?}");
        assert!(UnixStream::connect(&path).await.is_ok(), "the first still answers");
        // As a crash leaves it: the file is there, nobody listens.
        drop(first);
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let _third = Socket::bind(&path).await.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn what_is_no_socket_is_never_removed() {
        let (home, path) = home();
        fs::write(&path, "a letter").unwrap();
        let refused = Socket::bind(&path).await;
        assert!(matches!(refused, Err(SocketError::NotASocket(_))), "{refused:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "a letter");
        let nowhere = Socket::bind(&home.path().join("none/admin.sock")).await;
        assert!(matches!(nowhere, Err(SocketError::System { .. })), "{nowhere:?}");
    }

    #[tokio::test]
    async fn what_another_has_put_there_meanwhile_stays() {
        let (_home, path) = home();
        let socket = Socket::bind(&path).await.unwrap();
        fs::remove_file(&path).unwrap();
        let other = Socket::bind(&path).await.unwrap();
        drop(socket);
        assert!(path.exists());
        drop(other);
    }
}
