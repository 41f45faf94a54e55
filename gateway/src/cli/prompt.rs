//! A question on the terminal whose answer is not shown.

use std::io::{self, IsTerminal, Read, Write};

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use zeroize::Zeroizing;

/// Longest answer, in bytes; a password file may be longer, a person's typing is not.
const ANSWER_BYTES_MAX: usize = 1024;

/// Asks for a secret; none where standard input is no terminal, so that nobody can be asked.
pub(super) fn secret(question: &str) -> io::Result<Option<Zeroizing<String>>> {
    let input = io::stdin();
    if !input.is_terminal() {
        return Ok(None);
    }
    let mut quiet = Quiet::on(input)?;
    let mut error = io::stderr();
    write!(error, "{question}")?;
    error.flush()?;
    let answer = quiet.line();
    writeln!(error)?;
    answer.map(Some)
}

/// A terminal that shows nothing of what is typed; as before when dropped.
struct Quiet {
    input: io::Stdin,
    before: Termios,
}

impl Quiet {
    fn on(input: io::Stdin) -> io::Result<Self> {
        let before = tcgetattr(&input)?;
        let mut quiet = before.clone();
        // Without ISIG an interrupt is a character like others: a signal would end the process with
        // the terminal left mute.
        quiet.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        quiet.special_codes[SpecialCodeIndex::VMIN] = 1;
        quiet.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(&input, OptionalActions::Flush, &quiet)?;
        Ok(Self { input, before })
    }

    /// Reads up to the end of the line, byte by byte, with the terminal's usual corrections.
    fn line(&mut self) -> io::Result<Zeroizing<String>> {
        // As long as it may become, so that no copy is left where it grew.
        let mut typed = Zeroizing::new(Vec::with_capacity(ANSWER_BYTES_MAX));
        loop {
            let mut byte = Zeroizing::new([0]);
            if self.input.read(byte.as_mut_slice())? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match byte[0] {
                b'\n' | b'\r' => break,
                INTERRUPT | END => return Err(io::ErrorKind::Interrupted.into()),
                KILL => typed.clear(),
                BACKSPACE | DELETE => erase(&mut typed),
                _ if typed.len() == ANSWER_BYTES_MAX => {
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, "too long"));
                }
                other => typed.push(other),
            }
        }
        let text = std::str::from_utf8(&typed)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "is no UTF-8"))?;
        Ok(Zeroizing::new(text.to_owned()))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // The terminal may be gone.
        let _ = tcsetattr(&self.input, OptionalActions::Flush, &self.before);
    }
}

/// Takes the last character away, with all its bytes.
fn erase(typed: &mut Vec<u8>) {
    while let Some(last) = typed.pop() {
        // A byte that continues a character of UTF-8 is 10xxxxxx.
        if last & 0xc0 != 0x80 {
            break;
        }
    }
}

const INTERRUPT: u8 = 0x03;
const END: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const KILL: u8 = 0x15;
const DELETE: u8 = 0x7f;
