//! Reading a text from left to right.

/// Longest part of a text that an error shows, in characters.
const SHOWN_MAX: usize = 40;

pub(super) struct Reader<'a>(&'a str);

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self(text)
    }

    pub(super) fn rest(&self) -> &'a str {
        self.0
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.0.chars().next()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let first = self.peek()?;
        self.0 = &self.0[first.len_utf8()..];
        Some(first)
    }

    /// Passes over this character if it comes next.
    pub(super) fn take(&mut self, expected: char) -> bool {
        match self.0.strip_prefix(expected) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    /// Passes over white space; whether there was some.
    pub(super) fn skip_space(&mut self) -> bool {
        let before = self.0;
        self.0 = before.trim_start();
        before.len() != self.0.len()
    }

    /// An identifier of Solidity, or nothing.
    pub(super) fn word(&mut self) -> &'a str {
        self.skip_space();
        let is_first = |c: char| c.is_ascii_alphabetic() || c == '_' || c == '$';
        match self.peek() {
            Some(first) if is_first(first) => self.until(|c| !(is_first(c) || c.is_ascii_digit())),
            _ => "",
        }
    }

    /// What comes before the first character that ends it; that one stays.
    pub(super) fn until(&mut self, ends: impl FnMut(char) -> bool) -> &'a str {
        let at = self.0.find(ends).unwrap_or(self.0.len());
        let (found, rest) = self.0.split_at(at);
        self.0 = rest;
        found
    }

    /// What comes next, short enough to be shown.
    pub(super) fn shown(&self) -> String {
        shortened(self.0)
    }
}

pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}…", &text[..at]),
    }
}
